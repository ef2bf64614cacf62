"""The service on a real socket, for clients in other processes; its agent plays scenes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bff.agents import Agent, Prompt
from bff.app import create_app
from bff.connections import Runner
from bff.errors import AgentFailed, AgentThrottled
from bff.events import Custom, Done, Event, File, Message, Thinking, ToolEnd, ToolStart
from bff.settings import Settings
from tests.clients.running import output_of

ROOT = Path(__file__).parents[2]
NODE = ROOT / "tests/clients/node"
KEY = "client-key"

Step = Sequence[Event] | str | Exception
"""A batch to yield, the name of a signal to wait for, or an error to raise."""

SCENES: Mapping[str, Sequence[Step]] = {
    "hello": (
        [Message("Hel")],
        [Message("lo")],
        [Done(usage={"input_tokens": 1, "output_tokens": 2})],
    ),
    "tools": (
        [Thinking("A sum.")],
        [Message("Let me see.")],
        [ToolStart("call-1", "calculator", {"expression": "15 * 23"})],
        [ToolEnd("call-1", "calculator", "345")],
        [Custom({"progress": 1})],
        [Message("345")],
        [Done()],
    ),
    "own": (
        [Custom({"n": 1}, "STATE_SNAPSHOT")],
        [Custom([{"op": "replace", "path": "/n", "value": 2}], "STATE_DELTA")],
        [
            Custom(
                {"messageId": "a", "activityType": "PLAN", "content": {"n": 1}}, "ACTIVITY_SNAPSHOT"
            )
        ],
        [Custom({"stepName": "plan"}, "STEP_STARTED")],
        [Custom({"subagentRunId": "s", "name": "helper"}, "SUBAGENT_STARTED")],
        [Message("Hel")],
        [Message("")],
        [Message("lo")],
        [Custom(0.5, "progress")],
        [Done()],
    ),
    "silent": ([Thinking("Hm."), File("image/png", data="iVBORw0KGgo=")], [Done()]),
    "fail": ([Message("Hel")], AgentFailed(agent_called=True)),
    "throttled": (AgentThrottled(agent_called=True),),
    "wait": ([Message("Hel")], "never"),
    "hold": ([Message("Hel")], "go", [Message("lo")], [Done()]),
}


@dataclass
class Actor:
    """An agent that plays the scene a message names; what follows the name is the client's.

    A scene goes on when its signal is given: `hold` waits until a test says so.
    """

    calls: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    signals: dict[str, asyncio.Event] = field(default_factory=dict)

    def signal(self, name: str) -> asyncio.Event:
        return self.signals.setdefault(name, asyncio.Event())

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        self.calls[prompt.conversation.text] += 1
        try:
            for step in SCENES[prompt.conversation.text.split()[0]]:
                if isinstance(step, str):
                    await self.signal(step).wait()
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self.closed[prompt.conversation.text] += 1

    async def stop(self, session_id: str) -> None:
        pass

    async def ping(self) -> None:
        pass


@dataclass
class Stage:
    """A running service and what it was asked: (method, path, status) of every reply."""

    url: str
    actor: Actor
    replies: list[tuple[str, str, int]]

    def statuses(self, path: str) -> list[int]:
        return [status for _, asked, status in self.replies if asked == path]

    @asynccontextmanager
    async def full_house(self) -> AsyncIterator[None]:
        """While this is open, so is a run: with `MAX_STREAMS_PER_USER=1`, no other may begin."""
        async with (
            aiohttp.ClientSession(self.url, headers={"X-API-Key": KEY}) as client,
            client.post("/v1/chat/stream", json={"message": "hold"}) as reply,
        ):
            yield
            self.actor.signal("go").set()
            await reply.read()

    async def seen(self, condition: Callable[[], bool]) -> None:
        """Return once something has happened here."""
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.01)


Start = Callable[..., Coroutine[Any, Any, Stage]]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Start]:
    """Open the stage: `await stage(MAX_STREAMS_PER_USER="1")`; with `AGENT_URL`, for that agent."""
    async with AsyncExitStack() as stack:

        async def open_stage(agent: Agent | None = None, **environ: str) -> Stage:
            settings = Settings.load(
                {
                    "HISTORY": f"sqlite:///{tmp_path / 'bff.db'}",
                    "FILES": f"file:///{tmp_path / 'files'}",
                    "API_KEYS": f"client:{KEY}",
                    "RATE_LIMIT_REQUESTS": "10000",
                    **environ,
                }
            )
            actor, replies = Actor(), list[tuple[str, str, int]]()
            real = "AGENT_URL" in environ
            app = create_app(settings, agent=None if real else agent or actor)

            async def note(request: web.Request, response: web.StreamResponse) -> None:
                replies.append((request.method, request.path, response.status))

            app.on_response_prepare.append(note)
            runner = Runner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return Stage(f"http://127.0.0.1:{runner.addresses[0][1]}", actor, replies)

        yield open_stage


Play = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture
def play() -> Play:
    """Run a client to its end: `await play(stage, python, script)` is the JSON it printed."""

    async def run(stage: Stage, *command: str | Path, **environ: str) -> Any:
        environ = {"PATH": os.environ["PATH"], "BASE_URL": stage.url, "API_KEY": KEY, **environ}
        return json.loads(await output_of(*command, cwd=NODE, env=environ))

    return run


@pytest.fixture
def node() -> Path:
    """Node.js with the clients of package-lock.json installed."""
    found = shutil.which("node")
    if found is None or not (NODE / "node_modules/.ready").exists():
        pytest.skip("the JavaScript clients are not installed: make test installs them, with npm")
    return Path(found)
