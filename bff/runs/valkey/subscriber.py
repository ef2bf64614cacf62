"""Hears what other tasks tell this one: events of runs it follows, cancels, runs it has lost.

One connection and one channel, whatever is followed. Messages make things quick and nothing more:
what a lost one would have said is found by the upkeep.
"""

from __future__ import annotations

import asyncio
import logging

from bff.runs.valkey.connection import GONE, Server
from bff.runs.valkey.keys import channel
from bff.runs.valkey.log import ValkeyRunLog
from bff.runs.valkey.timing import Timing

logger = logging.getLogger(__name__)


class Messages:
    """The ear of one task."""

    def __init__(self, *, server: Server, log: ValkeyRunLog, task: str, timing: Timing) -> None:
        self._server = server
        self._log = log
        self._task = task
        self._timing = timing

    async def listen(self) -> None:
        """Hear, until cancelled."""
        while True:
            try:
                await self._hear()
            except GONE as error:
                logger.debug("messages are not heard: %s", type(error).__name__)
            except Exception:
                logger.exception("a message could not be read")
            self._log.tails.wake()
            await asyncio.sleep(self._timing.tick_seconds / 2)

    async def _hear(self) -> None:
        async with self._server.client.pubsub() as messages:
            await messages.subscribe(channel(self._task))
            while True:
                message = await messages.get_message(timeout=self._timing.alive_seconds)
                if message is None:  # not even our own sign of life
                    return
                if message["type"] == "message":
                    await self._told(message["data"])

    async def _told(self, text: str) -> None:
        match text.partition(" "):
            case ("events", _, _):
                self._log.tails.heard(text)
            case ("cancel", _, member):
                await self._log.cancelled(member)
            case ("lost", _, member):
                await self._log.lost(member)
            case _:
                pass
