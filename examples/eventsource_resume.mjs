// A run followed with EventSource, which comes back by itself behind the last event it saw.
//
//   npm install eventsource
//   BFF_KEY=... node examples/eventsource_resume.mjs "/slow 20"
//
// EventSource can only GET, so a POST begins the run and its id is all that is taken from the reply.
// The browser's own EventSource cannot send a key; the npm package takes a fetch that does, and runs
// in browsers too.
import { EventSource } from "eventsource";

const url = process.env.BFF_URL ?? "http://127.0.0.1:8000";
const headers = { "X-API-Key": process.env.BFF_KEY };

const begun = await fetch(`${url}/v1/chat/stream`, {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json" },
  body: JSON.stringify({ message: process.argv[2] ?? "/slow 20" }),
});
if (!begun.ok) throw new Error((await begun.json()).detail);
await begun.body.cancel(); // the run goes on: leaving is not stopping

const source = new EventSource(`${url}/v1/runs/${begun.headers.get("X-Run-Id")}/events`, {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } }),
});
source.addEventListener("message", ({ data }) => process.stdout.write(JSON.parse(data).content));
source.addEventListener("done", ({ data }) => {
  console.log(`\n${JSON.parse(data).status}`);
  source.close();
});
// both a broken connection and the run's own event `error`: only the latter has data
source.addEventListener("error", ({ data, code, message }) => {
  if (data) {
    console.error(`\n${JSON.parse(data).detail}`);
    process.exitCode = 1;
    source.close();
  } else if (source.readyState === EventSource.CLOSED) {
    console.error(`\n${code ?? ""} ${message ?? "not to be had"}`);
    process.exitCode = 1;
  }
});
