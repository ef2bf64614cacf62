"""The service as the playground finds it on a machine of its own: a made-up key, and its agent."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from bff.agents import Agent, Prompt
from bff.agents.embedded import EmbeddedAgent
from bff.app import create_app
from bff.connections import Runner
from bff.events import Event
from bff.messages import FilePart
from bff.settings import EMBEDDED, ApiKey, FolderFiles, Settings, SqliteHistory
from tests.fakes.scripted import ScriptedAgent, Step

KEY = "local-0123456789abcdef0123456789abcdef"


class AgentByMessage(EmbeddedAgent):
    """The embedded agent, but for the messages that `script` has its own steps for."""

    def __init__(self, script: Callable[[str], Sequence[Step] | None]) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.files: list[FilePart] = []
        self._script = script

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        self.messages.append(prompt.conversation.text)
        self.files += prompt.conversation.files
        steps = self._script(prompt.conversation.text)
        events = super().stream(prompt) if steps is None else ScriptedAgent(steps).stream(prompt)
        async with aclosing(events):
            async for batch in events:
                yield batch


def local_settings(folder: Path, *, key: str | None = KEY, **changes: object) -> Settings:
    """Settings as `make run` has them; without `key` the page has to ask for one."""
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    values: dict[str, object] = {
        "agent_url": EMBEDDED,
        "api_keys": (ApiKey("local", digest),),
        "history": SqliteHistory(str(folder / "bff.db")),
        "files": FolderFiles(str(folder / "files")),
        "made_up_key": key,
        "rate_limit_requests": 100_000,
        **changes,
    }
    return Settings(**values)  # type: ignore[arg-type]  # checked at run time by the dataclass


@dataclass(frozen=True)
class Served:
    """A service that runs; `url` is the page's address."""

    url: str
    runner: Runner

    def cut(self) -> None:
        """Break every connection, as a network does: without a word."""
        server = self.runner.server
        assert server is not None
        for connection in server.connections:
            if connection.transport is not None:
                connection.transport.abort()


@asynccontextmanager
async def serve_page(settings: Settings, agent: Agent) -> AsyncIterator[Served]:
    """Serve on a free port."""
    runner = Runner(create_app(settings, agent=agent))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Served(f"http://127.0.0.1:{runner.addresses[0][1]}/", runner)
    finally:
        await runner.cleanup()
