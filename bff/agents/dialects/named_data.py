"""What an event named by hand carries that is no object: a text, a number, a list."""

from __future__ import annotations

from bff.agents.dialects import named_events
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.fields import words
from bff.agents.dialects.untyped import text_key
from bff.agents.json_values import parse
from bff.events import JSON


def say(answer: Assembly, name: str | None, text: str) -> None:
    """A string that holds no frame."""
    if name is not None and read_text(answer, name, text):
        return
    if not text or text in _ENDS:
        return
    if answer.strings is None and not text.isspace():
        answer.strings = "text"
        answer.dialects.add("strings")
    answer.text.plain(text, name or "string")


_ENDS = ("[DONE]", "__DONE__")
"""Strings that say no more than that the stream has ended."""


def read_text(answer: Assembly, name: str, text: str) -> bool:
    """A string, or a number as one; false if the name does not say what it is."""
    role = named_events.role(name, {})
    inner = parse(text) if role in _OBJECTS and text[:1] == "{" else None
    if isinstance(inner, dict):  # JSON in a string
        if role not in ("end", "done") or answer.speakers.heard or text_key(inner):
            answer.read(inner, name)
        else:
            answer.text.last(text, "end")  # a typed answer
        return True
    match role:
        case "error":
            raise InBandError("an error event in its stream")
        case "thinking":
            answer.thinking.plain(text, "thinking")
        case "silent" | "theirs":
            pass
        case "custom":
            answer.custom({"event": name, "data": text}, name, content=False)
        case "end" | "done" if text != "[DONE]":
            answer.text.last(text, "end")
        case "tool" | "tool_start" | "tool_end" if text:
            return named_events.read(answer, role, {"event": name, "data": text}, name)
        case "final" if text:
            answer.text.plain(text, "final")
        case _:
            return False
    return True


_OBJECTS = words(
    "custom start done end tool tool_start tool_open tool_piece tool_close tool_end asks"
)
"""What events are for that have fields."""


def read_list(answer: Assembly, name: str, items: list[JSON]) -> bool:
    """A list that is the data of a named event, where the name says what it is a list of."""
    role = named_events.role(name, {})
    match role:
        case "custom" | "theirs" | "silent" | "start":
            return named_events.read(answer, role, {"event": name, "data": items}, name)
        case "tool" | "tool_start" | "tool_end":
            if not named_events.read(answer, role, {"tool_calls": items}, name):
                answer.custom(items, name, content=False)
            return True
    return False
