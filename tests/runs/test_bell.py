from __future__ import annotations

import asyncio

from bff.runs.bell import NEVER, Bell


class Waiting:
    """Who counts how often the bell rang, and waits for more where it is told to."""

    def __init__(self, deadline: float, again: int = 0) -> None:
        self.deadline = deadline
        self.rung = 0
        self.done = asyncio.Event()
        self._again = again

    def ring(self) -> None:
        self.rung += 1
        if self.rung > self._again:
            self.deadline = NEVER
            self.done.set()


async def test_a_deadline_that_is_over__rings_once() -> None:
    bell, now = Bell(), asyncio.get_running_loop().time()
    waiting = [Waiting(now), Waiting(now + 0.01), Waiting(now + 0.02)]
    for waiter in waiting:
        bell.add(waiter)
        bell.look_at(waiter.deadline)
    async with asyncio.timeout(30):
        await asyncio.gather(*[waiter.done.wait() for waiter in waiting])

    assert [waiter.rung for waiter in waiting] == [1, 1, 1]


async def test_a_deadline_that_was_moved__does_not_ring() -> None:
    bell, now = Bell(), asyncio.get_running_loop().time()
    moved, waiting = Waiting(now), Waiting(now + 0.01)
    for waiter in (moved, waiting):
        bell.add(waiter)
        bell.look_at(waiter.deadline)
    moved.deadline = now + 3600
    async with asyncio.timeout(30):
        await waiting.done.wait()

    assert moved.rung == 0


async def test_a_deadline_that_is_earlier_than_all_others__is_not_waited_for_with_them() -> None:
    bell, now = Bell(), asyncio.get_running_loop().time()
    late, early = Waiting(now + 3600), Waiting(now + 0.01)
    for waiter in (late, early):
        bell.add(waiter)
        bell.look_at(waiter.deadline)
    async with asyncio.timeout(30):
        await early.done.wait()

    assert late.rung == 0


async def test_a_deadline_that_stays__rings_again() -> None:
    bell, now = Bell(), asyncio.get_running_loop().time()
    waiting = Waiting(now, again=1)
    bell.add(waiting)
    bell.look_at(now)
    async with asyncio.timeout(30):
        await waiting.done.wait()

    assert waiting.rung == 2


async def test_who_was_taken_out__is_not_rung_for() -> None:
    bell, now = Bell(), asyncio.get_running_loop().time()
    gone, waiting = Waiting(now), Waiting(now + 0.01)
    for waiter in (gone, waiting):
        bell.add(waiter)
        bell.look_at(waiter.deadline)
    bell.discard(gone)
    async with asyncio.timeout(30):
        await waiting.done.wait()

    assert gone.rung == 0
    assert repr(bell) == "<Bell for 1>"
