"""Runs that this process owns: what they say goes to the server first, then to local followers.

Every owned run has a copy in the process's own log. Its followers here read that copy, which gets
an event only once the server has it; and when the server loses the run, or was away, the copy is
what the run is restored from. While the server is away the copy is all there is.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from bff.errors import Interrupted
from bff.events import Failed, Record, record
from bff.local import MAX_BYTES_PER_RUN, MAX_EVENTS_PER_RUN, LocalRunLog
from bff.runlog import Idempotency, Run, Status, Superseded
from bff.shared import scripts
from bff.shared.keys import RunKeys, idempotency_key, part, run_keys
from bff.shared.server import Call, Server, Unreachable
from bff.shared.timing import Timing

logger = logging.getLogger(__name__)

MOST_EVENTS = 256
"""In one call."""
MOST_BYTES = 512 * 1024
"""In one call, about."""
MOST_RUNS = 64
"""In one pipeline."""


def interruption(run: Run, id: int) -> Record:
    """The terminal event of a run whose owner is gone. Every task words it alike."""
    problem = Interrupted(agent_called=True)
    document = problem.document(request_id=run.request_id, instance=f"/v1/runs/{run.run_id}")
    return record(id, Failed(document))


def entry(item: Record) -> str:
    return f"{item.name} {item.data}"


class _Job:
    """Records on their way to the log; with a status they are the run's end."""

    __slots__ = ("done", "records", "status")

    def __init__(self, records: Sequence[Record], status: Status | None) -> None:
        self.records = records
        self.status = status
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
            self.done.exception()  # its caller may have been cancelled


class Owned:
    """One run of ours, and how far the server is with it."""

    def __init__(self, run: Run, idempotency: Idempotency | None, *, acked: int) -> None:
        self.run = run
        self.keys: RunKeys = run_keys(run.owner, run.run_id)
        self.session = part(run.session_id)
        self.idempotency = idempotency
        self.acked = acked
        """The last event that the server is known to have."""
        self.copied = run.last_event_id
        """The last event of our own copy."""
        self.known = True
        """False when the server has lost the run."""
        self.lost = False
        self.jobs: deque[_Job] = deque()
        self.sent = 0
        """How many of the jobs are out with the current call."""

    def __repr__(self) -> str:
        return f"<Owned {self.run.run_id} {self.run.status} {self.acked} of {self.copied}>"

    @property
    def ended(self) -> bool:
        return self.run.status != "running"

    @property
    def behind(self) -> bool:
        """The server does not have all that we have."""
        return not self.known or self.acked < self.copied

    @property
    def idempotency_key(self) -> str:
        """The key's name; the run's own where there is none, since a script names its keys."""
        if self.idempotency is None:
            return self.keys.run
        return idempotency_key(self.run.owner, self.idempotency.key)

    @property
    def fingerprint(self) -> str:
        return part(self.idempotency.fingerprint) if self.idempotency else ""

    def meta(self) -> str:
        """What the hash keeps of the run besides its state."""
        run = self.run
        return json.dumps(
            [
                run.run_id,
                run.owner,
                run.session_id,
                run.agent_session_id,
                run.request_id,
                run.on_disconnect,
            ]
        )


class Writer:
    """Takes all owned runs' records to the server, as many as are ready in one round trip."""

    def __init__(
        self,
        *,
        server: Server,
        local: LocalRunLog,
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
        self._superseded = superseded
        self._queue: dict[Owned, None] = {}
        self._ready = asyncio.Event()

    @property
    def ttl_ms(self) -> int:
        """For what belongs to an open run; its renewals push it on, so nothing stays for ever."""
        return int((self._retention_seconds + 120) * 1000)

    def put(
        self, owned: Owned, records: Sequence[Record], status: Status | None = None
    ) -> asyncio.Future[None]:
        """Keep the records, in the order of the calls; done when they may be delivered."""
        job = _Job(records, status)
        if owned.lost:
            job.settle(Superseded())
        else:
            owned.jobs.append(job)
            self.see_to(owned)
        return job.done

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
            try:
                await self._write(batch)
            except Exception:
                logger.exception("the log could not be written")
                for owned in batch:
                    await self.lose(owned)

    async def _write(self, batch: Sequence[Owned]) -> None:
        out: list[Owned] = []
        calls: list[Call] = []
        if self._server.up:
            for owned in batch:
                if (call := await self._next(owned)) is not None:
                    out.append(owned)
                    calls.append(call)
        else:
            for owned in batch:
                await self._alone(owned)
        if not calls:
            return
        try:
            replies = await self._server.pipeline(calls)
        except Unreachable:
            for owned in out:
                await self._alone(owned)
            return
        for owned, reply in zip(out, replies, strict=True):
            await self._took(owned, reply)

    async def _next(self, owned: Owned) -> Call | None:
        """The call that brings the run on; None if there is nothing to say."""
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
            size = sum(len(item.data) for item in records)
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
        return self._append(owned, records, status)

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

    def _append(self, owned: Owned, records: Sequence[Record], status: Status | None) -> Call:
        keys, run = owned.keys, owned.run
        args: list[str | int] = [
            keys.member,
            self._task,
            records[0].id,
            MAX_EVENTS_PER_RUN,
            MAX_BYTES_PER_RUN,
            self.ttl_ms,
        ]
        entries = [entry(item) for item in records]
        if status is None:
            return Call(scripts.APPEND, (keys.run, keys.log), (*args, *entries))
        ended = run.ended_at or time.time()
        kept = max(1.0, ended + self._retention_seconds - time.time())
        return Call(
            scripts.CLOSE,
            (keys.run, keys.log, keys.leases, keys.open, keys.followers, owned.idempotency_key),
            (*args, owned.session, status, repr(ended), int(kept * 1000), *entries),
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
                self.ttl_ms,
                owned.session,
                owned.meta(),
                run.message,
                repr(run.created_at),
                owned.fingerprint,
                int(run.on_disconnect == "cancel"),
                before,
            ),
        )

    async def _took(self, owned: Owned, reply: Sequence[str | int]) -> None:
        """What the server said to the run's call."""
        match reply:
            case ["ok", int(last)]:
                owned.known = True
                owned.acked = last
                await self._deliver(owned, owned.sent)
            case ["ended", str(status), int(last)] if status == self._ending(owned):
                owned.known = True  # the end was kept before, only the reply was lost
                owned.acked = last
                await self._deliver(owned, owned.sent)
            case ["missing"]:
                owned.known = False
            case ["behind", int(last)]:
                owned.acked = last
            case _:
                await self.lose(owned)
        if not owned.lost and (owned.behind or owned.jobs):
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
                        owned.run, status=job.status, ended_at=time.time(), message=""
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
