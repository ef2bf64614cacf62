"""Whether the server still has what was written to it.

Each partition has a key with a random text, its epoch. A flush, or a server that comes back empty,
takes it away; the first script that misses it writes another, and whoever knew the old one knows
from then on that keys, locks and runs may be missing until their owners have restored them.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from typing import Any

from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call
from bff.runs.valkey.keys import PARTITIONS, epoch_key
from bff.runs.valkey.replicas import Replicas

logger = logging.getLogger(__name__)


class Epochs:
    """The epochs as this process knows them."""

    def __init__(self, *, grace_seconds: float, replicas: Replicas) -> None:
        self._grace_seconds = grace_seconds
        self._replicas = replicas
        self._now = asyncio.get_running_loop().time
        self._known: dict[int, str] = {}
        self._fresh_until: dict[int, float] = {}

    def known(self, partition: int) -> str:
        """The epoch, or nothing if this process has not met it yet."""
        return self._known.get(partition, "")

    def fresh(self, partition: int) -> bool:
        """The partition has lost its keys so recently that owners may still be restoring them."""
        return self._now() < self._fresh_until.get(partition, 0.0)

    def seen(self, partition: int, value: str, age_ms: int) -> bool:
        """The server's epoch. If it is not the one we knew, what is ours is restored, and false."""
        before = self._known.get(partition)
        self._known[partition] = value
        if before is not None and before != value:
            left = self._grace_seconds - age_ms / 1000
            self._fresh_until[partition] = self._now() + left
            self._replicas.server_lost(partition)
            return False
        return True

    def calls(self) -> list[Call]:
        """What asks for all of them."""
        return [self.call(partition) for partition in range(PARTITIONS)]

    def took(self, replies: Sequence[Any]) -> None:
        """The replies to `calls`."""
        kept = [self.seen(partition, *reply) for partition, reply in enumerate(replies)]
        if not all(kept):
            logger.warning(
                "the server has lost what it kept (%d of %d partitions); restoring what is ours",
                kept.count(False),
                PARTITIONS,
            )

    async def ask(self, lane: Lane, partition: int) -> None:
        """Look at one of them. Raises `Unreachable`."""
        value, age_ms = await lane.run(self.call(partition))
        self.seen(partition, value, age_ms)

    def call(self, partition: int) -> Call:
        """What asks for one of them."""
        return Call(scripts.TOUCH, (epoch_key(partition),), (secrets.token_hex(8),))
