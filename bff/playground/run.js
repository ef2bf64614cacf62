// One run, from the message to its last event, whatever happens to the connection on the way.

import { Problem } from "./api.js";
import { EventParser } from "./sse.js";

const SILENCE_MS = 40_000; // the service says something every 15 s; after this the line is dead
const MOST_ATTEMPTS = 12;
const MOST_SENDS = 3;
const LONGEST_PAUSE_MS = 15_000;
const TEMPORARY = new Set([408, 429, 500, 502, 503, 504]);

/** Send a message until it has arrived; answers with the open stream. */
export async function startRun(api, body, { key, signal, onTrouble }) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await api.send(body, key, signal);
    } catch (error) {
      if (signal.aborted || error instanceof Problem || attempt === MOST_SENDS) throw error;
      onTrouble();
      await pause(attempt, 1000, signal);
    }
  }
}

/**
 * The events of a run, each once and in order: `{id, event, data}` with `data` decoded.
 * A connection that drops is made again where it ended. Throws a `Problem` when that is hopeless.
 */
export async function* followRun(api, runId, { response = null, signal, onTrouble }) {
  let last = 0;
  let retry = 1000;
  for (let attempt = 0; ; ) {
    let wait = 0;
    signal.throwIfAborted();
    try {
      response ??= await api.events(runId, last, signal);
      if (response.status === 204) return;
      const parser = new EventParser();
      for await (const text of texts(response.body, signal)) {
        for (const { id, event, data } of parser.push(text)) {
          const number = Number(id);
          if (event === "error" && number === 0) throw new Problem(JSON.parse(data)); // not the run's
          if (number <= last) continue;
          last = number;
          attempt = 0;
          yield { id: number, event, data: JSON.parse(data) };
          if (event === "done" || event === "error") return;
        }
        retry = parser.retry ?? retry;
      }
    } catch (error) {
      const hopeless = error instanceof Problem && !TEMPORARY.has(error.status);
      if (signal.aborted || hopeless || attempt >= MOST_ATTEMPTS) throw error;
      wait = (error.retryAfter ?? 0) * 1000;
    }
    response = null;
    attempt += 1;
    onTrouble();
    await pause(attempt, Math.max(retry, wait), signal);
  }
}

/** The body as text; ends early, without an error, when nothing came for too long. */
async function* texts(body, signal) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let timer;
  const guard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => reader.cancel(), SILENCE_MS);
  };
  try {
    for (;;) {
      guard();
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    clearTimeout(timer);
    reader.cancel().catch(() => {});
  }
}

/** Wait longer each time, never quite alike, and not at all once the network is back. */
function pause(attempt, first, signal) {
  const longest = Math.max(first, Math.min(first * 2 ** (attempt - 1), LONGEST_PAUSE_MS));
  return new Promise((resolve) => {
    const wake = new AbortController();
    const timer = setTimeout(end, longest * (0.75 + Math.random() / 2));
    function end() {
      clearTimeout(timer);
      wake.abort();
      resolve();
    }
    window.addEventListener("online", end, { signal: wake.signal });
    signal.addEventListener("abort", end, { signal: wake.signal });
  });
}

/** The name of one sending, however often it has to be tried. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `playground-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
