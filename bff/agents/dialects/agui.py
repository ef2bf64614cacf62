"""AG-UI events (https://docs.ag-ui.com/concepts/events), in camel case and in snake case.

What the client's own state is made of (STATE_*, ACTIVITY_*, MESSAGES_SNAPSHOT, CUSTOM, RAW) comes
out as `custom` under its own name, so that an AG-UI client gets it as it was sent.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.attachments import read_block
from bff.agents.dialects.langchain import read_messages
from bff.agents.dialects.tool_calls import as_text
from bff.agents.json_values import parse
from bff.events import JSON

_SILENT = frozenset(
    {
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_ENCRYPTED_VALUE",
        "THINKING_START",
        "THINKING_TEXT_MESSAGE_START",
    }
)
_PAUSES = frozenset(
    {
        "TEXT_MESSAGE_END",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "THINKING_END",
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
_STATE = frozenset({"STATE_SNAPSHOT", "STATE_DELTA"})
_KEPT = _STATE | {
    "ACTIVITY_SNAPSHOT",
    "ACTIVITY_DELTA",
    "RAW",
    "CUSTOM",
    "STEP_STARTED",
    "STEP_FINISHED",
    "SUBAGENT_STARTED",
    "SUBAGENT_FINISHED",
    "SUBAGENT_ERROR",
}
_BOOKKEEPING = frozenset({"RAW", "STEP_STARTED", "STEP_FINISHED"})
"""What is no answer by itself."""
TYPES = _SILENT | _PAUSES | _THOUGHTS | _SPOKEN | _KEPT


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event."""
    kind = frame["type"]
    answer.dialects.add("ag-ui")
    if kind in _SILENT:
        return True
    if kind in _KEPT:
        _keep(answer, kind, frame)
        return True
    message = _get(frame, "messageId", "message_id") or answer.streaming
    answer.streaming = message
    delta = _get(frame, "delta", "delta") or ""
    if kind in _PAUSES:
        answer.enter_message(message, announced=True)
        answer.pause()
        return True
    if kind in _THOUGHTS:
        answer.enter_message(message, announced=kind != "REASONING_MESSAGE_CHUNK")
        answer.thinking.delta(delta, "agui", message)
        return True
    match kind:
        case "TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_CHUNK":
            role = _get(frame, "role", "role")
            answer.role = role or answer.role
            if answer.role == "assistant":
                if kind == "TEXT_MESSAGE_CHUNK" and message != answer.voice.message:
                    answer.pause()  # a chunk of another message ends the last
                answer.enter_message(message, announced=True)
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
            answer.custom(messages, kind, content=False)
        case _:
            _read_tool(answer, kind, frame, delta)
    return True


def _keep(answer: Assembly, kind: str, frame: dict[str, JSON]) -> None:
    """Events for the client's own use: kept without the framework's event they were made of."""
    match frame:
        case {"type": "RAW", "event": {"event": str(name)}} if name.startswith("on_"):
            return  # LangGraph's bookkeeping; what it says comes as AG-UI events too
        case {"type": "CUSTOM", "name": "on_interrupt", "value": value}:
            if isinstance(value, str):
                value = parse(value)
            items = value if isinstance(value, list) else [value]
            if items and all(isinstance(i, dict) and {"id", "value"} <= i.keys() for i in items):
                questions.ask_langgraph(answer, items)
            else:
                answer.unidentified = value  # the end of the run may tell it with its id
        case {"type": "CUSTOM", "name": str(name)}:
            answer.custom(frame.get("value"), name)
        case {"type": "STATE_SNAPSHOT", "snapshot": value} | {
            "type": "STATE_DELTA",
            "delta": value,
        }:
            answer.custom(value, kind, content=False)
        case _:
            kept = {n: v for n, v in frame.items() if n not in ("type", "rawEvent", "raw_event")}
            read_block(answer, kept.get("content"))
            answer.custom(kept, kind, content=kind not in _BOOKKEEPING)


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
            content = frame.get("content")
            if isinstance(content, list):
                content = [part for part in content if not read_block(answer, part)]
            wrong = _get(frame, "error", "error")
            answer.tools.result(id, name, None if wrong else as_text(content), wrong)


def _read_end(answer: Assembly, frame: dict[str, JSON]) -> None:
    answer.usage.set_total(frame.get("usage"))
    match frame.get("result"):
        case None:
            pass
        case str(text):
            answer.text.whole(text, "RUN_FINISHED")
        case result:
            answer.custom({"result": result}, "result")
    outcome = frame.get("outcome")
    named = {**frame, **outcome} if isinstance(outcome, dict) else frame
    pending = named.get("pendingToolCallIds", named.get("pending_tool_call_ids"))
    for id in pending if isinstance(pending, list) else []:
        if isinstance(id, str):
            answer.tools.complete(f"agui {id}")
    match outcome:
        case {"type": "interrupt", "interrupts": list(items)} if items:
            answer.unidentified = None
            answer.tools.settle()
            questions.ask_agui(answer, items)
        case {"type": "interrupt"}:
            questions.ask(answer, None, outcome)


def read_end(answer: Assembly) -> None:
    """A question that nothing gave an id."""
    if answer.unidentified is not None:
        questions.ask(answer, None, answer.unidentified)


def _get(frame: dict[str, JSON], camel: str, snake: str) -> str | None:
    value = frame.get(camel, frame.get(snake))
    return value if isinstance(value, str) else None


BY_TYPE = dict.fromkeys(TYPES, read)
