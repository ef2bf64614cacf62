// The message field: Enter sends, Shift+Enter starts a line, Escape stops; one button, two meanings.

import { byId } from "./element.js";

const LONGEST = 100_000; // characters, as the contract counts them
const WORTH_COUNTING = 30_000;

export class Composer {
  #field = byId("message");
  #send = byId("send");
  #stop = byId("stop");
  #state = byId("state");
  #hint = byId("hint");
  #mode = "idle";

  #files;

  /** `files` are the attachments of the next message. */
  constructor({ send, stop, files }) {
    this.#files = files(() => this.#look());
    const submit = () => {
      const text = this.#field.value;
      if (!this.#sendable()) return;
      this.fill("");
      send(text.trim() ? text : "", this.#files.take());
    };
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    this.#field.addEventListener("input", () => this.#look());
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      submit();
    });
    this.#stop.addEventListener("click", stop);
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.defaultPrevented && this.#mode === "running" && !document.querySelector("dialog[open]")) stop();
    });
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault();
      this.focus();
    });
    this.#field.disabled = false; // until now Enter would have been a new line
  }

  fill(text) {
    this.#field.value = text;
    this.#look();
    if (text) this.focus();
  }

  focus() {
    // not on a phone, where it would bring up the keyboard over what there is to read
    if (matchMedia("(pointer: fine)").matches) this.#field.focus({ preventScroll: true });
  }

  idle() {
    this.#set("idle", "");
  }

  loading() {
    this.#set("loading", "Reading the conversation …");
  }

  running(words = "Answering …") {
    this.#set("running", words);
  }

  #set(mode, words) {
    const hadFocus = document.activeElement === this.#stop;
    this.#mode = mode;
    if (this.#state.textContent !== words) this.#state.textContent = words;
    this.#stop.hidden = mode !== "running";
    this.#send.hidden = mode === "running";
    if (hadFocus && mode === "idle") this.#field.focus({ preventScroll: true });
    this.#look();
  }

  #sendable() {
    const text = this.#field.value;
    const said = text.trim() !== "" || this.#files.count > 0;
    return this.#mode === "idle" && said && this.#files.ready && count(text) <= LONGEST;
  }

  #look() {
    if (!this.#files) return; // it is being made
    const length = this.#field.value.length < WORTH_COUNTING ? 0 : count(this.#field.value);
    this.#hint.toggleAttribute("data-wrong", length > LONGEST);
    this.#hint.hidden = length < WORTH_COUNTING && this.#state.textContent !== "";
    if (length >= WORTH_COUNTING) {
      this.#hint.textContent = `${length.toLocaleString("en")} of ${LONGEST.toLocaleString("en")} characters`;
    }
    this.#send.disabled = !this.#sendable();
    if (CSS.supports("field-sizing", "content")) return; // the style sheet lets it grow
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }
}

const count = (text) => [...text].length;
