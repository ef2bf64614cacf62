"""Where a run's events live: the log that is written ahead of every delivery.

The protocol has two editions: one process's memory (`bff/runs/memory.py`), and the one that
several instances share (`bff/runs/valkey/`). Whatever must be decided in one step when a run begins
- is this idempotency key known, is the session free, has the owner a slot left - is decided by
`open`, so that no two requests can both win.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import ClassVar, Literal, Protocol

from bff.errors import NotFound, Overloaded, Problem
from bff.events import Done, Failed, Record
from bff.frozen import dataclass, replace
from bff.runs.request import Idempotency, RunRequest

Status = Literal["running", "complete", "cancelled", "failed", "input_required", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known of a run besides its events. Times are seconds since 1970."""

    run_id: str
    request: RunRequest
    created_at: float
    status: Status = "running"
    last_event_id: int = 0
    ended_at: float | None = None
    settled: bool = True
    """False while the run's owner may have delivered more than the log has, which was away."""

    @property
    def owner(self) -> str:
        return self.request.owner

    @property
    def session_id(self) -> str:
        return self.request.session_id

    def after(self, seen: int) -> int:
        """Where a client goes on that has seen event `seen`. Raises `ValueError` for no event.

        After an outage of the log a client may have seen events that are not in it yet: then
        `Overloaded` is raised until they are, or the end is told once more if they never will be.
        """
        if seen <= self.last_event_id:
            return seen
        if self.status == "interrupted":
            return self.last_event_id - 1
        if not self.settled:
            raise Overloaded(retry_after_seconds=1)
        raise ValueError(seen)

    def without_words(self) -> Run:
        """The run as its state tells of it: nothing that was said, asked or sent."""
        request = RunRequest(
            owner=self.owner,
            session_id=self.session_id,
            agent_session_id=self.request.agent_session_id,
            agent=self.request.agent,
            message="",
            request_id=self.request.request_id,
        )
        return replace(self, request=request)

    def ended_with(self, end: Record, ended_at: float) -> Run:
        """The run with that terminal record."""
        return replace(self, status=_status_of(end), last_event_id=end.id, ended_at=ended_at)

    def ended_by(self, problem: Problem) -> Failed:
        """The terminal event of a run that the problem has ended."""
        instance = f"/v1/runs/{self.run_id}"
        return Failed(problem.document(request_id=self.request.request_id, instance=instance))


def _status_of(end: Record) -> Status:
    """The status of a run with that terminal record."""
    match end.event:
        case Done(status):
            return status
        case Failed({"code": "interrupted"}):
            return "interrupted"
    return "failed"


class Superseded(Exception):
    """Another process has ended this run; its owner must not write any more."""


Take = Callable[[Sequence[Record]], bool]
"""Takes records in the moment they are added, without a wait; false if it cannot take them now."""


def key_of_forgotten() -> NotFound:
    """What is said to a request whose idempotency key began a run that was forgotten: nothing of
    that run, and the agent is not called again for it."""
    return NotFound.of("Idempotency-Key", "began a run that has been deleted; send another key")


class Owner(Protocol):
    """The process that owns runs, as the log sees it. None of these may block."""

    def cancel_requested(self, run_id: str) -> None:
        """Somebody, on whichever instance, wants this run stopped."""
        ...

    def superseded(self, run_id: str) -> None:
        """This process no longer owns the run: abort it without another word."""
        ...

    def interrupted(self, run: Run) -> None:
        """The log has just ended a dead instance's run; its history is still to be written."""
        ...


class RunLog(Protocol):
    """The runs of all owners and their events. Every call is inside one owner."""

    at_once: ClassVar[bool]
    """None of its calls waits for anything but `follow`: none of them needs a task of its own."""

    def bind(self, owner: Owner) -> None:
        """Say whom to tell of cancels and losses; called once, before anything else."""
        ...

    async def open(
        self, run: Run, first: Record, *, idempotency: Idempotency | None, max_open: int
    ) -> Run:
        """Begin a run with its first event; returns `run`, or the earlier run of the same key.

        Raises `SessionBusy`, `TooManyStreams` (the owner has `max_open` open runs), `Invalid` (the
        key was used with another body), `NotFound` (its run was forgotten), `Overloaded` (no room,
        or a key cannot be looked up).
        """
        ...

    async def append(self, run: Run, records: Sequence[Record]) -> None:
        """Keep the records; when it returns they may be delivered. Raises `Superseded`.

        A cancelled call does not take them back: they are kept, and `close` comes after them.
        """
        ...

    async def close(self, run: Run, last: Record, status: Status) -> None:
        """Append the terminal record, free session and slot, begin the retention."""
        ...

    async def find(self, owner: str, run_id: str, *, deleted: bool = False) -> Run | None:
        """The run, or None if this owner has none of that id or its retention is over.

        With `deleted`, one too that was forgotten with a word on how it ended (`forget`): that is
        all that is known of it, and nothing of what was said.
        """
        ...

    async def find_known(self, owner: str, idempotency: Idempotency) -> Run | None:
        """The run that an idempotency key began; None if there is none, or no longer.

        Raises `Invalid` if it came with another body, `NotFound` if its run was forgotten,
        `Overloaded` if that cannot be looked up.
        """
        ...

    async def find_open(self, owner: str, session_id: str) -> Run | None:
        """The run that is open in a session."""
        ...

    async def open_runs(self, owner: str) -> Sequence[Run]:
        """All of the owner's open runs, wherever; those that are known, while degraded."""
        ...

    def follow(
        self, run: Run, after: int, *, silence_seconds: float, take: Take | None = None
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        """Yield what comes behind event `after`, in batches, to the terminal record.

        An empty batch says that nothing happened for `silence_seconds`. Records that are no longer
        kept are named by one `gap` record. What is added while the caller waits for more may be
        given to `take` instead of being yielded, but never the terminal record; what that raises
        is raised here.
        """
        ...

    async def request_cancel(self, run: Run) -> None:
        """Tell the run's owner to stop it; returns before it has."""
        ...

    async def join(self, run: Run) -> None:
        """Count one more follower of a run that ends when the last of them leaves."""
        ...

    async def leave(self, run: Run) -> bool:
        """Count one follower less; true if that was the last."""
        ...

    async def runs_of(self, owner: str, session_id: str) -> Sequence[str]:
        """The ids of a session's runs that may be known, open or ended, on whatever instance.

        Raises `Overloaded` if that cannot be said.
        """
        ...

    async def forget(self, owner: str, run_ids: Sequence[str], *, ended: Run | None = None) -> bool:
        """Make runs that have ended as unknown as if they had never been, on every instance.

        Of one of them, `ended`, it stays known how it ended, since somebody may be waiting for it.
        Their idempotency keys begin no others for as long as they would have named these. True if
        any was known; one that is open stays. Raises `Overloaded` if that cannot be seen to.
        """
        ...

    async def is_forgotten(self, run: Run) -> bool:
        """Whether `forget` has made the run unknown of late; false if that cannot be said."""
        ...

    async def ping(self) -> None:
        """Return if runs are shared as they should be; raise a `Problem` while degraded."""
        ...
