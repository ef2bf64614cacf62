"""Events named by hand: the name is the SSE event's, or the object's `type`.

LangGraphAgentCore names them so (`TOOL_CALL`, `LLM_RESPONSE`, …; its source is
https://github.com/JKevinXu/LangGraphAgentCore), as do this service and many agents that use no
framework's events.
"""

from __future__ import annotations

import re

from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.langchain import thought
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.untyped import TEXT_KEYS, beside, is_error, plain_name, text_of
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
    "tool_error": "tool_end",
    "tool_output": "tool_end",
    "ping": "silent",
    "heartbeat": "silent",
    "keepalive": "silent",
    "keep-alive": "silent",
    "thought": "thinking",
    "agent_thought": "thinking",
    "thinking_delta": "thinking",
    "reasoning_delta": "thinking",
    "user": "theirs",
    "human": "theirs",
    "user_message": "theirs",
    "human_message": "theirs",
    "user_input": "theirs",
    "user_transcript": "theirs",
    "tool_status": "custom",
    "info": "custom",
    "warning": "custom",
    "notice": "custom",
    "notification": "custom",
    "redact": "redact",
    "redaction": "redact",
    "redacted": "redact",
    "message_replace": "redact",
    "content_replace": "redact",
    "guardrail_replacement": "redact",
}
_BY_LAST_WORD = {
    "start": "custom",
    "started": "custom",
    "begin": "custom",
    "status": "custom",
    "progress": "custom",
    "log": "custom",
    "debug": "custom",
    "trace": "custom",
    "failed": "custom",
    "error": "custom",
    "retry": "custom",
    "end": "done",
    "ended": "done",
    "done": "done",
    "complete": "done",
    "completed": "done",
    "finish": "done",
    "finished": "done",
}
"""What a name of several words is about, by its last: `node_started`, `step-failed`."""
_RUN_ENDS = frozenset({"run_failed", "run_error", "agent_failed", "agent_error", "fatal_error"})


_ARGS = (
    "args",
    "arguments",
    "input",
    "parameters",
    "tool_input",
    "toolInput",
    "tool_args",
    "tool_kwargs",
)


def role(name: str | None, frame: dict[str, JSON]) -> str | None:
    """What a named event is for, or None if its name says nothing to us."""
    kind = frame.get("type")
    for word in (name, kind):
        if isinstance(word, str):
            found = _named(word)
            if found:
                return found
    if not frame.keys().isdisjoint(_ARGS) and _first(frame, *_TOOL_NAMES):
        return "tool_start"
    if not frame.keys().isdisjoint(_RESULTS) and _first(frame, *_TOOL_IDS):
        return "tool_end"
    return None


def _named(word: str) -> str | None:
    word = word.lower()
    found = _NAMED.get(word)
    if found is None and word in _RUN_ENDS:
        return "error"
    if found is None and (parts := _WORDS.split(word)) and len(parts) > 1:
        found = _BY_LAST_WORD.get(parts[-1])
    return found


_WORDS = re.compile(r"[_.\-\s:]+")


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
_TOOL_NAMES = ("tool", "tool_name", "toolName")
_TOOL_IDS = ("tool_call_id", "toolCallId", "tool_use_id", "toolUseId", "call_id")
_FOUND = ("tool_output", "text", "data", "value", "message")
_RESULTS = ("toolResult", "tool_result")


def read(answer: Assembly, role: str, frame: dict[str, JSON]) -> bool:
    """One event named by hand; false if it is not of the shape its name promises."""
    tool = _first(frame, *_TOOL_NAMES, "name")
    id = _first(frame, *_TOOL_IDS, "id")
    match role:
        case "custom":
            answer.custom(frame, content=False)
        case "theirs":
            pass
        case "error":
            if is_error({"error": True, **frame}) is None:
                answer.custom(frame, content=False)
            else:
                raise InBandError("an error event in its stream")
        case "thinking":
            said = text_of(frame) or thought(frame)
            answer.thinking.plain(said, "thinking")
            return bool(said)
        case "redact" if text_of(frame):
            answer.pause()
            answer.redact(text_of(frame) or "")
            answer.text.whole(text_of(frame) or "", "redact")
        case "tool_start" if tool:
            args: JSON = next((frame[name] for name in _ARGS if name in frame), {})
            answer.tools.whole("named", id, tool, args)
        case "tool_end" if tool or id:
            wrong = frame.get("error")
            names = (
                "result",
                "output",
                "content",
                *_RESULTS,
                "tool_output",
                "text",
                "data",
                "value",
                "message",
            )
            value = next((frame[name] for name in names if name in frame), None)
            failed = bool(wrong) or frame.get("status") == "error" or _says_error(frame)
            text = as_text(wrong if wrong and wrong is not True else value)
            answer.tools.result(id, tool, None if failed else text, text if failed else None)
        case "end":
            answer.text.whole(text_of(frame) or "", "end")
        case "done":
            _read_done(answer, frame)
        case "silent":
            return not text_of(frame)
        case _:
            return False
    answer.dialects.add("named events")
    return True


def _says_error(frame: dict[str, JSON]) -> bool:
    kind = frame.get("type")
    return isinstance(kind, str) and kind.endswith("error")


def _read_done(answer: Assembly, frame: dict[str, JSON]) -> None:
    """A last frame may have the answer once more, or only; its `message` is about the stream."""
    answer.usage.set_total(frame.get("usage"))
    rest = {name: value for name, value in frame.items() if name != "message"}
    if "type" in rest and len(rest) > 1 and isinstance(rest.get("response"), dict | list):
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


def _first(frame: dict[str, JSON], *names: str) -> str | None:
    for name in names:
        value = frame.get(name)
        if isinstance(value, str) and value:
            return value
    return None
