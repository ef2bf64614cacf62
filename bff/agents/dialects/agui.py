"""AG-UI events (https://docs.ag-ui.com/concepts/events), in camel case and in snake case."""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.langchain import read_messages
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON

_SILENT = frozenset(
    {
        "STEP_STARTED",
        "STEP_FINISHED",
        "TEXT_MESSAGE_END",
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "REASONING_ENCRYPTED_VALUE",
        "THINKING_START",
        "THINKING_END",
        "THINKING_TEXT_MESSAGE_START",
        "THINKING_TEXT_MESSAGE_END",
    }
)
_THOUGHTS = frozenset(
    {"REASONING_MESSAGE_CONTENT", "REASONING_MESSAGE_CHUNK", "THINKING_TEXT_MESSAGE_CONTENT"}
)
_SPOKEN = frozenset(
    {
        "RUN_STARTED",
        "RUN_FINISHED",
        "RUN_ERROR",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CHUNK",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_CHUNK",
        "TOOL_CALL_RESULT",
        "MESSAGES_SNAPSHOT",
    }
)
_KEPT = frozenset(
    {
        "STATE_SNAPSHOT",
        "STATE_DELTA",
        "ACTIVITY_SNAPSHOT",
        "ACTIVITY_DELTA",
        "RAW",
        "CUSTOM",
        "SUBAGENT_STARTED",
        "SUBAGENT_FINISHED",
        "SUBAGENT_ERROR",
    }
)
TYPES = _SILENT | _THOUGHTS | _SPOKEN | _KEPT


def read(answer: Assembly, frame: dict[str, JSON]) -> None:
    """One event."""
    kind = frame["type"]
    if kind in _SILENT:
        return
    if kind in _KEPT:
        _keep(answer, kind, frame)
        return
    message = _get(frame, "messageId", "message_id") or answer.streaming
    answer.streaming = message
    delta = _get(frame, "delta", "delta") or ""
    if kind in _THOUGHTS:
        answer.thinking.delta(delta, "agui", message)
        return
    match kind:
        case "TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_CHUNK":
            role = _get(frame, "role", "role")
            answer.role = role or answer.role
            if answer.role == "assistant":
                answer.text.delta(delta, "agui", message)
        case "TEXT_MESSAGE_START":
            answer.role = _get(frame, "role", "role") or "assistant"
        case "RUN_STARTED":
            answer.unfinished = True
        case "RUN_FINISHED":
            answer.unfinished = False
            _read_end(answer, frame)
        case "RUN_ERROR":
            raise InBandError("RUN_ERROR in its stream")
        case "MESSAGES_SNAPSHOT":
            messages = frame.get("messages")
            read_messages(answer, messages if isinstance(messages, list) else [], "snapshot")
        case _:
            _read_tool(answer, kind, frame, delta)


def _keep(answer: Assembly, kind: str, frame: dict[str, JSON]) -> None:
    """Events for the client's own use: kept without the framework's event they were made of."""
    match frame.get("event"):
        case {"event": str(name)} if kind == "RAW" and name.startswith("on_"):
            return  # LangGraph's bookkeeping; what it says comes as AG-UI events too
    kept = {name: value for name, value in frame.items() if name not in ("rawEvent", "raw_event")}
    answer.custom(kept, content=kind not in ("STATE_SNAPSHOT", "STATE_DELTA"))


def _read_tool(answer: Assembly, kind: str, frame: dict[str, JSON], delta: str) -> None:
    id = _get(frame, "toolCallId", "tool_call_id")
    name = _get(frame, "toolCallName", "tool_call_name")
    match kind:
        case "TOOL_CALL_START" | "TOOL_CALL_ARGS":
            answer.tools.piece("agui", f"agui {id}", id, name, delta)
        case "TOOL_CALL_CHUNK":
            # a chunk may leave the id out: it goes on with the last one that had it
            answer.tools.piece("agui", "agui chunk", id, name, delta)
        case "TOOL_CALL_END":
            answer.tools.complete(f"agui {id}")
        case "TOOL_CALL_RESULT":
            answer.tools.result(id, name, as_text(frame.get("content")))


def _read_end(answer: Assembly, frame: dict[str, JSON]) -> None:
    answer.use_total(frame.get("usage"))
    match frame.get("result"):
        case None:
            pass
        case str(text):
            answer.text.whole(text, "RUN_FINISHED")
        case result:
            answer.custom({"result": result})
    match frame.get("outcome"):
        case {"type": "interrupt"} as outcome:
            answer.custom({"outcome": outcome})


def _get(frame: dict[str, JSON], camel: str, snake: str) -> str | None:
    value = frame.get(camel, frame.get(snake))
    return value if isinstance(value, str) else None
