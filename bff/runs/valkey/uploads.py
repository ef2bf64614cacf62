"""Takes what owned runs say to the server first, then to their followers here.

Every owned run has a copy in the process's own log. Its followers here read that copy, which gets
an event only once the server has it; and when the server loses the run, or was away, the copy is
what the run is restored from. While the server is away the copy is all there is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from bff.events import Record
from bff.runs.log import Status, Superseded
from bff.runs.memory import MAX_BYTES_PER_RUN, MAX_EVENTS_PER_RUN, MemoryRunLog
from bff.runs.request import said_fields
from bff.runs.valkey import scripts
from bff.runs.valkey.connection import Call, Server, Unreachable
from bff.runs.valkey.replica import Job, Owned, entry
from bff.runs.valkey.timing import Timing

logger = logging.getLogger(__name__)

MOST_EVENTS = 256
"""Of one run in one call."""
MOST_BYTES = 512 * 1024
"""Of one run in one call, about."""
MOST_RUNS = 64
"""In one pipeline."""
MOST_EVENTS_IN_ALL = 1024
"""In one pipeline; 500 bytes count as one more. A backlog must fit the time of a call."""


def ttl_ms(retention_seconds: float) -> int:
    """For what belongs to an open run; its renewals push it on, so nothing stays for ever."""
    return int((retention_seconds + 120) * 1000)


class Writer:
    """Takes all owned runs' records to the server, as many as are ready in one round trip."""

    def __init__(
        self,
        *,
        server: Server,
        local: MemoryRunLog,
        task: str,
        timing: Timing,
        retention_seconds: float,
        superseded: Callable[[Owned], Awaitable[None]],
    ) -> None:
        self._server = server
        self._local = local
        self._task = task
        self._timing = timing
        self._retention_seconds = retention_seconds
        self._ttl_ms = ttl_ms(retention_seconds)
        self._superseded = superseded
        self._queue: dict[Owned, None] = {}
        self._ready = asyncio.Event()

    def put(
        self, owned: Owned, records: Sequence[Record], status: Status | None = None
    ) -> asyncio.Future[None]:
        """Keep the records, in the order of the calls; done when they may be delivered."""
        parts = [records[i : i + MOST_EVENTS] for i in range(0, len(records), MOST_EVENTS)]
        jobs = [Job(part, None) for part in parts[:-1]] + [Job(parts[-1], status)]
        if owned.lost:
            jobs[-1].settle(Superseded())
        else:
            owned.jobs.extend(jobs)
            self.see_to(owned)
        return jobs[-1].done

    def see_to(self, owned: Owned) -> None:
        """Bring the server up to date with this run."""
        self._queue[owned] = None
        self._ready.set()

    async def work(self) -> None:
        """Write what is ready, until cancelled."""
        while True:
            await self._ready.wait()
            batch = list(self._queue)[:MOST_RUNS]
            for owned in batch:
                del self._queue[owned]
            if not self._queue:
                self._ready.clear()
            await self._write(batch)

    async def _write(self, batch: Sequence[Owned]) -> None:
        appends: list[tuple[Owned, Sequence[Record]]] = []
        others: list[tuple[Owned, Call]] = []
        if self._server.up:
            room = MOST_EVENTS_IN_ALL
            for owned in batch:
                if room <= 0:
                    self.see_to(owned)  # next time: nobody's events wait long for a backlog
                    continue
                async with self._alone_to_blame(owned):
                    match await self._next(owned):
                        case Call() as call:
                            others.append((owned, call))
                        case list() as records:
                            appends.append((owned, records))
                            room -= len(records) + sum(len(item.data) for item in records) // 500
        else:
            for owned in batch:
                await self._alone(owned)
        groups = list(self._groups(appends))
        calls = [self._append(group) for group in groups] + [call for _, call in others]
        if not calls:
            return
        try:
            replies = await self._server.pipeline(calls)
        except Unreachable:
            for owned in [owned for owned, _ in appends] + [owned for owned, _ in others]:
                await self._alone(owned)
            return
        for group, reply in zip(groups, replies, strict=False):
            said = reply.split(" ")
            for (owned, _), word, last in zip(group, said[::2], said[1::2], strict=True):
                async with self._alone_to_blame(owned):
                    await self._took(owned, word, int(last))
        for (owned, _), (word, last) in zip(others, replies[len(groups) :], strict=True):
            async with self._alone_to_blame(owned):
                await self._took(owned, word, last)

    @asynccontextmanager
    async def _alone_to_blame(self, owned: Owned) -> AsyncIterator[None]:
        """A defect of ours costs the run it shows in, and none that travels with it."""
        try:
            yield
        except Exception:
            logger.exception("run %s could not be written", owned.run.run_id)
            await self.lose(owned)

    def _groups(
        self, appends: Sequence[tuple[Owned, Sequence[Record]]]
    ) -> Iterable[Sequence[tuple[Owned, Sequence[Record]]]]:
        """What may go in one call: everything, but in a cluster only what lies in one slot."""
        if not self._server.cluster:
            return [appends] if appends else []
        groups: dict[int, list[tuple[Owned, Sequence[Record]]]] = defaultdict(list)
        for append in appends:
            groups[append[0].keys.partition].append(append)
        return groups.values()

    async def _next(self, owned: Owned) -> list[Record] | Call | None:
        """What brings the run on: records to append, another call, or nothing."""
        owned.sent = 0
        if owned.lost:
            return None
        records: list[Record] = []
        if owned.behind:
            records = await self._copied(owned)
            if not records:
                owned.acked = owned.copied  # the copy is gone: there is nothing to restore from
                owned.known = True
            elif not owned.known or records[0].id != owned.acked + 1:
                return self._restore(owned, before=records[0].id - 1)
        status = owned.run.status if owned.ended else None
        if not records or records[-1].id == owned.copied:
            size = sum(len(item.data) for item in records) if records else 0
            for job in owned.jobs:
                if records and (len(records) + len(job.records) > MOST_EVENTS or size > MOST_BYTES):
                    break
                records.extend(job.records)
                size += sum(len(item.data) for item in job.records)
                owned.sent += 1
                status = job.status or status
        elif status:
            status = None  # the end is still to come
        if not records:
            return None
        return self._close(owned, records, status) if status else records

    async def _copied(self, owned: Owned) -> list[Record]:
        """Our copy's records that the server has not, as many as one call may carry."""
        after = owned.acked if owned.known else 0
        records: list[Record] = []
        size = 0
        async with aclosing(self._local.follow(owned.run, after, silence_seconds=0)) as batches:
            async for batch in batches:
                for item in batch:
                    if item.name == "gap":
                        continue
                    records.append(item)
                    size += len(item.data)
                    if len(records) == MOST_EVENTS or size > MOST_BYTES:
                        return records
                if not batch or batch[-1].id >= owned.copied:
                    break
        return records

    def _append(self, group: Sequence[tuple[Owned, Sequence[Record]]]) -> Call:
        keys: list[str] = []
        args: list[str | int] = [self._task, MAX_EVENTS_PER_RUN, MAX_BYTES_PER_RUN, self._ttl_ms]
        for owned, records in group:
            names = owned.keys
            keys += (names.run, names.log)
            args.append(f"{names.member} {records[0].id} {len(records)}")
            args += map(entry, records)
        return Call(scripts.APPEND, keys, args)

    def _close(self, owned: Owned, records: Sequence[Record], status: Status) -> Call:
        keys = owned.keys
        ended = owned.run.ended_at or time.time()
        kept = max(1.0, ended + self._retention_seconds - time.time())
        return Call(
            scripts.CLOSE,
            (keys.run, keys.log, keys.leases, keys.open, keys.followers, owned.idempotency_key),
            (
                self._task,
                MAX_EVENTS_PER_RUN,
                MAX_BYTES_PER_RUN,
                self._ttl_ms,
                keys.member,
                records[0].id,
                owned.session,
                status,
                repr(ended),
                int(kept * 1000),
                *map(entry, records),
            ),
        )

    def _restore(self, owned: Owned, *, before: int) -> Call:
        keys, run = owned.keys, owned.run
        return Call(
            scripts.RESTORE,
            (
                keys.epoch,
                keys.leases,
                keys.open,
                keys.run,
                keys.log,
                keys.followers,
                owned.idempotency_key,
            ),
            (
                self._task,
                keys.member,
                self._task,
                self._timing.milliseconds(self._timing.lease_seconds),
                self._ttl_ms,
                owned.session,
                owned.meta(),
                said_fields(run.request),
                repr(run.created_at),
                owned.fingerprint,
                int(run.request.on_disconnect == "cancel"),
                before,
            ),
        )

    async def _took(self, owned: Owned, word: str, last: int) -> None:
        """What the server said to the run's call."""
        if owned.lost:
            return  # meanwhile
        if word == "ok" or word == self._ending(owned):
            # the latter: the end was kept before, and only the reply was lost
            owned.known = True
            owned.acked = last
            await self._deliver(owned, owned.sent)
        elif word == "missing":
            owned.known = False
        elif word == "behind":
            owned.acked = last
        else:
            await self.lose(owned)
            return
        if owned.jobs or owned.behind:
            self.see_to(owned)

    def _ending(self, owned: Owned) -> Status | None:
        if owned.ended:
            return owned.run.status
        return owned.jobs[owned.sent - 1].status if owned.sent else None

    async def _alone(self, owned: Owned) -> None:
        """Go on without the server: what is not kept there is kept here, and caught up later."""
        await self._deliver(owned, len(owned.jobs))

    async def _deliver(self, owned: Owned, count: int) -> None:
        """Copy the first jobs' records, where the followers of this process see them."""
        for _ in range(count):
            job = owned.jobs.popleft()
            error: Superseded | None = None
            try:
                if job.status is None:
                    await self._local.append(owned.run, job.records)
                else:
                    await self._local.close(owned.run, job.records[-1], job.status)
                    owned.run = replace(
                        owned.run,
                        request=owned.run.request.ended(),
                        status=job.status,
                        ended_at=time.time(),
                    )
                owned.copied = job.records[-1].id
            except Superseded as lost:
                error = lost
            job.settle(error)
        owned.sent = 0

    async def lose(self, owned: Owned) -> None:
        """Another task has ended the run: nothing more is written for it."""
        if owned.lost:
            return
        owned.lost = True
        for job in owned.jobs:
            job.settle(Superseded())
        owned.jobs.clear()
        await self._superseded(owned)
