"""How a history is cut into pages: titles, positions and the order of messages.

Every history keeps turns; clients read messages, two to a turn. A position says after which item a
page ended, in the history's own terms; the API wraps it so that nobody else can make one, and what
is read back is still checked here, since a position is input.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from bff.events import well_formed
from bff.history import MAX_FORK_TURNS, TITLE_CHARACTERS, Page, StoredMessage, Turn
from bff.messages import question_in

PAGE_CHARACTERS = 8 * 1024 * 1024
"""A page of messages ends early rather than hold much more text than this."""


def first_title(message: str) -> str:
    """The first characters of a first message, not cut between a letter and what belongs to it."""
    text = well_formed(question_in(message))
    end = TITLE_CHARACTERS
    if len(text) > end:
        while end and _joined(text[end - 1], text[end]):
            end -= 1
    return text[: end or TITLE_CHARACTERS]


def _joined(before: str, after: str) -> bool:
    """Whether a reader sees both as one character: accents, emoji sequences and their colours."""
    return (
        unicodedata.category(after) in ("Mn", "Me", "Mc")
        or "\u200d" in (before, after)
        or "\U0001f3fb" <= after <= "\U0001f3ff"
    )


def position(*parts: float | str) -> str:
    return json.dumps(parts, separators=(",", ":"))


def read_position(text: str, *kinds: type) -> Any:
    """The parts of a position, each of the kind given; raises `ValueError` for anything else."""
    try:
        parts = json.loads(text)
    except RecursionError:
        raise ValueError("not a position") from None
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise ValueError("not a position")
    for part in parts:
        if isinstance(part, float) and not math.isfinite(part):
            raise ValueError("not a position")
        if isinstance(part, str) and (len(part) > 300 or not part.isprintable()):
            raise ValueError("not a position")
    return tuple(parts)


def read_message_position(after: str | None) -> tuple[float, str, int]:
    """A group's time and id and which of its messages; with nothing to go on from, before all."""
    if after is None:
        return (-math.inf, "", 0)
    at, id, index = read_position(after, float, str, int)
    if index < 0:
        raise ValueError("not a position")
    return at, id, index


def messages_of(turn: Turn) -> tuple[StoredMessage, StoredMessage]:
    return (
        StoredMessage(
            "user",
            turn.message,
            turn.run_id,
            turn.asked_at,
            parts=turn.parts,
            continues=turn.continues,
        ),
        StoredMessage(
            "assistant",
            turn.answer,
            turn.run_id,
            turn.answered_at,
            turn.status,
            turn.tool_calls,
            turn.answer_parts,
            turn.continues,
        ),
    )


def newest_that_fit(newest_first: Iterable[Turn]) -> Sequence[Turn]:
    """The turns that a fork begins with, oldest first; the first of them fits in any case."""
    turns: list[Turn] = []
    characters = 0
    for turn in newest_first:
        characters += sum(map(_characters, messages_of(turn)))
        if turns and characters > PAGE_CHARACTERS:
            break
        turns.append(turn)
        if len(turns) == MAX_FORK_TURNS:
            break
    return turns[::-1]


def _characters(message: StoredMessage) -> int:
    more = (*message.tool_calls, *message.parts)
    return len(message.content) + (len(str(more)) if more else 0)


class MessagePage:
    """A page in the making: groups of messages are offered in order until it is full.

    A group (a turn, say) has a time and an id, which order it among the others.
    """

    def __init__(self, *, limit: int, after: str | None) -> None:
        self._limit = limit
        self._start = read_message_position(after)
        self._items: list[StoredMessage] = []
        self._characters = 0
        self._last: str | None = None
        self._more = False

    def offer(self, at: float, id: str, messages: Sequence[StoredMessage]) -> bool:
        """Take what fits; false if the page is full and there is more."""
        for index, message in enumerate(messages):
            if (at, id, index) <= self._start:
                continue
            if len(self._items) == self._limit or self._characters > PAGE_CHARACTERS:
                self._more = True
                return False
            self._items.append(message)
            self._characters += _characters(message)
            self._last = position(float(at), id, index)
        return True

    def page(self) -> Page[StoredMessage]:
        return Page(self._items, self._last if self._more else None)
