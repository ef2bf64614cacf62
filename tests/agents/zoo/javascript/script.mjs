// What the scripted models say: script.py's words, as a model of the AI SDK's interface.

import { z } from "zod";

export const STEPS = ["Steps", ":\n\n", "1", ".", " open", " the file", ":\n\n", "```python\n",
  "with open(p) as f", ":\n", "    f.read()", "\n", "```", "\n\n", "- ", "**done** ", "✅", "\n",
  "- ", '"quoted"', ', {"a": 1}', " → 345", "."];
export const SHORT = ["It is", " 345", "."];
export const SECRET = "the database password is hunter2";
export const CALCULATE = { id: "call_calc", tool: "calculator", args: { expression: "15 * 23" } };
export const WEATHER = { id: "call_weather", tool: "weather", args: { city: "Rome, Italy" } };
export const STOCKS = { id: "call_stocks", tool: "stocks", args: { symbol: "AMZN, NASDAQ" } };
export const BROKEN = { id: "call_broken", tool: "broken", args: { city: "Atlantis" } };
export const DELETE = { id: "call_delete", tool: "delete_file", args: { path: "a.txt" } };
export const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

export const USED = { tool: "calculator", args: CALCULATE.args, result: "345" };
export const USED_WEATHER = { tool: "weather", args: WEATHER.args, result: "sunny in Rome, Italy" };
export const USED_STOCKS = { tool: "stocks", args: STOCKS.args, result: "AMZN, NASDAQ: 200" };

export const calculating = (answer = SHORT) => [
  { say: ["Let me", " see", "."], calls: [CALCULATE] },
  { say: answer },
];
export const thinking = (answer = SHORT) => [
  { think: ["I need", " a tool", ":\n"], say: ["Let me", " see", "."], calls: [CALCULATE] },
  { think: ["Now", " I know."], say: answer },
];

export function truth(turns, tools = [], more = {}) {
  const text = turns.filter((turn) => turn.say?.length).map((turn) => turn.say.join(""));
  const thought = turns.filter((turn) => turn.think?.length).map((turn) => turn.think.join(""));
  return {
    text: text.length === 1 ? text[0] : text,
    ...(thought.length ? { thinking: thought } : {}),
    ...(tools.length ? { tools } : {}),
    ...more,
  };
}

const usage = {
  inputTokens: { total: 10, noCache: 10, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 5, text: 5, reasoning: 0 },
};
const ended = (turn) => {
  const unified = turn.calls?.length ? "tool-calls" : "stop";
  return { unified, raw: unified };
};

function content(turn) {
  const parts = [];
  if (turn.think) parts.push({ type: "reasoning", text: turn.think.join("") });
  if (turn.say?.length) parts.push({ type: "text", text: turn.say.join("") });
  for (const call of turn.calls ?? []) {
    const input = JSON.stringify(call.args);
    parts.push({ type: "tool-call", toolCallId: call.id, toolName: call.tool, input });
  }
  return [...parts, ...(turn.parts ?? [])];
}

function stream(turn) {
  const parts = [{ type: "stream-start", warnings: [] }];
  for (const [kind, tokens] of [["reasoning", turn.think], ["text", turn.say]]) {
    if (!tokens?.length) continue;
    parts.push({ type: `${kind}-start`, id: kind });
    for (const delta of tokens) parts.push({ type: `${kind}-delta`, id: kind, delta });
    parts.push({ type: `${kind}-end`, id: kind });
  }
  for (const call of turn.calls ?? []) {
    const input = JSON.stringify(call.args);
    parts.push({ type: "tool-input-start", id: call.id, toolName: call.tool });
    for (const delta of [input.slice(0, 8), input.slice(8)])
      parts.push({ type: "tool-input-delta", id: call.id, delta });
    parts.push({ type: "tool-input-end", id: call.id });
    parts.push({ type: "tool-call", toolCallId: call.id, toolName: call.tool, input });
  }
  parts.push(...(turn.parts ?? []));
  parts.push({ type: "finish", finishReason: ended(turn), usage });
  return parts;
}

export function scripted(Model, turns) {
  let played = 0;
  const next = () => turns[Math.min(played++, turns.length - 1)];
  return new Model({
    modelId: "scripted",
    doGenerate: async () => {
      const turn = next();
      if (turn.fails) throw new Error(SECRET);
      return { content: content(turn), finishReason: ended(turn), usage, warnings: [] };
    },
    doStream: async () => {
      const turn = next();
      if (turn.fails) throw new Error(SECRET);
      const parts = stream(turn);
      return { stream: ReadableStream.from(parts) };
    },
  });
}

const slow = () => new Promise((resolve) => setTimeout(resolve, 30));
export const TOOLS = {
  calculator: { input: z.object({ expression: z.string() }), run: async () => "345" },
  weather: { input: z.object({ city: z.string() }), run: async ({ city }) => `sunny in ${city}` },
  stocks: {
    input: z.object({ symbol: z.string() }),
    run: async ({ symbol }) => (await slow(), `${symbol}: 200`),
  },
  broken: {
    input: z.object({ city: z.string() }),
    run: async ({ city }) => {
      throw new Error(`no such city: ${city}`);
    },
  },
};
