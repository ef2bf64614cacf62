"""How a history is cut into pages: titles, positions and the order of messages.

Every history keeps turns; clients read messages, two to a turn. A position says after which item a
page ended, in the history's own terms; the API wraps it so that nobody else can make one, and what
is read back is still checked here, since a position is input.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable
from typing import Any

from bff.events import well_formed
from bff.history import TITLE_CHARACTERS, Page, StoredMessage, Turn

PAGE_CHARACTERS = 8 * 1024 * 1024
"""A page of messages ends early rather than hold much more text than this."""


def first_title(message: str) -> str:
    """The first characters of a first message, not cut between a letter and what belongs to it."""
    text = well_formed(message)
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


def message_position(turn: Turn, index: int) -> str:
    return position(float(turn.asked_at), turn.run_id, index)


def read_message_position(after: str | None) -> tuple[float, str, int]:
    """When its turn was asked, the turn's run, and which of its messages; starts before all."""
    if after is None:
        return (-math.inf, "", 0)
    asked_at, run_id, index = read_position(after, float, str, int)
    if index not in (0, 1):
        raise ValueError("not a position")
    return asked_at, run_id, index


def messages_of(turn: Turn) -> tuple[StoredMessage, StoredMessage]:
    return (
        StoredMessage("user", turn.message, turn.run_id, turn.asked_at),
        StoredMessage(
            "assistant", turn.answer, turn.run_id, turn.answered_at, turn.status, turn.tool_calls
        ),
    )


def page_of_messages(
    turns: Iterable[Turn], *, limit: int, after: str | None
) -> Page[StoredMessage]:
    """A page from turns that are in order and begin with the one `after` names, if it is there.

    No more turns are taken than the page needs.
    """
    start = read_message_position(after)
    items: list[StoredMessage] = []
    characters = 0
    last = None
    for turn in turns:
        for index, message in enumerate(messages_of(turn)):
            if (turn.asked_at, turn.run_id, index) <= start:
                continue
            if last is not None and (len(items) == limit or characters > PAGE_CHARACTERS):
                return Page(items, last)
            items.append(message)
            characters += len(message.content) + len(str(message.tool_calls))
            last = message_position(turn, index)
    return Page(items)
