// What went wrong, in words: what happened, what can be done, and the id that finds it in the logs.

import { copyButton, element, icon } from "./element.js";

/** A card for a `Problem`. `again`, if there is any use in it, is what the button does. */
export function problemCard(problem, { again = null, label = "Try again" } = {}) {
  const fields = problem.errors.map(({ field, message }) => element("li", {}, element("code", {}, field), ` ${message}`));
  return element(
    "div",
    { class: "problem", role: "alert" },
    icon("warning"),
    element(
      "div",
      {},
      element("strong", { dir: "auto" }, problem.title),
      problem.detail ? element("p", { dir: "auto" }, problem.detail) : null,
      fields.length > 0 ? element("ul", {}, ...fields) : null,
      again ? againButton(problem.retryAfter, label, again) : null,
      problem.requestId ? requestLine(problem) : null,
    ),
  );
}

function requestLine({ requestId, code, status }) {
  const facts = [status || null, code || null].filter(Boolean).join(" · ");
  return element(
    "p",
    { class: "facts" },
    facts ? `${facts} · ` : "",
    "request ",
    element("code", {}, requestId),
    copyButton(() => requestId, "Copy the request id"),
  );
}

function againButton(seconds, label, again) {
  const button = element("button", { type: "button", class: "plain", onclick: again }, label);
  if (!(seconds > 0)) return button;
  const until = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? `${label} in ${left} s` : label;
    if (left > 0) setTimeout(tick, 250);
  };
  tick();
  return button;
}
