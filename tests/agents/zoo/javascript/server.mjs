// AI SDK and Mastra agents behind a plain HTTP server, as they are put into a container for AgentCore:
// POST /invocations, GET /ping. `node server.mjs --list` prints the scenarios with their truth.

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { add as addAiSdk } from "./ai-sdk.mjs";
import { add as addMastra } from "./mastra.mjs";

const scenarios = new Map();
const add = (name, answer, truth, more = {}) => scenarios.set(name, { name, answer, truth, ...more });
addAiSdk(add);
addMastra(add);

const version = (name) =>
  JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;

function listed() {
  return {
    framework: "AI SDK and Mastra",
    versions: { ai: version("ai"), "@mastra/core": version("@mastra/core") },
    scenarios: [...scenarios.values()].map(({ name, truth }) => ({ name, ...truth })),
  };
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString());
}

async function send(response, answer) {
  if (!(answer instanceof Response)) answer = Response.json(answer);
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  for await (const part of answer.body) response.write(part);
  response.end();
}

const server = createServer(async (request, response) => {
  if (request.url === "/ping") {
    response.writeHead(200, { "content-type": "application/json" });
    response.end('{"status":"Healthy"}');
    return;
  }
  const asked = await body(request);
  try {
    await send(response, await scenarios.get(asked.scenario).answer(asked));
  } catch (error) {
    console.error(error);
    if (!response.headersSent) response.writeHead(500);
    response.end();
  }
});

if (process.argv.includes("--list")) console.log(JSON.stringify(listed()));
else server.listen(Number(process.env.PORT), "127.0.0.1");
