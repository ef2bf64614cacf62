"""The one loop that writes a run to a client as Server-Sent Events, whatever the format.

It is also the only place that knows how such a reply may end; ARCHITECTURE.md has the table.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from aiohttp import StreamReader, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import istr

from bff.api import STATE, TELEMETRY
from bff.errors import Internal
from bff.events import Failed, Record, encode
from bff.runs import Follower
from bff.runs.log import Run
from bff.settings import HEARTBEAT_SECONDS, WRITE_TIMEOUT_SECONDS

logger = logging.getLogger(__name__)

RUN_ID, _SESSION_ID = istr("X-Run-Id"), istr("X-Session-Id")
COMMENT = b": keep-alive\n\n"
NEVER_WAITS_BYTES = 32 * 1024
"""With less in the socket's buffer a write returns at once and needs no time limit: asyncio makes
writers wait from 64 KiB on."""


class Encoder(Protocol):
    """One wire format's view of a run. It may keep state: one encoder serves one reply."""

    headers: Mapping[str, str]
    reconnects: bool
    """Whether clients resume by themselves; openai's would take `retry:` for data."""

    def __call__(self, records: Sequence[Record]) -> bytes:
        """The records as whole SSE frames; the terminal one closes whatever is open first."""
        ...


class NativeEncoder:
    """Our own events, as contract and docs/protocol.md have them."""

    headers: Mapping[str, str] = {}
    reconnects = True

    def __call__(self, records: Sequence[Record]) -> bytes:
        frames = ""
        for item in records:  # one, mostly
            frames += f"id: {item.id}\nevent: {item.name}\ndata: {item.data}\n\n"
        return frames.encode()


class EventStream(web.StreamResponse):
    """A reply of events, open for an hour perhaps: it lets go of its head once that is sent."""

    def __init__(
        self, headers: Mapping[str, str], *, write_seconds: float = WRITE_TIMEOUT_SECONDS
    ) -> None:
        super().__init__(headers={**headers, **_EVENT_STREAM})
        self._write_seconds = write_seconds
        self._writer: AbstractStreamWriter | None = None
        self._transport: asyncio.Transport | None = None
        self._in_chunks = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if not self.prepared and request.transport is not None:
            _cut_when_unheard(request.transport, self._write_seconds)
        request.protocol.keep_alive(True)  # without its timer: one begins behind the reply
        writer = await super().prepare(request)
        self._writer, self._transport = writer, request.transport
        self._in_chunks = self._in_chunks or hdrs.TRANSFER_ENCODING in self.headers
        self.headers.clear()
        return writer

    @property
    def has_room(self) -> bool:
        """Whether the client reads as fast as it is written to."""
        transport = self._transport
        return (
            transport is not None
            and not transport.is_closing()
            and transport.get_write_buffer_size() < NEVER_WAITS_BYTES
        )

    def send_now(self, frames: bytes) -> None:
        """Write whole frames, where there is room.

        To the connection itself: aiohttp's way there is coroutines that wait for nothing, and takes
        as long as all else that is done for an event.
        """
        assert self._transport is not None
        assert self._writer is not None
        size = len(frames)
        self._writer.output_size += size
        self._transport.write(b"%x\r\n%b\r\n" % (size, frames) if self._in_chunks else frames)

    async def send_frames(self, frames: bytes) -> None:
        """Write whole frames; raises `ConnectionError` if the client is gone or too slow."""
        if not frames:
            return
        if self.has_room:
            self.send_now(frames)
            return
        try:
            async with asyncio.timeout(self._write_seconds):
                await self.write(frames)
                if self._writer:
                    await self._writer.drain()
        except TimeoutError:
            if self._transport:
                self._transport.abort()
            raise SlowClientError from None


_EVENT_STREAM = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "Connection": "keep-alive",
    "X-Accel-Buffering": "no",  # nginx would keep events back
}


def _cut_when_unheard(transport: asyncio.Transport, seconds: float) -> None:
    """Have the kernel (Linux's) end a connection whose other side has gone without a word: what is
    written to it may be too little, for too long, to fill a buffer that anybody here waits for."""
    timeout = getattr(socket, "TCP_USER_TIMEOUT", None)
    opened = transport.get_extra_info("socket")
    if timeout and opened is not None and opened.family in (socket.AF_INET, socket.AF_INET6):
        opened.setsockopt(socket.IPPROTO_TCP, timeout, int(seconds * 1000))


class SlowClientError(ConnectionError):
    """The client did not read for `WRITE_TIMEOUT_SECONDS` and was cut; it can resume."""


def run_headers(run: Run) -> dict[str, str]:
    return {RUN_ID: run.run_id, _SESSION_ID: run.session_id}


async def stream_run(
    request: web.Request,
    follower: Follower,
    encoder: Encoder,
    *,
    after: int = 0,
    first_comment_seconds: float = 0,
    now: Callable[[], float] = time.monotonic,
) -> web.StreamResponse:
    """Answer with the run's events behind `after`, to its end or the client's.

    It begins with a comment, or has its first after `first_comment_seconds` of silence. Whoever
    calls this holds nothing any more of what was read of the request.
    """
    _forget_body(request)
    response = EventStream({**run_headers(follower.run), **encoder.headers})
    silence_seconds = first_comment_seconds or HEARTBEAT_SECONDS
    frames = _Frames(response, encoder, quiet=first_comment_seconds > 0, now=now)
    async with follower:
        await response.prepare(request)
        telemetry = request.app[TELEMETRY]
        telemetry.stream_opened()
        try:
            begin = b"" if first_comment_seconds else COMMENT
            await response.send_frames(begin + _retry() if encoder.reconnects else begin)
            frames.begin()
            batches = follower.batches(after, silence_seconds=silence_seconds, take=frames.take)
            async for batch in batches:
                await response.send_frames(frames.of(batch))
        except ConnectionError as error:  # the client has gone; the run goes on without it
            if isinstance(error, SlowClientError):
                telemetry.slow_client_cut()
            return response
        except Exception:
            logger.exception("run %s could not be followed", follower.run.run_id)
            await response.send_frames(encoder([_failure(request)]))
        finally:
            telemetry.stream_closed()
    return response


class _Frames:
    """A run as the frames of one reply, with comments where it is silent."""

    __slots__ = ("_commented", "_encoder", "_now", "_quiet", "_response")

    def __init__(
        self, response: EventStream, encoder: Encoder, *, quiet: bool, now: Callable[[], float]
    ) -> None:
        self._response = response
        self._encoder = encoder
        self._now = now
        self._quiet = quiet
        """Whether the first silence is still to come, which is shorter than others."""
        self.begin()

    def begin(self) -> None:
        self._commented = self._now()

    def of(self, batch: Sequence[Record]) -> bytes:
        frames = self._encoder(batch) if batch else b""
        # behind an event too: the next silence may be as long as one may be
        first = self._quiet and not batch
        if first or self._now() - self._commented >= HEARTBEAT_SECONDS - 0.5:
            frames += COMMENT
            self._commented, self._quiet = self._now(), False
        return frames

    def take(self, batch: Sequence[Record]) -> bool:
        """Write what the run has just said, before anything else is done; false without room."""
        if not self._response.has_room:
            return False
        if frames := self.of(batch):
            self._response.send_now(frames)
        return True


def _forget_body(request: web.Request) -> None:
    """Give back the memory that the body took, and what aiohttp read it with."""
    state = request[STATE]
    if state.body:
        state.body.close()
        state.body = None
    if type(request.content) is StreamReader and request.content.is_eof():
        request.content._buffer = _NO_BUFFER


_NO_BUFFER = deque[bytes](maxlen=0)
"""An empty deque is 760 bytes, and a body that was read has one for as long as its request."""


def _retry() -> bytes:
    """After how many ms to reconnect: jittered, so that a cut does not bring all back at once."""
    return b"retry: %d\n\n" % random.randint(750, 1250)


def _failure(request: web.Request) -> Record:
    """The last event for a client when following itself fails; its id is 0, as it is in no log."""
    problem = Internal(agent_called=True).document(
        request_id=request[STATE].request_id, instance=request.path
    )
    return Record(0, "error", encode(Failed(problem)))
