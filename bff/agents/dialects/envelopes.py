"""Frames in envelopes of somebody's own: `{"type": "chunk", "data": FRAME, "session_id": …}`.

Whoever passes on what a framework streams often puts each frame into an object of his own. Nothing
but labels stands beside it there, and the name he gives it says no more than that it is a piece.
"""

from __future__ import annotations

from bff.agents.dialects import genkit, langchain, langgraph, strands, untyped
from bff.agents.dialects.assembly import Assembly, Known
from bff.agents.dialects.event_names import role_of
from bff.agents.dialects.failures import is_only_error
from bff.agents.dialects.fields import words
from bff.events import JSON

_HOLDERS = words("data event chunk payload item update frame state values")
_HOLDERS_OF_LISTS = _HOLDERS | words("output result response value body message content")
"""Of objects, what stands under these is read elsewhere."""
_STATES = words("state values")
_MOST_MEMBERS = 6
_PIECES = frozenset({None, "text", "start"})


def inner(frame: dict[str, JSON], known: Known, deepest: int = 3) -> JSON:
    """The one frame that an object holds, perhaps in another envelope; None if it holds none, or
    says more than that."""
    if len(frame) > _MOST_MEMBERS or not deepest:
        return None
    found: JSON = None
    for key, value in frame.items():
        kind = type(value)
        if kind is dict or kind is list:
            if found is not None or key not in (_HOLDERS if kind is dict else _HOLDERS_OF_LISTS):
                return None
            found = value
        elif kind is str and not untyped.is_label(key):
            return None
    if found is None or role_of(untyped.kind_of(frame)) not in _PIECES:
        return None
    if is_frame(found, known):
        return found
    return found if isinstance(found, dict) and inner(found, known, deepest - 1) else None


def read(answer: Assembly, frame: dict[str, JSON], held: JSON, name: str | None) -> None:
    """What an envelope holds, which may say beside it who speaks."""
    who = untyped.speaker(frame)
    if who is None or not _STATES.isdisjoint(frame.keys()):  # a state holds what all have said
        answer.read(held, name)
    else:
        answer.speak(who, held, lambda value: answer.read(value, name), announced=False)


def is_frame(value: JSON, known: Known) -> bool:
    """Whether a value is what a framework streams, not JSON that somebody asked for."""
    if isinstance(value, list):
        return is_tuple(value) or genkit.are_parts(value)
    return isinstance(value, dict) and (known(value) or is_only_error(value))


def are_frames(items: list[JSON], known: Known) -> bool:
    """Whether a list is what would have been a stream, though not all of it may be known."""
    if not all(isinstance(item, dict | list) for item in items):
        return False
    is_known = [is_tuple(item) or (isinstance(item, dict) and known(item)) for item in items]
    return any(is_known) and (
        all(is_known)
        or all(
            (isinstance(item, dict) and isinstance(item.get("role"), str)) or found
            for item, found in zip(items, is_known, strict=True)
        )
        or any(found and _is_named(item) for item, found in zip(items, is_known, strict=True))
    )


def _is_named(item: JSON) -> bool:
    return isinstance(item, list) or (
        isinstance(item.get("type"), str)
        or isinstance(item.get("event"), str | dict)
        or strands.speaks(item)
    )


def is_tuple(value: JSON) -> bool:
    """Whether this is what LangGraph streams as a tuple: with its mode, or a token's metadata."""
    if not isinstance(value, list):
        return False
    match langgraph.stream_item(value):
        case _, dict() | list():
            return True
    match value:
        case [dict(message), dict(metadata)] if "type" not in metadata:
            return langchain.is_message(langchain.unwrapped(message))
    return False
