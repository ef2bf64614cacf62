// The side bar: earlier conversations, newest first, each with its rename and delete.

import { byId, element, icon } from "./element.js";
import { Problem } from "./api.js";

export class Sessions {
  #api;
  #list = byId("sessions");
  #more = byId("more");
  #known = []; // {session_id, title, updated_at, inputs?}, newest first
  #cursor = null;
  #current = null;
  #busy = null; // the session whose answer is being written
  #tell;
  #asked;
  #deleted;
  #renamed;

  /** `tell(problem)` shows what went wrong; `deleted(id)` and `renamed(id, title)` what was done. */
  constructor(api, { tell, deleted, renamed }) {
    this.#api = api;
    this.#tell = tell;
    this.#deleted = deleted;
    this.#renamed = renamed;
    this.#more.addEventListener("click", () => this.#showMore());
  }

  /** Read the newest again; what "Show older ones" brought stays. */
  async refresh({ quiet = false } = {}) {
    try {
      const page = await this.#api.sessions();
      const fresh = new Set(page.sessions.map((session) => session.session_id));
      const oldest = page.sessions.at(-1)?.updated_at ?? "";
      const older = this.#known.filter((one) => !fresh.has(one.session_id) && (one.updated_at < oldest || one.pending));
      if (!older.some((one) => !one.pending)) this.#cursor = page.next_cursor;
      this.#known = [...older.filter((one) => one.pending), ...page.sessions, ...older.filter((one) => !one.pending)];
      this.#draw();
    } catch (error) {
      if (!quiet) this.#tell(Problem.from(error));
    }
  }

  titleOf(id) {
    return this.#known.find((one) => one.session_id === id)?.title;
  }

  /** A session that the service may not list yet: its first answer is still being written. */
  add(id, title) {
    if (this.titleOf(id) === undefined) {
      const now = new Date().toISOString();
      this.#known.unshift({ session_id: id, title, updated_at: now, pending: true });
    }
    this.#draw();
  }

  /** The session `id` is there for certain now, or not at all. */
  settle(id) {
    for (const one of this.#known) if (one.session_id === id) one.pending = false;
  }

  show({ current = this.#current, busy = this.#busy }) {
    this.#current = current;
    this.#busy = busy;
    for (const item of this.#list.children) this.#mark(item);
  }

  async #showMore() {
    this.#more.disabled = true;
    try {
      const page = await this.#api.sessions(this.#cursor);
      const known = new Set(this.#known.map((one) => one.session_id));
      this.#known.push(...page.sessions.filter((one) => !known.has(one.session_id)));
      this.#cursor = page.next_cursor;
      const before = this.#list.childElementCount;
      this.#draw();
      this.#list.children[before]?.querySelector("a").focus();
    } catch (error) {
      this.#tell(Problem.from(error));
    }
    this.#more.disabled = false;
  }

  #draw() {
    const focused = document.activeElement?.closest?.("#sessions li")?.dataset.id;
    const which = document.activeElement?.className;
    if (this.#list.querySelector("input")) return; // not under the hands of who is renaming
    this.#list.replaceChildren(...this.#known.map((one) => this.#item(one)));
    this.#more.hidden = !this.#cursor;
    byId("no-sessions").hidden = this.#known.length > 0;
    const item = [...this.#list.children].find(({ dataset }) => dataset.id === focused);
    if (which) item?.getElementsByClassName(which)[0]?.focus();
  }

  #item({ session_id: id, title, updated_at: updated }) {
    const item = element(
      "li",
      { "data-id": id },
      element("a", { href: `#${id}`, class: "open", dir: "auto", title: `${title}\n${when(updated)}` }, title),
      this.#button("rename", "edit", `Rename “${title}”`, () => this.#edit(item, id, title)),
      this.#button("delete", "trash", `Delete “${title}”`, () => this.#remove(id, title)),
    );
    this.#mark(item);
    return item;
  }

  #button(name, drawing, label, onclick) {
    return element("button", { type: "button", class: name, "aria-label": label, title: name === "rename" ? "Rename" : "Delete", onclick }, icon(drawing));
  }

  #mark(item) {
    const link = item.querySelector("a");
    if (item.dataset.id === this.#current) link?.setAttribute("aria-current", "page");
    else link?.removeAttribute("aria-current");
    item.toggleAttribute("data-busy", item.dataset.id === this.#busy);
    const asks = item.dataset.id !== this.#busy && this.#asking(item.dataset.id);
    item.toggleAttribute("data-asks", asks);
    if (asks) link?.setAttribute("aria-description", "The agent waits for an answer");
    else link?.removeAttribute("aria-description");
  }

  /** Whether the agent waits for an answer in a session. */
  #asking(id) {
    return (this.#known.find((one) => one.session_id === id)?.inputs?.length ?? 0) > 0;
  }

  #edit(item, id, title) {
    const input = element("input", { type: "text", value: title, dir: "auto", "aria-label": "New title", maxlength: 200 });
    let over = false;
    const close = async (save) => {
      if (over) return;
      over = true;
      const wanted = input.value.trim();
      const byKeyboard = document.activeElement === input;
      input.remove();
      if (save && wanted && wanted !== title) await this.#save(id, wanted);
      this.#draw();
      if (byKeyboard) this.#focus(id, "rename");
    };
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      if (event.isComposing) return;
      event.preventDefault();
      event.stopPropagation();
      close(event.key === "Enter");
    });
    input.addEventListener("blur", () => close(true));
    item.replaceChildren(input);
    input.select();
  }

  async #save(id, title) {
    try {
      const renamed = await this.#api.rename(id, title);
      this.#known.find((one) => one.session_id === id).title = renamed.title;
      this.#renamed(id, renamed.title);
    } catch (error) {
      this.#tell(Problem.from(error));
    }
  }

  async #remove(id, title) {
    const panel = byId("delete-panel");
    byId("delete-name").textContent = title;
    panel.returnValue = "";
    const asked = (this.#asked = Symbol(id));
    panel.showModal();
    await new Promise((resolve) => {
      const closed = () => {
        if (panel.open) return; // the end of an earlier question, told late
        panel.removeEventListener("close", closed);
        resolve();
      };
      panel.addEventListener("close", closed);
    });
    if (this.#asked !== asked) return; // asked again before the end of this question was told
    if (panel.returnValue !== "delete") return this.#focus(id, "delete");
    try {
      await this.#api.remove(id);
    } catch (error) {
      // what is not there any more is what was wanted
      if (error.code !== "not_found") return this.#tell(Problem.from(error));
    }
    const at = this.#known.findIndex((one) => one.session_id === id);
    if (at >= 0) this.#known.splice(at, 1);
    this.#draw();
    const neighbour = this.#known[Math.min(at, this.#known.length - 1)];
    if (neighbour) this.#focus(neighbour.session_id, "open");
    else byId("new").focus();
    this.#deleted(id);
  }

  #focus(id, name) {
    const item = [...this.#list.children].find(({ dataset }) => dataset.id === id);
    item?.getElementsByClassName(name)[0]?.focus();
  }
}

function when(time) {
  const date = new Date(time);
  return Number.isNaN(date.valueOf()) ? "" : date.toLocaleString();
}
