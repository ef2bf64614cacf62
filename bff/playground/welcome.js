// What is shown before the first message: a line about the agent, and three things to try.

import { byId, element } from "./element.js";

const EMBEDDED = {
  introduction:
    "The embedded agent answers here: it needs no model and always says the same, and it shows what a real one can do. Set AGENT_RUNTIME_ARN or AGENT_URL to talk to yours.",
  prompts: [
    ["What is 15 * 23?", "It calls a tool; the card shows arguments and result"],
    ["/think What makes a good answer?", "It reasons first; the reasoning is folded"],
    ["/slow 40", "Forty slow words: stop it, or reload in the middle"],
  ],
};
const REAL = {
  introduction: "The agent's text, tools and reasoning appear here as they come.",
  prompts: [
    ["What can you help me with?", "What it is for"],
    ["Which tools do you have?", "And when it uses them"],
    ["Explain streaming in three sentences.", "Watch the answer come in"],
  ],
};

/** Show or hide it; `choose(text)` takes the prompt that was picked. */
export function showWelcome(shown, { agent } = {}, choose = () => {}) {
  byId("welcome").hidden = !shown;
  if (!shown) return;
  const { introduction, prompts } = agent === "embedded" ? EMBEDDED : REAL;
  byId("introduction").textContent = introduction;
  byId("prompts").replaceChildren(
    ...prompts.map(([text, what]) =>
      element("li", {}, element("button", { type: "button", onclick: () => choose(text) }, element("strong", {}, text), element("span", {}, what))),
    ),
  );
}
