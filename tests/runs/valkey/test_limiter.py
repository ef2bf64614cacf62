from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from bff.errors import Overloaded
from bff.runs.valkey import scripts
from tests.runs.valkey.conftest import StartInstance
from tests.runs.valkey.instances import Instance, until
from tests.runs.valkey.relay import Relay
from tests.runs.valkey.valkey import Valkey


@pytest.mark.parametrize("limit", [1, 7, 100, 2500])
async def test_a_limit__is_one_over_all_instances(
    valkey: Valkey, start_instance: StartInstance, limit: int
) -> None:
    instances = [await start_instance(valkey.url, limit=limit) for _ in range(3)]

    async def ask(number: int) -> bool:
        return (await instances[number % 3].limiter.take("caller")).allowed

    admitted = 0
    for _ in range(limit * 2 // 100 + 1):
        admitted += sum(await asyncio.gather(*[ask(number) for number in range(100)]))

    assert admitted == limit
    assert (await instances[0].limiter.take("another")).allowed


async def test_a_window__slides_and_never_holds_more_than_the_limit(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = [await start_instance(valkey.url, limit=20, window_seconds=1) for _ in range(2)]
    now = asyncio.get_running_loop().time
    admitted: list[tuple[float, float]] = []
    async with asyncio.timeout(30):
        while len(admitted) < 45:
            for instance in (a, b):
                before = now()
                if (await instance.limiter.take("caller")).allowed:
                    admitted.append((before, now()))

    for (asked, _), (_, answered) in zip(admitted, admitted[20:], strict=False):
        assert answered - asked >= 1.0


async def test_what_is_left__is_told_alike_by_take_and_peek(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = [await start_instance(valkey.url, limit=3, window_seconds=60) for _ in range(2)]
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


async def test_a_mixture_of_take_and_peek__admits_the_limit_and_no_more(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    instances = [await start_instance(valkey.url, limit=60) for _ in range(2)]
    taken, seen = [], []

    async def ask(number: int) -> None:
        limiter = instances[number % 2].limiter
        if number % 3:
            taken.append(await limiter.take("caller"))
        else:
            seen.append(await limiter.peek("caller"))

    await asyncio.gather(*[ask(number) for number in range(300)])

    assert sorted(one.remaining for one in taken if one.allowed) == list(range(60))
    assert {one.allowed for one in seen} == {True, False}
    assert all(one.allowed == (one.remaining > 0) for one in seen)


async def test_what_a_share_admitted__is_told_to_the_server_when_it_is_back(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = [await start_instance(own.url, limit=60) for _ in range(2)]
    await until(lambda: repr(a.limiter).endswith("2 instances>"))
    before = [await a.limiter.take("caller") for _ in range(10)]
    own.freeze()
    meanwhile = [await a.limiter.take("caller") for _ in range(40)]
    own.thaw()
    await available(a)
    after = await asyncio.gather(*[t.limiter.take("caller") for t in (a, b) for _ in range(60)])

    assert all(one.allowed for one in before)
    assert sum(one.allowed for one in meanwhile) == 20  # a share of 30, and 10 were had
    # the first of these was still asked of the server, which has counted it as well
    assert sum(one.allowed for one in after) == 29


@pytest.mark.parametrize("heard", [True, False])
async def test_a_caller_who_leaves__does_not_take_along_what_its_share_admitted(
    own: Valkey, start_instance: StartInstance, heard: bool
) -> None:
    async with Relay(own.port).serve() as relay:
        a = await start_instance(relay.url, limit=60)
        await a.limiter.take("caller")
        relay.refuse()
        meanwhile = [await a.limiter.take("caller") for _ in range(20)]
        relay.accept()
        await available(a)

        relay.hold(scripts.LIMIT)
        leaving = asyncio.create_task(a.limiter.take("caller"))
        await relay.held.wait()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        (relay.release if heard else relay.cut)()
        await available(a)
        after = await asyncio.gather(*[a.limiter.take("caller") for _ in range(60)])

        assert all(one.allowed for one in meanwhile)
        # one was had before, and the server counted the one that left; unheard, the 20 are counted
        # again: less than the limit, never more
        assert sum(one.allowed for one in after) == (38 if heard else 18)
        await a.die()


async def test_a_share__is_of_what_the_server_left(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = [await start_instance(own.url, limit=60) for _ in range(2)]
    await until(lambda: repr(a.limiter).endswith("2 instances>"))
    await asyncio.gather(*[b.limiter.take("caller") for _ in range(50)])
    last = await a.limiter.take("caller")
    own.freeze()
    shares = [await a.limiter.take("caller") for _ in range(20)]
    others = [await a.limiter.take("another") for _ in range(40)]
    own.thaw()

    assert last.remaining == 9
    assert [one.remaining for one in shares if one.allowed] == [3, 2, 1, 0]
    assert 30 < shares[-1].retry_after_seconds <= 60
    assert sum(one.allowed for one in others) == 30


async def available(task: Instance) -> None:
    """Return when the task has found its server again."""
    async with asyncio.timeout(30):
        while True:
            with suppress(Overloaded):
                return await task.log.ping()
            await asyncio.sleep(0.02)
