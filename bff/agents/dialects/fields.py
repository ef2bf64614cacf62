"""Fields of a frame as what they ought to be, since any agent may put anything there."""

from __future__ import annotations

from bff.events import JSON


def items(value: JSON) -> list[JSON]:
    """The members of a list; none where it is none."""
    return value if isinstance(value, list) else []


def words(text: str) -> frozenset[str]:
    """A set of names, written as one reads them."""
    return frozenset(text.split())


def word(value: JSON) -> str | None:
    """A field's text, or None where it has none."""
    return value if isinstance(value, str) and value else None


def first_word(frame: JSON, *names: str) -> str | None:
    """The first of these fields that has a text."""
    for name in names:
        value = frame.get(name)
        if isinstance(value, str) and value:
            return value
    return None
