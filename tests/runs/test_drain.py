from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest

from bff.agents import Prompt
from bff.errors import Draining
from bff.events import Done, Event, Failed, Message, Record
from bff.history import Turn
from bff.runs.log import Run
from bff.runs.memory import MemoryRunLog
from bff.runs.request import Idempotency
from tests.fakes.scripted import HELLO, ListHistory, ScriptedAgent
from tests.runs.running import ORDER, House, house, names, read


async def test_drain__lets_open_runs_end_and_takes_no_new_one() -> None:
    go = asyncio.Event()
    async with house([go, *HELLO]).runs() as runs:
        follower = await runs.start(ORDER)
        draining = asyncio.create_task(runs.drain(5))
        await runs.drain_begun.wait()
        with pytest.raises(Draining):
            await runs.start(replace(ORDER, session_id="other"))
        go.set()
        assert not draining.done()
        assert names(await read(follower))[-1] == "done"
        await draining


async def test_drain__lets_a_run_end_that_was_just_being_opened() -> None:
    class Slow(MemoryRunLog):
        at_once = False
        asked, go = asyncio.Event(), asyncio.Event()

        async def open(
            self, run: Run, first: Record, *, idempotency: Idempotency | None, max_open: int
        ) -> Run:
            self.asked.set()
            await self.go.wait()
            return await super().open(run, first, idempotency=idempotency, max_open=max_open)

    log, parts = Slow(retention_seconds=60), house()
    async with parts.runs(log=log) as runs:
        starting = asyncio.create_task(runs.start(ORDER))
        await log.asked.wait()
        draining = asyncio.create_task(runs.drain(5))
        await runs.drain_begun.wait()
        starting.cancel()
        log.go.set()
        await draining
        assert parts.notes.ended == [("complete", None)]


async def test_drain__waits_for_followers_of_other_tasks_runs() -> None:
    shared = MemoryRunLog(retention_seconds=60)
    go = asyncio.Event()
    async with house([go, *HELLO]).runs(log=shared) as owner, house().runs(log=shared) as other:
        shared.bind(owner)
        run = (await owner.start(ORDER)).run
        follower = await other.follow(run)
        draining = asyncio.create_task(other.drain(5))
        await other.drain_begun.wait()
        await asyncio.sleep(0)
        assert not draining.done()
        go.set()
        assert names(await read(follower))[-1] == "done"
        await draining


async def test_drain__ends_what_is_still_open_in_words() -> None:
    parts = house([[Message("a")], asyncio.Event()])
    async with parts.runs() as runs:
        follower = await runs.start(ORDER)
        await runs.drain(0.01)
        last = (await read(follower))[-1].event

    assert isinstance(last, Failed)
    assert last.problem["code"] == "draining"
    assert parts.agent.closed == 1


class Hanging(ListHistory):
    """A history that is asked and never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def add(self, owner: str, turn: Turn) -> None:
        self.asked.set()
        await asyncio.Event().wait()


class Clinging(ScriptedAgent):
    """An agent that will not let go of what it has open."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        yield [Message("a")]
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()


async def test_drain__ends_in_words_what_an_agent_and_a_history_hold_up() -> None:
    history = Hanging()
    written = House(ScriptedAgent([[Message("a")], [Done()]]), history)
    open_ = House(Clinging(), Hanging())
    async with written.runs() as first, open_.runs() as second:
        ended, clinging = await first.start(ORDER), await second.start(ORDER)
        await history.asked.wait()
        async with asyncio.timeout(30):
            await asyncio.gather(first.drain(0), second.drain(0))
        lasts = [(await read(follower))[-1].event for follower in (ended, clinging)]

    assert isinstance(lasts[0], Done)
    assert isinstance(lasts[1], Failed)
    assert lasts[1].problem["code"] == "draining"
    assert (written.notes.history_failures, open_.notes.history_failures) == (1, 1)
