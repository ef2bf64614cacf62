from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

import pytest

from bff.events import Done, Message, Record, Start, record
from bff.runs.bell import Bell
from bff.runs.listener import Listener
from bff.runs.log import Run, RunLog
from bff.runs.memory import MemoryRunLog
from tests.fakes.requests import run_request_of

RUN = Run(run_id="run", request=run_request_of(session_id="s"), created_at=0, last_event_id=1)


@asynccontextmanager
async def following(
    log: RunLog, take: Callable[[Sequence[Record]], bool]
) -> AsyncGenerator[asyncio.Task[list[int]]]:
    """The ids of what a follower is given to its end; it waits at the end of the log."""

    async def follow() -> list[int]:
        ids: list[int] = []
        async with aclosing(log.follow(RUN, 1, silence_seconds=60, take=take)) as batches:
            async for batch in batches:
                ids += [item.id for item in batch]
        return ids

    await log.open(RUN, record(1, Start("run", "s")), idempotency=None, max_open=1)
    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def words(*ids: int) -> list[Record]:
    return [record(id, Message("word")) for id in ids]


async def test_what_is_added__is_taken_there_and_then_but_the_end() -> None:
    log = MemoryRunLog(retention_seconds=60)
    taken: list[int] = []

    def take(records: Sequence[Record]) -> bool:
        taken.extend(item.id for item in records)
        return True

    async with following(log, take) as task:
        await log.append(RUN, words(2, 3))
        assert taken == [2, 3]
        await log.append(RUN, words(4))
        await log.close(RUN, record(5, Done()), "complete")

        assert await task == [5]
    assert taken == [2, 3, 4]


async def test_what_is_not_taken__is_yielded_with_all_behind_it() -> None:
    log = MemoryRunLog(retention_seconds=60)
    asked: list[int] = []

    def take(records: Sequence[Record]) -> bool:
        asked.extend(item.id for item in records)
        return records[0].id == 2

    async with following(log, take) as task:
        for id in (2, 3, 4):
            await log.append(RUN, words(id))
        for _ in range(3):  # it reads and waits again
            await asyncio.sleep(0)
        await log.append(RUN, words(5))
        await log.close(RUN, record(6, Done()), "complete")

        assert await task == [3, 4, 5, 6]
    assert asked == [2, 3, 5]


async def test_a_follower_that_cannot_take_it__fails_alone() -> None:
    log = MemoryRunLog(retention_seconds=60)

    def take(records: Sequence[Record]) -> bool:
        raise ZeroDivisionError

    async with following(log, take) as task:
        await log.append(RUN, words(2))
        with pytest.raises(ZeroDivisionError):
            await task
    await log.append(RUN, words(3))
    assert [item.id for item in log.behind(RUN, 1)] == [2, 3]


async def test_what_was_taken__puts_the_silence_off() -> None:
    listener = Listener(Bell(), 60, lambda records: True)
    begun = asyncio.get_running_loop().time()
    more = listener.more(1)
    listener.deadline = begun  # the silence is about to be over

    listener.offer(words(2))

    assert listener.deadline >= begun + 60
    assert listener.at == 2
    assert not more.done()
