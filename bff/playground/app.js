// The page as a whole: which conversation is open, what runs in it, what the keys do.
//
// The open conversation's name is the address's fragment, so a reload, a second tab and the back
// button are the same thing: read the conversation, and follow its run if one is open.

import { Api, Problem } from "./api.js";
import { Attachments } from "./attachments.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { askForCredential, kept, readConfig } from "./credential.js";
import { byId } from "./element.js";
import { filesIn } from "./file.js";
import { furnish } from "./frame.js";
import { followRun, newKey, startRun } from "./run.js";
import { Sessions } from "./sessions.js";
import { showWelcome } from "./welcome.js";

const MOST_PAGES = 20;

const config = await readConfig();
const api = new Api(kept() ?? config.key, askForCredential);
const conversation = new Conversation({ load: (id) => api.file(id) });
const frame = furnish();
const composer = new Composer({
  send,
  stop,
  files: (changed) => new Attachments(api, { mostBytes: config.most_file_bytes, changed }),
});
const sessions = new Sessions(api, {
  tell: (problem) => conversation.problem(problem),
  renamed: (id, title) => id === current.session && frame.title(title),
  deleted: (id) => id === current.session && go(""),
});

/** What is open: a session, or none yet, and the run that is followed in it. */
let current = newPlace(null);

function newPlace(session) {
  return { session, leave: new AbortController(), run: null, answer: null, inquiry: null, stopping: false };
}

function go(session) {
  if (location.hash.slice(1) === session) open();
  else location.hash = session;
}

async function open() {
  const wanted = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/.exec(location.hash.slice(1))?.[0] ?? null;
  current.leave.abort();
  const here = (current = newPlace(wanted));
  conversation.clear();
  composer.idle();
  sessions.show({ current: wanted, busy: null });
  frame.title(wanted ? (sessions.titleOf(wanted) ?? "…") : "New conversation");
  frame.closeSidebar();
  showWelcome(!wanted, config, send);
  if (wanted) await restore(here);
  if (here === current) composer.focus();
}

/** Show what was said in a session, and go on with the answer that is still being written. */
async function restore(here) {
  const { signal } = here.leave;
  composer.loading();
  let inputs = [];
  try {
    let cursor = null;
    for (let page = 0; page < MOST_PAGES && (page === 0 || cursor); page += 1) {
      const session = await api.session(here.session, cursor, signal);
      if (here !== current) return;
      frame.title(session.title);
      sessions.add(here.session, session.title);
      for (const message of session.messages) showMessage(here, message);
      cursor = session.next_cursor;
      inputs = session.inputs ?? [];
    }
    sessions.show({ current: here.session });
    if (cursor) conversation.note("This conversation goes on; the page shows its beginning only.");
  } catch (error) {
    if (signal.aborted) return;
    conversation.problem(Problem.from(error), { again: () => here === current && open() });
  }
  conversation.toEnd();
  composer.idle();
  if (here.answer) listen(here, null);
  else inquire(here, inputs);
}

/** Ask what the agent asks; the answers are a run of their own. */
function inquire(here, inputs) {
  here.inquiry?.remove();
  here.inquiry = null;
  if (inputs.length === 0 || here !== current) return;
  // another key each time: an answer that is given again may be another one, and is still one run
  here.inquiry = conversation.inquire(inputs, (resume, words) => send(words, [], newKey(), resume));
  here.inquiry.focus();
}

function showMessage(here, message) {
  if (message.role === "user") {
    const files = filesIn(message.parts);
    const said = (message.parts ?? []).filter((part) => part.type === "text").map((part) => part.text);
    conversation.ask(files.length ? said.join("\n") : message.content, files);
  } else if (message.status === "running") {
    here.run = message.run_id;
    here.answer = conversation.answer(); // filled by the run's own events, from the first on
  } else {
    conversation.answer({ quiet: true }).fill(message);
  }
}

/** Send a message, or, with `resume`, the answers that `text` is shown for. */
async function send(text, files = [], key = newKey(), resume = null) {
  const here = current;
  if (here.answer) return;
  showWelcome(false);
  const question = conversation.ask(text, files);
  here.answer = conversation.answer();
  conversation.toEnd();
  composer.running();
  here.answer.again = resume ? null : () => here === current && send(text, files);
  try {
    const said = resume ? { resume } : { message: messageOf(text, files) };
    const body = here.session ? { ...said, session_id: here.session } : said;
    const response = await startRun(api, body, {
      key,
      signal: here.leave.signal,
      onTrouble: () => composer.running("Connecting again …"),
    });
    adopt(here, response, text || files.map((file) => file.name).join(", "));
    here.inquiry?.remove(); // a message answers the only question too
    here.inquiry = null;
    await listen(here, response);
  } catch (error) {
    if (here.leave.signal.aborted) return;
    const { answer } = here;
    if (resume && here.inquiry) return refused(here, Problem.from(error), question);
    const again = () => {
      if (here !== current || here.answer) return;
      question.remove();
      answer.node.remove();
      send(text, files, key); // under the same key: if it did arrive, this is the same run
    };
    answer.end("failed", { problem: Problem.from(error), again });
    finish(here);
  }
}

/** A message as the protocol has it: text, or parts where there are files. */
function messageOf(text, files) {
  if (!files.length) return text;
  const parts = files.map(({ id, mimeType, name }) => {
    const kind = mimeType.split("/")[0];
    const type = ["image", "audio", "video"].includes(kind) ? kind : "document";
    return { type, source: { type: "file", value: id }, filename: name };
  });
  return text ? [{ type: "text", text }, ...parts] : parts;
}

/** The answers were not taken: the card says why; somebody else's answer is shown by reading anew. */
function refused(here, problem, question) {
  question.remove();
  here.answer.node.remove();
  here.inquiry.again([problem.title, problem.detail].filter(Boolean).join(": "));
  finish(here);
  if (problem.code === "not_waiting" && here === current) open();
}

/** The run has begun: now it has a name, and so has the session if it is new. */
function adopt(here, response, text) {
  here.run = response.headers.get("X-Run-Id");
  if (!here.session) {
    here.session = response.headers.get("X-Session-Id");
    const title = [...text].slice(0, 80).join("");
    history.replaceState(null, "", `#${here.session}`);
    sessions.add(here.session, title);
    frame.title(title);
  }
  sessions.show({ current: here.session, busy: here.session });
  if (here.stopping) cancel(here);
}

/** Follow the run to its end, or until the reader goes elsewhere. */
async function listen(here, response) {
  const { signal } = here.leave;
  composer.running();
  sessions.show({ busy: here.session });
  try {
    let troubled = false;
    const onTrouble = () => {
      troubled = true;
      composer.running("The connection was lost; connecting again …");
    };
    for await (const event of followRun(api, here.run, { response, signal, onTrouble })) {
      if (here !== current) return;
      if (troubled && !here.stopping) composer.running();
      troubled = false;
      here.answer.add(event);
    }
    here.answer.end("interrupted");
  } catch (error) {
    if (signal.aborted) return;
    const problem = error.status === 404 ? new Problem({ title: "This answer can no longer be followed", detail: "It ended too long ago. Reload the page to see what was kept of it." }) : Problem.from(error);
    here.answer.end("interrupted", { problem, again: null });
  }
  const { gapped, node, inputs } = here.answer;
  finish(here);
  inquire(here, inputs);
  if (gapped && node.dataset.status === "complete") open(); // the history has all of it
}

function finish(here) {
  here.answer = null;
  here.run = null;
  here.stopping = false;
  sessions.settle(here.session);
  sessions.show({ busy: null });
  composer.idle();
  sessions.refresh({ quiet: true }); // who was told why the answer failed need not hear it twice
}

function stop() {
  if (!current.answer || current.stopping) return;
  current.stopping = true;
  composer.running("Stopping …");
  if (current.run) cancel(current);
}

async function cancel(here) {
  try {
    await api.cancel(here.run);
  } catch (error) {
    if (here !== current) return;
    here.stopping = false;
    composer.running(`It could not be stopped: ${Problem.from(error).title}.`);
  }
}

byId("credential").addEventListener("click", async () => {
  const given = await askForCredential(false);
  if (given === null) return;
  api.credential = given;
  await sessions.refresh();
  go("");
});
window.addEventListener("hashchange", open);

await Promise.all([open(), sessions.refresh()]);
if (current.session) frame.title(sessions.titleOf(current.session) ?? "Conversation");
