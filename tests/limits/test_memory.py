from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.limits import Allowance
from bff.limits.memory import MemoryLimiter


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def limiter(clock: Clock, limit: int = 3, **options: int) -> MemoryLimiter:
    return MemoryLimiter(limit, 60, clock=clock, **options)


async def test_a_caller__has_the_whole_limit_at_once_and_no_more() -> None:
    clock = Clock()
    limits = limiter(clock)

    taken = [await limits.take("a") for _ in range(4)]

    assert [one.allowed for one in taken] == [True, True, True, False]
    assert [one.remaining for one in taken] == [2, 1, 0, 0]
    assert taken[-1] == Allowance(False, 3, 0, 60, retry_after_seconds=60)


async def test_a_refused_request__does_not_count() -> None:
    clock = Clock()
    limits = limiter(clock)
    for _ in range(50):
        await limits.take("a")

    clock.now += 60

    assert (await limits.take("a")).allowed


async def test_retry_after__is_when_the_next_request_passes() -> None:
    clock = Clock()
    limits = limiter(clock)
    for _ in range(3):
        await limits.take("a")
        clock.now += 7
    refused = await limits.take("a")

    clock.now += refused.retry_after_seconds - 0.001
    too_early = await limits.take("a")
    clock.now += 0.002

    assert refused.retry_after_seconds == pytest.approx(60 - 21)
    assert not too_early.allowed
    assert (await limits.take("a")).allowed


async def test_reset__is_when_the_whole_limit_is_there_again() -> None:
    clock = Clock()
    limits = limiter(clock)
    await limits.take("a")
    clock.now += 20
    reset = (await limits.take("a")).reset_seconds

    clock.now += reset

    assert reset == 60
    assert await limits.peek("a") == Allowance(True, 3, 3, 0)


async def test_peeking__counts_nothing() -> None:
    limits = limiter(Clock())
    for _ in range(10):
        await limits.peek("a")

    assert (await limits.take("a")).remaining == 2
    assert (await limits.peek("b")).remaining == 3


async def test_callers__do_not_share() -> None:
    limits = limiter(Clock(), 1)

    assert (await limits.take("a")).allowed
    assert (await limits.take("b")).allowed
    assert not (await limits.take("a")).allowed


async def test_callers__are_forgotten_once_their_window_is_over() -> None:
    clock = Clock()
    limits = limiter(clock)
    for number in range(1000):
        await limits.take(f"address:{number}")
    clock.now += 61

    for number in range(1000):
        await limits.take(f"other:{number}")

    assert repr(limits) == "<MemoryLimiter 3 a window, 1000 callers>"


async def test_callers__never_fill_the_memory() -> None:
    limits = limiter(Clock(), max_callers=100)

    for number in range(1000):
        await limits.take(f"address:{number}")

    assert repr(limits) == "<MemoryLimiter 3 a window, 100 callers>"


async def test_a_large_limit__costs_no_more_memory_than_the_slots() -> None:
    clock = Clock()
    limits = limiter(clock, 1_000_000)
    for _ in range(20_000):
        clock.now += 0.003
        await limits.take("a")

    assert len(limits._logs["a"].slots) <= 1001


@given(st.integers(1, 8), st.lists(st.floats(0.0001, 40), min_size=1, max_size=120))
async def test_no_window__ever_holds_more_than_the_limit(limit: int, steps: list[float]) -> None:
    clock = Clock()
    limits = limiter(clock, limit)
    admitted = []
    for step in steps:
        clock.now += step
        if (await limits.take("a")).allowed:
            admitted.append(clock.now)

    assert all(sum(1 for other in admitted if at - 60 < other <= at) <= limit for at in admitted)


async def test_ten_times_too_many__get_all_but_two_percent_of_the_limit() -> None:
    clock, chance = Clock(), random.Random(8)
    limits = limiter(clock, 100)
    admitted = 0
    for _ in range(10_000):
        clock.now += chance.expovariate(1 / 0.06)
        admitted += (await limits.take("a")).allowed

    windows = (clock.now - 1000) / 60
    assert 0.98 * 100 * windows <= admitted <= 100 * (windows + 1)
