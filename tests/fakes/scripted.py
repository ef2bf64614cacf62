"""An agent that does what a test tells it, and remembers how often it was called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from bff.agents import Prompt
from bff.events import Done, Event, Message
from bff.runs.log import Status
from tests.fakes.history import ListHistory as ListHistory

Step = Sequence[Event] | asyncio.Event | Exception
"""A batch to yield, something to wait for, or an error to raise."""

HELLO: Sequence[Step] = ([Message("Hel")], [Message("lo")], [Done()])


@dataclass
class ScriptedAgent:
    steps: Sequence[Step] = HELLO
    calls: list[Prompt] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    closed: int = 0

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        self.calls.append(prompt)
        del prompt  # which real agents are sent, and do not keep
        try:
            for step in self.steps:
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self.closed += 1

    async def stop(self, session_id: str) -> None:
        self.stopped.append(session_id)

    async def ping(self) -> None:
        pass


def gated() -> tuple[ScriptedAgent, asyncio.Event]:
    """An agent that says one word, waits, says another."""
    gate = asyncio.Event()
    return ScriptedAgent(([Message("one ")], gate, [Message("two")], [Done()])), gate


@dataclass
class Notes:
    """A watch that writes down how runs ended."""

    started: int = 0
    ended: list[tuple[Status, str | None]] = field(default_factory=list)
    history_failures: int = 0

    def run_started(self) -> None:
        self.started += 1

    def run_spoke(self, agent: str, seconds: float) -> None:
        pass

    def run_ended(self, agent: str, status: Status, code: str | None, seconds: float) -> None:
        self.ended.append((status, code))

    def history_failed(self) -> None:
        self.history_failures += 1
