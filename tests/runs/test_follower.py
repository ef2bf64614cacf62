"""Whole answers: what a follower makes of a run, told by the run itself or read from its log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from bff.errors import AgentFailed
from bff.events import Done, Failed, File, Input, Message, Source, Thinking, ToolEnd, ToolStart
from bff.runs import Follower, Runs
from bff.runs.memory import MemoryRunLog
from bff.runs.transcript import Transcript
from tests.fakes.requests import run_request_of
from tests.fakes.scripted import HELLO, ListHistory, Notes, ScriptedAgent, Step

ORDER = run_request_of()
QUESTION = Input("i", "approval", "Sure?")
RUNS: Sequence[Sequence[Step]] = (
    HELLO,
    [[Thinking("hm"), ToolStart("t", "calc", {"a": 1})], [ToolEnd("t", "calc", "1")], *HELLO],
    [[File("image/png", url="https://x/1"), Source("https://x/2", "x")], *HELLO],
    [[Message("Well: "), QUESTION], [Done("input_required", {"input_tokens": 1}, (QUESTION,))]],
    [[Message("half")], AgentFailed(agent_called=True)],
    [],
)


def runs_of(steps: Sequence[Step], log: MemoryRunLog | None = None) -> Runs:
    return Runs(
        agents={"agent": ScriptedAgent(steps)},
        history=ListHistory(),
        log=log or MemoryRunLog(retention_seconds=60),
        observer=Notes(),
        max_open_per_owner=3,
        idle_timeout_seconds=60,
    )


async def folded(follower: Follower) -> Transcript:
    async with asyncio.timeout(30), follower:
        return await follower.fold()


def words(answer: Transcript) -> Sequence[object]:
    return (
        *(answer.text, answer.reasoning, answer.tool_calls, answer.parts, answer.inputs),
        *(answer.end, answer.size, answer.whole),
    )


@pytest.mark.parametrize("steps", RUNS)
async def test_whoever_began_a_run__is_told_what_its_log_says(steps: Sequence[Step]) -> None:
    async with runs_of(steps) as runs:
        follower = await runs.start(ORDER)
        told = await folded(follower)

        assert words(told) == words(await folded(await runs.follow(follower.run)))
        assert told.end is not None


async def test_whoever_asks_when_the_run_is_over__is_told_at_once() -> None:
    async with runs_of(HELLO) as runs:
        follower = await runs.start(ORDER)
        await runs.end_of(follower.run, timeout_seconds=30)
        await runs.drain(0)

        assert (await folded(follower)).text == "Hello"


async def test_an_answer_that_is_longer_than_its_log__is_told_whole() -> None:
    log = MemoryRunLog(retention_seconds=60, max_events_per_run=10)
    steps: Sequence[Step] = [*([Message(f"{n} ")] for n in range(50)), [Done()]]
    async with runs_of(steps, log) as runs:
        told = await folded(await runs.start(ORDER))

    assert told.whole
    assert told.text.split() == [str(n) for n in range(50)]


async def test_a_run_that_is_another_instances_now__is_told_by_its_log() -> None:
    log = MemoryRunLog(retention_seconds=60)
    async with runs_of([[Message("a")], asyncio.Event()], log) as runs:
        follower = await runs.start(ORDER)
        telling = asyncio.create_task(folded(follower))
        await asyncio.sleep(0)
        runs.superseded(follower.run.run_id)
        log.drop(follower.run)

        assert (await telling).end is None


async def test_whoever_leaves_before_the_answer__ends_a_run_that_is_to_be_cancelled() -> None:
    async with runs_of([[Message("a")], asyncio.Event()]) as runs:
        follower = await runs.start(replace(ORDER, on_disconnect="cancel"))
        telling = asyncio.create_task(folded(follower))
        await asyncio.sleep(0)
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling

        assert (await folded(await runs.follow(follower.run))).end == Done("cancelled")


async def test_a_run_that_fails__is_told_with_its_problem() -> None:
    async with runs_of([AgentFailed(agent_called=True)]) as runs:
        told = await folded(await runs.start(ORDER))

    assert isinstance(told.end, Failed)
