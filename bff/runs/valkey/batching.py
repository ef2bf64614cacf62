"""Few connections for many requests: what is ready at the same time travels as one pipeline."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bff.runs.valkey.connection import Call, Server, Unreachable
from bff.tasks import end_tasks

logger = logging.getLogger(__name__)

MOST_CALLS = 128
"""In one pipeline."""
MOST_OUT = 4
"""Pipelines of one sender at the same time."""
SLOW_SECONDS = 0.005
"""What is ready waits so long for the last pipeline to come back, then it leaves all the same: with
a server that takes its time, nobody waits for two round trips, and with a quick one there are as
few pipelines as can be."""
RESTART_SECONDS = 0.5
"""Before a loop that broke begins again."""


async def departures(ready: asyncio.Event, depart: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Whenever something is ready let a pipeline depart, until cancelled.

    `depart` takes what is ready, at once, and returns the work of sending it.
    """
    out: set[asyncio.Task[None]] = set()
    back: set[asyncio.Task[None]] = set()
    try:
        while True:
            await ready.wait()
            if out and not (back := {task for task in out if task.done()}):
                patience = SLOW_SECONDS if len(out) < MOST_OUT else None
                back, _ = await asyncio.wait(
                    out, timeout=patience, return_when=asyncio.FIRST_COMPLETED
                )
            for task in back:
                task.result()
            out -= back
            out.add(asyncio.create_task(depart()))
    finally:
        await end_tasks(*out)


class Lane:
    """The calls of one kind; those of another kind do not wait for them."""

    def __init__(self, server: Server, *, most_calls: int = MOST_CALLS) -> None:
        """`most_calls` go in one pipeline."""
        self._server = server
        self._most_calls = most_calls
        self._waiting: deque[tuple[Call, asyncio.Future[Any]]] = deque()
        self._ready = asyncio.Event()
        self._ended = False

    def send(self, call: Call) -> asyncio.Future[Any]:
        """The reply to come, or `Unreachable`. A call whose future is cancelled is not sent."""
        if self._ended or not self._server.up:
            raise Unreachable
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        self._ready.set()
        return future

    async def run(self, call: Call) -> Any:
        return await self.send(call)

    async def run_all(self, calls: Iterable[Call]) -> list[Any]:
        """The replies to all of them, in as few pipelines as can be. Raises `Unreachable`."""
        replies: list[Any] = await asyncio.gather(*[self.send(call) for call in calls])
        return replies

    async def work(self) -> None:
        """Send what is ready, until cancelled. From then on nobody would: calls are refused."""
        self._ended = False
        try:
            await departures(self._ready, self._depart)
        finally:
            self._ended = True
            self._fail_waiting()

    def _depart(self) -> Coroutine[Any, Any, None]:
        batch: list[tuple[Call, asyncio.Future[Any]]] = []
        while self._waiting and len(batch) < self._most_calls:
            call, future = self._waiting.popleft()
            if not future.done():
                batch.append((call, future))
        if not self._waiting:
            self._ready.clear()
        return self._send(batch)

    async def _send(self, batch: Sequence[tuple[Call, asyncio.Future[Any]]]) -> None:
        if not batch:
            return
        try:
            replies = await self._server.pipeline([call for call, _ in batch])
        except BaseException as error:
            self._fail(batch)
            self._fail_waiting()  # they would only wait to fail as well
            if not isinstance(error, Unreachable):
                raise
            return
        for (call, future), reply in zip(batch, replies, strict=True):
            if future.done():
                continue
            if isinstance(reply, Exception):
                logger.error("the script %s failed: %s", call.script.name, reply)
                future.set_exception(Unreachable())
                future.exception()
            else:
                future.set_result(reply)

    def _fail_waiting(self) -> None:
        """Whoever waits is told, and what was told is not sent later."""
        self._fail(self._waiting)
        self._waiting.clear()
        self._ready.clear()

    def _fail(self, calls: Iterable[tuple[Call, asyncio.Future[Any]]]) -> None:
        for _, future in calls:
            if not future.done():
                future.set_exception(Unreachable())
                future.exception()  # its caller may have left


@asynccontextmanager
async def running(*work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Keep the loops going for as long as the block lasts."""
    tasks = [asyncio.create_task(_forever(loop)) for loop in work]
    try:
        yield
    finally:
        await end_tasks(*tasks)


async def _forever(loop: Callable[[], Awaitable[None]]) -> None:
    """Begin a loop again that broke: one that is dead would be missed only when it is needed."""
    while True:
        try:
            await loop()
        except Exception:
            logger.exception("a loop of the run log broke and begins again")
        await asyncio.sleep(RESTART_SECONDS)
