"""What the service asks of a history of conversations, and the choice of one.

A history is written once per run, when the run ends, and read by `GET /v1/sessions`. It also knows
what the next request asks for and the run's log forgets: which session a transcript belongs to, and
which questions are open. Everything in it lies inside one owner (a principal's digest): there is no
call that reaches across.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import field
from typing import Any, Generic, Literal, Protocol, TypeVar, assert_never

from bff.events import JSON
from bff.frozen import dataclass
from bff.settings import (
    DEFAULT_AGENT,
    DynamoHistory,
    MemoryHistory,
    Settings,
    SqliteHistory,
    needing,
)

Item = TypeVar("Item", covariant=True)

TITLE_CHARACTERS = 80
"""A title is the first message's first characters until the client sets one."""
MAX_FORK_TURNS = 1000
"""A fork shares so many turns at most, the newest ones."""
CALL_TIMEOUT_SECONDS = 5.0
"""The longest that any call of a history takes; then it is `Overloaded`."""

Derive = Callable[[str, str], str]
"""From an owner and a client's session id to the id the agent knows the session by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One run as the history keeps it: what was asked and what was answered.

    Times are seconds since 1970.
    """

    run_id: str
    session_id: str
    agent: str = DEFAULT_AGENT
    message: str = field(repr=False)
    """What the user said, as text; where the run answered questions, the answers as text."""
    parts: Sequence[JSON] = field(default=(), repr=False)
    """The message's parts where there is more than text: the contract's JSON, files by id."""
    answer: str = field(repr=False)
    answer_parts: Sequence[JSON] = field(default=(), repr=False)
    """Files and sources the agent gave; a source is `{"type": "source", "url", "title"?}`."""
    status: str
    """`complete`, `cancelled`, `failed`, `input_required` or `interrupted`."""
    asked_at: float
    answered_at: float
    tool_calls: Sequence[dict[str, Any]] = field(default=(), repr=False)
    inputs: Sequence[JSON] = field(default=(), repr=False)
    """The questions it leaves open, as `events.input_fields` writes them."""
    continues: str | None = None
    """The run, the first of a chain, whose questions this one answered."""
    points: Sequence[str] = ()
    """Digests of what the transcript is after this turn; the first is the session's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkedFrom:
    """Where a session branches off from another."""

    session_id: str
    run_id: str | None
    """The last run that both share; None: it branches off before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    session_id: str
    title: str
    created_at: float
    updated_at: float
    agent: str = DEFAULT_AGENT
    inputs: Sequence[JSON] = field(default=(), repr=False)
    """The open questions, in order."""
    claimed_by: str | None = None
    """The run that took the last questions that were taken."""
    forked_from: ForkedFrom | None = None
    last_run_id: str | None = None
    """The newest run of its own, never one that it was begun with; None if it is forgotten."""
    point: str | None = None
    """The digest of the transcript as it stands; None if it is not known."""
    branch: str | None = None
    """The newest branch that goes by this session's name, to be followed once and no further."""
    told: bool = True
    """False while it has a transcript that its agent has not been given yet."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    role: Literal["user", "assistant"]
    content: str = field(repr=False)
    run_id: str
    created_at: float
    status: str | None = None
    tool_calls: Sequence[dict[str, Any]] = field(default=(), repr=False)
    parts: Sequence[JSON] = field(default=(), repr=False)
    continues: str | None = None


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

        The first turn makes the session, its title and its agent; a later one never moves it back
        in time. Unless a newer turn is there already, the session's `inputs`, `last_run_id` and
        `point` become the turn's; it counts as `told` once a turn did not fail. `find` finds the
        turn by each of its points.
        """
        ...

    async def session(self, owner: str, session_id: str) -> Session | None:
        """A session as the last write left it, in one read; None if the owner has none."""
        ...

    async def find(self, owner: str, points: Sequence[str]) -> tuple[Session, str] | None:
        """The session and the run of the first of the points that a session of the owner's has.

        The session is as `session` gives it. Where several have the point: one that still stands
        there, else the newest run.
        """
        ...

    async def begin(
        self,
        owner: str,
        session: Session,
        turns: Sequence[Turn] = (),
        *,
        branch_of: str | None = None,
    ) -> None:
        """Make a session that begins with a transcript; if there is one already, nothing changes.

        It is not `told`, nothing is open in it, and `find` finds none of its turns. It becomes the
        `branch` of the session `branch_of`; if there is none, or none any longer, nothing is begun.
        """
        ...

    async def branches(self, owner: str, name: str) -> Sequence[str]:
        """The sessions that were begun as branches of that name, and are there, oldest first.

        Those too of a session of that name that is deleted itself.
        """
        ...

    async def fork_turns(
        self, owner: str, session_id: str, run_id: str | None
    ) -> Sequence[Turn] | None:
        """A session's turns up to and with a run, oldest first, for `begin`; none for run None.

        None if the owner has no such session, or it no such run. Of a long session the oldest turns
        are left out: at most `MAX_FORK_TURNS` and about as much text as a page takes.
        """
        ...

    async def claim(
        self, owner: str, session_id: str, run_id: str, input_ids: Sequence[str]
    ) -> bool:
        """Take the open questions for a run that brings the answers.

        True if exactly these were open: then none are, for everybody. True as well if this run has
        taken them before. Of several that try at once, on whatever task, one gets True.
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

        It is gone for every reader when this returns, with its points, who took its questions and
        its name for a branch, though sweeping up may take longer. The name used again is a new
        session. If it was the `branch` of another, the newest of that one's branches left is; its
        own branches stay.
        """
        ...

    async def forget(self, owner: str, session_id: str, run_id: str) -> bool:
        """Remove one turn from a session; False if the session has none of that run.

        It is gone for every reader when this returns, with its points and the questions that it
        left open; written again, it stays so as long as the session lives. A title that was made
        of its message is made of the oldest message that is left. If it was the last, `last_run_id`
        is None and `point` stays: the agent still remembers it, so whoever goes on from an earlier
        run branches off. With its only turn the session is deleted. Copies that other sessions were
        begun with are theirs.
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
