"""Real processes of the service, to be killed, frozen and drained, and an agent that counts."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.fakes.container import serving

KEY = "alice-key"
HEADERS = {"X-API-Key": KEY}
START_SECONDS = 100
"""How long a process may take until it listens: one second, many times that on a busy machine."""
LISTENING = re.compile(rb"listening on (http://[0-9.]+:[0-9]+)")


class CountingAgent:
    """Says `words` words with a pause in seconds between them: the prompt is `[words, pause]`."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.url = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[CountingAgent]:
        app = web.Application()
        app.add_routes([web.post("/invocations", self._answer)])
        async with serving(app) as self.url:
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        prompt = (await request.json())["prompt"]
        self.calls.append(prompt)
        words, pause, *_ = json.loads(prompt)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(words):
            await response.write(b'data: "word %d "\n\n' % (number + 2))
            await asyncio.sleep(pause)
        return response


@dataclass
class Service:
    """One instance of the service, as a process."""

    url: str
    process: asyncio.subprocess.Process = field(repr=False)
    log: str = field(default="", repr=False)
    """What it logged, once it is over."""

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def exited(self) -> int:
        return await self.process.wait()


@asynccontextmanager
async def service(
    redis_url: str, agent_url: str, folder: Path, **more: str
) -> AsyncIterator[Service]:
    """Start one; whatever is left of it at the end is killed."""
    environ = {
        **os.environ,
        "PORT": "0",
        "ENVIRONMENT": "local",
        "PLAYGROUND": "false",
        "LOG_FORMAT": "json",
        "API_KEYS": f"alice:{KEY}",
        "HISTORY": f"sqlite:///{folder}/history.db",
        "AGENT_URL": agent_url,
        "REDIS_URL": redis_url,
        "RATE_LIMIT_REQUESTS": "1000000",
        "MAX_STREAMS_PER_USER": "10000",
        **more,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bff", env=environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    reading: asyncio.Task[bytes] | None = None
    started: Service | None = None
    try:
        said = b""
        async with asyncio.timeout(START_SECONDS):
            while (found := LISTENING.search(said)) is None:
                line = await process.stdout.readline()
                assert line, said.decode()
                said += line
        reading = asyncio.create_task(process.stdout.read())
        started = Service(found[1].decode(), process)
        yield started
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            await process.wait()
        if reading is not None:
            said = await reading
        if started is not None:
            started.log = said.decode()


@dataclass
class Reading:
    """What a client has of one run: it knows its last event's id, wherever it asks next."""

    run_id: str = ""
    events: list[tuple[int, str, str]] = field(default_factory=list)
    first_at: float | None = None
    """When the first event of the last stream came."""
    silence: float = 0.0
    """Seconds before the last event in which nothing came."""

    @property
    def last(self) -> int:
        return self.events[-1][0] if self.events else 0

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1][1] in ("done", "error")

    @property
    def text(self) -> str:
        return "".join(
            json.loads(data)["content"] for _, name, data in self.events if name == "message"
        )

    @property
    def ids(self) -> list[int]:
        return [id for id, _, _ in self.events]

    async def take(self, reply: aiohttp.ClientResponse, *, until: int | None = None) -> None:
        """Read a stream to its end, its break, or event `until`."""
        assert reply.status == 200, await reply.text()
        self.run_id = reply.headers["X-Run-Id"]
        self.first_at, heard = None, time.monotonic()
        fields: dict[str, str] = {}
        try:
            async for line in reply.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    self.silence, heard = time.monotonic() - heard, time.monotonic()
                    self.first_at = self.first_at or heard
                    self.events.append((int(fields["id"]), fields["event"], fields["data"]))
                    fields = {}
                    if until is not None and self.last >= until:
                        return
                else:
                    fields = {}
        except aiohttp.ClientError:
            pass


async def start_run(
    client: aiohttp.ClientSession,
    at: Service,
    count: int,
    pause: float,
    *,
    until: int | None = None,
) -> Reading:
    """Begin a run and read it, to its end or to event `until`."""
    reading = Reading()
    body = {"message": json.dumps([count, pause])}
    async with client.post(f"{at.url}/v1/chat/stream", json=body) as reply:
        await reading.take(reply, until=until)
    return reading


def words(first: int, last: int) -> str:
    """What the agent says in the events `first` to `last`."""
    return "".join(f"word {id} " for id in range(first, last + 1))


async def resume(
    client: aiohttp.ClientSession, at: Service, reading: Reading, *, until: int | None = None
) -> bool:
    """Go on where the reading stopped; false if nothing is left to say."""
    url = f"{at.url}/v1/runs/{reading.run_id}/events"
    async with client.get(url, headers={"Last-Event-ID": str(reading.last)}) as reply:
        if reply.status == 204:
            return False
        await reading.take(reply, until=until)
        return True
