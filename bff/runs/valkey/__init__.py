"""The Redis/Valkey edition of the run log, its locks and idempotency: many instances, one service.

One outside system, one failure policy: `connection.py` notices that it is slow or gone, and
everything here then goes on for this process alone. docs/valkey.md says what a client sees of that,
ARCHITECTURE.md how a run is replicated.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from bff.runs.log import RunLog
from bff.runs.memory import MemoryRunLog
from bff.runs.valkey.batching import Lane, running
from bff.runs.valkey.begin import Opener
from bff.runs.valkey.client import check_authority
from bff.runs.valkey.connection import Server, Unreachable
from bff.runs.valkey.data_loss import Epochs
from bff.runs.valkey.followers import Followers
from bff.runs.valkey.leases import CALLS_A_PIPELINE, Leases
from bff.runs.valkey.log import ValkeyRunLog
from bff.runs.valkey.recovery import Recovery
from bff.runs.valkey.remote_runs import RemoteRuns
from bff.runs.valkey.replicas import Replicas
from bff.runs.valkey.subscriber import Subscriber
from bff.runs.valkey.takeover import Takeover
from bff.runs.valkey.timing import TIMING, Timing
from bff.runs.valkey.uploads import Uploads, ttl_ms
from bff.settings import Settings

logger = logging.getLogger(__name__)

COPY_BYTES = 64 * 1024 * 1024
"""For our own copies of our runs; past that the server's are read, the oldest first."""
LEAVE_LOOKS = 50
"""20 ms each, for the last of what this instance has to say when it stops."""
LEAVE_SECONDS = 2
"""For that and for the farewell: whoever stops may have cancelled those who would send it."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What this instance shares with the others: the run log, and a way to count against limits."""

    log: RunLog
    limits: Lane
    instances: Callable[[], int]
    """How many instances are alive, this one included, when last seen."""


@asynccontextmanager
async def open_valkey(
    settings: Settings, *, timing: Timing = TIMING, server: Server | None = None,
    replicas: Replicas | None = None, instance: str | None = None,
) -> AsyncIterator[Shared]:  # fmt: skip
    """What this instance shares; a server that is not there does not stop the start.

    Tests bring a `server`, `replicas` and a name of their own.
    """
    assert settings.redis_url
    check_authority(settings.redis_url)
    instance = instance or secrets.token_hex(8)
    retention_seconds = settings.run_retention_seconds
    ttl = ttl_ms(retention_seconds)
    server = server or Server(
        settings.redis_url, call_seconds=timing.call_seconds, slack_seconds=timing.slack_seconds
    )
    requests, limits, takeovers, questions = lanes = [Lane(server) for _ in range(4)]
    renewals = Lane(server, most_calls=CALLS_A_PIPELINE)
    lanes.append(renewals)
    replicas = replicas or Replicas(
        MemoryRunLog(retention_seconds=retention_seconds, max_bytes=COPY_BYTES)
    )
    uploads = Uploads(
        server=server, replicas=replicas, instance=instance, timing=timing,
        retention_seconds=retention_seconds,
    )  # fmt: skip
    epochs = Epochs(grace_seconds=timing.grace_seconds, replicas=replicas)
    followers = Followers(lane=requests, instance=instance, timing=timing, ttl_ms=ttl)
    leases = Leases(
        server=server, lane=renewals, replicas=replicas, followers=followers, epochs=epochs,
        instance=instance, timing=timing, ttl_ms=ttl,
    )  # fmt: skip
    takeover = Takeover(
        server=server, lane=takeovers, leases=leases, timing=timing,
        retention_seconds=retention_seconds,
    )  # fmt: skip
    opener = Opener(
        lane=requests, leases=leases, takeover=takeover, epochs=epochs, instance=instance,
        timing=timing, ttl_ms=ttl,
    )  # fmt: skip
    remote_runs = RemoteRuns(
        lane=requests, asking=questions, takeover=takeover, instance=instance, timing=timing
    )
    log = ValkeyRunLog(
        server=server, lane=requests, replicas=replicas, remote_runs=remote_runs, opener=opener,
        takeover=takeover, followers=followers, epochs=epochs, ttl_ms=ttl,
    )  # fmt: skip
    subscriber = Subscriber(
        server=server, replicas=replicas, remote_runs=remote_runs, instance=instance, timing=timing
    )
    recovery = Recovery(
        server=server, epochs=epochs, leases=leases, opener=opener, replicas=replicas,
        remote_runs=remote_runs,
    )  # fmt: skip
    try:
        if not await recovery.look():
            logger.warning(
                "%r (%s): runs and limits are this instance's own meanwhile", server, server.reason
            )
        async with running(
            recovery.work, *[lane.work for lane in lanes], uploads.work, leases.work,
            takeover.work, remote_runs.work, subscriber.work,
        ):  # fmt: skip
            try:
                yield Shared(log, limits, lambda: leases.instances)
            finally:
                await _leave(server, replicas, leases)
    finally:
        await server.aclose()


async def _leave(server: Server, replicas: Replicas, leases: Leases) -> None:
    """Give up this instance's share of the limits, once the server has all that we have."""
    with suppress(Unreachable, TimeoutError):
        async with asyncio.timeout(LEAVE_SECONDS):
            for _ in range(LEAVE_LOOKS):
                if replicas.all_settled or not server.up:
                    break
                await asyncio.sleep(0.02)
            await leases.leave()
