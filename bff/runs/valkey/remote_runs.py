"""Following runs that another instance owns.

An instance subscribes once, to its own channel, whatever it follows. Reading a run puts the
instance on the run's list, in the same step as the read, so whatever is appended from then on is
published to it: nothing falls between. A message may still get lost; ids show it, and a silent run
is asked after.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any

from bff.events import Record, gap
from bff.runs.log import Run
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call, Unreachable
from bff.runs.valkey.keys import RunKeys, run_keys
from bff.runs.valkey.stored_form import interruption, read_events
from bff.runs.valkey.takeover import Takeover
from bff.runs.valkey.timing import Timing

BATCH = 256
"""Most events read at once."""
BATCH_BYTES = 1024 * 1024
RECENT_BYTES = 512 * 1024
"""Of one run's published events, kept for its followers here; who is slower reads the log."""


class RemoteRun:
    """What is known here of a run that another instance owns, for all its followers here."""

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
        return f"<RemoteRun {self.keys.member} at {self.last}, {self.followers} followers>"

    @property
    def state(self) -> tuple[object, ...]:
        return self.last, self.read, self.ended, self.gone

    def add(self, records: Sequence[Record]) -> None:
        """Events that were published, or read."""
        first = records[0].id
        kept = self._recent[-1].id if self._recent else first - 1
        if first > kept + 1:
            self.forget()  # some were missed; who needs them reads the log
            kept = first - 1
        for item in records:
            if item.id > kept:
                self._recent.append(item)
                self._bytes += item.size
                self.last = max(self.last, item.id)
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


class RemoteRuns:
    """All runs of other instances that are followed here."""

    def __init__(
        self, *, lane: Lane, asking: Lane, takeover: Takeover, instance: str, timing: Timing
    ) -> None:
        """`lane` is for what somebody waits for, `asking` for runs that are silent."""
        self._lane = lane
        self._asking = asking
        self._takeover = takeover
        self._instance = instance
        self._timing = timing
        self._runs: dict[str, RemoteRun] = {}

    def __repr__(self) -> str:
        return f"<RemoteRuns {len(self._runs)} followed>"

    def heard(self, text: str) -> None:
        """A message `events <member> <first id>`, a line per event behind it."""
        head, _, body = text.partition("\n")
        _, member, first = head.split(" ")
        if remote := self._runs.get(member):
            remote.check_at = self._now() + self._timing.tick_seconds
            remote.add(read_events(int(first), body.split("\n")))

    def wake(self) -> None:
        """The server is back: whoever waited for it reads on."""
        for remote in self._runs.values():
            remote.check_at = 0.0
            remote.wake()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def follow(
        self, run: Run, after: int, *, silence_seconds: float
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        """As `RunLog.follow`; a run that is lost together with its log ends as interrupted."""
        keys = run_keys(run.owner, run.run_id)
        remote = self._runs.get(keys.member)
        if remote is None:
            remote = self._runs[keys.member] = RemoteRun(keys)
            remote.check_at = self._now() + self._timing.tick_seconds  # it is read at once
        remote.followers += 1
        silent_since = self._now()
        try:
            while True:
                batch = remote.after(after)
                if not batch and (not remote.read or remote.last > after):
                    batch = await self.read(remote, after)
                if batch:
                    yield batch
                    silent_since = self._now()
                    after = batch[-1].id
                    if batch[-1].terminal:
                        return
                elif remote.gone:
                    yield (interruption(run, after + 1),)
                    return
                elif remote.read and remote.ended and after >= remote.last:
                    if after > remote.last:  # our own run once, of which we said more than was kept
                        yield (interruption(run, after + 1),)
                    return
                else:
                    await remote.changed(silent_since + silence_seconds - self._now())
                    if self._now() - silent_since >= silence_seconds:
                        yield ()
                        silent_since = self._now()
        finally:
            remote.followers -= 1
            if not remote.followers and self._runs.get(keys.member) is remote:
                del self._runs[keys.member]

    async def read(self, remote: RemoteRun, after: int) -> tuple[Record, ...]:
        """The log behind an event; nothing if the server cannot say."""
        known = remote.last
        try:
            reply = await self._lane.run(self.reading(remote, after))
        except Unreachable:
            return ()
        return self._took(remote, after, reply, known)

    async def pages(
        self, run: Run, after: int, *, until: int
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        """The log behind event `after`, up to `until`, as far as the server can say."""
        remote = RemoteRun(run_keys(run.owner, run.run_id))
        while after < until and (batch := await self.read(remote, after)):
            batch = tuple(item for item in batch if item.id <= until)
            if not batch:
                return
            yield batch
            after = batch[-1].id

    async def work(self) -> None:
        """Ask after runs that are silent, until cancelled."""
        while True:
            await asyncio.sleep(self._timing.tick_seconds * random.uniform(0.8, 1.0))
            now = self._now()
            due = [
                remote
                for remote in self._runs.values()
                if remote.check_at <= now and not remote.ended
            ]
            with suppress(Unreachable):
                known = [remote.last for remote in due]
                calls = [
                    self.reading(remote, last) for remote, last in zip(due, known, strict=True)
                ]
                replies = await self._asking.run_all(calls)
                for remote, last, reply in zip(due, known, replies, strict=True):
                    self._checked(remote, reply, last)

    def _checked(self, remote: RemoteRun, reply: Sequence[Any], known: int) -> None:
        records = self._took(remote, known, reply, known)
        if records and records[0].name != "gap":
            remote.add(records)

    def reading(self, remote: RemoteRun, after: int) -> Call:
        keys = remote.keys
        watch = self._timing.milliseconds(self._timing.watch_seconds)
        args = (keys.member, after, BATCH, self._instance, watch, BATCH_BYTES)
        return Call(scripts.READ, (keys.leases, keys.run, keys.log), args)

    def _took(
        self, remote: RemoteRun, after: int, reply: Sequence[Any], known: int
    ) -> tuple[Record, ...]:
        """The events of the reply; what it says of the run is news for every follower.

        `known` is the run's last event as it was known when the call was sent.
        """
        before = remote.state
        records = self._learn(remote, after, reply, known)
        if remote.state != before:
            remote.wake()
        return records

    def _learn(
        self, remote: RemoteRun, after: int, reply: Sequence[Any], known: int
    ) -> tuple[Record, ...]:
        now = self._now()
        remote.check_at = now + self._timing.tick_seconds
        if reply[0] == "missing":
            remote.read = remote.ended = False
            remote.missing_since = remote.missing_since or now
            # its owner has so long to bring it back
            remote.gone = now - remote.missing_since >= self._timing.grace_seconds
            return ()
        status, last, left, first, *entries = reply
        remote.read = True
        remote.missing_since, remote.gone = 0.0, False
        if last < known:
            remote.forget()  # the server lost some of it, which the owner will bring back
        elif last < remote.last:
            return _read_from(first, entries, after)  # more was published since the call was sent
        remote.last = last
        remote.ended = status != "running"
        if status == "running":
            if left <= 0:
                self._takeover.suspect(remote.keys)
            else:  # looked at again the moment the lease ends, if nothing is heard until then
                remote.check_at = now + min(self._timing.tick_seconds, left / 1000 + 0.02)
        return _read_from(first, entries, after)


def _read_from(first: int, entries: Sequence[str], after: int) -> tuple[Record, ...]:
    """The events of a reply, which begins with `first`; a gap for those that are not kept."""
    records = read_events(first, entries)
    return (gap(after + 1, first - 1), *records) if first > after + 1 else records
