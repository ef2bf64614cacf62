"""The service on a real socket, around a scripted agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from bff.api import RUNS
from bff.app import create_app
from bff.connections import Runner
from bff.history import History
from bff.runs import Runs
from bff.settings import Settings
from tests.fakes.scripted import ScriptedAgent

KEYS = {"alice": "alice-key", "bob": "bob-key"}


@dataclass
class Service:
    """A running service; `client` is alice's, with her key on every request."""

    app: web.Application
    url: str
    port: int
    agent: ScriptedAgent
    client: aiohttp.ClientSession = field(repr=False)
    files: Path
    """The folder its files are kept in, unless a test says another place."""
    runner: Runner = field(repr=False)

    @property
    def runs(self) -> Runs:
        return self.app[RUNS]

    @property
    def connections(self) -> list[RequestHandler]:
        assert self.runner.server
        return self.runner.server.connections

    async def read(self, reply: aiohttp.ClientResponse) -> list[dict[str, str]]:
        """The events of a stream, to its end, as fields of SSE."""
        async with asyncio.timeout(30):
            return sse(await reply.text())


def sse(text: str) -> list[dict[str, str]]:
    events = []
    for block in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":")
        )
        if "event" in fields:
            events.append(fields)
    return events


Start = Callable[..., Coroutine[Any, Any, Service]]


@pytest.fixture
async def start(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Start]:
    """Start a service: `await start(agent, RATE_LIMIT_REQUESTS="5")`."""
    async with AsyncExitStack() as stack:

        async def start_one(
            agent: ScriptedAgent | None = None, history: History | None = None, **environ: str
        ) -> Service:
            agent = agent or ScriptedAgent()
            path = tmp_path_factory.mktemp("kept")
            settings = Settings.load(
                {
                    "HISTORY": f"sqlite:///{path}/bff.db",
                    "FILES": f"file:///{path}/files",
                    "API_KEYS": ",".join(f"{name}:{key}" for name, key in KEYS.items()),
                    **environ,
                }
            )
            app = create_app(settings, agent=agent, history=history)
            runner = Runner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            url = f"http://127.0.0.1:{port}"
            client = await stack.enter_async_context(
                aiohttp.ClientSession(url, headers={"X-API-Key": KEYS["alice"]})
            )
            return Service(app, url, port, agent, client, path / "files", runner)

        yield start_one
