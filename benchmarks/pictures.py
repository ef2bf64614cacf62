"""How long a picture takes from its message to the agent's first event, beside a bare relay.

    python -m benchmarks.pictures                  5 MB, forty messages each, taking turns
    python -m benchmarks.pictures --megabytes 2 --messages 100

The relay is the least there can be: it reads the message, makes the agent's payload of it and hands
the answer on. The service also checks the picture, stores it and writes the conversation. Both and
the agent are processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from aiohttp import web

from benchmarks.processes import Running, running

KEY = "bench-key"
SAID = b'data: {"content": "I see it"}\n\n'
WARMING_UP = 5
PATH = "/v1/chat/stream"
Handler = Callable[[web.Request], Coroutine[None, None, web.StreamResponse]]


async def agent(request: web.Request) -> web.StreamResponse:
    """An agent that reads what it is sent and says one thing."""
    json.loads(await request.read())
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await reply.prepare(request)
    await reply.write(SAID)
    await reply.write_eof()
    return reply


async def relay(request: web.Request) -> web.StreamResponse:
    asked = json.loads(await request.read())
    payload = json.dumps({"prompt": "Look", "files": asked["message"][1:]}).encode()
    url = os.environ["AGENT_URL"] + "/invocations"
    async with aiohttp.ClientSession() as session, session.post(url, data=payload) as answer:
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        async for chunk in answer.content.iter_any():
            await reply.write(chunk)
        await reply.write_eof()
        return reply


async def healthy(request: web.Request) -> web.StreamResponse:
    return web.json_response({"status": "Healthy"})


def serve(role: str) -> None:
    app = web.Application(client_max_size=1 << 30)
    app.add_routes([web.get("/ping", healthy)])
    if role == "agent":
        app.add_routes([web.post("/invocations", agent)])
    else:
        app.add_routes([web.post(PATH, relay)])
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None)


async def first_event(front: Running, message: bytes) -> float:
    """Milliseconds until the agent's word is here."""
    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
    began = time.perf_counter()
    async with (
        aiohttp.ClientSession() as session,
        session.post(front.url + PATH, data=memoryview(message), headers=headers) as reply,
    ):
        async for line in reply.content:
            if b"I see it" in line:
                return (time.perf_counter() - began) * 1000
        raise RuntimeError(f"{front.name} answered {reply.status} without the agent's word")


async def measure(megabytes: int, messages: int, folder: Path) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + os.urandom(megabytes * 1024**2)
    source = {"type": "data", "mimeType": "image/png", "value": base64.b64encode(picture).decode()}
    parts = [{"type": "text", "text": "Look"}, {"type": "image", "source": source}]
    message = json.dumps({"message": parts}).encode()
    environ = {
        **os.environ,
        "API_KEYS": f"bench:{KEY}",
        "HISTORY": f"sqlite:///{folder}/bff.db",
        "FILES": f"file:///{folder}/files",
        "RATE_LIMIT_REQUESTS": "1000000",
        "MAX_REQUEST_MB": "64",
        "LOG_LEVEL": "WARNING",
    }
    async with AsyncExitStack() as stack:

        async def start(name: str, *words: str, health: str = "/ping") -> Running:
            command = [sys.executable, "-m", *words]
            made = running(name, command, environ, folder=folder, health=health)
            return await stack.enter_async_context(made)

        environ["AGENT_URL"] = (await start("agent", "benchmarks.pictures", "agent")).url
        fronts = [
            await start("relay", "benchmarks.pictures", "relay"),
            await start("service", "bff", health="/health"),
        ]
        took: dict[str, list[float]] = {front.name: [] for front in fronts}
        for _ in range(WARMING_UP + messages):
            for front in fronts:
                took[front.name].append(await first_event(front, message))
    bare, ours = (sorted(times[WARMING_UP:]) for times in took.values())
    for what, of in (("median", statistics.median), ("fastest", min)):
        print(f"{what}: relay {of(bare):.0f} ms, service {of(ours):.0f} ms, "
              f"{of(ours) / of(bare):.2f} times")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", nargs="?", choices=("agent", "relay"))
    parser.add_argument("--megabytes", type=int, default=5)
    parser.add_argument("--messages", type=int, default=40)
    options = parser.parse_args()
    if options.role:
        serve(options.role)
        return
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(options.megabytes, options.messages, Path(folder)))


if __name__ == "__main__":
    main()
