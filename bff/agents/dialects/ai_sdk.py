"""Parts of Vercel's AI SDK (UI message stream and `fullStream`) and of Mastra, which has its own.

https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol. Mastra puts the same fields into a `payload`.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.attachments import read_block, source_of
from bff.agents.dialects.fields import first_word, items
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON, ToolUse

_SILENT = (
    "start",
    "start-step",
    "step-start",
    "finish-step",
    "text-start",
    "reasoning-start",
    "tool-input-end",
    "reasoning-signature",
    "redacted-reasoning",
    "message-metadata",
    "stream-start",
    "response-metadata",
    "object",
    "raw",
    "step-output",
    "tool-approval-response",
)
_REST = (
    "text-delta",
    "text-end",
    "text",
    "reasoning",
    "reasoning-delta",
    "reasoning-end",
    "tool-input-start",
    "tool-input-delta",
    "tool-input-available",
    "tool-input-error",
    "tool-output-available",
    "tool-output-error",
    "tool-output-denied",
    "tool-call",
    "tool-call-delta",
    "tool-call-input-streaming-start",
    "tool-call-input-streaming-end",
    "tool-call-approval",
    "tool-call-suspended",
    "tool-approval-request",
    "tool-result",
    "tool-error",
    "tool-output",
    "source",
    "source-url",
    "source-document",
    "file",
    "finish",
    "step-finish",
    "error",
    "abort",
    "tripwire",
)


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One part; false where another dialect uses the same word."""
    kind = frame["type"]
    payload = frame.get("payload")
    fields = payload if isinstance(payload, dict) else frame
    if not _is_ours(kind, frame, fields):
        return False
    answer.dialects.add("ai sdk" if fields is frame else "mastra")
    id = first_word(fields, "id", "toolCallId")
    match kind:
        case "text-delta" | "text":
            answer.enter_message(id, announced=True)
            answer.text.delta(_delta(fields), "ai sdk", id)
        case "reasoning-delta" | "reasoning":
            answer.enter_message(id, announced=True)
            answer.thinking.delta(_delta(fields), "ai sdk", f"reasoning {id}" if id else None)
        case "text-end" | "reasoning-end":
            answer.enter_message(id, announced=True)
            answer.pause()
        case "source" | "source-url" | "source-document":
            source = source_of(fields)
            if source is not None:
                answer.attach(source)
            else:
                answer.custom(fields, kind, content=False)
        case "file":
            if not read_block(answer, {**fields, "type": "file"}):
                answer.custom(fields, kind)
        case "finish" | "step-finish":
            _read_finish(answer, fields)
        case "error":
            raise InBandError("an error part in its stream")
        case "abort" | "tripwire":
            answer.custom(fields, kind)
        case _ if kind not in _SILENT:
            _read_tool(answer, kind, fields)
    return True


def _is_ours(kind: str, frame: dict[str, JSON], fields: dict[str, JSON]) -> bool:
    if fields is not frame or "-" in kind:
        return True
    match kind:
        case "text" | "reasoning":
            return isinstance(frame.get("id"), str) and "delta" in frame
        case "start":
            return "messageId" in frame or len(frame) == 1
        case "finish":
            return True
        case "source":
            return "sourceType" in frame
        case "file":
            return "mediaType" in frame or "file" in frame
        case "error":
            return "errorText" in frame
        case "abort" | "raw" | "object":
            return len(frame) == 1 or "rawValue" in frame or "object" in frame
    return False


def _delta(fields: dict[str, JSON]) -> str:
    for key in ("delta", "textDelta", "text"):
        if isinstance(fields.get(key), str):
            return str(fields[key])
    return ""


def _read_tool(answer: Assembly, kind: str, fields: dict[str, JSON]) -> None:
    id = first_word(fields, "toolCallId", "id")
    name = first_word(fields, "toolName", "name")
    args: JSON = fields.get("input", fields.get("args"))
    found: JSON = fields.get("output", fields.get("result"))
    match kind:
        case "tool-input-start" | "tool-call-input-streaming-start":
            answer.tools.piece("ai sdk", f"ai sdk {id}", id, name, "")
        case "tool-input-delta" | "tool-call-delta":
            piece = next(
                (fields[k] for k in ("inputTextDelta", "argsTextDelta", "delta") if k in fields), ""
            )
            answer.tools.piece("ai sdk", f"ai sdk {id}", id, name, str(piece))
        case "tool-input-available" | "tool-call" | "tool-input-error":
            answer.tools.whole("ai sdk", id, name or "", {} if args is None else args)
            if kind == "tool-input-error":
                answer.tools.result(id, name, None, _wrong(fields))
        case "tool-output-available" | "tool-result":
            if fields.get("preliminary"):
                answer.custom(fields, kind, content=False)
            elif fields.get("isError"):
                answer.tools.result(id, name, None, as_text(found))
            else:
                _read_files(answer, found)
                answer.tools.result(id, name, as_text(found))
        case "tool-output-error" | "tool-error" | "tool-output-denied":
            answer.tools.result(id, name, None, _wrong(fields))
        case "tool-output" if isinstance(found, dict) and isinstance(found.get("type"), str):
            answer.speak(id or "tool", found)  # an agent that a tool calls, as it speaks
        case "tool-approval-request":
            inner = fields.get("toolCall")
            if isinstance(inner, dict):
                _read_tool(answer, "tool-call", inner)
                id = first_word(inner, "toolCallId")
            call = answer.tools.find(id) if id else None
            tool = ToolUse(call.id, call.name, call.args) if call else None
            asked = first_word(fields, "approvalId") or id
            questions.ask(answer, asked, fields, kind="approval", tool=tool)
        case "tool-call-approval" | "tool-call-suspended":
            if name and args is not None:
                answer.tools.whole("ai sdk", id, name, args)
            tool = ToolUse(id or "", name or "", args or {}) if name else None
            wants = fields.get("suspendPayload", fields)
            approval = kind == "tool-call-approval"
            schema = fields.get("resumeSchema")
            questions.ask(
                answer,
                id,
                wants,
                kind="approval" if approval else "input",
                tool=tool,
                schema=schema if isinstance(schema, dict) else None,
            )
        case "tool-call-input-streaming-end":
            answer.tools.complete(f"ai sdk {id}")
        case _:
            answer.custom(fields, kind, content=False)


def _read_files(answer: Assembly, found: JSON) -> None:
    match found:
        case {"type": "content", "value": list(parts)} | {"content": list(parts)}:
            for part in parts:
                read_block(answer, part)


def _read_finish(answer: Assembly, fields: dict[str, JSON]) -> None:
    output = fields.get("output")
    inner = output.get("usage") if isinstance(output, dict) else None
    answer.usage.set_total(fields.get("totalUsage") or fields.get("usage") or inner)
    answer.pause()


def _wrong(fields: dict[str, JSON]) -> str:
    for key in ("errorText", "error", "output"):
        if fields.get(key):
            return as_text(fields[key])
    return "denied"


def read_data(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A data part: `data-NAME`, with the agent's own value."""
    answer.dialects.add("ai sdk")
    answer.custom(frame.get("data", frame.get("payload")), frame["type"])
    return True


def read_result(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """What `generateText` returns."""
    if not isinstance(frame.get("text"), str) or not isinstance(frame.get("finishReason"), str):
        return False
    answer.dialects.add("ai sdk")
    thought = frame.get("reasoningText", frame.get("reasoning"))
    if isinstance(thought, str) and thought:
        answer.thinking.whole(thought, "result")
    steps = frame.get("steps")
    for step in steps if isinstance(steps, list) and steps else [frame]:
        if isinstance(step, dict):
            for key, kind in (("toolCalls", "tool-call"), ("toolResults", "tool-result")):
                for item in items(step.get(key)):
                    if isinstance(item, dict):
                        inner = item.get("payload")
                        _read_tool(answer, kind, inner if isinstance(inner, dict) else item)
    for source in items(frame.get("sources")):
        found = source_of(source)
        if found is not None:
            answer.attach(found)
    for file in items(frame.get("files")):
        read_block(answer, {**file, "type": "file"} if isinstance(file, dict) else file)
    answer.text.whole(frame["text"], "result")
    if frame.get("object") is not None:
        answer.structured = frame["object"]
    answer.usage.set_total(frame.get("totalUsage") or frame.get("usage"))
    return True


BY_KEY = {"finishReason": read_result}
BY_TYPE = dict.fromkeys([*_SILENT, *_REST], read)
