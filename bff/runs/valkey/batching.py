"""Few connections for many requests: what is ready at the same time travels as one pipeline."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from bff.runs.valkey.connection import Call, Server, Unreachable

logger = logging.getLogger(__name__)

MOST_CALLS = 128
"""In one pipeline."""
RESTART_SECONDS = 0.5
"""Before a loop that broke begins again."""


class Lane:
    """One connection's worth of calls: what is ready while a pipeline is out goes with the next."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._waiting: deque[tuple[Call, asyncio.Future[Any]]] = deque()
        self._ready = asyncio.Event()

    def send(self, call: Call) -> asyncio.Future[Any]:
        """The reply to come, or `Unreachable`."""
        if not self._server.up:
            raise Unreachable
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        self._ready.set()
        return future

    async def run(self, call: Call) -> Any:
        return await self.send(call)

    async def work(self) -> None:
        """Send what is ready, until cancelled."""
        try:
            while True:
                await self._ready.wait()
                await self._send()
        finally:
            self._fail(self._waiting, Unreachable())

    async def _send(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(MOST_CALLS, len(self._waiting)))]
        if not self._waiting:
            self._ready.clear()
        try:
            replies = await self._server.pipeline([call for call, _ in batch])
        except BaseException as error:
            self._fail(batch, Unreachable())
            if not isinstance(error, Unreachable):
                raise
            self._fail(self._waiting, error)  # they would only wait to fail as well
            self._waiting.clear()
            self._ready.clear()
        else:
            for (_, future), reply in zip(batch, replies, strict=True):
                if not future.done():
                    future.set_result(reply)

    def _fail(self, calls: Iterable[tuple[Call, asyncio.Future[Any]]], error: Unreachable) -> None:
        for _, future in calls:
            if not future.done():
                future.set_exception(error)
                future.exception()  # its caller may have left


@asynccontextmanager
async def running(*work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Keep the loops going for as long as the block lasts."""
    tasks = [asyncio.create_task(_forever(loop)) for loop in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forever(loop: Callable[[], Awaitable[None]]) -> None:
    """Begin a loop again that broke: one that is dead would be missed only when it is needed."""
    while True:
        try:
            await loop()
        except Exception:
            logger.exception("a loop of the shared edition broke and begins again")
        await asyncio.sleep(RESTART_SECONDS)
