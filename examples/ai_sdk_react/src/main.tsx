import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport, isToolUIPart, getToolName, type UIMessage } from "ai";
import { useState } from "react";
import { createRoot } from "react-dom/client";

const api = "/v1/ui/chat";
const transport = new DefaultChatTransport({
  api,
  // the service keeps the conversation, so only what is new has to be sent
  prepareSendMessagesRequest: ({ id, messages, trigger, messageId }) => ({
    body: { id, trigger, messageId, messages: messages.slice(-1) },
  }),
});

// the chat's id is the session: a reload finds what was said, and in mid-answer the open run
const id = (location.hash ||= `#chat-${Math.random().toString(36).slice(2)}`).slice(1);

type Kept = { role: "user" | "assistant"; content: string; run_id: string; status?: string };

async function history(): Promise<UIMessage[]> {
  const reply = await fetch(`/v1/sessions/${id}?limit=100`);
  if (!reply.ok) return []; // 404: nothing was said yet
  const kept: Kept[] = (await reply.json()).messages;
  return kept
    .filter(({ status }) => status !== "running") // that one is resumed
    .map(({ role, content, run_id }) => ({
      id: role === "user" ? `${run_id}-question` : run_id,
      role,
      parts: [{ type: "text", text: content }],
    }));
}

function Chat({ earlier }: { earlier: UIMessage[] }) {
  const { messages, sendMessage, stop, status, error } = useChat({
    id,
    messages: earlier,
    transport,
    resume: true,
  });
  const [input, setInput] = useState("");
  const busy = status === "submitted" || status === "streaming";

  // stop() only closes the connection, which the service takes for a closed tab: say it in words
  const cancel = async () => {
    await fetch(`${api}/${id}/cancel`, { method: "POST" });
    await stop();
  };

  return (
    <>
      {messages.map((message) => (
        <Message key={message.id} message={message} />
      ))}
      {error && <p role="alert">{words(error)}</p>}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          sendMessage({ text: input });
          setInput("");
        }}
      >
        <input aria-label="Message" value={input} onChange={(event) => setInput(event.target.value)} />
        {busy ? (
          <button type="button" onClick={cancel}>
            Stop
          </button>
        ) : (
          <button disabled={!input.trim()}>Send</button>
        )}
      </form>
    </>
  );
}

function Message({ message }: { message: UIMessage }) {
  return (
    <article data-role={message.role}>
      {message.parts.map((part, index) => {
        if (part.type === "text") return <p key={index}>{part.text}</p>;
        if (part.type === "reasoning") {
          return (
            <details key={index}>
              <summary>Reasoning</summary>
              {part.text}
            </details>
          );
        }
        if (isToolUIPart(part)) {
          return (
            <pre key={index}>
              {getToolName(part)} {JSON.stringify(part.input)}
              {part.state === "output-available" && ` -> ${part.output}`}
              {part.state === "output-error" && ` -> ${part.errorText}`}
            </pre>
          );
        }
        return null;
      })}
    </article>
  );
}

/** The AI SDK's error is the body of the reply: a problem document, or an error of the stream. */
function words(error: Error): string {
  try {
    return JSON.parse(error.message).detail;
  } catch {
    return error.message;
  }
}

createRoot(document.getElementById("root")!).render(<Chat earlier={await history()} />);
