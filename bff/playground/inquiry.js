// What the agent asks before it goes on: a card to approve, change, answer or decline.
//
// All questions of one run are answered together, in one request. docs/questions.md has the shapes.

import { element, icon } from "./element.js";

const WORDS = { approval: "May I do this?", input: "I need an answer to go on.", tool: "What is the result of this call?" };

export class Inquiry {
  #cards;
  #answer;
  #problem = element("p", { class: "problem-line", role: "alert" });

  /** `answer(resume, words)` sends the answers; `words` are what the page shows of them. */
  constructor(inputs, answer) {
    this.#answer = answer;
    this.#cards = inputs.map((input) => new Question(input, () => this.#decided()));
    this.node = element(
      "section",
      { class: "inquiry", "aria-label": "The agent asks" },
      ...this.#cards.map((card) => card.node),
      this.#problem,
    );
  }

  focus() {
    this.node.querySelector("input, textarea, select, button")?.focus({ preventScroll: true });
  }

  /** Answered, here or elsewhere. */
  remove() {
    this.node.remove();
  }

  /** The answer could not be given: say why, and let it be given again. */
  again(words) {
    this.#problem.textContent = words;
    for (const card of this.#cards) card.open();
  }

  #decided() {
    if (this.#cards.some((card) => !card.decision)) return; // they are answered together
    this.#problem.textContent = "";
    const decisions = this.#cards.map((card) => card.decision);
    this.#answer(decisions.map(({ resume }) => resume), decisions.map(({ words }) => words).join("\n"));
  }
}

class Question {
  #input;
  #decided;
  #state = element("span", { class: "state" });
  #fields;
  #editor = null;
  decision = null;

  constructor(input, decided) {
    this.#input = input;
    this.#decided = decided;
    const { kind, tool } = input;
    this.#fields = kind === "approval" ? null : fieldsOf(input);
    this.node = element(
      "form",
      { class: "ask", "data-kind": kind },
      element("header", {}, icon("asks"), element("strong", { dir: "auto" }, input.message ?? WORDS[kind]), this.#state),
      tool ? this.#call(tool) : null,
      this.#fields?.node,
      this.#buttons(),
    );
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#accept();
    });
  }

  open() {
    this.decision = null;
    this.node.removeAttribute("data-decided");
    this.#state.textContent = "";
    for (const control of this.node.elements) control.disabled = false;
  }

  #call({ name, args }) {
    const shown = JSON.stringify(args, null, 2);
    this.shown = element("pre", { class: "json", dir: "auto", tabindex: "0" }, shown);
    return element("div", { class: "call" }, element("code", { dir: "auto" }, name), this.shown);
  }

  #buttons() {
    const { kind } = this.#input;
    const yes = element("button", { type: "submit", class: "primary" }, kind === "approval" ? "Approve" : "Answer");
    const edit = kind === "approval" && takesEdits(this.#input) ? this.#button("Edit arguments", (event) => this.#edit(event.target)) : null;
    return element("div", { class: "buttons" }, yes, edit, this.#button("Decline", () => this.#refuse()));
  }

  #button(words, onclick) {
    return element("button", { type: "button", class: "plain", onclick }, words);
  }

  #edit(button) {
    this.#editor = element("textarea", { rows: 4, "aria-label": "Arguments, as JSON", spellcheck: "false" });
    this.#editor.value = JSON.stringify(this.#input.tool.args, null, 2);
    this.shown.replaceWith(this.#editor);
    button.remove();
    this.#editor.focus();
  }

  #accept() {
    const { id, kind } = this.#input;
    const resolved = { input_id: id, status: "resolved" };
    try {
      if (kind === "approval" && !this.#editor) return this.#decide(resolved, "Approved"); // the service knows the agent's yes
      if (kind === "approval") {
        const args = parsed(this.#editor);
        return this.#decide({ ...resolved, payload: edited(this.#input, args) }, `Approved with ${JSON.stringify(args)}`);
      }
      const payload = this.#fields.value();
      this.#decide({ ...resolved, payload }, typeof payload === "string" ? payload : JSON.stringify(payload));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }

  #refuse() {
    this.#decide({ input_id: this.#input.id, status: "cancelled" }, "Declined");
  }

  #decide(resume, words) {
    this.decision = { resume, words };
    this.node.setAttribute("data-decided", "");
    this.#state.textContent = words.length > 40 ? "Answered" : words;
    for (const control of this.node.elements) control.disabled = true;
    this.#decided();
  }
}

/** Whether the agent takes a call back with other arguments: LangChain says so, Strands does not. */
function takesEdits({ tool, value, schema }) {
  if (!tool || schema) return false;
  if (value?.action_requests) return value.review_configs?.[0]?.allowed_decisions?.includes("edit") ?? false;
  if (value?.actionRequests) return value.reviewConfigs?.[0]?.allowedDecisions?.includes("edit") ?? false;
  return !(typeof value?.id === "string" && ("name" in value || "reason" in value));
}

function edited({ tool, value }, args) {
  const action = { name: tool.name, args };
  if (value?.action_requests) return { decisions: [{ type: "edit", edited_action: action }] };
  if (value?.actionRequests) return { decisions: [{ type: "edit", editedAction: action }] }; // LangChain.js
  return { approved: true, args };
}

/** The field's JSON; what is none is said at the field, and thrown. */
function parsed(field) {
  try {
    field.setCustomValidity("");
    return JSON.parse(field.value);
  } catch (error) {
    field.setCustomValidity("This is not JSON.");
    field.reportValidity();
    field.addEventListener("input", () => field.setCustomValidity(""), { once: true });
    throw error;
  }
}

/** A form for the schema; one line of text where there is none. `value()` is the answer. */
function fieldsOf({ schema, message, kind }) {
  if (schema?.type === "object" && schema.properties) {
    const required = new Set(schema.required ?? []);
    const rows = Object.entries(schema.properties).map(([name, of]) => [name, fieldOf(of, of.title ?? name, required.has(name))]);
    const value = () => Object.fromEntries(rows.map(([name, field]) => [name, field.value()]).filter(([, given]) => given !== undefined));
    return { node: element("div", { class: "fields" }, ...rows.map(([, field]) => field.node)), value };
  }
  return fieldOf(schema ?? { type: "string" }, kind === "tool" ? "Result" : (message ?? "Answer"), true, { hidden: true });
}

function fieldOf(schema, title, required, { hidden = false } = {}) {
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== "null") : schema.type;
  const common = { "aria-label": hidden ? title : null, required: required && type !== "boolean" };
  let control;
  let value;
  if (Array.isArray(schema.enum)) {
    const choices = schema.enum.map((one, index) => element("option", { value: String(index) }, typeof one === "string" ? one : JSON.stringify(one)));
    control = element("select", common, required ? null : element("option", { value: "" }, ""), ...choices);
    value = () => (control.value === "" ? undefined : schema.enum[Number(control.value)]);
  } else if (type === "boolean") {
    control = element("input", { type: "checkbox", checked: schema.default === true, ...common });
    value = () => control.checked;
  } else if (type === "integer" || type === "number") {
    control = element("input", { type: "number", min: schema.minimum, max: schema.maximum, step: type === "integer" ? 1 : "any", value: schema.default, ...common });
    value = () => (control.value === "" ? undefined : Number(control.value));
  } else if (type === "string" || type === undefined) {
    control = element("textarea", { rows: 1, maxlength: schema.maxLength, dir: "auto", ...common });
    control.value = schema.default ?? "";
    value = () => (control.value === "" && !required ? undefined : control.value);
  } else {
    control = element("textarea", { rows: 3, spellcheck: "false", placeholder: "JSON", ...common });
    value = () => (control.value === "" && !required ? undefined : parsed(control));
  }
  const words = element("span", {}, title, required && !hidden && type !== "boolean" ? " *" : "");
  const hint = schema.description ? element("small", { class: "quiet" }, schema.description) : null;
  return { node: hidden ? control : element("label", { "data-type": type ?? "string" }, words, control, hint), value };
}
