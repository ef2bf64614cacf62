"""Tool calls and results in the words of agents that use no framework's, under many names.

An event may name its tool, its arguments or what came of it under any of the usual keys, beside
its name or one level down, for one call or several.
"""

from __future__ import annotations

import re

from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.event_names import Role
from bff.agents.dialects.event_names import role_of as role_of_name
from bff.agents.dialects.fields import first_word
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.untyped import plain_name, speaker, thought_of
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
_FOUND = (*_OUTCOMES, "content", "text", "data", "value", "message", "summary")
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
_BARE = ("data", "content", "text", "value", "message", "payload")
"""Where an event that begins a call may have nothing but the tool's name."""
_CALLED = ("tool", "tool_start")
_NAME = re.compile(r"[A-Za-z_][\w.:/-]{0,63}")
_BEGUN = frozenset(
    {"start", "started", "running", "pending", "in_progress", "calling", "executing"}
)


def role_of(frame: dict[str, JSON]) -> Role | None:
    """What an object is about a tool by its keys alone, or None if it is nothing about one."""
    if "action_input" in frame and first_word(frame, "action"):
        return "tool_start"
    if len(frame) == 1 and "observation" in frame:
        return "tool_end"
    if first_word(frame, *_TOOL_NAMES):
        if not frame.keys().isdisjoint(_ARGS):
            return "tool_start"
        if not frame.keys().isdisjoint(_OUTCOMES) or frame.get("error"):
            return "tool_end"
    elif not frame.keys().isdisjoint(_RESULTS) and first_word(frame, *_TOOL_IDS):
        return "tool_end"
    return None


_RESULTS = ("toolResult", "tool_result")


def unwrapped(frame: dict[str, JSON]) -> tuple[str | None, dict[str, JSON]]:
    """A tool call or result out of an object that only says which it is."""
    if len(frame) == 1:
        ((key, inner),) = frame.items()
        if isinstance(inner, dict):
            if key in _WRAPPERS:
                return _WRAPPERS[key], inner
            if not inner.keys().isdisjoint(_SAYS) and str(role_of_name(key)).startswith("tool"):
                return key, inner
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


def read(answer: Assembly, role: Role, frame: dict[str, JSON]) -> bool:
    """What somebody does with tools, and what they think beside it."""
    who = speaker(frame)
    if who is None:
        return _read_event(answer, role, frame)
    read = False

    def heard(_: JSON) -> None:
        nonlocal read
        read = _read_event(answer, role, frame)

    answer.speak(who, frame, heard, announced=False)
    return read


def _read_event(answer: Assembly, role: Role, frame: dict[str, JSON]) -> bool:
    """A call, a piece of its arguments, or its result: of one tool or of several."""
    listed = next((frame[key] for key in _CALLS if isinstance(frame.get(key), list)), None)
    if listed is None:
        listed = next((frame[key] for key in _LISTS if _are_calls(frame.get(key))), None)
    if listed is None:
        listed = [frame]
    read = False
    for item in listed:
        if isinstance(item, dict):
            read = _read_use(answer, role, _fields(item)) or read
    return read


_LISTS = ("data", "payload", "content", "tools")


def _are_calls(value: JSON) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and not item.keys().isdisjoint(_SAYS) for item in value)
    )


_FINAL = frozenset({"finalanswer", "finalresponse", "final"})
"""What agents that reason in steps call to be done."""


def _fields(frame: dict[str, JSON]) -> dict[str, JSON]:
    """An event's fields, those one level down among them."""
    for key in _HOLDERS:
        inner = frame.get(key)
        if isinstance(inner, dict) and (not inner.keys().isdisjoint(_SAYS) or _function(inner)):
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
    tool = first_word(frame, *_TOOL_NAMES, "name")
    if tool is None and "action_input" in frame:
        tool = first_word(frame, "action")
    tool = tool or first_word(frame, "function") or first_word(_function(frame), "name")
    id = first_word(frame, *_TOOL_IDS, "id")
    status = str(frame.get("status", frame.get("state"))).lower()
    if tool is None and id is None:
        bare = first_word(frame, *_BARE) or ""
        named = _NAME.fullmatch(bare) and (role in _CALLED or answer.tools.known(bare))
        if named:
            tool, role = bare, "tool_start" if role in _CALLED else role
        if named or role in _CALLED:
            frame = {key: value for key, value in frame.items() if key not in _BARE}
    if role == "tool":
        role = "tool_start" if status in _BEGUN or _outcome(frame) is None else "tool_end"
    if role == "tool_piece":
        piece = next((frame[k] for k in ("delta", *_ARGS) if isinstance(frame.get(k), str)), "")
        answer.tools.piece("named", f"named {id}", id, tool, piece)
        return bool(id or tool)
    args = _args(frame)
    if role == "tool_close":
        if _outcome(frame) is None and not frame.get("error"):
            if tool and args is not None:
                answer.tools.announced("named", id, tool, args)
            answer.tools.complete(f"named {id}")
            return bool(id or tool)
        role = "tool_end"
    if role == "tool_open" and id and args is None:
        answer.tools.piece("named", f"named {id}", id, tool, "")
        return True
    if role in ("tool_start", "tool_open"):
        if tool is None:
            return False
        repeats = not (id or answer.text.speaking) and answer.tools.is_last(tool, args)
        if not repeats:
            answer.tools.announced("named", id, tool, args)
        if frame.keys().isdisjoint(_OUTCOMES) or _outcome(frame) in (None, ""):
            return True
    wrong = frame.get("error")
    if tool is None and id is None and not answer.tools.open_calls():
        return False
    if role == "tool_end" and tool and args:  # told before, or nowhere else
        call = None if id else answer.tools.like(tool, args)
        if call is not None:
            id = call.id
        elif id or not answer.tools.known(tool):
            answer.tools.whole("named", id, tool, args)
    failed = bool(wrong) or status in ("error", "failed") or _says_error(frame)
    text = as_text(wrong if wrong and wrong is not True else _outcome(frame))
    answer.tools.outcome(id, tool, text, failed=failed)
    return True


def _function(frame: dict[str, JSON]) -> dict[str, JSON]:
    """The fields of the function called, as OpenAI's calls have them."""
    inner = frame.get("function")
    return inner if isinstance(inner, dict) else {}


def _args(frame: dict[str, JSON]) -> JSON:
    for fields in (frame, _function(frame)):
        for key in _ARGS:
            if fields.get(key) is not None:
                return fields[key]
    return None


def _outcome(frame: dict[str, JSON]) -> JSON:
    return next((frame[name] for name in _FOUND if frame.get(name) is not None), None)


def _says_error(frame: dict[str, JSON]) -> bool:
    if frame.get("is_error") is True or frame.get("isError") is True:
        return True
    if frame.get("success") is False or frame.get("ok") is False:
        return True
    kind = frame.get("type")
    return isinstance(kind, str) and kind.lower().endswith(("error", "failed"))
