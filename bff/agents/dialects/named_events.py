"""Events named by hand: the name is the SSE event's, or the object's `type`.

LangGraphAgentCore names them so (`TOOL_CALL`, `LLM_RESPONSE`, …; its source is
https://github.com/JKevinXu/LangGraphAgentCore), as do this service and many agents that use no
framework's events.
"""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.langchain import thought
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.untyped import text_of
from bff.events import JSON

_NAMED = {
    "agent_start": "silent",
    "agent_end": "end",
    "llm_response": "text",
    "llm_token": "text",
    "thinking": "thinking",
    "reasoning": "thinking",
    "tool_call": "tool_start",
    "tool_start": "tool_start",
    "tool_use": "tool_start",
    "tool_result": "tool_end",
    "tool_end": "tool_end",
    "error": "error",
    "start": "silent",
    "done": "done",
    "end": "done",
    "complete": "done",
    "status": "custom",
    "progress": "custom",
    "log": "custom",
    "debug": "custom",
    "trace": "custom",
    "metadata": "custom",
    "metrics": "custom",
    "sources": "custom",
    "citations": "custom",
    "suggestions": "custom",
    "session": "custom",
    "function_call": "tool_start",
    "function_call_output": "tool_end",
    "ping": "silent",
    "heartbeat": "silent",
}


_ARGS = ("args", "arguments", "input", "parameters")


def role(name: str | None, frame: dict[str, JSON]) -> str | None:
    """What a named event is for, or None if its name says nothing to us."""
    kind = frame.get("type")
    for word in (name, kind):
        if isinstance(word, str):
            found = _NAMED.get(word.lower())
            if found:
                return found
    if not frame.keys().isdisjoint(_ARGS) and _first(frame, *_TOOL_NAMES):
        return "tool_start"
    if not frame.keys().isdisjoint(_RESULTS) and _first(frame, *_TOOL_IDS):
        return "tool_end"
    return None


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
}
_TOOL_NAMES = ("tool", "tool_name", "toolName")
_TOOL_IDS = ("tool_call_id", "toolCallId", "tool_use_id", "toolUseId", "call_id")
_RESULTS = ("toolResult", "tool_result")


def read(answer: Assembly, role: str, frame: dict[str, JSON]) -> bool:
    """One event named by hand; false if it is not of the shape its name promises."""
    tool = _first(frame, *_TOOL_NAMES, "name")
    id = _first(frame, *_TOOL_IDS, "id")
    match role:
        case "custom":
            answer.custom(frame, content=False)
            return True
        case "error":
            raise InBandError("an error event in its stream")
        case "thinking":
            said = text_of(frame) or thought(frame)
            answer.thinking.plain(said, "thinking")
            return bool(said)
        case "tool_start" if tool:
            args: JSON = next((frame[name] for name in _ARGS if name in frame), {})
            answer.tools.whole("named", id, tool, args)
            return True
        case "tool_end" if tool or id:
            wrong = frame.get("error")
            names = ("result", "output", "content", *_RESULTS)
            value = next((frame[name] for name in names if name in frame), None)
            failed = bool(wrong) or frame.get("status") == "error"
            text = as_text(wrong if wrong and wrong is not True else value)
            answer.tools.result(id, tool, None if failed else text, text if failed else None)
            return True
        case "end":
            answer.text.whole(text_of(frame) or "", "end")
            return True
        case "done":
            answer.use_total(frame.get("usage"))
            answer.text.whole(text_of({key: frame.get(key) for key in _LAST_KEYS}) or "", "end")
            return True
        case "silent":
            return not text_of(frame)
    return False


_LAST_KEYS = ("content", "text", "output", "result", "response", "answer")
"""Where a last frame has the answer once more; its `message` is about the stream."""


def _first(frame: dict[str, JSON], *names: str) -> str | None:
    for name in names:
        value = frame.get(name)
        if isinstance(value, str) and value:
            return value
    return None
