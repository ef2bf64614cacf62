// The files that go with the next message: pasted, dropped, picked or photographed; each is sent to
// the service at once, with its progress, and can be taken back.

import { byId, element, icon } from "./element.js";
import { dataUrl, isShown, sizeOf } from "./file.js";
import { Problem } from "./api.js";

const MOST = 20;

export class Attachments {
  #api;
  #list = byId("attachments");
  #most; // bytes of one file; null where no files are kept
  #held = new Set();
  #changed;

  /** `changed()` is called when a message can be sent that could not, or the other way round. */
  constructor(api, { mostBytes, changed }) {
    this.#api = api;
    this.#most = mostBytes;
    this.#changed = changed;
    if (!mostBytes) return;
    for (const id of ["attach", "camera"]) {
      const field = byId(`${id}-field`);
      byId(id).hidden = false;
      byId(id).addEventListener("click", () => field.click());
      field.addEventListener("change", () => {
        this.add(field.files);
        field.value = ""; // so that the same one can be picked again
      });
    }
    byId("message").addEventListener("paste", (event) => this.#take(event, event.clipboardData));
    this.#drops(document.documentElement);
  }

  get count() {
    return this.#held.size;
  }

  /** Whether all of them have arrived. */
  get ready() {
    return [...this.#held].every((one) => one.kept);
  }

  add(files) {
    for (const file of files) {
      if (this.#held.size >= MOST) return;
      const one = new Attachment(file, { api: this.#api, changed: this.#changed, removed: () => this.#forget(one) });
      this.#held.add(one);
      this.#list.append(one.node);
      one.send(this.#most);
    }
    this.#look();
  }

  /** The files as they are kept, which are the message's now. */
  take() {
    const taken = [...this.#held].map(({ kept, file }) => ({ id: kept.id, name: kept.filename, mimeType: kept.mime_type, url: null, data: null, blob: file }));
    this.#held.clear();
    this.#list.replaceChildren();
    this.#look();
    return taken;
  }

  #forget(one) {
    this.#held.delete(one);
    one.node.remove();
    this.#look();
    byId("message").focus({ preventScroll: true });
  }

  #look() {
    this.#list.hidden = this.#held.size === 0;
    this.#changed();
  }

  #take(event, data) {
    if (!data?.files.length) return;
    event.preventDefault(); // of a copied picture some pages also give an address, as text
    this.add(data.files);
  }

  #drops(area) {
    const carries = (event) => event.dataTransfer?.types.includes("Files");
    area.addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      area.toggleAttribute("data-dropping", true);
    });
    area.addEventListener("dragleave", (event) => event.relatedTarget ?? area.removeAttribute("data-dropping"));
    area.addEventListener("drop", (event) => {
      area.removeAttribute("data-dropping");
      if (carries(event)) this.#take(event, event.dataTransfer);
    });
  }
}

class Attachment {
  kept = null; // what the service says of it, once it is there
  #api;
  #bar = element("progress", { max: 1, value: 0 });
  #state = element("span", { class: "quiet", role: "status" });
  #changed;
  #leave = new AbortController();

  constructor(file, { api, changed, removed }) {
    this.file = file;
    this.#api = api;
    this.#changed = changed;
    const name = file.name || "File";
    const remove = element("button", { type: "button", class: "icon-button", "aria-label": `Remove ${name}` }, icon("close"));
    remove.addEventListener("click", () => {
      this.#leave.abort();
      if (this.kept) api.removeFile(this.kept.id).catch(() => {}); // else it goes when it expires
      removed();
    });
    this.node = element("li", { class: "attachment" }, element("span", { class: "preview" }, icon("clip")), element("span", { class: "what" }, element("bdi", {}, name), this.#state, this.#bar), remove);
    this.#preview(file);
  }

  async send(mostBytes) {
    const { signal } = this.#leave;
    this.#bar.setAttribute("aria-label", `Sending ${this.file.name}`);
    try {
      if (this.file.size > mostBytes) throw new Problem({ title: `It is larger than ${sizeOf(mostBytes)}.` });
      if (this.file.size === 0) throw new Problem({ title: "It is empty." });
      this.#state.textContent = "Sending …";
      this.kept = await this.#api.upload(this.file, { signal, progress: (part) => (this.#bar.value = part) });
      this.#state.textContent = sizeOf(this.kept.bytes);
    } catch (error) {
      if (signal.aborted) return;
      const problem = Problem.from(error);
      this.node.toggleAttribute("data-failed", true);
      this.#state.textContent = problem.errors[0] ? `It ${problem.errors[0].message}.` : problem.detail || problem.title;
    }
    this.#bar.remove();
    this.#changed();
  }

  async #preview(file) {
    if (!isShown(file.type, file.size)) return;
    const picture = element("img", { alt: "", src: await dataUrl(file, file.type) });
    picture.addEventListener("error", () => picture.replaceWith(icon("clip")));
    this.node.querySelector(".preview").replaceChildren(picture);
  }
}
