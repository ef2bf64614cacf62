// The AI SDK's own streams: UI messages, text, full stream as JSON lines and SSE; whole results.

import {
  createUIMessageStream, createUIMessageStreamResponse, createTextStreamResponse, generateText,
  streamText, tool, toUIMessageStream, toTextStream,
} from "ai";
import * as sdk from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { z } from "zod";
import {
  BROKEN, CALCULATE, DELETE, PIXEL, SHORT, STEPS, STOCKS, TOOLS, USED, USED_STOCKS, USED_WEATHER,
  WEATHER, calculating, scripted, thinking, truth,
} from "./script.mjs";

const steps = sdk.isStepCount ?? sdk.stepCountIs;
const tools = Object.fromEntries(
  Object.entries(TOOLS).map(([name, { input, run }]) => [
    name, tool({ description: name, inputSchema: input, execute: run }),
  ]),
);
const approved = {
  delete_file: tool({
    description: "delete", inputSchema: z.object({ path: z.string() }), needsApproval: true,
    execute: async ({ path }) => `deleted ${path}`,
  }),
};
const clientTools = {
  confirm: tool({ description: "ask", inputSchema: z.object({ question: z.string() }) }),
};

const asked = (turns, more = {}) => ({
  model: scripted(MockLanguageModelV4, turns), tools, prompt: "What is 15 * 23?",
  stopWhen: steps(5), onError: () => {}, ...more,
});
const run = (turns, more) => streamText(asked(turns, more));
const ui = (turns, more = {}, how = {}) => {
  const result = run(turns, more);
  if (result.toUIMessageStreamResponse) return result.toUIMessageStreamResponse(how);
  return createUIMessageStreamResponse({ stream: toUIMessageStream({ stream: result.stream, ...how }) });
};
const text = (turns) => {
  const result = run(turns);
  if (result.toTextStreamResponse) return result.toTextStreamResponse();
  return createTextStreamResponse({ stream: toTextStream({ stream: result.stream }) });
};
const parts = async function* (turns) {
  const result = run(turns);
  yield* result.fullStream ?? result.stream;
};
const streamed = (kind, chunks) =>
  new Response(ReadableStream.from(chunks), { headers: { "content-type": kind } });
const encode = new TextEncoder();

async function* sse(values) {
  for await (const value of values) yield encode.encode(`data: ${JSON.stringify(value)}\n\n`);
  yield encode.encode("data: [DONE]\n\n");
}
async function* lines(values) {
  for await (const value of values) yield encode.encode(`${JSON.stringify(value)}\n`);
}

// The data stream of AI SDK 4, which older servers still speak: `code:JSON` a line.
async function* dataStream(turns) {
  const line = (code, value) => encode.encode(`${code}:${JSON.stringify(value)}\n`);
  yield line("f", { messageId: "msg-1" });
  for await (const part of parts(turns)) {
    if (part.type === "text-delta") yield line("0", part.text);
    if (part.type === "reasoning-delta") yield line("g", part.text);
    if (part.type === "tool-call")
      yield line("9", { toolCallId: part.toolCallId, toolName: part.toolName, args: part.input });
    if (part.type === "tool-result")
      yield line("a", { toolCallId: part.toolCallId, result: part.output });
    if (part.type === "finish-step")
      yield line("e", { finishReason: part.finishReason, usage: { promptTokens: 10, completionTokens: 5 } });
  }
  yield line("d", { finishReason: "stop", usage: { promptTokens: 20, completionTokens: 10 } });
}

export function add(add) {
  const long = thinking(STEPS);
  const short = thinking(SHORT);
  const whole = truth(long, [USED]);
  const said = { text: truth(long).text };
  add("ui-stream", () => ui(long), whole);
  add("ui-stream-no-reasoning", () => ui(long, {}, { sendReasoning: false }), { ...whole, thinking: "" });
  add("text-stream", () => text(calculating(STEPS)), { text: "Let me see." + STEPS.join("") });
  add("full-stream-sse", () => streamed("text/event-stream", sse(parts(short))), truth(short, [USED]));
  add("full-stream-lines", () => streamed("application/x-ndjson", lines(parts(short))), truth(short, [USED]));
  add("data-stream", () => streamed("text/plain; charset=utf-8", dataStream(long)), whole);
  add("data-stream-sse-typed", () => streamed("text/event-stream", dataStream(long)), whole);
  const two = [{ calls: [WEATHER, STOCKS] }, { say: ["Sunny, and", " 200", "."] }];
  add("ui-two-tools", () => ui(two), truth(two, [USED_WEATHER, USED_STOCKS]));
  const lost = [{ calls: [BROKEN] }, { say: ["I could", " not find", " it", "."] }];
  const missed = { tool: "broken", args: BROKEN.args, error: { holds: "" } };
  add("ui-failing-tool", () => ui(lost), truth(lost, [missed]));
  const cited = [{
    say: ["Rome is", " sunny", "."],
    parts: [{ type: "source", sourceType: "url", id: "s1", url: "https://example.com/rome", title: "Rome" }],
  }];
  add("ui-source", () => ui(cited, {}, { sendSources: true }),
    { text: "Rome is sunny.", sources: ["https://example.com/rome"] });
  const drawn = [{ say: SHORT, parts: [{ type: "file", mediaType: "image/png", data: { type: "data", data: PIXEL } }] }];
  add("ui-file", () => ui(drawn), { text: "It is 345.", files: [{ mimeType: "image/png", data: PIXEL }] });
  add("ui-data-part", () => {
    const stream = createUIMessageStream({
      execute: ({ writer }) => {
        writer.write({ type: "data-progress", id: "p", data: { percent: 50 } });
        const result = run(calculating());
        writer.merge(result.toUIMessageStream ? result.toUIMessageStream() : toUIMessageStream({ stream: result.stream }));
      },
    });
    return createUIMessageStreamResponse({ stream });
  }, truth(calculating(), [USED], { customs: ["data-progress"] }));
  const ask = [{ say: ["Let me", " see", "."], calls: [DELETE] }, { say: SHORT }];
  add("ui-approval", () => ui(ask, { tools: approved }), {
    text: "Let me see.", tools: null, ends: "input_required",
    inputs: [{ kind: "approval", tool: ["delete_file", DELETE.args] }],
  });
  const confirm = { id: "call_confirm", tool: "confirm", args: { question: "Really?" } };
  add("ui-client-tool", () => ui([{ say: ["Let me", " ask", "."], calls: [confirm] }], { tools: clientTools }), {
    text: "Let me ask.", tools: null, ends: "input_required",
    inputs: [{ kind: "tool", tool: ["confirm", confirm.args] }],
  });
  add("ui-fails", () => ui([{ fails: true }], { maxRetries: 0 }), { ends: "failed" });
  add("ui-fails-late", () => ui([{ say: ["Before", " it broke", "."], calls: [CALCULATE] }, { fails: true }],
    { maxRetries: 0 }), { text: "Before it broke.", tools: [USED], ends: "failed" });
  const result = async () => generateText(asked(calculating(STEPS)));
  const last = truth(calculating(STEPS).slice(1));
  add("return-text", async () => ({ text: (await result()).text }), last);
  add("return-result", async () => ({ result: (await result()).text, usage: (await result()).totalUsage }), last);
  add("return-messages", async () => {
    const done = await result();
    return { messages: (done.response ?? (await done.finalStep).response).messages };
  }, last); // the last step's alone, since AI SDK 7
  add("return-steps", async () => {
    const done = await result();
    return { text: done.text, finishReason: done.finishReason, steps: done.steps.map((s) => ({ text: s.text, toolCalls: s.toolCalls, toolResults: s.toolResults })) };
  }, { ...last, tools: null });
}
