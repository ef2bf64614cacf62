"""The processes a benchmark measures: an agent that talks, a bare relay, and this service."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import psutil
from aiohttp import web

KEY = "bench-key"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def agent(request: web.Request) -> web.StreamResponse:
    """Say `prompt`'s number of words, a frame each, with its pause in seconds between them."""
    words, pause = json.loads((await request.json())["prompt"])
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for number in range(words):
        await response.write(b'data: "word %d "\n\n' % number)
        if pause:
            await asyncio.sleep(pause)
    await response.write_eof()
    return response


def relay(upstream: str) -> web.Application:
    """The least a front can do: one call upstream, its bytes handed on."""

    async def forward(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        payload = {"prompt": body["message"]}
        async with request.app[SESSION].post(f"{upstream}/invocations", json=payload) as answer:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    async def session(app: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as app[SESSION]:
            yield

    app = web.Application()
    app.cleanup_ctx.append(session)
    app.add_routes([web.post("/v1/chat/stream", forward)])
    return app


SESSION = web.AppKey("session", aiohttp.ClientSession)


@asynccontextmanager
async def running(*command: str, url: str, **environ: str) -> AsyncIterator[psutil.Process]:
    """A process of ours that answers at `url`; killed at the end."""
    process: Process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env={**os.environ, **environ}, stdout=DEVNULL
    )
    try:
        async with asyncio.timeout(20), aiohttp.ClientSession() as client:
            while True:
                try:
                    async with client.get(url):
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        await process.wait()


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    role, port, *rest = sys.argv[1:]
    if role == "agent":
        app = web.Application()
        app.add_routes([web.post("/invocations", agent)])
    else:
        app = relay(rest[0])
    web.run_app(app, host="127.0.0.1", port=int(port), print=lambda *_: None, access_log=None)
