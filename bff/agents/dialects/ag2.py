"""AG2's events, dumped or printed; the framework that AutoGen 0.2 became, written anew.

https://docs.ag2.ai/. An event is named by its class, in a dump under `__event__` or by whoever
dumps it. What a model says is told in pieces, whole, and once more in its response; a tool's call
often comes after its result.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.fields import items, word
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON, ToolUse

_NEWS = (
    *("TaskStarted", "TaskProgress", "TaskCompleted", "TaskFailed", "TaskExpired"),
    *("TaskCancelled", "ObserverAlert", "HaltEvent", "CompactionFailed", "AggregationFailed"),
)
_SILENT = (
    *("ModelRequest", "DrainedModelRequest", "MessageEnqueued", "HumanMessage", "UsageEvent"),
    *("TextInput", "ObserverStarted", "ObserverCompleted", "CompactionStarted"),
    *("CompactionCompleted", "AggregationStarted", "AggregationCompleted"),
)
"""What the user said, and what the framework does; a response has the tokens of its call, too."""


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event."""
    kind = _kind(frame)
    content = frame.get("content")
    match kind:
        case "ModelMessageChunk" if isinstance(content, str):
            answer.text.delta(content, "chunks")
        case "ModelMessage" if isinstance(content, str):
            answer.text.whole(content, "message")
        case "ModelReasoning" if isinstance(content, str):
            answer.thinking.delta(content, "chunks")
        case "ModelResponse" if "tool_calls" in frame or "message" in frame:
            _read_response(answer, frame)
        case "ToolCallEvent" | "BuiltinToolCallEvent" | "ClientToolCallEvent":
            _read_call(answer, frame)
        case "ToolCallsEvent":
            for call in items(frame.get("calls")):
                _read_call(answer, call)
        case "ToolResultEvent" | "BuiltinToolResultEvent" | "ToolErrorEvent" | "ToolNotFoundEvent":
            _read_result(answer, frame)
        case "ToolResultsEvent":
            for result in items(frame.get("results")):
                _read_result(answer, result)
        case "HumanInputRequest" | "ToolApprovalRequest" if isinstance(content, str):
            _ask(answer, frame)
        case _ if kind in _NEWS and ("task_id" in frame or "source" in frame or "agent" in frame):
            answer.custom(frame, kind, content=False)
        case _ if kind in _SILENT:
            pass
        case _:
            return False
    answer.dialects.add("ag2")
    return True


def _kind(event: dict[str, JSON]) -> str:
    return str(event.get("__event__") or event.get("type")).rpartition(".")[2]


def _inside(value: JSON) -> JSON:
    """A dataclass's fields, which a dump holds one level down and a print does not."""
    if isinstance(value, dict) and "__dataclass__" in value:
        return value.get("data")
    return value


def _read_response(answer: Assembly, frame: dict[str, JSON]) -> None:
    match frame.get("message"):
        case {"content": str(text)}:
            answer.text.whole(text, "response")
    match frame.get("tool_calls"):
        case {"calls": calls}:
            for call in items(calls):
                _read_call(answer, call)
    answer.usage.add(_inside(frame.get("usage")))


def _read_call(answer: Assembly, call: JSON) -> None:
    match call:
        case {"id": str(id), "name": str(name), **rest}:
            answer.tools.whole("ag2", id, name, questions.arguments(rest.get("arguments")))


def _read_result(answer: Assembly, frame: JSON) -> None:
    if not isinstance(frame, dict):
        return
    id, name = word(frame.get("parent_id")), word(frame.get("name"))
    if "error" in frame or _kind(frame) in ("ToolErrorEvent", "ToolNotFoundEvent"):
        wrong = frame.get("error")  # the result has its traceback
        text = wrong.get("message") if isinstance(wrong, dict) else wrong
        answer.tools.result(id, name, None, as_text(text) or "the tool failed")
        return
    found = _inside(frame.get("result"))
    parts = found.get("parts") if isinstance(found, dict) else None
    answer.tools.result(id, name, "".join(_part(part) for part in items(parts)))


def _part(part: JSON) -> str:
    match part:
        case {"content": str(text)}:
            return text
        case {"data": data}:
            return as_text(_inside(data))
    return as_text(part)


def _ask(answer: Assembly, frame: dict[str, JSON]) -> None:
    call_id = word(frame.get("tool_call_id"))
    if call_id is None:
        questions.ask(answer, word(frame.get("id")), frame, kind="input")
        return
    call = answer.tools.find(call_id)
    use = ToolUse(call.id, call.name, call.args) if call else None
    questions.ask(answer, word(frame.get("id")), frame, kind="approval", tool=use)


CLASSES = frozenset(
    {
        *_NEWS,
        *_SILENT,
        "ModelMessageChunk",
        "ModelMessage",
        "ModelReasoning",
        "ModelResponse",
        "ToolCallEvent",
        "BuiltinToolCallEvent",
        "ClientToolCallEvent",
        "ToolCallsEvent",
        "ToolResultEvent",
        "BuiltinToolResultEvent",
        "ToolErrorEvent",
        "ToolNotFoundEvent",
        "ToolResultsEvent",
        "HumanInputRequest",
        "ToolApprovalRequest",
    }
)
BY_TYPE = dict.fromkeys(CLASSES, read)
BY_KEY = {"__event__": read}
