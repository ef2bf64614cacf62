"""What the history has of a conversation, as messages for an agent that is to be told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from bff.errors import Overloaded
from bff.events import JSON
from bff.history import MAX_FORK_TURNS, History, Session, Turn
from bff.messages import ChatMessage, FileKind, Part, Role, TextPart, part_of

logger = logging.getLogger(__name__)

LOOKUP_SECONDS = 2.0
"""How long a message waits for the history to say which session it belongs to."""


async def everything_said(history: History, owner: str, session_id: str) -> tuple[ChatMessage, ...]:
    """What the history has of a session, for an agent that is to be told."""
    messages: list[ChatMessage] = []
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            after: str | None = None
            while found := await history.messages(owner, session_id, limit=_PAGE, after=after):
                for message in found[1].items:
                    if said := _stored(message.role, message.content, message.parts):
                        messages.append(said)
                after = found[1].next
                if after is None or len(messages) >= MAX_FORK_TURNS:
                    break
    except (Overloaded, TimeoutError):
        logger.warning("the history could not tell what was said in a session")
    return tuple(messages)


_PAGE = 200


async def last_run(history: History, owner: str, session: Session) -> str | None:
    """The run of the last turn that a session has, be it one that it was begun with."""
    last, after = session.last_run_id, None
    while last is None and (
        found := await history.messages(owner, session.session_id, limit=_PAGE, after=after)
    ):
        items, after = found[1].items, found[1].next
        if after is None:
            last = items[-1].run_id if items else None
            break
    return last


def said_in(turns: Sequence[Turn]) -> tuple[ChatMessage, ...]:
    """A history's turns as the messages of a conversation."""
    messages: list[ChatMessage | None] = []
    for turn in turns:
        messages += [
            _stored("user", turn.message, turn.parts),
            _stored("assistant", turn.answer, turn.answer_parts),
        ]
    return tuple(message for message in messages if message is not None)


def _stored(role: Role, text: str, parts: Iterable[Mapping[str, JSON]]) -> ChatMessage | None:
    """A message of the history: its text, which counts as its words, and its files."""
    files = [part_of(part) for part in parts if part["type"] in get_args(FileKind)]
    said: tuple[Part, ...] = (TextPart(text), *files) if text else tuple(files)
    return ChatMessage(role=role, parts=said) if said else None


def files_in(turns: Iterable[Turn]) -> tuple[str, ...]:
    """The ids of the files in turns of the history."""
    return tuple(
        part["source"]["value"]
        for turn in turns
        for part in (*turn.parts, *turn.answer_parts)
        if part.get("source", {}).get("type") == "file"
    )
