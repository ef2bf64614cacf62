// The agent through AG-UI's client, which CopilotKit is built on.
//
//   npm install @ag-ui/client
//   BFF_KEY=... node examples/agui.mjs "What is 15 * 23?"
import { HttpAgent } from "@ag-ui/client";

const agent = new HttpAgent({
  url: `${process.env.BFF_URL ?? "http://127.0.0.1:8000"}/v1/agui`,
  headers: { "X-API-Key": process.env.BFF_KEY },
  threadId: "agui-example", // the conversation
  initialMessages: [{ id: crypto.randomUUID(), role: "user", content: process.argv[2] ?? "What is 15 * 23?" }],
});
await agent.runAgent(
  {},
  {
    onTextMessageContentEvent: ({ event }) => void process.stdout.write(event.delta),
    onToolCallEndEvent: ({ toolCallName, toolCallArgs }) => console.log(`${toolCallName}`, toolCallArgs),
    onToolCallResultEvent: ({ event }) => console.log("->", event.content),
    onRunErrorEvent: ({ event }) => {
      console.error(`\n${event.code}: ${event.message}`);
      process.exitCode = 1;
    },
  },
);
console.log();
