"""What agents say without a framework's events: strings, objects with a text in them, errors.

Also events named by hand, as LangGraphAgentCore names them (`TOOL_CALL`, `LLM_RESPONSE`, …) and as
this service does (`message`, `tool_start`, …): the name is the SSE event's or the object's `type`.
"""

from __future__ import annotations

import re

from bff.agents.dialects.answer import Answer, InBandError
from bff.agents.dialects.langchain import thought
from bff.agents.dialects.tools import as_text
from bff.agents.frames import EventStream, Frame
from bff.events import JSON

TEXT_KEYS = (
    "content",
    "text",
    "data",
    "output",
    "result",
    "response",
    "message",
    "answer",
    "output_text",
    "completion",
    "token",
    "chunk",
    "delta",
)
_BESIDE = frozenset(
    {
        "additional_kwargs",
        "response_metadata",
        "metadata",
        "usage",
        "usage_metadata",
        "metrics",
        "delta",
        "stop_reason",
        "stopReason",
    }
)
"""What stands beside a text and says nothing a client needs."""

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
    return None


def read_named(answer: Answer, role: str, frame: dict[str, JSON]) -> bool:
    """One event named by hand; false if it is not of the shape its name promises."""
    tool = _first(frame, "tool", "tool_name", "toolName", "name")
    id = _first(frame, "id", "tool_call_id", "toolCallId", "tool_use_id", "toolUseId", "call_id")
    match role:
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
            value = next((frame[k] for k in ("result", "output", "content") if k in frame), None)
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


def is_error(frame: dict[str, JSON]) -> str | None:
    """What kind of error an object reports, in words fit for a log; None if it reports none."""
    wrong = frame.get("error")
    if wrong and not isinstance(wrong, int | float):
        kind = frame.get("error_type")
        named = isinstance(kind, str) and re.fullmatch(r"[A-Za-z_][\w.]{0,63}", kind)
        return f"an in-band error ({kind})" if named else "an in-band error"
    if wrong is True or frame.get("status") in ("error", "failed"):
        return "an in-band error (status)"
    return None


def text_of(value: JSON) -> str | None:
    """The text an object, a block or a list of blocks carries, or None."""
    match value:
        case str():
            return value
        case bool() | None:
            return None
        case int() | float():
            return str(value)
        case list():
            texts = [text_of(item) for item in value if isinstance(item, str | dict)]
            found = [text for text in texts if text is not None]
            return "".join(found) if found and len(found) == len(value) else None
        case dict():
            if value.get("role", "assistant") not in ("assistant", "ai", "model"):
                return None
            for key in TEXT_KEYS:
                found_text = text_of(value.get(key))
                if found_text is not None:
                    return found_text
    return None


def thought_of(frame: dict[str, JSON]) -> str | None:
    """The reasoning an object carries under a key of its own, beside its text or without one."""
    for key in ("thinking", "reasoning", "reasoning_content", "thought"):
        if isinstance(frame.get(key), str):
            return str(frame[key])
    return None


def text_key(frame: dict[str, JSON]) -> str | None:
    """The key under which an object carries its text."""
    kind = frame.get("type")
    if isinstance(kind, str) and kind.startswith("response.") and "output_text.delta" not in kind:
        return None  # OpenAI's other deltas are no text
    for key in TEXT_KEYS:
        if key in frame and text_of(frame[key]) is not None:
            return key
    return None


def beside(frame: dict[str, JSON], key: str) -> dict[str, JSON]:
    """What an object says beside its text: lists and objects, such as sources."""
    return {
        name: value
        for name, value in frame.items()
        if name != key and name not in _BESIDE and isinstance(value, dict | list) and value
    }


_FIELDS = ("event:", "data:", "id:", "retry:", ":")


def inner_events(text: str) -> list[Frame] | None:
    """The frames of server-sent events inside a string, or None if it holds none."""
    if not text.startswith(_FIELDS):
        return None
    if not all(not line or line.startswith(_FIELDS) for line in re.split("\r?\n", text)):
        return None
    if all(not line or line.startswith(":") for line in text.split("\n")) and "\n" in text:
        return []  # a comment: some send it to keep the stream alive
    reader = EventStream()
    frames = reader.feed(text.encode("utf-8", "surrogatepass"))
    if frames:
        return frames + reader.end()
    # without the blank line that ends an event it must be more than a word with a colon
    frames = reader.feed(b"\n\n")
    return frames if any(f.name or isinstance(f.value, dict) for f in frames) else None


_EVENT_KEYS = (
    "data|event|delta|init_event_loop|start|start_event_loop|message|messages|result|"
    "current_tool_use|agent|event_loop_cycle_id|type|complete|force_stop|reasoningText|reasoning|"
    "tool_stream_event|content|callback|model|stop"
)
_REPR = re.compile(rf"\{{'(?:{_EVENT_KEYS})': .*\}}\s*", re.DOTALL)
_OBJECTS = re.compile(
    r"[\[({<].*(?: object at 0x[0-9a-f]+>|(?:Message|MessageChunk|AgentResult|Event)\([a-z_]+=)"
    r".*[\])}>]\s*|[\[(]?\(?<[\w.]+ object at 0x[0-9a-f]+>.*",
    re.DOTALL,
)
_PRINTED = re.compile(
    r"(?:AIMessage|AIMessageChunk|HumanMessage|SystemMessage|ToolMessage|AgentResult|[A-Z]\w+Event)"
    r"\(\w+=.*\)\s*|content=(?:'|\"|\[).* (?:additional_kwargs|response_metadata|id|name)=.*",
    re.DOTALL,
)
_BYTES = re.compile(r"b'.*'|b\".*\"", re.DOTALL)


def is_junk(text: str) -> bool:
    """Whether a string is Python's print of an event, a message, an object or bytes."""
    match text[:1]:
        case "{":
            return bool(_REPR.fullmatch(text) or _OBJECTS.fullmatch(text))
        case "<" | "(" | "[":
            return bool(_OBJECTS.fullmatch(text))
        case "b":
            return bool(_BYTES.fullmatch(text))
        case "c" | "":
            return bool(_PRINTED.fullmatch(text))
        case first if first.isupper():
            return bool(_PRINTED.fullmatch(text))
    return False


def _first(frame: dict[str, JSON], *names: str) -> str | None:
    for name in names:
        value = frame.get(name)
        if isinstance(value, str) and value:
            return value
    return None
