"""The Redis/Valkey edition of run log, limits, locks and idempotency: many tasks, one service.

One outside system, one failure policy: `server.py` notices that it is slow or gone, and everything
here then goes on for this process alone. docs/shared.md tells what a client sees of that.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bff.limits import Limiter
from bff.runlog import RunLog
from bff.settings import Settings
from bff.shared.epochs import Epochs
from bff.shared.lanes import Lane, running
from bff.shared.limiter import SharedLimiter
from bff.shared.messages import Messages
from bff.shared.runlog import SharedRunLog
from bff.shared.server import Call, Server
from bff.shared.timing import TIMING, Timing
from bff.shared.upkeep import Upkeep

logger = logging.getLogger(__name__)


@asynccontextmanager
async def open_shared(
    settings: Settings, *, timing: Timing = TIMING
) -> AsyncIterator[tuple[RunLog, Limiter]]:
    """Run log and limiter of this task; a server that is not there does not stop the start."""
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
    requests, limits, chores = Lane(server), Lane(server), Lane(server)
    log = SharedRunLog(
        server=server, lane=requests, task=task, timing=timing,
        retention_seconds=retention_seconds, epochs=epochs,
    )  # fmt: skip
    upkeep = Upkeep(
        server=server, lane=chores, log=log, epochs=epochs, task=task, timing=timing,
        retention_seconds=retention_seconds,
    )  # fmt: skip
    messages = Messages(server=server, log=log, task=task, timing=timing)
    limiter = SharedLimiter(
        lane=limits,
        limit=settings.rate_limit_requests,
        window_seconds=settings.rate_limit_window_seconds,
        wait_seconds=timing.limit_seconds,
        tasks=lambda: upkeep.tasks,
    )
    try:
        if not await server.look():
            logger.warning("%r: runs and limits are this task's own meanwhile", server)
        async with running(
            server.watch, requests.work, limits.work, chores.work, log.writer.work,
            upkeep.tick, messages.listen,
        ):  # fmt: skip
            try:
                yield log, limiter
            finally:
                await upkeep.leave()
    finally:
        await server.aclose()
