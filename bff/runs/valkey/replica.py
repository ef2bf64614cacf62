"""A run that this instance owns: what its followers here have of it, and what the server has.

Rule 1: whatever changes a replica stands in this file. It is synchronous and pure: nothing here
waits, asks for the time or talks to the server. What happens to a replica goes in as an event (a
method); what is to be done about it comes out as effects, for the caller to carry out. So every
order of events can be tried without a server, and tests/runs/valkey/test_replica.py does.

An event of the run is sent to the server first and then delivered to the followers here. While the
server is away it is only delivered, and sent later. `python -m bff.runs.valkey` prints what may
happen in which state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from bff.events import Record, size_of
from bff.runs.log import Run, Status
from bff.runs.request import Idempotency
from bff.runs.valkey.effects import (
    NOTHING,
    Append,
    Call,
    Close,
    Deliver,
    Effect,
    Forget,
    Restore,
    Settle,
)
from bff.runs.valkey.keys import OwnKeys

MOST_EVENTS = 256
"""In one call."""
MOST_BYTES = 512 * 1024
"""In one call, about."""


class State(Enum):
    BEGUN = "begun while the server was away, which has never heard of it"
    LIVE = "the server has all that the followers here have"
    CLOSING = "its end is on the way to the server"
    BEHIND = "the followers here have more than the server, which was away or lost it"
    ENDED = "the server has all of it, with its end"
    LOST = "another instance has ended it"

    __hash__ = object.__hash__
    """As they are compared: by identity. An enum's own is a function of Python's at every move."""


# What may happen

BEGUN, LIVE, CLOSING, BEHIND, ENDED, LOST = State
TRANSITIONS: Mapping[str, Mapping[State, Sequence[State]]] = {
    "put": {BEGUN: [BEGUN], LIVE: [LIVE], BEHIND: [BEHIND]},
    "sent": {BEGUN: [BEGUN, LOST], LIVE: [LIVE, CLOSING], BEHIND: [BEHIND, CLOSING, LOST]},
    "replied ok": {
        BEGUN: [BEHIND, BEGUN],
        LIVE: [LIVE],
        CLOSING: [ENDED, BEHIND],
        BEHIND: [BEHIND, LIVE, ENDED],
    },
    "replied missing": {LIVE: [BEHIND], CLOSING: [BEHIND], BEHIND: [BEHIND]},
    "replied behind": {LIVE: [BEHIND], CLOSING: [BEHIND], BEHIND: [BEHIND]},
    "replied superseded": {BEGUN: [LOST], LIVE: [LOST], CLOSING: [LOST], BEHIND: [LOST]},
    "unreachable": {BEGUN: [BEGUN], LIVE: [BEHIND], CLOSING: [BEHIND], BEHIND: [BEHIND]},
    "server_lost": {
        BEGUN: [BEGUN],
        LIVE: [BEHIND],
        CLOSING: [CLOSING],
        BEHIND: [BEHIND],
        ENDED: [BEHIND],
    },
    "superseded": {BEGUN: [LOST], LIVE: [LOST], CLOSING: [LOST], BEHIND: [LOST], ENDED: [LOST]},
    "reopened": {state: [state] for state in State if state is not LOST},
}
"""Which states may follow. `LOST` is final: nothing that happens then changes anything. What is not
here is a defect, and costs this one run."""


_BEHIND = (BEGUN, BEHIND)
"""The followers here have more than the server: with nothing on its way, these and no others."""


class Impossible(Exception):
    """A transition that is not in the table."""


class _Put(NamedTuple):
    """Records that were put, and nobody has yet."""

    records: Sequence[Record]
    end: Status | None
    waiter: Any
    size: int


class Replica:
    """One run of ours, and how far the server is with it.

    `copied` gives the records behind an event that were delivered here, some at a time, as far as
    they are still kept.
    """

    __slots__ = (
        "_away", "_copied", "_doubted", "_known", "_out", "_puts", "_with_it", "acked", "delivered",
        "end", "keys", "run", "state", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        run: Run,
        idempotency: Idempotency | None,
        *,
        known: bool,
        copied: Callable[[int], Sequence[Record]],
    ) -> None:
        """`known`: the server has begun the run."""
        self.run = run
        self.keys = OwnKeys(run, idempotency)
        self.state = LIVE if known else BEGUN
        self.delivered = run.last_event_id
        """The last event that the followers here have."""
        self.acked = self.delivered if known else 0
        """The last event that the server is known to have."""
        self.end: Status | None = None
        """How the run ended, once the followers here know."""
        self.waiting = 0
        """How much was put that is not delivered yet, in bytes."""
        self._copied = copied
        self._known = known
        """The server is known to have the run, if not all of it."""
        self._puts: deque[_Put] = deque()
        self._out: Call | None = None
        """What is on its way: one call at a time, so that nothing can overtake."""
        self._with_it = 0
        """How many of the puts it carries."""
        self._doubted = False
        """The server lost the run meanwhile: the reply does not say whether it was before."""
        self._away = False
        """The server did not answer; until it is there again only what is put is seen to."""

    def __repr__(self) -> str:
        return f"<Replica {self.run.run_id} {self.state.name} {self.acked} of {self.delivered}>"

    @property
    def ready(self) -> bool:
        """There is something to do, as soon as a pipeline leaves."""
        if self._out is not None or self.state is LOST:
            return False
        return bool(self._puts) or (self.state in _BEHIND and not self._away)

    @property
    def can_wait(self) -> bool:
        """Nobody waits for what there is to do, the server is not behind, and something was said
        before: the first words of an answer are what its reader waits for."""
        said = self.delivered > 1  # which is `start`
        return said and self.state is LIVE and (not self._puts or self._puts[-1].waiter is None)

    @property
    def latest(self) -> int:
        """The last event that anybody can have seen: the server may be ahead of its reply."""
        return self._puts[-1].records[-1].id if self._puts else self.delivered

    @property
    def settled(self) -> bool:
        """Nothing is to be done for it: the server has all of it, or it is not ours."""
        return self.state in (LIVE, ENDED, LOST) and not self._puts

    # Events

    def put(
        self, records: Sequence[Record], end: Status | None = None, *, waiter: Any = None
    ) -> Sequence[Effect]:
        """The run goes on by these records, or ends. Settled when they are delivered."""
        if self.state is LOST:
            return [Settle(waiter, superseded=True)] if waiter is not None else NOTHING
        for at in range(0, len(records), MOST_EVENTS):
            some = records[at : at + MOST_EVENTS]
            last = at + MOST_EVENTS >= len(records)
            size = size_of(some)
            self.waiting += size
            self._puts.append(_Put(some, end if last else None, waiter if last else None, size))
        self._became("put")
        return NOTHING

    def sent(self) -> Sequence[Effect]:
        """A pipeline leaves: what goes with it, one call at most. The server is there."""
        self._away = False
        if self._out is not None or self.state is LOST:
            return NOTHING
        records: Sequence[Record] = ()
        if self.state in _BEHIND:
            records = _fitting(self._copied(self.acked if self._known else 0))
            if not records:  # no copy is left to bring the server up to date with
                return self._lose("sent")
            if not self._known or records[0].id != self.acked + 1:
                self._out = Restore(records[0].id - 1)
                self._became("sent")
                return [self._out]
        end = self.end
        if not records or records[-1].id == self.delivered:
            records, end = self._with_puts(records)
        elif end:
            end = None  # it is still to come
        if not records:
            return NOTHING
        self._out = Close(records, end) if end else Append(records)
        self._became("sent")
        return [self._out]

    def replied(self, word: str, last: int) -> Sequence[Effect]:
        """What the server said to the call, and the last event that it has."""
        out, self._out = self._out, None
        if out is None:
            return NOTHING  # it was lost meanwhile
        ours = out.status if isinstance(out, Close) else self.end
        if word == "ok" or word == ours:
            # the latter: the end was kept before, and only the reply was lost
            self.acked = last
            self._known = not self._doubted
            effects = self._deliver(self._with_it)
            self._became("replied ok")
        elif word == "missing":
            self._known = False
            effects = NOTHING
            self._became("replied missing")
        elif word == "behind":
            self.acked = last
            effects = NOTHING
            self._became("replied behind")
        else:
            effects = self._lose("replied superseded")
        self._doubted, self._with_it = False, 0
        return effects

    def unreachable(self) -> Sequence[Effect]:
        """The server does not answer: go on without it. What was on its way may have arrived."""
        if self.settled:
            return NOTHING
        self._away = True
        self._out, self._doubted, self._with_it = None, False, 0
        effects = self._deliver(len(self._puts))
        self._became("unreachable")
        return effects

    def server_lost(self) -> Sequence[Effect]:
        """The server does not have what it had of this run."""
        self._known = False
        self._doubted = self._out is not None
        self._became("server_lost")
        return NOTHING

    def superseded(self) -> Sequence[Effect]:
        """Another instance has ended the run: nothing more is written for it."""
        return self._lose("superseded")

    def reopened(self) -> Sequence[Effect]:
        """The server is there again."""
        self._away = False
        self._became("reopened")
        return NOTHING

    # What they have in common

    def _with_puts(self, records: Sequence[Record]) -> tuple[Sequence[Record], Status | None]:
        """The records and as many puts as fit the same call; the status if the end is with them."""
        if len(self._puts) == 1 and not records:  # as it mostly is
            self._with_it = 1
            return self._puts[0].records, self._puts[0].end
        end, together = self.end, list(records)
        size, self._with_it = size_of(records), 0
        for put in self._puts:
            full = len(together) + len(put.records) > MOST_EVENTS or size > MOST_BYTES
            if together and full:
                break
            together += put.records
            size += put.size
            end = put.end
            self._with_it += 1
        return together, end

    def _deliver(self, count: int) -> Sequence[Effect]:
        """The first puts go to the followers here."""
        if not count:
            return NOTHING
        records: list[Record] = []
        settled: list[Effect] = []
        for _ in range(count):
            put = self._puts.popleft()
            records += put.records
            self.waiting -= put.size
            self.end = put.end
            if put.waiter is not None:
                settled.append(Settle(put.waiter, superseded=False))
        self.delivered = records[-1].id
        return [Deliver(records, self.end), *settled]

    def _lose(self, event: str) -> Sequence[Effect]:
        if self.state is LOST:
            return NOTHING
        effects: list[Effect] = [
            Settle(put.waiter, superseded=True) for put in self._puts if put.waiter is not None
        ]
        self._puts.clear()
        self.waiting = 0
        self._out = None
        self._move(event, LOST)
        return [*effects, Forget(abandon=self.end is None)]

    def _became(self, event: str) -> None:
        """The state that what is known makes it."""
        if self.state is LOST:
            return
        if isinstance(self._out, Close):
            state = CLOSING
        elif not self._known or self.acked < self.delivered:
            never = self.state is BEGUN and not self._known
            state = BEGUN if never else BEHIND
        else:
            state = ENDED if self.end else LIVE
        self._move(event, state)

    def _move(self, event: str, state: State) -> None:
        if state not in TRANSITIONS[event].get(self.state, ()):
            raise Impossible(f"{self!r}: {event} gives {state.name}")
        self.state = state


def _fitting(records: Sequence[Record]) -> Sequence[Record]:
    """The first records, as many as one call may carry."""
    size = 0
    for at, item in enumerate(records[:MOST_EVENTS], 1):
        size += item.size
        if size > MOST_BYTES:
            return records[:at]
    return records[:MOST_EVENTS]
