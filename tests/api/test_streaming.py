from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web

from bff.api.streaming import EventStream, SlowClientError
from bff.server import Runner


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
        async with asyncio.timeout(10):
            error = await outcome
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    finally:
        await runner.cleanup()

    assert isinstance(error, SlowClientError)
