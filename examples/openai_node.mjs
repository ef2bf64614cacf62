// The agent through OpenAI's own client; versions 6 and 7 are tested.
//
//   npm install openai
//   BFF_KEY=... node examples/openai_node.mjs "What is 15 * 23?"
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.BFF_URL ?? "http://127.0.0.1:8000"}/v1`,
  apiKey: process.env.BFF_KEY,
});
const stream = await client.chat.completions.create({
  model: "agent",
  messages: [{ role: "user", content: process.argv[2] ?? "What is 15 * 23?" }],
  metadata: { session_id: "openai-example" }, // the conversation; without it, a new one
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
  if (chunk.usage) console.log(`\n${chunk.usage.total_tokens} tokens`);
}
