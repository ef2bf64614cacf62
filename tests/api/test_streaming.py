from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bff.api import STATE, TELEMETRY, RequestState
from bff.api.streaming import COMMENT, EventStream, NativeEncoder, SlowClientError, stream_run
from bff.connections import Runner
from bff.events import Done, Message, Record, Start, record
from bff.runs import Follower
from bff.runs.log import Take
from bff.runs.memory import MemoryRunLog
from bff.settings import HEARTBEAT_SECONDS
from bff.telemetry import Telemetry
from tests.api.example_run import RUN


async def test_a_reader_that_does_not_read__is_cut_and_holds_no_memory() -> None:
    outcome = asyncio.get_running_loop().create_future()

    async def flood(request: web.Request) -> web.StreamResponse:
        response = EventStream({}, write_seconds=0.2)
        await response.prepare(request)
        try:
            for _ in range(10_000):
                await response.send_frames(b"x" * 65_536)
        except BaseException as error:
            outcome.set_result(error)
            raise
        return response

    app = web.Application()
    app.add_routes([web.get("/", flood)])
    runner = Runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        _, writer = await asyncio.open_connection(*runner.addresses[0][:2], limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(30):
            error = await outcome
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    finally:
        await runner.cleanup()

    assert isinstance(error, SlowClientError)


async def test_a_client_that_stops_to_read_for_a_while__is_told_everything_once() -> None:
    log = MemoryRunLog(retention_seconds=60)
    run = await log.open(RUN, record(1, Start("run", "s")), idempotency=None, max_open=1)
    taken: list[int] = []
    pulled: list[int] = []

    class Watched(Follower):
        def batches(
            self, after: int = 0, *, silence_seconds: float = 60, take: Take | None = None
        ) -> AsyncGenerator[tuple[Record, ...], None]:
            assert take is not None

            def watched(records: Sequence[Record]) -> bool:
                done = take(records)
                taken.extend(item.id for item in records if done)
                return done

            return self._watched(super().batches(after, take=watched))

        async def _watched(
            self, batches: AsyncGenerator[tuple[Record, ...], None]
        ) -> AsyncGenerator[tuple[Record, ...], None]:
            async for batch in batches:
                pulled.extend(item.id for item in batch)
                yield batch

    async def stream(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        request[STATE] = RequestState("a-request")
        return await stream_run(request, Watched(log, run, left=lambda run: None), NativeEncoder())

    async def speak(ids: range) -> None:
        for id in ids:
            await log.append(run, [record(id, Message("x" * 2000))])
            await asyncio.sleep(0)

    app = web.Application()
    app[TELEMETRY] = Telemetry()
    app.router.add_get("/", stream)
    async with TestServer(app) as server:
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        narrow.connect((server.host, server.port))
        reader, writer = await asyncio.open_connection(sock=narrow, limit=1024)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        head = await reader.readuntil(b"event: start\n")
        await speak(range(2, 2000))
        read = asyncio.create_task(reader.read())
        last = 1999
        async with asyncio.timeout(30):
            while taken[-1] < 2000:  # it keeps up again
                last += 1
                await speak(range(last, last + 1))
        await log.close(run, record(last + 1, Done()), "complete")
        text = (head + await read).decode()
        writer.close()

    told = [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]
    assert told == list(range(1, last + 2))
    assert taken[0] == 2
    assert len(pulled) > 1000
    assert sorted(taken + pulled) == told


class Mute(NativeEncoder):
    """A format with no words for anything: whatever is written is a comment."""

    def __call__(self, records: Sequence[Record]) -> bytes:
        return b""


class Scripted(Follower):
    """A run whose agent speaks so many seconds after it spoke last, told as `follow` tells it: an
    empty batch after each silence. The clock is moved on instead of waited for."""

    def __init__(self, pauses: Sequence[float], request: web.Request) -> None:
        self.run = RUN
        self.now = 0.0
        self.commented = [0.0]
        self._pauses = pauses
        self._request = request

    async def __aexit__(self, *error: object) -> None:
        pass

    async def batches(
        self,
        after: int = 0,
        *,
        silence_seconds: float = HEARTBEAT_SECONDS,
        take: Take | None = None,
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        written = self._request.writer.output_size
        for number, pause in enumerate(self._pauses):
            left = pause
            while left > 0:
                passed = min(left, silence_seconds)
                left -= passed
                self.now += passed
                yield () if left > 0 else (record(number + 1, Message("word")),)
                if self._request.writer.output_size > written:
                    written = self._request.writer.output_size
                    self.commented.append(self.now)


@pytest.mark.parametrize(
    "pauses",
    [
        [60.0],
        [9.0, 14.0],
        [6.4, 6.9, 6.4, 13.9, 6.4],
        [0.1] * 1000,
        *([a, b, a + b, 20.0] for a in (0.5, 3.3, 6.6, 7.0) for b in (0.5, 3.3, 6.6, 7.0)),
    ],
    ids=lambda pauses: str(pauses[:4]),
)
async def test_comments__are_never_more_than_15_seconds_apart(pauses: list[float]) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        request[STATE] = RequestState("a-request")
        follower = Scripted(pauses, request)
        response = await stream_run(request, follower, Mute(), now=lambda: follower.now)
        comments.extend([*follower.commented, follower.now])
        return response

    comments: list[float] = []
    app = web.Application()
    app[TELEMETRY] = Telemetry()
    app.router.add_get("/", stream)
    async with TestClient(TestServer(app)) as client:
        text = await (await client.get("/")).text()

    apart = [later - earlier for earlier, later in itertools.pairwise(comments)]
    assert max(apart) <= 15
    assert text.count(COMMENT.decode()) == len(comments) - 1
