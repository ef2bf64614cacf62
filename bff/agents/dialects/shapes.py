"""The decoder's way of deciding as a table: what agents send, and what becomes of it.

`python -m bff.agents.dialects.shapes` prints it for docs/agents.md, made by decoding each row; a
test holds the page to it, so a row that comes out otherwise than the page says fails.
"""

from __future__ import annotations

import json

from bff.agents.dialects.decoder import Decoder
from bff.events import (
    Custom,
    Done,
    Event,
    File,
    Input,
    Message,
    Source,
    Thinking,
    ToolEnd,
    ToolStart,
)

SHAPES: tuple[tuple[str, str], ...] = (
    ("none", '"Hi"'),
    ("none", '{"content": "Hi"}'),
    ("none", '{"final_answer": "Hi", "confidence": 0.9}'),
    ("none", '{"answer": "Hi", "sources": [{"url": "https://example.com", "title": "X"}]}'),
    ("none", '{"agent": "a", "text": "Hi"}'),
    ("none", '{"chat": {"__typename": "Chat", "answer": "Hi"}}'),
    ("none", '{"thought": "Hm", "action": "calc", "action_input": {"e": "1+1"}}'),
    ("none", '{"action": "Final Answer", "action_input": "Hi"}'),
    ("none", '{"delta": "i", "content": "Hi"}'),
    ("none", '{"role": "user", "content": "Hi"}'),
    ("none", '{"celsius": 21, "wind": null}'),
    ("none", '"{\\"type\\": \\"token\\", \\"content\\": \\"Hi\\"}"'),
    ("none", '"event: message\\ndata: {\\"content\\": \\"Hi\\"}\\n\\n"'),
    ("none", '"AIMessageChunk(content=\'Hi\', id=\'run-1\')"'),
    ("none", "\"source='math' content='Hi' type='TextMessage'\""),
    ("none", '"<strands.agent.agent.Agent object at 0x7f00>"'),
    ("none", '{"error": "boom", "error_type": "ValueError"}'),
    ("none", '{"status": "error", "message": "boom"}'),
    ("none", '{"type": "tool_status", "tool": "search", "status": "failed"}'),
    ("AWS Lambda proxy", '{"statusCode": 200, "body": "{\\"response\\": \\"Hi\\"}"}'),
    ("AWS Lambda proxy", '{"statusCode": 500, "body": "boom"}'),
    ("named events", '{"type": "token", "content": "Hi"}'),
    ("named events", '{"type": "tool_call", "id": "1", "name": "calc", "args": {"e": "1+1"}}'),
    ("named events", '{"type": "tool_result", "id": "1", "name": "calc", "result": "2"}'),
    ("named events", '{"type": "thinking", "content": "Hm"}'),
    ("named events", '{"type": "progress", "step": 1}'),
    ("named events", '{"type": "complete", "final_response": "Hi"}'),
    ("named events", '{"type": "redact", "content": "Hi"}'),
    ("LangChain", '{"type": "AIMessageChunk", "id": "run-1", "content": "Hi"}'),
    (
        "LangChain",
        '{"type": "ai", "content": [{"type": "text", "text": "Hi", "annotations": '
        '[{"type": "citation", "url": "https://example.com"}]}]}',
    ),
    (
        "LangChain",
        '{"type": "ai", "content": "", "tool_calls": [{"id": "1", "name": "calc", "args": {}}]}',
    ),
    ("LangChain", '{"type": "tool", "tool_call_id": "1", "name": "calc", "content": "2"}'),
    (
        "LangChain",
        '{"type": "ai", "content": [{"type": "image", "base64": "aGk=", '
        '"mime_type": "image/png"}]}',
    ),
    (
        "LangGraph",
        '[{"type": "AIMessageChunk", "id": "run-1", "content": "Hi"}, {"langgraph_node": "a"}]',
    ),
    ("LangGraph", '["updates", {"agent": {"messages": [{"type": "ai", "content": "Hi"}]}}]'),
    ("LangGraph", '{"agent": {"messages": [{"type": "human", "name": "bob", "content": "Hi"}]}}'),
    ("LangGraph", '{"__interrupt__": [{"id": "i1", "value": "Which city?"}]}'),
    (
        "LangGraph",
        '{"__interrupt__": [{"id": "i1", "value": {"action_requests": [{"name": "pay", '
        '"args": {"eur": 10}}], "review_configs": []}}]}',
    ),
    ("LangGraph", '{"messages": [{"type": "ai", "content": ""}], "structured_response": {"n": 1}}'),
    (
        "LangGraph",
        '{"type": "event", "method": "tools", "params": {"namespace": [], "data": '
        '{"event": "tool-started", "tool_call_id": "1", "tool_name": "calc", "input": {}}}}',
    ),
    ("Strands", '{"data": "Hi", "delta": {"text": "Hi"}}'),
    ("Strands", '{"reasoningText": "Hm", "reasoning": true}'),
    ("Strands", '{"message": {"role": "assistant", "content": [{"text": "Hi"}]}}'),
    (
        "Strands",
        '{"message": {"role": "user", "content": [{"toolResult": {"toolUseId": "1", '
        '"content": [{"text": "2"}]}}]}}',
    ),
    (
        "Strands",
        '{"tool_interrupt_event": {"tool_use": {"toolUseId": "1", "name": "pay", "input": {}}, '
        '"interrupts": [{"id": "v1:1", "name": "approval", "reason": "Pay?"}]}}',
    ),
    (
        "Strands",
        '{"type": "modelStreamUpdateEvent", "event": {"type": "modelContentBlockDeltaEvent", '
        '"delta": {"type": "textDelta", "text": "Hi"}}}',
    ),
    (
        "Strands graph",
        '{"type": "multiagent_node_stream", "node_id": "a", "event": {"data": "Hi"}}',
    ),
    ("Bedrock Converse", '{"event": {"contentBlockDelta": {"delta": {"text": "Hi"}}}}'),
    (
        "Bedrock Converse",
        '{"event": {"redactContent": {"redactAssistantContentMessage": "Not allowed."}}}',
    ),
    ("Bedrock agents", '{"chunk": {"bytes": "SGk="}}'),
    ("Bedrock flows", '{"flowOutputEvent": {"content": {"document": "Hi"}}}'),
    ("AG-UI", '{"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "Hi"}'),
    ("AG-UI", '{"type": "STATE_SNAPSHOT", "snapshot": {"n": 1}}'),
    ("AG-UI", '{"type": "CUSTOM", "name": "progress", "value": 1}'),
    (
        "AG-UI",
        '{"type": "RUN_FINISHED", "outcome": {"type": "interrupt", "interrupts": '
        '[{"id": "i1", "reason": "input_required", "message": "Which city?"}]}}',
    ),
    ("AG-UI", '{"type": "RUN_ERROR", "message": "boom"}'),
    ("AI SDK", '{"type": "text-delta", "id": "t", "delta": "Hi"}'),
    ("AI SDK", '{"type": "reasoning-delta", "id": "r", "delta": "Hm"}'),
    (
        "AI SDK",
        '{"type": "tool-input-available", "toolCallId": "1", "toolName": "calc", "input": {}}',
    ),
    ("AI SDK", '{"type": "source-url", "sourceId": "s", "url": "https://example.com"}'),
    ("AI SDK", '{"type": "data-weather", "data": {"celsius": 22}}'),
    ("Mastra", '{"type": "text-delta", "runId": "r", "payload": {"id": "t", "text": "Hi"}}'),
    ("OpenAI chat", '{"choices": [{"delta": {"content": "Hi"}}]}'),
    ("OpenAI chat", '{"choices": [{"delta": {"reasoning": "Hm"}}]}'),
    (
        "OpenAI Assistants",
        '{"event": "thread.message.delta", "data": {"id": "m", "delta": {"content": '
        '[{"type": "text", "text": {"value": "Hi"}}]}}}',
    ),
    ("Hugging Face", '{"token": {"text": "Hi", "special": false}, "generated_text": null}'),
    (
        "OpenAI chat",
        '{"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", '
        '"function": {"name": "calc", "arguments": "{}"}}]}',
    ),
    (
        "Cohere",
        '{"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}}',
    ),
    (
        "Cohere",
        '{"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "Hm"}}}',
    ),
    (
        "Mistral",
        '{"event": "message.output.delta", "data": {"type": "message.output.delta", "id": "m", '
        '"content": "Hi"}}',
    ),
    ("OpenAI Responses", '{"type": "response.output_text.delta", "item_id": "m", "delta": "Hi"}'),
    (
        "OpenAI Responses",
        '{"type": "response.output_item.done", "item": {"type": "mcp_approval_request", '
        '"id": "a1", "name": "pay", "arguments": "{}", "server_label": "bank"}}',
    ),
    (
        "OpenAI Agents SDK",
        '{"type": "run_item_stream_event", "item": {"type": "tool_call_item", "rawItem": '
        '{"type": "function_call", "callId": "1", "name": "calc", "arguments": "{}"}}}',
    ),
    (
        "OpenAI Agents SDK",
        '{"type": "raw_response_event", "data": {"type": "response.output_text.delta", '
        '"delta": "Hi"}}',
    ),
    ("Gemini", '{"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}}]}'),
    ("Gemini Live", '{"serverContent": {"modelTurn": {"parts": [{"text": "Hi"}]}}}'),
    (
        "Genkit",
        '{"message": {"role": "model", "index": 0, "content": [{"text": "Hi"}]}}',
    ),
    (
        "Genkit",
        '{"role": "model", "index": 0, "content": [{"toolRequest": {"name": "calc", "ref": "1", '
        '"input": {}}}]}',
    ),
    (
        "CAMEL",
        '{"msgs": [{"role_name": "math", "content": "Hi"}], "terminated": false, "info": {}}',
    ),
    (
        "BeeAI",
        '{"event": "final_answer", "data": {"state": {"iteration": 1, "steps": []}, '
        '"output_structured": null, "output": "Hi", "delta": "Hi"}}',
    ),
    ("Griptape", '{"type": "TextChunkEvent", "index": 0, "token": "Hi"}'),
    ("Griptape", '{"type": "TextArtifact", "name": "a", "value": "Hi"}'),
    ("Langroid", '{"content": "Hi", "metadata": {"sender": "LLM"}, "oai_tool_calls": null}'),
    ("Letta", '{"message_type": "reasoning_message", "id": "m", "reasoning": "Hm"}'),
    (
        "Spring AI",
        '{"result": {"output": {"messageType": "ASSISTANT", "text": "Hi", "toolCalls": []}}}',
    ),
    (
        "Anthropic",
        '{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", '
        '"content": "2"}]}',
    ),
    (
        "Google ADK",
        '{"author": "math", "partial": true, "content": {"role": "model", "parts": '
        '[{"text": "Hi"}]}}',
    ),
    (
        "Google ADK",
        '{"author": "math", "content": {"role": "model", "parts": [{"functionCall": '
        '{"id": "1", "name": "calc", "args": {}}}]}}',
    ),
    (
        "AutoGen",
        '{"type": "ModelClientStreamingChunkEvent", "source": "math", "content": "Hi"}',
    ),
    ("CrewAI", '{"raw": "Hi", "tasks_output": [], "token_usage": {"total_tokens": 13}}'),
    ("LlamaIndex", '{"delta": "Hi", "response": "Hi", "current_agent_name": "math"}'),
    ("Agno", '{"event": "RunContent", "run_id": "r", "agent_name": "math", "content": "Hi"}'),
    (
        "pydantic-ai",
        '{"event_kind": "part_delta", "index": 0, "delta": {"part_delta_kind": "text", '
        '"content_delta": "Hi"}}',
    ),
    (
        "Claude Agent SDK",
        '{"content": [{"text": "Hi"}], "model": "claude", "parent_tool_use_id": null}',
    ),
    ("A2A", '{"message": {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "Hi"}]}}'),
    (
        "A2A",
        '{"kind": "artifact-update", "append": true, "artifact": {"parts": [{"kind": "text", '
        '"text": "Hi"}]}}',
    ),
    ("AG2", '{"type": "ModelMessageChunk", "created_at": 1.5, "content": "Hi"}'),
    (
        "AG2",
        '{"event": "ToolCallEvent", "data": {"id": "1", "name": "calc", "arguments": "{}"}}',
    ),
    (
        "Haystack",
        '{"content": "Hi", "meta": {}, "component_info": {"type": "Generator", "name": null}, '
        '"tool_calls": null, "tool_call_result": null, "start": true, "finish_reason": null}',
    ),
    (
        "Haystack",
        '{"role": "assistant", "meta": {}, "name": null, "content": '
        '[{"reasoning": {"reasoning_text": "Hm"}}, {"text": "Hi"}]}',
    ),
    (
        "Semantic Kernel",
        '{"role": "assistant", "items": [{"content_type": "text", "text": "Hi"}]}',
    ),
    (
        "DSPy",
        '{"predict_name": "self", "signature_field_name": "answer", "chunk": "Hi", '
        '"is_last_chunk": false}',
    ),
    (
        "Agent Framework",
        '{"type": "agent_run_response_update", "contents": [{"type": "text", "text": "Hi"}]}',
    ),
    (
        "Agent Framework",
        '{"type": "executor_invoked", "executor_id": "writer", "data": "Is it?"}',
    ),
    (
        "Agent Framework",
        '{"type": "output", "executor_id": "writer", "data": {"contents": '
        '[{"type": "text", "text": "Hi"}]}}',
    ),
    ("smolagents", '{"step_number": 1, "observations": "", "is_final_answer": true, '
     '"action_output": "Hi"}'),
)  # fmt: skip
"""By whom, and one frame of it as JSON."""


def becomes(frame: str) -> str:
    """What one frame becomes, in a few words; what the end makes of it if it is all there is."""
    decoder = Decoder("text/event-stream")
    told = [_told(event) for event in decoder.feed(f"data: {frame}\n\n".encode())]
    last = [_told(event) for event in decoder.end()]
    told += [word if word.startswith("`input`") else f"at the end {word}" for word in last if word]
    if decoder.failure and "no content" not in decoder.failure:
        told.append("fails the run")
    return ", ".join(word for word in told if word) or "nothing"


def _told(event: Event) -> str:
    match event:
        case Message(text):
            return f"`message` {text}"
        case Thinking(text):
            return f"`thinking` {text}"
        case ToolStart(tool=tool):
            return f"`tool_start` {tool}"
        case ToolEnd(tool=tool, result=result):
            return f"`tool_end` {tool}: {result}"
        case Source(url):
            return f"`source` {url}"
        case File(kind):
            return f"`file` {kind}"
        case Custom(_, name):
            return f"`custom` {name or ''}".strip()
        case Input(kind=kind, tool=tool):
            return f"`input` {kind}" + (f" of {tool.name}" if tool else "")
        case Done(usage=usage) if usage:
            return f"`usage` {usage['total_tokens']}"
    return ""


def table() -> str:
    """All shapes as Markdown."""
    lines = ["| framework | a frame | becomes |", "| --- | --- | --- |"]
    for framework, frame in SHAPES:
        json.loads(frame)
        shown = frame.replace("|", "\\|")
        lines.append(f"| {framework} | `{shown}` | {becomes(frame)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
