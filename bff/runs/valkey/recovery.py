"""What has to happen before calls are let through: at the start, and when the server was away.

In one turn of the loop, so that nobody comes between: runs that nobody was told of are withdrawn,
lost keys are noticed, and every replica learns that the server is there.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from bff.runs.valkey.begin import Opener
from bff.runs.valkey.connection import Server
from bff.runs.valkey.data_loss import Epochs
from bff.runs.valkey.keys import PARTITIONS
from bff.runs.valkey.leases import Leases
from bff.runs.valkey.remote_runs import RemoteRuns
from bff.runs.valkey.replicas import Replicas

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.4
"""Between two looks for a server that is gone."""
AGAIN_SECONDS = 0.1
"""From a look that found it to the next one: it may fail at whatever else it is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Looks for the server whenever it is gone."""

    server: Server
    epochs: Epochs
    leases: Leases
    opener: Opener
    replicas: Replicas
    remote_runs: RemoteRuns

    async def work(self) -> None:
        """Look, until cancelled."""
        while True:
            await self.server.down.wait()
            first = True
            while not await self.look():
                first = False
                await asyncio.sleep(LOOK_SECONDS)
            if not first:
                logger.warning("%r answers again", self.server)
            await asyncio.sleep(AGAIN_SECONDS)

    async def look(self) -> bool:
        """Try the server once; true if it is there, and as quick as it has to be."""
        members, withdrawals = self.opener.withdrawals()
        # the last call is made several times, and its replies are not read again: it must not be
        # the sign of life, whose first reply shows a flush
        calls = [self.leases.sign_of_life(), *withdrawals, *self.epochs.calls()]
        replies = await self.server.look(calls)
        if replies is None:
            return False
        self.opener.withdrew(members)
        if self.opener.withdrawals()[0]:  # of a request that was refused while we looked
            return await self.look()
        self.leases.signed(replies[0])
        self.server.let_through()
        self.epochs.took(replies[-PARTITIONS:])
        self.replicas.reopened()
        self.remote_runs.wake()
        self.leases.renew_now()
        return True
