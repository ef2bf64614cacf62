"""Runs with their parts at hand, and readers of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from bff.events import Record
from bff.runs import Follower, Runs
from bff.runs.memory import MemoryRunLog
from tests.fakes.requests import run_request_of
from tests.fakes.scripted import HELLO, ListHistory, Notes, ScriptedAgent, Step

ORDER = run_request_of()


@dataclass
class House:
    """A `Runs` with its parts at hand."""

    agent: ScriptedAgent
    history: ListHistory = field(default_factory=ListHistory)
    notes: Notes = field(default_factory=Notes)

    def runs(
        self,
        *,
        idle_timeout_seconds: float = 60,
        max_open: int = 3,
        stop_agent_on_cancel: bool = False,
        log: MemoryRunLog | None = None,
    ) -> Runs:
        return Runs(
            agents={"agent": self.agent},
            history=self.history,
            log=log or MemoryRunLog(retention_seconds=60),
            observer=self.notes,
            max_open_per_owner=max_open,
            idle_timeout_seconds=idle_timeout_seconds,
            stopped_on_cancel={"agent"} if stop_agent_on_cancel else (),
        )


def house(steps: Sequence[Step] = HELLO) -> House:
    return House(ScriptedAgent(steps))


async def read(follower: Follower, after: int = 0) -> list[Record]:
    async with asyncio.timeout(30), follower, aclosing(follower.batches(after)) as batches:
        return [item async for batch in batches for item in batch]


def names(records: Sequence[Record]) -> list[str]:
    return [record.name for record in records]
