"""The run log of one process: plain memory, bounded per run and in all.

Where runs are shared (`bff/runs/valkey/`), an instance keeps the copies of its own runs in one:
that is what `begin`, `adopt`, `add`, `finish`, `drop` and `behind` are for.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import ClassVar

from bff.errors import Invalid, Overloaded, SessionBusy, TooManyStreams
from bff.events import Record, forget_texts, gap, size_of
from bff.frozen import replace
from bff.runs.bell import Bell
from bff.runs.listener import Listener
from bff.runs.log import Owner, Run, Status, Superseded, Take, key_of_forgotten
from bff.runs.request import Idempotency

MAX_EVENTS_PER_RUN = 20_000
MAX_BYTES_PER_RUN = 8 * 1024 * 1024
MAX_BYTES = 128 * 1024 * 1024
"""For all runs of the process together."""
BATCH = 256
"""Most records a follower is handed at once."""


class _Kept:
    """One run with the events that are kept of it."""

    __slots__ = ("bytes", "dropped", "followers", "key", "last_id", "listeners", "records", "run")

    def __init__(self, run: Run, first: Record) -> None:
        self.run = run
        self.records = [first]
        self.bytes = first.size + len(run.request.message) + 1000
        self.followers = 0
        self.key: tuple[str, str] | None = None
        self.last_id = first.id
        self.dropped = False
        self.listeners: list[Listener] = []  # there is one, mostly

    def state(self) -> Run:
        if self.run.last_event_id == self.last_id:
            return self.run
        return replace(self.run, last_event_id=self.last_id)

    def wake(self) -> None:
        for listener in self.listeners:
            listener.wake()

    def drop(self, count: int) -> int:
        """Forget the oldest records, never the last one; returns the bytes freed."""
        count = max(0, min(count, len(self.records) - 1))
        freed = size_of(self.records[:count])
        del self.records[:count]
        self.bytes -= freed
        return freed

    def after(self, id: int) -> tuple[Record, ...]:
        first = self.records[0].id
        if id + 1 < first:
            return (gap(id + 1, first - 1), *self.records[: BATCH - 1])
        start = id + 1 - first
        return tuple(self.records[start : start + BATCH])


class MemoryRunLog:
    """What `RunLog` asks, in memory.

    Past the bounds the oldest events go first, those of ended runs before those of open ones; a
    follower who still wanted them is told by a `gap`.
    """

    at_once: ClassVar[bool] = True

    def __init__(
        self,
        *,
        retention_seconds: float,
        max_events_per_run: int = MAX_EVENTS_PER_RUN,
        max_bytes_per_run: int = MAX_BYTES_PER_RUN,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._retention_seconds = retention_seconds
        self._max_events_per_run = max_events_per_run
        self._max_bytes_per_run = max_bytes_per_run
        self._max_bytes = max_bytes
        self._clock = clock
        self._runs: dict[tuple[str, str], _Kept] = {}
        self._ended: OrderedDict[tuple[str, str], _Kept] = OrderedDict()  # oldest end first
        self._whole: OrderedDict[tuple[str, str], _Kept] = OrderedDict()  # ended, never cut here
        self._open: dict[str, dict[str, _Kept]] = {}  # owner -> session -> run
        self._keys: dict[tuple[str, str], tuple[str, str]] = {}  # key -> fingerprint, run id
        self._endings: OrderedDict[tuple[str, str], Run] = OrderedDict()  # of forgotten runs
        self._spent: OrderedDict[tuple[str, str], float] = OrderedDict()  # keys of forgotten runs
        self.bytes = 0
        self._bell = Bell()
        self._owner: Owner | None = None

    def __repr__(self) -> str:
        running = sum(len(runs) for runs in self._open.values())
        return f"<MemoryRunLog {running} running, {len(self._ended)} kept, {self.bytes} bytes>"

    def bind(self, owner: Owner) -> None:
        self._owner = owner

    async def open(
        self, run: Run, first: Record, *, idempotency: Idempotency | None, max_open: int
    ) -> Run:
        return self.begin(run, first, idempotency=idempotency, max_open=max_open)

    def begin(
        self, run: Run, first: Record, *, idempotency: Idempotency | None, max_open: int
    ) -> Run:
        """As `open`."""
        self._sweep()
        if idempotency and (known := self.known(run.request.owner, idempotency)):
            return known
        open_runs = self._open.get(run.request.owner, {})
        if run.request.session_id in open_runs:
            raise SessionBusy(retry_after_seconds=1)
        if len(open_runs) >= max_open:
            raise TooManyStreams(retry_after_seconds=1)
        return self._keep(run, first, idempotency)

    def adopt(self, run: Run, first: Record, *, idempotency: Idempotency | None) -> Run:
        """Keep a run that was begun elsewhere: whether its session is free is known there.

        Returns the earlier run of the same key if there is one here, as `open` does.
        """
        self._sweep()
        known = self.known(run.request.owner, idempotency) if idempotency else None
        return known or self._keep(run, first, idempotency)

    def _keep(self, run: Run, first: Record, idempotency: Idempotency | None) -> Run:
        kept = _Kept(
            run if run.last_event_id == first.id else replace(run, last_event_id=first.id), first
        )
        if not self._make_room(kept.bytes):
            raise Overloaded(retry_after_seconds=5)
        self._runs[run.request.owner, run.run_id] = kept
        self._open.setdefault(run.request.owner, {})[run.request.session_id] = kept
        self.bytes += kept.bytes
        if idempotency:
            kept.key = (run.request.owner, idempotency.key)
            self._keys[kept.key] = (idempotency.fingerprint, run.run_id)
        return kept.run

    async def append(self, run: Run, records: Sequence[Record]) -> None:
        self.add(run, records)

    def add(self, run: Run, records: Sequence[Record]) -> None:
        """As `append`."""
        kept = self._runs.get((run.request.owner, run.run_id))
        if kept is None or kept.run.status != "running":
            raise Superseded
        self._add(kept, records)

    async def close(self, run: Run, last: Record, status: Status) -> None:
        self.finish(run, [last], status)

    def finish(self, run: Run, records: Sequence[Record], status: Status) -> None:
        """As `close`; events may come before the last."""
        place = (run.request.owner, run.run_id)
        kept = self._runs.get(place)
        if kept is None or kept.run.status != "running":
            raise Superseded
        said = len(kept.run.request.message)
        self.bytes -= said
        kept.bytes -= said
        kept.run = replace(
            kept.run,
            request=run.request.ended(),
            status=status,
            last_event_id=records[-1].id,
            ended_at=self._clock(),
        )
        self._add(kept, records)
        self._free(kept)
        self._ended[place] = self._whole[place] = kept

    def _free(self, kept: _Kept) -> None:
        """The run's session and slot, unless the session is a later run's already."""
        owner, session_id = kept.run.request.owner, kept.run.request.session_id
        mine = self._open.get(owner, {})
        if mine.get(session_id) is kept:
            del mine[session_id]
            if not mine:
                del self._open[owner]

    def drop(self, run: Run) -> None:
        """Forget a run; who follows it here is given what there was, and no end."""
        place = (run.request.owner, run.run_id)
        if kept := self._runs.get(place):
            kept.dropped = True
            self._free(kept)
            self._forget(place, kept)
            kept.wake()

    def behind(self, run: Run, after: int) -> Sequence[Record]:
        """Some of the run's records behind event `after`, as far as they are kept."""
        kept = self._runs.get((run.request.owner, run.run_id))
        records = kept.after(after) if kept else ()
        return records[1:] if records and records[0].name == "gap" else records

    def get(self, owner: str, run_id: str) -> Run | None:
        """As `find`."""
        kept = self._runs.get((owner, run_id))
        return None if kept is None or self._over(kept.run) else kept.state()

    def known(self, owner: str, idempotency: Idempotency) -> Run | None:
        """As `find_known`."""
        fingerprint, run_id = self._keys.get((owner, idempotency.key), (None, ""))
        if fingerprint is None:
            return None
        if fingerprint != idempotency.fingerprint:
            raise Invalid.of("Idempotency-Key", "was used before with another body")
        if (owner, idempotency.key) in self._spent:
            raise key_of_forgotten()
        return self._runs[owner, run_id].run

    def open_in(self, owner: str, session_id: str) -> Run | None:
        """As `find_open`."""
        kept = self._open.get(owner, {}).get(session_id)
        return kept.state() if kept else None

    def _add(self, kept: _Kept, records: Sequence[Record]) -> None:
        size = size_of(records)
        kept.records.extend(records)
        kept.bytes += size
        kept.last_id = records[-1].id
        self.bytes += size
        if kept.run.status == "running":
            for listener in kept.listeners:
                listener.offer(records)
        else:
            kept.wake()  # to the end, which followers have to see
        forget_texts(records)
        if len(kept.records) > self._max_events_per_run or kept.bytes > self._max_bytes_per_run:
            # a tenth more than needed, so that this is not done for every event
            self.bytes -= kept.drop(len(kept.records) - self._max_events_per_run * 9 // 10)
            while kept.bytes > self._max_bytes_per_run and len(kept.records) > 1:
                self.bytes -= kept.drop(max(1, len(kept.records) // 10))
        if self.bytes > self._max_bytes:
            self._make_room(0)

    async def find(self, owner: str, run_id: str, *, deleted: bool = False) -> Run | None:
        self._sweep()
        run = self.get(owner, run_id)
        return self._endings.get((owner, run_id)) if run is None and deleted else run

    async def find_known(self, owner: str, idempotency: Idempotency) -> Run | None:
        self._sweep()
        return self.known(owner, idempotency)

    async def find_open(self, owner: str, session_id: str) -> Run | None:
        return self.open_in(owner, session_id)

    async def open_runs(self, owner: str) -> Sequence[Run]:
        return [kept.state() for kept in self._open.get(owner, {}).values()]

    async def follow(
        self, run: Run, after: int, *, silence_seconds: float, take: Take | None = None
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        kept = self._runs.get((run.request.owner, run.run_id))
        if kept is None:
            return
        listener = Listener(self._bell, silence_seconds, take)
        kept.listeners.append(listener)
        try:
            while True:
                batch = kept.after(after)
                if batch:
                    yield batch
                    after = batch[-1].id
                    if batch[-1].terminal:
                        return
                elif kept.dropped or kept.run.status != "running":
                    return
                else:
                    await listener.more(after)
                    after = listener.at
                    if kept.last_id == after and not kept.dropped:
                        yield ()
        finally:
            kept.listeners.remove(listener)
            listener.close()

    async def request_cancel(self, run: Run) -> None:
        if self._owner:
            self._owner.cancel_requested(run.run_id)

    async def join(self, run: Run) -> None:
        if kept := self._runs.get((run.request.owner, run.run_id)):
            kept.followers += 1

    async def leave(self, run: Run) -> bool:
        kept = self._runs.get((run.request.owner, run.run_id))
        if kept is None:
            return False
        kept.followers -= 1
        return kept.followers <= 0 and kept.run.status == "running"

    async def runs_of(self, owner: str, session_id: str) -> Sequence[str]:
        # a look at all that is kept: nothing but a deletion asks
        return [
            run_id
            for (whose, run_id), kept in self._runs.items()
            if whose == owner and kept.run.session_id == session_id
        ]

    async def forget(self, owner: str, run_ids: Sequence[str], *, ended: Run | None = None) -> bool:
        found = [place for run_id in run_ids if (place := (owner, run_id)) in self._ended]
        for place in found:
            self._forget_early(place, self._ended[place])
        if ended and ended.run_id in run_ids:
            self._endings[owner, ended.run_id] = ended.without_words()
        return bool(found)

    async def is_forgotten(self, run: Run) -> bool:
        return False  # whoever forgets a run here has seen its turn written

    async def ping(self) -> None:
        """Memory is always there."""

    def _over(self, run: Run) -> bool:
        ended_at = run.ended_at
        return ended_at is not None and ended_at + self._retention_seconds <= self._clock()

    def _sweep(self) -> None:
        """Forget the runs whose retention is over."""
        while self._ended:
            place, kept = next(iter(self._ended.items()))
            if not self._over(kept.run):
                break
            self._forget(place, kept)
        while self._endings and self._over(next(iter(self._endings.values()))):
            self._endings.popitem(last=False)
        while self._spent and next(iter(self._spent.values())) <= self._clock():
            key, _ = self._spent.popitem(last=False)
            del self._keys[key]

    def _forget_early(self, place: tuple[str, str], kept: _Kept) -> None:
        """Forget a run, but not that its key is used."""
        if kept.key:
            self._spent[kept.key] = self._clock() + self._retention_seconds
            kept.key = None
        self._forget(place, kept)

    def _forget(self, place: tuple[str, str], kept: _Kept) -> None:
        self._ended.pop(place, None)
        self._whole.pop(place, None)
        del self._runs[place]
        self.bytes -= kept.bytes
        if kept.key:
            del self._keys[kept.key]

    def _make_room(self, wanted: int) -> bool:
        """Free memory until `wanted` bytes fit; false if even the open runs alone are too much."""
        if self.bytes + wanted <= self._max_bytes:
            return True
        # never a look at all that is kept: a full log is asked for room with every event
        while self._whole and self.bytes + wanted > self._max_bytes:
            _, kept = self._whole.popitem(last=False)
            self.bytes -= kept.drop(len(kept.records))
        while self._ended and self.bytes + wanted > self._max_bytes:
            place, kept = next(iter(self._ended.items()))
            self._forget(place, kept)
        running = (kept for runs in self._open.values() for kept in runs.values())
        for kept in sorted(running, key=lambda kept: -kept.bytes):
            if self.bytes + wanted <= self._max_bytes:
                return True
            self.bytes -= kept.drop(len(kept.records) // 2)
        return self.bytes + wanted <= self._max_bytes
