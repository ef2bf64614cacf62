"""Answers in envelopes of somebody's own: the one member that holds the text, however deep.

`{"chat": {"answer": "Hi"}}` has one text, and what stands around it only labels it. An object with
more than that is a typed answer, which stays the JSON it is.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bff.agents.dialects import langchain, untyped
from bff.events import JSON

_DEEPEST = 5
_OTHERS = re.compile(
    r"user|human|input|prompt|query|question|request|tool|source|citation|reference|document|page"
    r"|context|memor|trace|log|step|meta|config|usage|example|search|retriev|progress|status|event",
    re.IGNORECASE,
)
"""Members that hold what somebody else said, or news."""
_SCORES = frozenset({"confidence", "score", "relevance", "probability", "rank", "count", "total"})


class Found(NamedTuple):
    """Where the text is, what has it, and whether that is a conversation."""

    path: tuple[str, ...]
    value: JSON
    messages: bool


def find(frame: dict[str, JSON], deepest: int = _DEEPEST) -> Found | None:
    """The one member that tells something; None if none does, or more than one."""
    found: Found | None = None
    for key, value in frame.items():
        if isinstance(value, str) and value and not untyped.is_label(key):
            return None  # a text beside it that no envelope has
        inner = _found(key, value, deepest)
        if inner is not None:
            if found is not None:
                return None
            found = inner
    return found


def _found(key: str, value: JSON, deepest: int) -> Found | None:
    if not value or _OTHERS.search(key):
        return None
    match value:
        case dict() if untyped.whose(value):
            named = untyped.text_key(value)
            if named is not None:
                return Found((key,), value, messages=False) if _is_clean(value, named) else None
            inner = find(value, deepest - 1) if deepest else None
            return None if inner is None else inner._replace(path=(key, *inner.path))
        case list() if langchain.are_messages(value) and any(map(_is_answer, value)):
            return Found((key,), value, messages=True)
    return None


def _is_clean(value: dict[str, JSON], key: str) -> bool:
    """Whether what stands beside a text only labels it."""
    return all(
        name == key
        or member is None
        or isinstance(member, bool | dict | list)
        or untyped.is_label(name)
        or untyped.plain_name(name) in _SCORES
        for name, member in value.items()
    )


def _is_answer(message: JSON) -> bool:
    role = message.get("role", message.get("type"))
    return untyped.is_assistant(role) and bool(message.get("content"))


def without(frame: dict[str, JSON], path: tuple[str, ...]) -> dict[str, JSON]:
    """The frame without what stands there."""
    key, *rest = path
    inner = frame[key]
    left = {name: value for name, value in frame.items() if name != key}
    if rest and isinstance(inner, dict):
        kept = untyped.beside(without(inner, tuple(rest)), "")
        if kept:
            left[key] = kept
    return left
