// One answer: a run's events turned into text, cards and folds, in the order they came.

import { copyButton, element, icon } from "./element.js";
import { fileCard, fileMade, filesIn } from "./file.js";
import { GrowingMarkdown } from "./markdown.js";
import { Problem } from "./api.js";
import { problemCard } from "./problem.js";

const LONGEST_LINE = 64;
const ENDS = {
  cancelled: "Stopped.",
  failed: "The answer ended with an error.",
  interrupted: "The answer was interrupted.",
};

export class Answer {
  #parts = element("div", { class: "parts" });
  #foot = element("footer");
  #waiting = element("p", { class: "waiting" }, element("i"), element("i"), element("i"), element("span", { class: "unseen" }, "Waiting for the agent"));
  #open = null; // the part that the next piece of its kind is added to
  #texts = [];
  #cards = new Map();
  #frame = null;
  #say;
  #changed;
  #load;
  inputs = []; // what the agent asked at the end
  gapped = false; // something is missing that the history may have

  /** `say(text)` reads out; `changed()` is called when the answer has grown on the page. */
  constructor({ say = () => {}, changed = () => {}, load } = {}) {
    this.#say = say;
    this.#load = load;
    this.#changed = changed;
    this.node = element(
      "article",
      { class: "answer", "data-status": "running" },
      element("h2", { class: "unseen" }, "Agent"),
      this.#parts,
      this.#waiting,
      this.#foot,
    );
  }

  get text() {
    return this.#texts.map((part) => part.source).join("");
  }

  /** Take in one event of the run. */
  add({ event, data }) {
    switch (event) {
      case "message":
        this.#textPart().append(data.content);
        break;
      case "thinking":
        this.#thought().append(data.content);
        break;
      case "tool_start":
        this.#toolCard(data.id, data.tool).start(data.args);
        break;
      case "tool_end":
        this.#toolCard(data.id, data.tool).end(data);
        this.#say(`${data.tool}: ${data.error ?? data.result ?? "done"}`);
        break;
      case "file":
        this.#file(fileMade(data));
        break;
      case "custom":
        this.#customs().add(data.value);
        break;
      case "gap":
        this.gapped = true;
        this.#note("A part of this answer is no longer kept here.");
        break;
      case "done":
        this.inputs = data.inputs ?? [];
        return this.end(data.status, { usage: data.usage });
      case "error":
        return this.end("failed", { problem: new Problem(data) });
      default:
    }
    this.#waiting.hidden = event !== "start";
    this.#frame ??= requestAnimationFrame(() => this.#draw());
  }

  /** No more is to come; `again` repeats the question after a problem. */
  end(status, { usage = null, problem = null, again = this.again } = {}) {
    if (this.node.dataset.status !== "running") return;
    this.node.dataset.status = status;
    this.#waiting.hidden = true;
    this.#close();
    for (const card of this.#cards.values()) card.leave(status === "input_required");
    this.#draw();
    if (problem) {
      const label = problem.status && this.#parts.childElementCount ? "Ask again" : "Try again";
      this.#parts.append(problemCard(problem, { again, label }));
    } else if (status !== "complete" && status !== "input_required") {
      this.#note(ENDS[status] ?? status);
    }
    this.#footer(usage);
    this.#changed();
  }

  /** An answer from the history, where only its text, tools and files were kept. */
  fill({ content, tool_calls: calls = [], parts = [], status = "complete" }) {
    for (const { id, tool, args, ...outcome } of calls) {
      const card = this.#toolCard(id, tool);
      card.start(args);
      if (outcome.result !== undefined || outcome.error !== undefined) card.end(outcome);
    }
    if (content) this.#textPart().append(content);
    for (const file of filesIn(parts)) this.#file(file);
    if (status !== "running") this.end(status ?? "complete");
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
    if (this.#open instanceof GrowingMarkdown) this.#open.draw();
    this.#changed();
  }

  #close() {
    this.#open?.close();
    this.#open = null;
  }

  #textPart() {
    if (this.#open instanceof GrowingMarkdown) return this.#open;
    this.#close();
    const root = element("div", { class: "text" });
    this.#parts.append(root);
    const text = new GrowingMarkdown(root, this.#say);
    this.#texts.push(text);
    this.#open = text;
    return text;
  }

  #thought() {
    if (!(this.#open instanceof Thought)) {
      this.#close();
      this.#open = new Thought();
      this.#parts.append(this.#open.node);
    }
    return this.#open;
  }

  #customs() {
    if (!(this.#open instanceof Customs)) {
      this.#close();
      this.#open = new Customs();
      this.#parts.append(this.#open.node);
    }
    return this.#open;
  }

  #toolCard(id, tool) {
    if (!this.#cards.has(id)) {
      this.#close();
      const card = new ToolCard(tool);
      this.#cards.set(id, card);
      this.#parts.append(card.node);
    }
    return this.#cards.get(id);
  }

  #file(file) {
    this.#close();
    this.#parts.append(fileCard(file, this.#load));
    this.#say(`A file: ${file.name || file.mimeType}`);
  }

  #note(text) {
    this.#close();
    this.#parts.append(element("p", { class: "note" }, text));
  }

  #footer(usage) {
    const words = usage && [`${usage.input_tokens ?? 0} tokens in`, `${usage.output_tokens ?? 0} out`].join(" · ");
    if (this.text && this.node.dataset.status !== "failed") this.#foot.append(copyButton(() => this.text, "Copy the answer") ?? "");
    if (words) this.#foot.append(element("span", {}, words));
  }
}

/** Reasoning, folded: there for who wants it. */
class Thought {
  #text = document.createTextNode("");
  #title = element("span", {}, "Thinking…");

  constructor() {
    this.node = element(
      "details",
      { class: "fold thinking", "data-open": true },
      element("summary", {}, icon("chevron"), this.#title),
      element("div", { class: "thought", dir: "auto" }, this.#text),
    );
  }

  append(text) {
    this.#text.appendData(text);
  }

  close() {
    this.node.removeAttribute("data-open");
    this.#title.textContent = "Reasoning";
  }
}

/** Frames of the agent's that have no other place, folded. */
class Customs {
  #count = 0;
  #title = element("span");
  #list = element("div");

  constructor() {
    this.node = element("details", { class: "fold custom" }, element("summary", {}, icon("chevron"), this.#title), this.#list);
  }

  close() {}

  add(value) {
    this.#count += 1;
    this.#title.textContent = this.#count === 1 ? "Custom event" : `${this.#count} custom events`;
    this.#list.append(jsonBlock(value));
  }
}

class ToolCard {
  #state = element("span", { class: "state" });
  #body = element("dl");

  constructor(tool) {
    this.node = element(
      "section",
      { class: "tool", "data-state": "running", "aria-label": `Tool ${tool}` },
      element("header", {}, icon("tool"), element("strong", { dir: "auto" }, tool), this.#state),
      this.#body,
    );
    this.#show("running", "running");
  }

  start(args) {
    this.#body.prepend(element("dt", {}, "Arguments"), element("dd", {}, jsonBlock(args)));
  }

  end({ result, error }) {
    if (this.node.dataset.state !== "running") return;
    const failed = error !== undefined && error !== null;
    this.#body.append(element("dt", {}, failed ? "Error" : "Result"), element("dd", {}, jsonBlock(failed ? error : (result ?? ""))));
    this.#show(failed ? "failed" : "done", failed ? "failed" : "done");
  }

  /** The run is over and the tool has not answered: it was asked about, or never will. */
  leave(asked) {
    if (this.node.dataset.state === "running") this.#show("left", asked ? "waits for an answer" : "no result");
  }

  #show(state, words) {
    this.node.dataset.state = state;
    this.#state.replaceChildren(state === "done" ? icon("check") : state === "failed" ? icon("cross") : "", words);
  }
}

/** A value as JSON to read; text that is JSON is read first, other text stays as it is. */
function jsonBlock(value) {
  return element("pre", { class: "json", dir: "auto", tabindex: "0" }, readable(value));
}

function readable(value) {
  try {
    if (typeof value !== "string") return spread(value);
    return /^\s*[{[]/.test(value) ? spread(JSON.parse(value)) : value;
  } catch {
    // it only looked like JSON, or is nested deeper than anything that means well
    return typeof value === "string" ? value : "(nested too deeply to be shown)";
  }
}

/** What fits on a line stays on it; the rest is spread over several. */
function spread(value, indent = "") {
  const line = JSON.stringify(value);
  if (value === null || typeof value !== "object" || indent.length > 24) return line;
  const list = Array.isArray(value);
  const [open, close] = list ? "[]" : "{}";
  const inner = `${indent}  `;
  const parts = list
    ? value.map((item) => spread(item, inner))
    : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${spread(item, inner)}`);
  if (line.length + indent.length <= LONGEST_LINE) return `${open}${parts.join(", ")}${close}`;
  return `${open}\n${parts.map((part) => inner + part).join(",\n")}\n${indent}${close}`;
}
