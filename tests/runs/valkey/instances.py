"""Instances that share runs, as many as a test wants in one process, and what it asks of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field

from bff.errors import Overloaded
from bff.events import Done, Event, Message, Record, Start, record
from bff.limits import Limiter
from bff.limits.valkey import ValkeyLimiter
from bff.runs.log import Run, RunLog, Status
from bff.runs.request import Idempotency, OnDisconnect
from bff.runs.valkey import open_valkey
from bff.runs.valkey.timing import Timing
from bff.settings import Settings
from tests.fakes.requests import run_request_of

FAST = Timing(
    call_seconds=0.4,
    lease_seconds=0.6,
    renew_seconds=0.2,
    extend_seconds=0.4,
    tick_seconds=0.1,
    sweep_seconds=0.3,
    grace_seconds=0.4,
    alive_seconds=2.0,
)
"""What takes seconds in a service takes a fraction of one in a test; a call may take longer there,
since the machine may have a lot to do besides."""


@dataclass
class Told:
    """An owner that writes down what the log tells it."""

    cancels: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    interruptions: list[Run] = field(default_factory=list)

    def cancel_requested(self, run_id: str) -> None:
        self.cancels.append(run_id)

    def superseded(self, run_id: str) -> None:
        self.lost.append(run_id)

    def interrupted(self, run: Run) -> None:
        self.interruptions.append(run)


@dataclass
class Instance:
    """One instance of the service, as far as runs and limits are concerned."""

    log: RunLog
    limiter: Limiter
    told: Told
    die: Callable[[], Awaitable[None]] = field(repr=False)
    """End it as kill -9 does: nothing is said to anybody."""

    async def begin(
        self,
        run_id: str,
        *,
        owner: str = "owner",
        session_id: str | None = None,
        key: str | None = None,
        body: str = "body",
        max_open: int = 100,
        on_disconnect: OnDisconnect = "continue",
    ) -> Run:
        idempotency = Idempotency(key, body) if key else None
        run = Run(
            run_id=run_id,
            request=run_request_of(
                "What is 15 * 23?",
                owner=owner,
                session_id=session_id or f"session-{run_id}",
                on_disconnect=on_disconnect,
                idempotency=idempotency,
            ),
            created_at=time.time(),
            last_event_id=1,
        )
        return await self.log.open(
            run,
            record(1, Start(run.run_id, run.session_id)),
            idempotency=idempotency,
            max_open=max_open,
        )

    async def say(self, run: Run, first: int, last: int | None = None) -> list[Record]:
        """Append the events `first` to `last`, one call each, and wait until they are there."""
        items = [record(id, Message(f"word {id}")) for id in range(first, (last or first) + 1)]
        for item in items:
            await self.log.append(run, [item])
        await self.read(run, items[-1].id - 1, until=items[-1].id)
        return items

    async def end(
        self, run: Run, id: int, event: Event | None = None, status: Status = "complete"
    ) -> None:
        await self.log.close(run, record(id, event or Done()), status)

    async def read(
        self, run: Run, after: int = 0, *, until: int | None = None, seconds: float = 30
    ) -> list[Record]:
        """What comes behind `after`, to the end or to event `until`."""
        records: list[Record] = []
        async with (
            asyncio.timeout(seconds),
            aclosing(self.log.follow(run, after, silence_seconds=60)) as batches,
        ):
            async for batch in batches:
                records.extend(batch)
                if until is not None and records[-1].id >= until:
                    break
        return records

    async def find(self, run: Run) -> Run:
        found = await self.log.find(run.owner, run.run_id)
        assert found is not None
        return found


@asynccontextmanager
async def instance_on(
    url: str, *, timing: Timing = FAST, retention_seconds: float = 60, limit: int = 100,
    window_seconds: int = 60,
) -> AsyncIterator[Instance]:  # fmt: skip
    settings = Settings(
        redis_url=url,
        run_retention_seconds=retention_seconds,
        rate_limit_requests=limit,
        rate_limit_window_seconds=window_seconds,
    )
    async with AsyncExitStack() as life:
        shared = await life.enter_async_context(open_valkey(settings, timing=timing))
        log = shared.log
        limiter = ValkeyLimiter(
            lane=shared.limits,
            limit=settings.rate_limit_requests,
            window_seconds=settings.rate_limit_window_seconds,
            instances=shared.instances,
        )
        told = Told()
        log.bind(told)
        yield Instance(log, limiter, told, life.aclose)


async def forget_session(log: RunLog, owner: str, session_id: str) -> bool:
    return await log.forget(owner, await log.runs_of(owner, session_id))


async def until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Wait for something that has to become true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def degraded(instance: Instance) -> bool:
    """Whether it cannot reach its server just now."""
    try:
        await instance.log.ping()
    except Overloaded:
        return True
    return False


async def until_well(*instances: Instance) -> None:
    """Wait until each reaches its server: a busy machine may keep it from that for a while."""
    async with asyncio.timeout(30):
        for instance in instances:
            while await degraded(instance):
                await asyncio.sleep(0.01)


def ids(records: list[Record]) -> list[int]:
    return [item.id for item in records]
