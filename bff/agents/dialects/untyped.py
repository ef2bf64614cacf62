"""What agents say without a framework: strings, objects with a text in them, errors, junk."""

from __future__ import annotations

import re

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


def is_error(frame: dict[str, JSON]) -> str | None:
    """What kind of error an object reports, in words fit for a log; None if it reports none."""
    wrong = frame.get("error")
    if wrong and not isinstance(wrong, int | float):
        kind = frame.get("error_type")
        named = isinstance(kind, str) and re.fullmatch(r"[A-Za-z_][\w.]{0,63}", kind)
        return f"an in-band error ({kind})" if named else "an in-band error"
    if wrong is True or (
        frame.get("status") in ("error", "failed") and _PARTS.isdisjoint(frame.keys())
    ):
        return "an in-band error (status)"
    return None


_PARTS = frozenset({"tool", "tool_name", "toolName", "step", "task", "node", "attempt"})
"""An object that names one of these reports about that part; the run may well go on."""


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
            texts = [_block_text(item) for item in value]
            found = [text for text in texts if text is not None]
            return "".join(found) if found and len(found) == len(value) else None
        case dict():
            if value.get("role", "assistant") not in ("assistant", "ai", "model"):
                return None
            for key in TEXT_KEYS:
                inner = value.get(key)
                if key in _NO_NUMBERS and isinstance(inner, int | float):
                    continue
                found_text = text_of(inner)
                if found_text is not None:
                    return found_text
    return None


_NO_NUMBERS = frozenset({"data", "chunk", "delta"})


def _block_text(block: JSON) -> str | None:
    """The text of a content block; an object that has more than text is none."""
    match block:
        case str():
            return block
        case {"text": str(text), **rest} if rest.keys() <= _BLOCK_KEYS:
            return text
    return None


_BLOCK_KEYS = frozenset({"type", "index", "id", "annotations", "citations", "cache_control"})


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
        if key in frame and text_of({key: frame[key]}) is not None:
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
_COMMENT = re.compile(r"(?:: ?(?:keep-?alive|heartbeat|ping)[^\r\n]*(?:\r?\n){2})+", re.IGNORECASE)


def inner_events(text: str) -> list[Frame] | None:
    """The frames of server-sent events inside a string, or None if it holds none."""
    if not text.startswith(_FIELDS):
        return None
    if not all(not line or line.startswith(_FIELDS) for line in re.split("\r?\n", text)):
        return None
    if _COMMENT.fullmatch(text):
        return []  # some send it to keep the stream alive; a bare colon is a token of an answer
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
