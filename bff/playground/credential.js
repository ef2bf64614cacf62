// Who is asking: a key that the service made up for this machine, or one that is typed in.
// It lives in memory and in this tab's sessionStorage; never in an address, never in localStorage.

import { byId } from "./element.js";

const PLACE = "bff.credential";

/** What the service says about itself, and the key it made up if we are on its own machine. */
export async function readConfig() {
  try {
    const response = await fetch("playground/config.json", { cache: "no-store" });
    if (response.ok) return await response.json();
  } catch {
    // the first real request will say what is wrong
  }
  return { key: null, agent: null };
}

export function kept() {
  try {
    return sessionStorage.getItem(PLACE);
  } catch {
    return null;
  }
}

function keep(value) {
  try {
    sessionStorage.setItem(PLACE, value);
  } catch {
    // it holds until the page is left
  }
}

let asking = null;

/** Ask for a key or token; null if there is to be none. Several who ask at once get one answer. */
export function askForCredential(refused) {
  asking ??= ask(refused).finally(() => {
    asking = null;
  });
  return asking;
}

async function ask(refused) {
  const panel = byId("credential-panel");
  const field = byId("credential-field");
  byId("credential-problem").textContent = refused ? "The service does not accept that one. It may have expired." : "";
  field.value = "";
  panel.returnValue = "";
  panel.showModal();
  field.focus();
  await new Promise((resolve) => panel.addEventListener("close", resolve, { once: true }));
  const given = field.value.trim();
  field.value = "";
  if (panel.returnValue !== "given") return null;
  keep(given);
  return given;
}

byId("credential-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const problem = judge(byId("credential-field").value.trim());
  byId("credential-problem").textContent = problem;
  if (!problem) byId("credential-panel").close("given");
});
byId("credential-cancel").addEventListener("click", () => byId("credential-panel").close(""));

/** Why this cannot be a key or token, or an empty text. */
function judge(text) {
  if (!text) return "There is nothing in the field.";
  if (!/^[!-~]+$/.test(text)) return "A key or token has neither spaces nor letters with accents. Was it pasted whole?";
  return "";
}
