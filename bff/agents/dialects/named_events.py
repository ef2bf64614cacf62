"""Events named by hand: the name is the SSE event's, or the object's `type`.

LangGraphAgentCore names them so (`TOOL_CALL`, `LLM_RESPONSE`, …; its source is
https://github.com/JKevinXu/LangGraphAgentCore), as do this service and most agents that use no
framework's events. What they are about may stand one level down, under `data` or `payload`.
"""

from __future__ import annotations

import re

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.attachments import read_sources
from bff.agents.dialects.event_names import Role, role_of
from bff.agents.dialects.failures import is_error
from bff.agents.dialects.langchain import thought
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.untyped import (
    TEXT_KEYS,
    beside,
    plain_name,
    speaker,
    text_of,
    thought_of,
)
from bff.events import JSON

_ARGS = (
    "action_input",
    "args",
    "arguments",
    "input",
    "parameters",
    "tool_input",
    "toolInput",
    "tool_args",
    "toolArgs",
    "tool_kwargs",
    "params",
    "kwargs",
)
_TOOL_NAMES = ("tool", "tool_name", "toolName", "function_name", "functionName")
_TOOL_IDS = (
    "tool_call_id",
    "toolCallId",
    "tool_use_id",
    "toolUseId",
    "call_id",
    "callId",
    "tool_id",
    "toolId",
)
_OUTCOMES = (
    "result",
    "output",
    "toolResult",
    "tool_result",
    "tool_output",
    "toolOutput",
    "tool_return",
    "observation",
    "return_value",
    "response",
)
"""Keys that hold nothing but what a tool found, beside its name."""
_FOUND = (*_OUTCOMES, "content", "text", "data", "value", "message")
"""Where an event that is a tool's result has it."""
_HOLDERS = (
    "data",
    "payload",
    "tool",
    "tool_call",
    "toolCall",
    "tool_use",
    "toolUse",
    "function_call",
    "function",
    "call",
    "tool_result",
    "toolResult",
    "item",
    "detail",
    "details",
)
"""Keys under which an event may have its fields."""
_CALLS = (
    "tool_calls",
    "toolCalls",
    "tool_uses",
    "toolUses",
    "tool_results",
    "toolResults",
    "calls",
)
_BEGUN = frozenset(
    {"start", "started", "running", "pending", "in_progress", "calling", "executing"}
)


def names_of(name: str | None, frame: dict[str, JSON]) -> list[str]:
    """What an event is called: its SSE name, and the fields that are for that."""
    found = [] if name is None else [name]
    for key in ("type", "event", "event_type", "eventType", "message_type", "messageType"):
        value = frame.get(key)
        if type(value) is str:
            found.append(value)
    return found


def role(name: str | None, frame: dict[str, JSON]) -> Role | None:
    """What a named event is for, or None if its name says nothing to us."""
    for word in names_of(name, frame):
        found = role_of(word)
        if found is not None:
            return found
    if "action_input" in frame and _first(frame, "action"):
        return "tool_start"
    if len(frame) == 1 and "observation" in frame:
        return "tool_end"
    if _first(frame, *_TOOL_NAMES):
        if not frame.keys().isdisjoint(_ARGS):
            return "tool_start"
        if not frame.keys().isdisjoint(_OUTCOMES) or frame.get("error"):
            return "tool_end"
    elif not frame.keys().isdisjoint(_RESULTS) and _first(frame, *_TOOL_IDS):
        return "tool_end"
    return None


_RESULTS = ("toolResult", "tool_result")


def unwrapped(frame: dict[str, JSON]) -> tuple[str | None, dict[str, JSON]]:
    """A tool call or result out of an object that only says which it is."""
    if len(frame) == 1:
        ((key, inner),) = frame.items()
        if key in _WRAPPERS and isinstance(inner, dict):
            return _WRAPPERS[key], inner
    return None, frame


_WRAPPERS = {
    "tool_use": "tool_use",
    "toolUse": "tool_use",
    "tool_call": "tool_use",
    "toolCall": "tool_use",
    "tool_result": "tool_result",
    "toolResult": "tool_result",
    "function_call": "tool_use",
}


def read(answer: Assembly, role: Role, frame: dict[str, JSON], name: str | None = None) -> bool:
    """One event named by hand; false if it is not of the shape its name promises."""
    match role:
        case "custom" | "start":
            _keep(answer, frame, name)
        case "theirs":
            pass
        case "error":
            if is_error({"error": True, **frame}) is None:
                answer.custom(frame, content=False)
            else:
                raise InBandError("an error event in its stream")
        case "thinking":
            said = _text(frame) or thought(frame)
            answer.thinking.plain(said, "thinking")
        case "redact":
            text = _text(frame)
            if not text:
                return False
            answer.pause()
            answer.redact(text)
            answer.text.whole(text, "redact")
        case "tool" | "tool_start" | "tool_piece" | "tool_end":
            if not _read_tools(answer, role, frame):
                return False
        case "asks":
            _ask(answer, frame)
        case "end":
            answer.text.whole(_text(frame) or "", "end")
        case "done":
            _read_done(answer, frame)
        case "silent":
            if text_of(frame):
                return False
        case "text":
            return False
    answer.dialects.add("named events")
    return True


def _text(frame: dict[str, JSON]) -> str | None:
    """The text of an event, also under the two keys that only an event has it under."""
    found = text_of(frame)
    if found is None:
        found = text_of({"text": frame.get("value"), "content": frame.get("payload")})
    return found


def _keep(answer: Assembly, frame: dict[str, JSON], name: str | None) -> None:
    """News about the run; of a list of sources those that have an address are told as such."""
    names = names_of(name, frame)
    if any(_SOURCES.search(word) for word in names):
        for key in ("sources", "citations", "references", "data", "content"):
            if isinstance(frame.get(key), list) and read_sources(answer, frame[key]):
                return
    answer.custom(frame, name, content=False)
    if any(_OVER.search(word) for word in names):  # what a part came to, if nothing else is said
        answer.latest = _text({**frame, "message": None}) or answer.latest


_SOURCES = re.compile("source|citation|reference", re.IGNORECASE)
_OVER = re.compile("(?:end(?:ed)?|done|completed?|finished)$", re.IGNORECASE)


# Tools


def _read_tools(answer: Assembly, role: Role, frame: dict[str, JSON]) -> bool:
    """What somebody does with tools, and what they think beside it."""
    who = speaker(frame)
    if who is None:
        return _read_tool_event(answer, role, frame)
    read = False

    def heard(_: JSON) -> None:
        nonlocal read
        read = _read_tool_event(answer, role, frame)

    answer.speak(who, frame, heard, announced=False)
    return read


def _read_tool_event(answer: Assembly, role: Role, frame: dict[str, JSON]) -> bool:
    """A call, a piece of its arguments, or its result: of one tool or of several."""
    listed = next((frame[key] for key in _CALLS if isinstance(frame.get(key), list)), None)
    if listed is None:
        listed = [frame]
    read = False
    for item in listed:
        if isinstance(item, dict):
            read = _read_use(answer, role, _fields(item)) or read
    return read


_FINAL = frozenset({"finalanswer", "finalresponse", "final"})
"""What agents that reason in steps call to be done."""


def _fields(frame: dict[str, JSON]) -> dict[str, JSON]:
    """An event's fields, those one level down among them."""
    for key in _HOLDERS:
        inner = frame.get(key)
        if isinstance(inner, dict) and not inner.keys().isdisjoint(_SAYS):
            outer = {name: value for name, value in frame.items() if name != key}
            return {**outer, **inner, "type": frame.get("type")}
    return frame


_SAYS = frozenset({"name", *_TOOL_NAMES, *_TOOL_IDS})


def _read_use(answer: Assembly, role: Role, frame: dict[str, JSON]) -> bool:
    thought = thought_of(frame)
    if thought:
        answer.thinking.plain(thought, "thinking")
    if "action_input" in frame and plain_name(str(frame.get("action"))) in _FINAL:
        said = frame["action_input"]
        answer.read(said if isinstance(said, dict) else {"answer": as_text(said)})
        return True
    tool = _first(frame, *_TOOL_NAMES, "name")
    function = frame.get("function")
    if tool is None and "action_input" in frame:
        tool = _first(frame, "action")
    if tool is None:
        tool = _first(function, "name") if isinstance(function, dict) else function
        tool = tool if isinstance(tool, str) and tool else None
    id = _first(frame, *_TOOL_IDS, "id")
    status = str(frame.get("status", frame.get("state"))).lower()
    if role == "tool":
        role = "tool_start" if status in _BEGUN or _outcome(frame) is None else "tool_end"
    if role == "tool_piece":
        piece = next((frame[k] for k in ("delta", *_ARGS) if isinstance(frame.get(k), str)), "")
        answer.tools.piece("named", f"named {id}", id, tool, piece)
        return bool(id or tool)
    if role == "tool_start":
        if tool is None:
            return False
        answer.tools.whole("named", id, tool, _args(frame))
        if frame.keys().isdisjoint(_OUTCOMES) or _outcome(frame) is None:
            return True
    wrong = frame.get("error")
    if tool is None and id is None and not answer.tools.open_calls():
        return False
    if role == "tool_end" and tool and not frame.keys().isdisjoint(_ARGS) and _args(frame):
        answer.tools.whole("named", id, tool, _args(frame))  # told before, or nowhere else
    failed = bool(wrong) or status in ("error", "failed") or _says_error(frame)
    text = as_text(wrong if wrong and wrong is not True else _outcome(frame))
    answer.tools.result(id, tool, None if failed else text, text if failed else None)
    return True


def _args(frame: dict[str, JSON]) -> JSON:
    function = frame.get("function")
    for fields in (frame, function if isinstance(function, dict) else {}):
        for key in _ARGS:
            if fields.get(key) is not None:
                return fields[key]
    return {}


def _outcome(frame: dict[str, JSON]) -> JSON:
    return next((frame[name] for name in _FOUND if frame.get(name) is not None), None)


def _says_error(frame: dict[str, JSON]) -> bool:
    kind = frame.get("type")
    return isinstance(kind, str) and kind.lower().endswith(("error", "failed"))


# Questions and ends


def _ask(answer: Assembly, frame: dict[str, JSON]) -> None:
    if isinstance(frame.get("interrupts"), list):
        questions.ask_langgraph(answer, frame["interrupts"])
        return
    held = (frame.get(key) for key in ("interrupts", "value", "data", "payload"))
    asked = next((inner for inner in held if inner not in (None, "", [], {})), frame)
    id = _first(frame, "interrupt_id", "interruptId", "request_id", "requestId", "id")
    questions.ask(answer, id, asked)


def _read_done(answer: Assembly, frame: dict[str, JSON]) -> None:
    """A last frame may have the answer once more, or only; its `message` is about the stream."""
    answer.usage.set_total(frame.get("usage"))
    rest = {name: value for name, value in frame.items() if name != "message"}
    if "type" in rest and isinstance(rest.get("response"), dict | list):
        answer.read(rest["response"])
        return
    text = text_of({key: frame.get(key) for key in _LAST_KEYS}) or text_of(
        {key: value for key, value in rest.items() if plain_name(key) not in TEXT_KEYS}
    )
    if text and text.startswith("assistant: "):  # LlamaIndex's print of a message
        text = text.removeprefix("assistant: ").removesuffix("None")
    if text:
        answer.text.whole(text, "end")
    elif isinstance(frame.get("message"), str):
        answer.latest = frame["message"]
    kept = beside(rest, "")
    if kept and text:
        answer.custom(kept, content=False)


_LAST_KEYS = ("content", "text", "output", "result", "response", "answer")
"""Where a last frame has the answer once more; its `message` is about the stream."""


def _first(frame: JSON, *names: str) -> str | None:
    for name in names:
        value = frame.get(name)
        if isinstance(value, str) and value:
            return value
    return None
