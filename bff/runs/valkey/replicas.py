"""The runs that this instance owns: the only one who holds their replicas.

What a replica wants done here is done here: events go to the copies that the followers of this
process read, waiters are told, runs that another instance ended are let go. What it wants of the
server is done by `uploads.py`. A defect that shows in one replica costs that run and no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from bff.events import Record
from bff.runs.log import Owner, Run, Status, Superseded
from bff.runs.memory import MemoryRunLog
from bff.runs.request import Idempotency
from bff.runs.valkey.effects import Deliver, Effect, Forget, Settle
from bff.runs.valkey.keys import RunKeys, run_keys
from bff.runs.valkey.replica import Replica, State

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.004
"""From one pipeline to the next, unless there is something ready that cannot wait."""
MOST_DOUBTED = 1000
"""Ends that a server may not have heard of which has taken over from another: the last ones."""


class Replicas:
    """All replicas of this instance; `ready` is set while some have something to send."""

    def __init__(self, copies: MemoryRunLog) -> None:
        self.copies = copies
        """What the followers here have been given."""
        self.owner: Owner | None = None
        self.ready = asyncio.Event()
        self._all: dict[str, Replica] = {}
        """By member. Ended ones stay for as long as their copies: they can be restored too."""
        self._ended: OrderedDict[str, Replica] = OrderedDict()
        self._doubted: dict[str, Replica] = {}
        """Ended ones that the server is asked after once more."""
        self._queue: dict[Replica, None] = {}
        self._loop = asyncio.get_running_loop()
        self._taken_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        """Set while what is ready waits for more."""

    def __repr__(self) -> str:
        return f"<Replicas {len(self._all)} of which {len(self._ended)} ended>"

    def of(self, run: Run) -> Replica | None:
        return self._all.get(run_keys(run.owner, run.run_id).member)

    def state(self, keys: RunKeys) -> Run | None:
        """A run of ours, as far as anybody can have seen it."""
        if (replica := self._all.get(keys.member)) is None:
            return None
        run = self.copies.get(replica.run.owner, replica.run.run_id)
        if run is None or run.last_event_id == replica.latest:
            return run
        return replace(run, last_event_id=replica.latest)

    def has_more(self, keys: RunKeys) -> bool:
        """Whether a run of ours has ended and the server has yet to hear of it."""
        replica = self._all.get(keys.member)
        return replica is not None and bool(replica.end) and replica.state is not State.ENDED

    def __contains__(self, member: str) -> bool:
        return member in self._all

    def open_in(self, owner: str, session_id: str) -> RunKeys | None:
        """The run of ours in a session that has not ended here."""
        run = self.copies.open_in(owner, session_id)
        return run_keys(owner, run.run_id) if run else None

    def unsettled(self) -> Iterator[Replica]:
        """Those whose lease is to be renewed: the server does not have their end, or may have lost
        it."""
        return (
            replica
            for member, replica in self._all.items()
            if replica.state is not State.ENDED or member in self._doubted
        )

    def renewed(self, replica: Replica) -> None:
        """The server has said what it has of it."""
        self._doubted.pop(replica.keys.member, None)

    @property
    def all_settled(self) -> bool:
        return all(replica.settled for replica in self._all.values())

    # What is done with them

    def begin(
        self,
        run: Run,
        first: Record,
        *,
        idempotency: Idempotency | None,
        max_open: int,
        known: bool,
    ) -> Run:
        """Keep a run of ours; returns it, or the earlier run of the same key that is kept here.

        `known`: the server has begun the run, and so has seen to session and slots. A run that we
        still have in its session has ended there: mostly as we asked, and only the reply is on its
        way. That run is let alone; what becomes of it is for its own replies to say.
        """
        if known:
            opened = self.copies.adopt(run, first, idempotency=idempotency)
        else:
            opened = self.copies.begin(run, first, idempotency=idempotency, max_open=max_open)
        if opened.run_id == run.run_id:
            self._forget_over()

            # what was said is kept with the copy, and only until the run has ended
            slim = replace(opened, request=opened.request.ended())

            def copied(after: int) -> Sequence[Record]:
                return self.copies.behind(slim, after)

            replica = Replica(slim, idempotency, known=known, copied=copied)
            self._all[replica.keys.member] = replica
            self.see_to(replica)
        return opened

    def put(
        self,
        replica: Replica,
        records: Sequence[Record],
        end: Status | None = None,
        *,
        waiter: asyncio.Future[None] | None = None,
    ) -> None:
        if effects := replica.put(records, end, waiter=waiter):
            self.perform(replica, effects)
        else:
            self.see_to(replica)

    def superseded(self, member: str) -> None:
        """Another instance has ended a run of ours."""
        if replica := self._all.get(member):
            self.happened(replica, replica.superseded)

    def server_lost(self, partition: int) -> None:
        """The server lost a partition's keys: whatever we have of it is restored."""
        for replica in list(self._all.values()):
            if replica.keys.partition == partition:
                self.happened(replica, replica.server_lost)

    def reopened(self) -> None:
        """The server is there again."""
        for replica in list(self._all.values()):
            self.happened(replica, replica.reopened)
        self.doubt_ends()

    def doubt_ends(self) -> None:
        """The server may be one that took over from another, and missed what that heard last."""
        self._doubted = dict(islice(reversed(self._ended.items()), MOST_DOUBTED))

    def cancel(self, member: str) -> None:
        """Somebody wants a run of ours stopped, or its last follower has left."""
        replica = self._all.get(member)
        if replica and replica.end is None and self.owner:
            self.owner.cancel_requested(replica.run.run_id)

    # Who has something to send

    def see_to(self, replica: Replica) -> None:
        """Let it have its turn, if there is something to do for it.

        What nobody waits for is gathered for a while: a pipeline costs as much as all else that is
        done for an event.
        """
        if not replica.ready:
            return
        self._queue[replica] = None
        if self.ready.is_set():
            return
        at = self._taken_at + GATHER_SECONDS
        if not replica.can_wait or at <= self._loop.time():
            self.ready.set()
        elif self._timer is None:
            self._timer = self._loop.call_at(at, self.ready.set)

    def take(self, most: int) -> list[Replica]:
        """Those whose turn it is."""
        batch = list(islice(self._queue, most))
        for replica in batch:
            del self._queue[replica]
        if not self._queue:
            self.ready.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._taken_at = self._loop.time()
        return batch

    # Effects

    def happened(self, replica: Replica, event: Callable[[], Sequence[Effect]]) -> None:
        """Something happened to a replica: do what follows from it."""
        try:
            self.perform(replica, event())
        except Exception:
            self.give_up(replica)

    def give_up(self, replica: Replica) -> None:
        """End what a defect of ours has shown in; to be called where it was caught."""
        logger.exception("%r: cannot go on", replica)
        try:
            self.perform(replica, replica.superseded())
        except Exception:
            logger.exception("%r: is forgotten", replica)
            self._forget(replica, abandon=True)

    def perform(self, replica: Replica, effects: Sequence[Effect]) -> None:
        """Carry out the effects that are for this process."""
        for effect in effects:
            match effect:
                case Deliver(records, None):
                    self.copies.add(replica.run, records)
                case Deliver(records, str(end)):
                    self.copies.finish(replica.run, records, end)
                    self._ended[replica.keys.member] = replica
                case Settle(waiter, superseded):
                    _settle(waiter, superseded=superseded)
                case Forget(abandon):
                    self._forget(replica, abandon=abandon)
                case _:
                    raise TypeError(f"{effect!r} is for the server")
        self.see_to(replica)

    def _forget(self, replica: Replica, *, abandon: bool) -> None:
        member = replica.keys.member
        self._all.pop(member, None)
        self._ended.pop(member, None)
        self._doubted.pop(member, None)
        self._queue.pop(replica, None)
        self.copies.drop(replica.run)
        if abandon and self.owner:
            self.owner.superseded(replica.run.run_id)

    def _forget_over(self) -> None:
        """Let go of ended runs whose copies are gone: the oldest, as their retention is over."""
        while self._ended:
            member, replica = next(iter(self._ended.items()))
            if self.copies.get(replica.run.owner, replica.run.run_id) is not None:
                return
            del self._ended[member]
            self._all.pop(member, None)
            self._doubted.pop(member, None)
            self._queue.pop(replica, None)


def _settle(waiter: asyncio.Future[None], *, superseded: bool) -> None:
    if waiter.done():
        return  # its caller was cancelled
    if superseded:
        waiter.set_exception(Superseded())
        waiter.exception()
    else:
        waiter.set_result(None)
