"""AutoGen's messages and events, as they are dumped or printed.

https://microsoft.github.io/autogen/stable/reference/python/autogen_agentchat.messages.html. Each
names its `source`, an agent of the team or the user.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.attachments import read_block
from bff.agents.dialects.fields import items, word
from bff.agents.dialects.tool_calls import as_text
from bff.agents.json_values import parse
from bff.events import JSON

_SILENT = frozenset({"MemoryQueryEvent", "CodeGenerationEvent", "SelectSpeakerEvent"})
_SAID = frozenset({"TextMessage", "StopMessage", "HandoffMessage", "StructuredMessage"})


def read(answer: Assembly, frame: dict[str, JSON], said_in: str = "message") -> bool:
    """One message or event; `said_in` tells a message of its own from one in a result."""
    answer.dialects.add("autogen")
    source = frame.get("source")
    if source == "user" and frame.get("type") != "UserInputRequestedEvent":
        return True
    if isinstance(source, str) and source:
        answer.speak(source, frame, lambda value: _read(answer, value, said_in))
    else:
        _read(answer, frame, said_in)
    return True


def _read(answer: Assembly, frame: JSON, said_in: str) -> None:
    content: JSON = frame.get("content")
    answer.usage.add(frame.get("models_usage"), str(frame.get("id") or "") or None)
    match str(frame.get("type")), content:
        case "ModelClientStreamingChunkEvent", str():
            answer.text.delta(content, "chunks")
        case "ThoughtEvent", str():
            answer.thinking.whole(content, said_in)
        case "ToolCallRequestEvent", list():
            for call in content:
                match call:
                    case {"id": str(id), "name": str(name), "arguments": args}:
                        answer.tools.whole("autogen", id, name, _args(args))
        case "ToolCallExecutionEvent", list():
            for result in content:
                match result:
                    case {"call_id": str(id), "content": found, **rest}:
                        tool, failed = word(rest.get("name")), rest.get("is_error") is True
                        answer.tools.outcome(id, tool, as_text(found), failed=failed)
        case "ToolCallSummaryMessage", str():
            # what its tools found, as the agent's answer: said unless a result told it just so
            answer.text.whole(content, said_in)
        case "MultiModalMessage", list():
            for part in content:
                if isinstance(part, str):
                    answer.text.whole(part, said_in)
                elif isinstance(part, dict) and isinstance(part.get("data"), str):
                    read_block(answer, {"type": "image", "mime_type": "image/png", **part})
        case "UserInputRequestedEvent", _:
            id = frame.get("request_id")
            questions.ask(answer, id if isinstance(id, str) else None, frame, kind="input")
        case (kind, str()) if kind in _SAID:
            answer.text.whole(content, said_in)
        case (kind, dict()) if kind in _SAID:
            answer.structured = content
        case kind, _:
            answer.custom(frame, content=kind not in _SILENT)


def _args(args: JSON) -> JSON:
    return parse(args) if isinstance(args, str) else args


def read_result(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A TaskResult: all messages once more."""
    messages = frame.get("messages")
    if not isinstance(messages, list) or "stop_reason" not in frame:
        return False
    if not all(isinstance(m, dict) and "source" in m and "type" in m for m in messages):
        return False
    for message in messages:
        read(answer, message, "result")
    return True


def read_chat_response(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """The Response of one agent: its message, and what it did before."""
    message = frame.get("chat_message")
    if not isinstance(message, dict) or "type" not in message:
        return False
    for inner in items(frame.get("inner_messages")):
        if isinstance(inner, dict) and "type" in inner:
            read(answer, inner)
    return read(answer, message)


BY_TYPE = dict.fromkeys(
    [
        *_SILENT,
        *_SAID,
        "ModelClientStreamingChunkEvent",
        "ThoughtEvent",
        "ToolCallRequestEvent",
        "ToolCallExecutionEvent",
        "ToolCallSummaryMessage",
        "MultiModalMessage",
        "UserInputRequestedEvent",
    ],
    read,
)
BY_KEY = {"chat_message": read_chat_response, "stop_reason": read_result}
