"""What a WebSocket is still owed: a bounded queue that one task empties, in order.

One writer, so that frames never mix; bounded, so that a client that does not read holds up nobody
but itself. A client that reads has its frames at once: there is no task while nothing waits.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from aiohttp import WSMsgType, web

from bff.api.streaming import NEVER_WAITS_BYTES
from bff.settings import WRITE_TIMEOUT_SECONDS
from bff.tasks import end_tasks

MAX_BYTES = 256 * 1024
CLOSE_SECONDS = 4.0
"""For what is still to be sent before a close, the close itself and the client's answer to it."""
ANSWER_SECONDS = 1.0
"""For the answer alone: a client that is not reading does not hold up a task that stops."""

Send = Callable[[], Awaitable[Any]]


class Outbox:
    """The sending side of one socket; `slow` is called when a client was cut for not reading."""

    __slots__ = (
        "_bytes",
        "_queue",
        "_response",
        "_room",
        "_slow",
        "_timers",
        "_transport",
        "_write_timeout_seconds",
        "_writer",
        "closing",
    )

    def __init__(
        self,
        response: web.WebSocketResponse,
        transport: asyncio.Transport,
        *,
        slow: Callable[[], None],
        write_timeout_seconds: float = WRITE_TIMEOUT_SECONDS,
    ) -> None:
        self._response = response
        self._transport = transport
        self._slow = slow
        self._write_timeout_seconds = write_timeout_seconds
        self._queue: list[tuple[int, Send]] = []  # a deque costs 760 bytes while it is empty
        self._bytes = 0
        self._room: asyncio.Event | None = None
        self._writer: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self.closing = False

    async def text(self, text: str) -> None:
        await self._put(partial(self._response.send_str, text), len(text))

    async def pong(self, data: bytes) -> None:
        await self._put(partial(self._response.pong, data), len(data))

    async def _put(self, send: Send, size: int) -> None:
        """Queue something to send; waits while too much is queued."""
        while self._bytes > MAX_BYTES:
            if self._room is None or self._room.is_set():
                self._room = asyncio.Event()
            await self._room.wait()
        if self.closing:
            return
        if self._is_idle() and self._transport.get_write_buffer_size() + size < NEVER_WAITS_BYTES:
            with suppress(ConnectionError):  # the client has gone, which ends the reading too
                await send()  # which returns at once
        else:
            self._add(send, size)

    @property
    def has_room(self) -> bool:
        """Whether nothing waits to be sent, and the client reads as fast as it is written to."""
        return (
            not self.closing
            and self._is_idle()
            and self._transport.get_write_buffer_size() < NEVER_WAITS_BYTES
        )

    def text_now(self, text: str) -> None:
        """Send, where there is room, without a wait."""
        sending = self._response.send_str(text)
        try:
            sending.send(None)
        except (StopIteration, ConnectionError):
            return  # it is sent; or the client has gone, which ends the reading too
        sending.close()  # it is written, and now waits for the client, which the next one sees to

    def _is_idle(self) -> bool:
        return not self._queue and (self._writer is None or self._writer.done())

    def close(self, code: int, *, at_once: bool = False) -> None:
        """Say goodbye, behind what is queued or instead of it."""
        if self.closing:
            return
        self.closing = True
        if at_once:
            self._queue.clear()
            self._make_room(self._bytes)
        self._add(partial(self._say_goodbye, code), 0)
        self._after(CLOSE_SECONDS, self.cut)

    def refuse(self, text: str, code: int) -> None:
        """Say this and goodbye, instead of what is queued."""
        if not self.closing:
            self._queue.clear()
            self._make_room(self._bytes)
            self._add(partial(self._response.send_str, text), 0)
            self.close(code)

    async def _say_goodbye(self, code: int) -> None:
        """Send the close frame and leave the reading to whoever reads, which ends with the answer.

        aiohttp's own `close` would end the connection at once when somebody is reading; a client
        that was just sending would then see a reset and not the code.
        """
        await self._response.send_frame(struct.pack("!H", code), WSMsgType.CLOSE)
        self._after(ANSWER_SECONDS, self._transport.close)

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, do))

    def _add(self, send: Send, size: int) -> None:
        self._queue.append((size, send))
        self._bytes += size
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._empty())

    async def _empty(self) -> None:
        try:
            while self._queue:
                size, send = self._queue.pop(0)
                self._make_room(size)
                async with asyncio.timeout(self._write_timeout_seconds):
                    await send()
        except TimeoutError:
            self._slow()
            self.cut()
        except ConnectionError:
            pass  # the client has gone, which ends the reading too

    def _make_room(self, size: int) -> None:
        self._bytes -= size
        if self._room:
            self._room.set()

    def cut(self) -> None:
        """End the connection without a word."""
        self._transport.abort()

    async def finish(self) -> None:
        """The reading has ended, and with it everything that is still to be sent."""
        if self._writer:
            await end_tasks(self._writer)
        for timer in self._timers:
            timer.cancel()
        if self.closing:
            self._transport.close()
        if isinstance(self._response.exception(), TimeoutError):
            self.cut()  # a transport that is only closed would wait for its buffer to be read
