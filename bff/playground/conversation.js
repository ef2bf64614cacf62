// The conversation on the page: questions, answers, and where in it the reader is.

import { Answer } from "./answer.js";
import { byId, element } from "./element.js";
import { fileCard } from "./file.js";
import { Inquiry } from "./inquiry.js";
import { problemCard } from "./problem.js";

const NEAR_THE_END_PX = 90;
const LONGEST_SAID = 600;

export class Conversation {
  #list = byId("conversation");
  #scroller = byId("scroller");
  #jump = byId("jump");
  #announcer = byId("announcer");
  #following = true; // the reader is at the end and wants to stay there

  #load;

  /** `load(id)` gives the content of a file of ours. */
  constructor({ load }) {
    this.#load = load;
    this.#scroller.addEventListener("scroll", () => this.#look(), { passive: true });
    this.#jump.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.#keepUp()).observe(this.#scroller);
  }

  clear() {
    this.#list.replaceChildren();
    this.#announcer.replaceChildren();
    this.toEnd();
  }

  ask(text, files = []) {
    const heading = element("h2", { class: "unseen" }, "You");
    const cards = files.map((file) => fileCard(file, this.#load));
    const said = text ? element("p", { dir: "auto" }, text) : null;
    const node = element("article", { class: "question" }, heading, ...cards, said);
    this.#list.append(node);
    return node;
  }

  /** A new answer at the end. A quiet one, from the history, is not read out. */
  answer({ quiet = false } = {}) {
    const answer = new Answer({
      say: quiet ? undefined : (text) => this.say(text),
      changed: () => this.#keepUp(),
      load: this.#load,
    });
    this.#list.append(answer.node);
    this.#keepUp();
    return answer;
  }

  /** What the agent asks, at the end; `answer` as `Inquiry` has it. */
  inquire(inputs, answer) {
    const inquiry = new Inquiry(inputs, answer);
    this.#list.append(inquiry.node);
    this.say(inputs.map(({ message }) => message ?? "The agent asks.").join("\n"));
    this.#keepUp();
    return inquiry;
  }

  problem(problem, options) {
    this.#list.append(problemCard(problem, options));
    this.#keepUp();
  }

  note(text) {
    this.#list.append(element("p", { class: "note" }, text));
  }

  /** For who listens: whole paragraphs as they are finished, not every word. */
  say(text) {
    const short = text.length > LONGEST_SAID ? `${text.slice(0, LONGEST_SAID)} …` : text;
    this.#announcer.append(element("p", {}, short));
    while (this.#announcer.childElementCount > 20) this.#announcer.firstElementChild.remove();
  }

  toEnd() {
    this.#following = true;
    this.#keepUp();
  }

  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#following = scrollHeight - scrollTop - clientHeight < NEAR_THE_END_PX;
    this.#jump.hidden = this.#following;
  }

  #keepUp() {
    if (this.#following) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#look();
  }
}
