"""Following runs that another task owns.

A task subscribes once, to its own channel, whatever it follows. Reading a run puts the task on the
run's list, in the same step as the read, so whatever is appended from then on is published to it:
nothing falls between. A message may still get lost; ids show it, and a silent run is asked after.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any

from bff.events import Record, gap
from bff.runs.log import Run
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call, Unreachable
from bff.runs.valkey.keys import RunKeys, run_keys
from bff.runs.valkey.replica import interruption
from bff.runs.valkey.timing import Timing

BATCH = 256
"""Most events read at once."""
BATCH_BYTES = 1024 * 1024
RECENT_BYTES = 512 * 1024
"""Of one run's published events, kept for its followers here; who is slower reads the log."""


def parse_entry(id: int, text: str) -> Record:
    name, _, data = text.partition(" ")
    return Record(id, name, data)


class Tail:
    """The end of a run that another task owns, for all its followers in this process."""

    def __init__(self, keys: RunKeys) -> None:
        self.keys = keys
        self.followers = 0
        self.last = 0
        """The last event known to be in the log."""
        self.read = False
        """False until the log was read, which is when we are on the run's list."""
        self.ended = False
        self.gone = False
        """The run is not in the log any more and nobody brings it back."""
        self.missing_since = 0.0
        self.check_at = 0.0
        self._recent: list[Record] = []
        self._bytes = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def __repr__(self) -> str:
        return f"<Tail {self.keys.member} at {self.last}, {self.followers} followers>"

    def add(self, first: int, entries: Sequence[str]) -> None:
        """Events that were published, or read: `first` is the id of the first."""
        kept = self._recent[-1].id if self._recent else first - 1
        if first > kept + 1:
            self.forget()  # some were missed; who needs them reads the log
            kept = first - 1
        for id, text in enumerate(entries, first):
            if id > kept:
                item = parse_entry(id, text)
                self._recent.append(item)
                self._bytes += item.size
                self.last = max(self.last, id)
                self.ended = self.ended or item.terminal
        while self._bytes > RECENT_BYTES and len(self._recent) > 1:
            half = len(self._recent) // 2
            self._bytes -= sum(item.size for item in self._recent[:half])
            del self._recent[:half]
        self.wake()

    def forget(self) -> None:
        self._recent.clear()
        self._bytes = 0

    def after(self, id: int) -> tuple[Record, ...]:
        """What came behind an event, if no event between is missing."""
        if not self._recent or not self._recent[0].id <= id + 1 <= self._recent[-1].id:
            return ()
        start = id + 1 - self._recent[0].id
        return tuple(self._recent[start : start + BATCH])

    def wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def changed(self, seconds: float) -> None:
        """Return when there is news, or after `seconds`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(waiter)


class Tails:
    """All runs of other tasks that are followed here."""

    def __init__(
        self,
        *,
        lane: Lane,
        task: str,
        timing: Timing,
        lapsed: Callable[[RunKeys], None],
    ) -> None:
        self._lane = lane
        self._task = task
        self._timing = timing
        self._lapsed = lapsed
        self._tails: dict[str, Tail] = {}

    def __len__(self) -> int:
        return len(self._tails)

    def heard(self, text: str) -> None:
        """A message `events <member> <first id>`, a line per event behind it."""
        head, _, body = text.partition("\n")
        _, member, first = head.split(" ")
        if tail := self._tails.get(member):
            tail.check_at = self._now() + self._timing.tick_seconds
            tail.add(int(first), body.split("\n"))

    def wake(self) -> None:
        """The server is back: whoever waited for it reads on."""
        for tail in self._tails.values():
            tail.check_at = 0.0

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def follow(
        self, run: Run, after: int, *, silence_seconds: float
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        """As `RunLog.follow`; a run that is lost together with its log ends as interrupted."""
        keys = run_keys(run.owner, run.run_id)
        tail = self._tails.setdefault(keys.member, Tail(keys))
        tail.followers += 1
        silent_since = self._now()
        try:
            while True:
                batch = tail.after(after)
                if not batch and (not tail.read or tail.last > after):
                    batch = await self.read(tail, after)
                if batch:
                    yield batch
                    silent_since = self._now()
                    after = batch[-1].id
                    if batch[-1].terminal:
                        return
                elif tail.gone:
                    yield (interruption(run, after + 1),)
                    return
                elif tail.read and tail.ended and after >= tail.last:
                    return
                else:
                    await tail.changed(silent_since + silence_seconds - self._now())
                    if self._now() - silent_since >= silence_seconds:
                        yield ()
                        silent_since = self._now()
        finally:
            tail.followers -= 1
            if not tail.followers and self._tails.get(keys.member) is tail:
                del self._tails[keys.member]

    async def read(self, tail: Tail, after: int) -> tuple[Record, ...]:
        """The log behind an event; nothing if the server cannot say."""
        try:
            reply = await self._lane.run(self.reading(tail, after))
        except Unreachable:
            return ()
        return self._took(tail, after, reply)

    async def pages(
        self, run: Run, after: int, *, until: int
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        """The log behind event `after`, up to `until`, as far as the server can say."""
        tail = Tail(run_keys(run.owner, run.run_id))
        while after < until and (batch := await self.read(tail, after)):
            batch = tuple(item for item in batch if item.id <= until)
            if not batch:
                return
            yield batch
            after = batch[-1].id

    def due(self) -> Iterator[tuple[Tail, Call]]:
        """The silent runs that are to be asked after now, each with the call that does."""
        now = self._now()
        for tail in self._tails.values():
            if tail.check_at <= now and not tail.ended:
                yield tail, self.reading(tail, tail.last)

    def checked(self, tail: Tail, reply: Sequence[Any]) -> None:
        """The reply to the call of `due`."""
        before = (tail.last, tail.read, tail.ended, tail.gone)
        records = self._took(tail, tail.last, reply)
        if records and records[0].name != "gap":
            tail.add(records[0].id, [f"{item.name} {item.data}" for item in records])
        elif (tail.last, tail.read, tail.ended, tail.gone) != before:
            tail.wake()

    def reading(self, tail: Tail, after: int) -> Call:
        keys = tail.keys
        watch = self._timing.milliseconds(self._timing.watch_seconds)
        args = (keys.member, after, BATCH, self._task, watch, BATCH_BYTES)
        return Call(scripts.READ, (keys.leases, keys.run, keys.log), args)

    def _took(self, tail: Tail, after: int, reply: Sequence[Any]) -> tuple[Record, ...]:
        now = self._now()
        tail.check_at = now + self._timing.tick_seconds
        if reply[0] == "missing":
            tail.read = False
            tail.missing_since = tail.missing_since or now
            # its owner has so long to bring it back
            tail.gone = now - tail.missing_since >= self._timing.grace_seconds
            return ()
        status, last, left, first, *entries = reply
        tail.read = True
        tail.missing_since, tail.gone = 0.0, False
        if last < tail.last:
            tail.forget()  # the server lost some of it, which the owner will bring back
        tail.last = last
        tail.ended = status != "running"
        if status == "running":
            if left <= 0:
                self._lapsed(tail.keys)
            else:  # looked at again the moment the lease ends, if nothing is heard until then
                tail.check_at = now + min(self._timing.tick_seconds, left / 1000 + 0.02)
        records = tuple(parse_entry(id, text) for id, text in enumerate(entries, first))
        if first > after + 1:
            records = (gap(after + 1, first - 1), *records)
        return records
