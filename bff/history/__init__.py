"""What the service asks of a history of conversations, and the choice of one.

A history is written once per run, when the run ends, and read by `GET /v1/sessions`. Everything in
it lies inside one owner (a principal's digest): there is no call that reaches across.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

Item = TypeVar("Item", covariant=True)

TITLE_CHARACTERS = 80
"""A title is the first message's first characters until the client sets one."""


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
    agent_session_id: str = ""
    """The id the agent knows the session by (AgentCore Memory is keyed by it)."""


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
    """Conversations by owner and session. Unreachable: `Overloaded` is raised, within 5 s."""

    async def add(self, owner: str, turn: Turn) -> None:
        """Write a turn; writing the same run again changes nothing."""
        ...

    async def sessions(self, owner: str, *, limit: int, after: str | None = None) -> Page[Session]:
        """The owner's sessions, last used first.

        `after` is a page's `next`; anything else raises `ValueError`.
        """
        ...

    async def messages(
        self, owner: str, session_id: str, *, limit: int, after: str | None = None
    ) -> tuple[Session, Page[StoredMessage]] | None:
        """A session and its messages, oldest first; None if the owner has no such session."""
        ...

    async def rename(self, owner: str, session_id: str, title: str) -> Session | None:
        """Set a title; None if the owner has no such session."""
        ...

    async def delete(self, owner: str, session_id: str) -> bool:
        """Forget a session; False if the owner has none of that name."""
        ...

    async def ping(self) -> None:
        """Return if the history can be used; raise a `Problem` if not."""
        ...
