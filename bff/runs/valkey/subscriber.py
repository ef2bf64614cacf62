"""Hears what other instances say to this one: events of runs it follows, cancels, lost runs.

One connection and one channel, whatever is followed. Messages make things quick and nothing more:
what a lost one would have said is found when leases are renewed and silent runs asked after.
"""

from __future__ import annotations

import asyncio
import logging

from bff.runs.valkey.client import CONNECT_SECONDS, GONE
from bff.runs.valkey.connection import Server
from bff.runs.valkey.keys import channel
from bff.runs.valkey.remote_runs import RemoteRuns
from bff.runs.valkey.replicas import Replicas
from bff.runs.valkey.timing import Timing

logger = logging.getLogger(__name__)


class Subscriber:
    """Listens on the channel of one instance."""

    def __init__(
        self, *, server: Server, replicas: Replicas, remote_runs: RemoteRuns, instance: str,
        timing: Timing,
    ) -> None:  # fmt: skip
        self._server = server
        self._replicas = replicas
        self._remote_runs = remote_runs
        self._channel = channel(instance)
        self._timing = timing

    async def work(self) -> None:
        """Listen, until cancelled."""
        while True:
            try:
                await self._listen()
            except GONE as error:
                logger.debug("messages are not heard: %s", type(error).__name__)
            except Exception:
                logger.exception("a message could not be read")
            self._remote_runs.wake()
            await asyncio.sleep(self._timing.tick_seconds / 2)

    async def _listen(self) -> None:
        async with self._server.pubsub() as messages:
            # redis-py waits for ever for a server that lets it in and does not say so
            async with asyncio.timeout(CONNECT_SECONDS):
                await messages.subscribe(self._channel)
            while True:
                message = await messages.get_message(timeout=self._timing.alive_seconds)
                if message is None:  # not even our own sign of life
                    return
                if message["type"] == "message":
                    self._heard(message["data"])

    def _heard(self, text: str) -> None:
        match text.partition(" "):
            case ("events", _, _):
                self._remote_runs.heard(text)
            case ("cancel", _, member):
                self._replicas.cancel(member)
            case ("lost", _, member):
                self._replicas.superseded(member)
            case _:
                pass  # our own sign of life, or a word of a later version
