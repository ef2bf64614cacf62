"""What the service asks of a history of conversations, and the choice of one.

A history is written once per run, when the run ends, and read by `GET /v1/sessions`. Everything in
it lies inside one owner (a principal's digest): there is no call that reaches across.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar, assert_never

from bff.settings import DynamoHistory, MemoryHistory, Settings, SqliteHistory, needing

Item = TypeVar("Item", covariant=True)

TITLE_CHARACTERS = 80
"""A title is the first message's first characters until the client sets one."""
CALL_TIMEOUT_SECONDS = 5.0
"""The longest that any call of a history takes; then it is `Overloaded`."""

Derive = Callable[[str, str], str]
"""From an owner and a client's session id to the id the agent knows the session by."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One run as the history keeps it: question and answer. Times are seconds since 1970."""

    run_id: str
    session_id: str
    message: str = field(repr=False)
    answer: str = field(repr=False)
    status: str
    asked_at: float
    answered_at: float
    tool_calls: Sequence[dict[str, Any]] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    session_id: str
    title: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class StoredMessage:
    role: Literal["user", "assistant"]
    content: str = field(repr=False)
    run_id: str
    created_at: float
    status: str | None = None
    tool_calls: Sequence[dict[str, Any]] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items and where to go on: `next` is a position of the history's own, None at the end."""

    items: Sequence[Item]
    next: str | None = None


class History(Protocol):
    """Conversations by owner and session. Unreachable: `Overloaded` is raised, within 5 s.

    A caller that is cancelled never leaves half a turn behind.
    """

    async def add(self, owner: str, turn: Turn) -> None:
        """Write a turn; writing the same run again changes nothing.

        The first turn makes the session and its title; a later one never moves it back in time.
        """
        ...

    async def sessions(self, owner: str, *, limit: int, after: str | None = None) -> Page[Session]:
        """The owner's sessions, last used first.

        `after` is a page's `next`; anything else raises `ValueError`.
        """
        ...

    async def messages(
        self, owner: str, session_id: str, *, limit: int, after: str | None = None
    ) -> tuple[Session, Page[StoredMessage]] | None:
        """A session and its messages, oldest first; None if the owner has no such session.

        A page may be shorter than `limit` although there is a `next`. `after` as above.
        """
        ...

    async def rename(self, owner: str, session_id: str, title: str) -> Session | None:
        """Set a title; None if the owner has no such session."""
        ...

    async def delete(self, owner: str, session_id: str) -> bool:
        """Forget a session; False if the owner has none of that name.

        It is gone for every reader when this returns, though sweeping up may take longer. The name
        used again is a new session.
        """
        ...

    async def ping(self) -> None:
        """Return if the history can be used; raise a `Problem` if not."""
        ...


@asynccontextmanager
async def open_history(settings: Settings, *, derive: Derive) -> AsyncIterator[History]:
    """The history the settings name; leaving it waits for what it still has to write.

    Raises `SettingsError` if `HISTORY` names something that cannot be one.
    """
    match settings.history:
        case SqliteHistory(path):
            from bff.history.sqlite import open_sqlite

            async with open_sqlite(path) as sqlite:
                yield sqlite
        case DynamoHistory(table):
            with needing("HISTORY", "aws"):
                from bff.history.dynamodb import open_dynamodb

            async with open_dynamodb(table, region=settings.aws_region) as dynamodb:
                yield dynamodb
        case MemoryHistory(memory_id, write):
            with needing("HISTORY", "aws"):
                from bff.history.agentcore import open_memory

            async with open_memory(
                memory_id, region=settings.aws_region, write=write, derive=derive
            ) as memory:
                yield memory
        case never:
            assert_never(never)
