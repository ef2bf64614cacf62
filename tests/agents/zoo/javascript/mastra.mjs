// Mastra agents: its own stream's chunks as SSE and JSON lines, the AI SDK's words, whole results.

import { Agent } from "@mastra/core/agent";
import { createTool } from "@mastra/core/tools";
import { MockLanguageModelV3 } from "ai/test";
import {
  BROKEN, SHORT, STEPS, TOOLS, USED, calculating, scripted, thinking, truth,
} from "./script.mjs";

const tools = Object.fromEntries(
  Object.entries(TOOLS).map(([name, { input, run }]) => [
    name,
    createTool({ id: name, description: name, inputSchema: input, execute: (asked) => run(asked.context ?? asked) }),
  ]),
);
const agent = (turns) =>
  new Agent({
    id: "math", name: "math", instructions: "You calculate.", tools,
    model: scripted(MockLanguageModelV3, turns),
  });

const encode = new TextEncoder();
const streamed = (kind, chunks) =>
  new Response(ReadableStream.from(chunks), { headers: { "content-type": kind } });

// Python's json cannot write a function; JSON.stringify leaves it out, as servers that pass chunks on do.
async function* sse(turns, way = (chunk) => chunk) {
  const output = await agent(turns).stream("What is 15 * 23?", { maxSteps: 5 });
  for await (const chunk of output.fullStream) {
    const told = way(chunk);
    if (told !== undefined) yield encode.encode(`data: ${JSON.stringify(told)}\n\n`);
  }
  yield encode.encode("data: [DONE]\n\n");
}

async function* words(turns) {
  const output = await agent(turns).stream("What is 15 * 23?", { maxSteps: 5 });
  for await (const text of output.textStream) yield encode.encode(text);
}

const typed = (chunk) => {
  if (chunk.type === "text-delta") return { type: "text-delta", text: chunk.payload.text };
  if (chunk.type === "tool-call")
    return { type: "tool-call", id: chunk.payload.toolCallId, name: chunk.payload.toolName, args: chunk.payload.args };
  if (chunk.type === "tool-result")
    return { type: "tool-result", id: chunk.payload.toolCallId, result: chunk.payload.result };
  return undefined;
};

export function add(add) {
  const short = thinking(SHORT);
  const spoken = calculating(STEPS);
  add("mastra-stream", () => streamed("text/event-stream", sse(short)), truth(short, [USED]));
  add("mastra-stream-typed", () => streamed("text/event-stream", sse(spoken, typed)), truth(spoken, [USED]));
  add("mastra-text", () => streamed("text/plain; charset=utf-8", words(spoken)), { text: "Let me see." + STEPS.join("") });
  const lost = [{ calls: [BROKEN] }, { say: ["I could", " not find", " it", "."] }];
  const missed = { tool: "broken", args: BROKEN.args, error: { holds: "" } };
  add("mastra-failing-tool", () => streamed("text/event-stream", sse(lost)), truth(lost, [missed]));
  const last = truth(spoken.slice(1));
  const done = () => agent(spoken).generate("What is 15 * 23?", { maxSteps: 5 });
  add("mastra-return-text", async () => ({ text: (await done()).text }), { text: [last.text], beside: true });
  add("mastra-return-object", async () => {
    const { text, finishReason, usage } = await done();
    return { success: true, data: { text, finishReason, usage } };
  }, { text: [last.text], beside: true });
}
