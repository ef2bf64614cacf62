from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bff.api import TELEMETRY
from bff.api.streaming import COMMENT, EventStream, NativeEncoder, SlowClientError, stream_run
from bff.events import Message, Record, record
from bff.runs import Follower
from bff.runs.log import Take
from bff.server import Runner
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
