"""The Redis/Valkey edition of the run log, its locks and idempotency: many tasks, one service.

One outside system, one failure policy: `server.py` notices that it is slow or gone, and everything
here then goes on for this process alone. docs/valkey.md tells what a client sees of that.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bff.runs.log import RunLog
from bff.runs.valkey.batching import Lane, running
from bff.runs.valkey.connection import Call, Server
from bff.runs.valkey.data_loss import Epochs
from bff.runs.valkey.leases import Upkeep
from bff.runs.valkey.log import ValkeyRunLog
from bff.runs.valkey.subscriber import Messages
from bff.runs.valkey.timing import TIMING, Timing
from bff.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What this task shares with the others: the run log, and a way to count against limits."""

    log: RunLog
    limits: Lane
    tasks: Callable[[], int]
    """How many tasks are alive, this one included, when last seen."""


@asynccontextmanager
async def open_valkey(settings: Settings, *, timing: Timing = TIMING) -> AsyncIterator[Shared]:
    """What this task shares; a server that is not there does not stop the start."""
    assert settings.redis_url
    task = secrets.token_hex(8)
    retention_seconds = settings.run_retention_seconds

    def lost(partition: int) -> None:
        upkeep.lost(partition)

    def probe() -> list[Call]:
        return upkeep.probe()

    epochs = Epochs(grace_seconds=timing.grace_seconds, lost=lost)
    server = Server(
        settings.redis_url,
        probe=probe,
        call_seconds=timing.call_seconds,
        slack_seconds=timing.slack_seconds,
    )
    requests, limits, chores, judging = [Lane(server) for _ in range(4)]
    log = ValkeyRunLog(
        server=server, lane=requests, judging=judging, task=task, timing=timing,
        retention_seconds=retention_seconds, epochs=epochs,
    )  # fmt: skip
    upkeep = Upkeep(
        server=server, lane=chores, log=log, epochs=epochs, task=task, timing=timing,
        retention_seconds=retention_seconds,
    )  # fmt: skip
    messages = Messages(server=server, log=log, task=task, timing=timing)
    try:
        if not await server.look():
            logger.warning("%r: runs and limits are this task's own meanwhile", server)
        async with running(
            server.watch, requests.work, limits.work, chores.work, judging.work, log.writer.work,
            upkeep.tick, upkeep.judge, messages.listen,
        ):  # fmt: skip
            try:
                yield Shared(log, limits, lambda: upkeep.tasks)
            finally:
                await upkeep.leave()
    finally:
        await server.aclose()
