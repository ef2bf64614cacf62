from __future__ import annotations

import asyncio

import pytest

from tests.runs.valkey.conftest import StartTask
from tests.runs.valkey.valkey import Valkey


@pytest.mark.parametrize("limit", [1, 7, 100, 2500])
async def test_a_limit__is_one_over_all_tasks(
    valkey: Valkey, start_task: StartTask, limit: int
) -> None:
    tasks = [await start_task(valkey.url, limit=limit) for _ in range(3)]

    async def ask(number: int) -> bool:
        return (await tasks[number % 3].limiter.take("caller")).allowed

    admitted = 0
    for _ in range(limit * 2 // 100 + 1):
        admitted += sum(await asyncio.gather(*[ask(number) for number in range(100)]))

    assert admitted == limit
    assert (await tasks[0].limiter.take("another")).allowed


async def test_a_window__slides_and_never_holds_more_than_the_limit(
    valkey: Valkey, start_task: StartTask
) -> None:
    a, b = [await start_task(valkey.url, limit=20, window_seconds=1) for _ in range(2)]
    now = asyncio.get_running_loop().time
    admitted: list[tuple[float, float]] = []
    end = now() + 1.3
    while now() < end:
        for task in (a, b):
            before = now()
            if (await task.limiter.take("caller")).allowed:
                admitted.append((before, now()))

    assert len(admitted) >= 39
    for (asked, _), (_, answered) in zip(admitted, admitted[20:], strict=False):
        assert answered - asked >= 1.0


async def test_what_is_left__is_told_alike_by_take_and_peek(
    valkey: Valkey, start_task: StartTask
) -> None:
    a, b = [await start_task(valkey.url, limit=3, window_seconds=60) for _ in range(2)]
    fresh = await b.limiter.peek("caller")
    assert (fresh.allowed, fresh.remaining, fresh.reset_seconds) == (True, 3, 0)

    first = await a.limiter.take("caller")
    assert (first.allowed, first.limit, first.remaining) == (True, 3, 2)
    assert 59 < first.reset_seconds <= 60
    for _ in range(2):
        await b.limiter.take("caller")
    refused = await a.limiter.take("caller")
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert 58 < refused.retry_after_seconds <= refused.reset_seconds <= 60
    seen = await b.limiter.peek("caller")
    assert (seen.allowed, seen.remaining) == (False, 0)
