"""What happens when the server is slow, gone, back, or back with nothing in it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from bff.errors import Overloaded, SessionBusy
from bff.events import Done, Message, record
from bff.runs.memory import MAX_BYTES_PER_RUN
from bff.runs.valkey.log import ValkeyRunLog
from bff.runs.valkey.recovery import AGAIN_SECONDS
from tests.runs.valkey.conftest import StartInstance
from tests.runs.valkey.instances import (
    FAST,
    Instance,
    degraded,
    ids,
    instance_on,
    until,
    until_well,
)
from tests.runs.valkey.relay import Relay
from tests.runs.valkey.valkey import Valkey, free_port, running_valkey

T = TypeVar("T")


async def until_degraded(instance: Instance) -> None:
    async with asyncio.timeout(30):
        while not await degraded(instance):
            await asyncio.sleep(0.01)


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again for as long as the answer is to come back later."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await ask()
            except Overloaded:
                await asyncio.sleep(0.02)


def script_calls(server: Valkey) -> int:
    """How many scripts the server was asked for."""
    [found] = re.findall(r"cmdstat_evalsha:calls=(\d+)", server.tell("INFO commandstats"))
    return int(found)


@pytest.mark.parametrize("cluster", [False, True])
async def test_no_server_at_the_start__serves_on_and_recovers(
    tmp_path: Path, start_instance: StartInstance, cluster: bool
) -> None:
    server = Valkey(tmp_path, cluster=cluster, port=free_port())
    a = await start_instance(server.url)
    assert await degraded(a)

    run = await a.begin("run", session_id="session")
    await a.say(run, 2, 3)
    with pytest.raises(SessionBusy):
        await a.begin("next", session_id="session")
    with pytest.raises(Overloaded):
        await a.begin("other", key="key")
    assert (await a.find(run)).last_event_id == 3
    turns: list[None] = []
    asyncio.get_running_loop().call_soon(turns.append, None)
    for _ in range(2):  # whoever asks again at once lets others have their turn
        with pytest.raises(SessionBusy):
            await a.begin("next", session_id="session")
    assert turns

    server.start()
    try:
        await until_well(a)
        b = await start_instance(server.url)
        live = asyncio.create_task(b.read(run))
        await a.say(run, 4, 6)
        await a.end(run, 7)
        assert ids(await live) == [1, 2, 3, 4, 5, 6, 7]
    finally:
        server.kill()


async def test_a_server_that_comes_back_empty__gets_its_runs_back_from_their_owners(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    run = await a.begin("run", session_id="session", key="key")
    ended = await a.begin("ended", key="another")
    await a.say(ended, 2, 600)
    await a.end(ended, 601)
    await a.say(run, 2, 4)
    here, there = asyncio.create_task(a.read(run)), asyncio.create_task(b.read(run))

    own.kill()
    await a.say(run, 5, 300)
    await until_degraded(b)
    with pytest.raises(Overloaded):
        await b.log.find("owner", "run")
    with pytest.raises(Overloaded):
        await b.begin("again", key="key")
    own.start()
    await until_well(a, b)
    await a.say(run, 301, 302)
    await a.end(run, 303)

    assert ids(await here) == list(range(1, 304))
    assert await there == await here
    assert ids(await b.read(await b.find(ended))) == list(range(1, 602))
    assert (await b.begin("again", key="key")).run_id == "run"
    assert (await b.begin("again", key="another")).run_id == "ended"
    assert a.told.lost == []
    assert b.told.interruptions == []


async def test_a_server_that_took_over_and_missed_the_last_writes__is_told_them(
    own: Valkey, tmp_path: Path, start_instance: StartInstance
) -> None:
    with running_valkey(tmp_path) as other:
        async with Relay(own.port).serve() as relay:
            a, b = await start_instance(relay.url), await start_instance(relay.url)
            cancelled = await a.begin("cancelled", session_id="one")
            ending, going_on = await a.begin("ending", session_id="two"), await a.begin("going on")
            await a.say(cancelled, 2, 3)
            await a.say(ending, 2, 5)
            await b.log.request_cancel(cancelled)
            await until(lambda: a.told.cancels == ["cancelled"])
            other.tell(f"REPLICAOF 127.0.0.1 {own.port}")
            own.tell("SET all there")
            await until(lambda: "there" in other.tell("GET all"))
            other.tell("REPLICAOF NO ONE")
            await a.end(cancelled, 4, Done("cancelled"), "cancelled")
            await a.end(ending, 6)
            await a.say(going_on, 2, 9)
            next_one = await a.begin("next", session_id="two", key="key")
            short = await a.begin("short", session_id="three")
            await a.end(short, 2)
            await asyncio.gather(*(a.read(run) for run in (cancelled, ending, short)))

            relay.lead_to(other.port)
            own.kill()
            now = asyncio.get_running_loop().time
            began = now()
            while now() - began < 3 * FAST.lease_seconds:  # nobody ends what has ended
                await a.say(going_on, (await a.find(going_on)).last_event_id + 1)
                await asyncio.sleep(0.02)

            states = [await patiently(partial(b.find, run)) for run in (cancelled, ending, short)]
            assert [run.status for run in states] == ["cancelled", "complete", "complete"]
            assert ids(await b.read(ending)) == list(range(1, 7))
            assert (await b.begin("again", key="key")).run_id == "next"
            await a.end(next_one, 2)
            await a.end(going_on, last := (await a.find(going_on)).last_event_id + 1)
            assert ids(await b.read(going_on)) == list(range(1, last + 1))
            assert (a.told.lost, b.told.interruptions, a.told.interruptions) == ([], [], [])


async def test_a_flush__loses_nothing_that_an_owner_still_has(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    run = await a.begin("run", session_id="session", key="key", on_disconnect="cancel")
    await a.log.join(run)
    await a.say(run, 2, 40)
    live = asyncio.create_task(b.read(run))

    own.tell("FLUSHALL")
    with pytest.raises(Overloaded):
        await b.begin("again", key="key")
    with pytest.raises(Overloaded):
        await b.log.find("owner", "never")
    await a.say(run, 41, 60)

    assert (await patiently(lambda: b.begin("again", key="key"))).run_id == "run"
    with pytest.raises(SessionBusy):
        await b.begin("next", session_id="session")
    await a.end(run, 61)
    assert ids(await live) == list(range(1, 62))
    assert a.told.cancels == a.told.lost == []
    assert b.told.interruptions == []


async def test_a_silent_run__survives_a_flush(own: Valkey, start_instance: StartInstance) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    run = await a.begin("run", session_id="session")
    live = asyncio.create_task(b.read(run))

    own.tell("FLUSHALL")

    assert await patiently(lambda: b.log.find("owner", "run"))
    await a.end(run, 2)
    assert ids(await live) == [1, 2]


async def test_a_run_that_is_lost_with_its_owner_and_the_server__is_not_followed_for_ever(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    run = await a.begin("run")
    live = asyncio.create_task(b.read(run))
    await b.read(run, until=1)

    await a.die()
    own.tell("FLUSHALL")

    first, last = await live
    assert (first.id, last.id, last.name) == (1, 2, "error")
    assert '"code":"interrupted"' in last.data
    assert await patiently(lambda: b.log.find("owner", "run")) is None


async def test_a_frozen_server__costs_no_run_and_makes_nobody_wait(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    run = await a.begin("run")
    here, there = asyncio.create_task(a.read(run)), asyncio.create_task(b.read(run))
    await a.say(run, 2, 3)

    own.freeze()
    now = asyncio.get_running_loop().time
    began = now()
    # one wait for all of them: were it one each, it would be twice as long
    async with asyncio.timeout(50 * FAST.call_seconds):
        for n in range(50):
            with pytest.raises(Overloaded):
                await a.begin("kept out", key=f"key {n}")
            with pytest.raises(Overloaded):
                await b.begin("kept out", key=f"other key {n}")
        await a.say(run, 4, 100)
        other = await a.begin("other")
        assert await degraded(a)
    async with asyncio.timeout(30):  # for longer than any lease
        while now() - began < 1.5:
            await a.say(run, (last := (await a.find(run)).last_event_id) + 1)
            await asyncio.sleep(0.02)
    own.thaw()
    await until_well(a, b)
    last = (await a.find(run)).last_event_id
    await a.end(run, last + 1)

    assert ids(await here) == list(range(1, last + 2))
    assert await there == await here
    assert (await b.find(other)).status == "running"
    assert a.told.lost == []
    assert b.told.interruptions == []
    assert (await b.begin("let in", key="key")).run_id == "let in"
    assert (await a.begin("let in too", key="other key")).run_id == "let in too"


@pytest.mark.parametrize("refusal", ["CONFIG SET maxmemory 1", "REPLICAOF 127.0.0.1 1"])
async def test_a_server_that_takes_no_writes__is_as_good_as_gone(
    own: Valkey, start_instance: StartInstance, refusal: str
) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    run = await a.begin("run")
    there = asyncio.create_task(b.read(run))
    assert isinstance(b.log, ValkeyRunLog)
    takeover = b.log.takeover
    await until(lambda: takeover.sure)  # from now on `b` would end what it takes for dead
    assert own.tell(refusal) == "+OK"

    now = asyncio.get_running_loop().time
    began, calls = now(), script_calls(own)
    await until_degraded(a)
    await a.say(run, 2, 50)
    while (passed := now() - began) < 3 * FAST.lease_seconds:
        await a.say(run, (await a.find(run)).last_event_id + 1)
        await asyncio.sleep(0.02)
    last = (await a.find(run)).last_event_id
    assert ids(await a.read(run, until=last)) == list(range(1, last + 1))
    assert (await a.limiter.take("owner")).allowed
    assert await degraded(a)
    assert await degraded(b)
    # each looks for it now and then, and not all the time; a look asks for 64 epochs and more
    assert script_calls(own) - calls < 2 * 80 * (passed / AGAIN_SECONDS + 2)

    own.tell("CONFIG SET maxmemory 0")
    own.tell("REPLICAOF NO ONE")
    await until_well(a, b)
    await a.end(run, last + 1)
    assert ids(await there) == list(range(1, last + 2))
    assert (a.told.lost, b.told.interruptions) == ([], [])


async def test_an_evicted_log__is_a_gap_and_not_a_hole(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    run = await a.begin("run")
    await a.say(run, 2, 10)
    [key] = [line for line in own.tell("KEYS *:run:*").split() if ":run:" in line]
    own.tell(f"HSET {key} bytes {MAX_BYTES_PER_RUN}")  # as if it had been a long one
    own.tell(f"DEL {key.replace(':run:', ':log:')}")

    await a.say(run, 11)
    await a.say(run, 12)
    gap, *rest = await b.read(run, 3, until=12)

    assert (gap.name, gap.id, gap.data) == ("gap", 10, '{"from":4,"to":10}')
    assert ids(rest) == [11, 12]


async def test_a_restart_of_everything__takes_the_tasks_limits_and_runs_up_again(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(own.url, limit=10), await start_instance(own.url, limit=10)
    await until(lambda: "2 instances" in repr(a.limiter))
    own.kill()
    await until_degraded(a)
    await until_degraded(b)

    admitted = 0
    for instance in (a, b):
        for _ in range(20):
            admitted += (await instance.limiter.take("owner")).allowed
    assert admitted == 10

    own.start()
    await until_well(a, b)
    again = await a.begin("run")
    assert (await b.find(again)).run_id == "run"


async def test_a_client_ahead_of_the_log__is_asked_to_wait_until_the_owner_has_caught_up(
    own: Valkey, start_instance: StartInstance
) -> None:
    """Only for the owner the server is away, and whoever asks elsewhere cannot see that."""
    patient = replace(FAST, grace_seconds=30.0)  # ends nobody's run
    async with Relay(own.port).serve() as relay:
        a, b = await start_instance(relay.url), await start_instance(own.url, timing=patient)
        run = await a.begin("run")
        await a.say(run, 2, 3)
        relay.refuse()
        await until_degraded(a)
        await a.say(run, 4, 9)

        assert (await a.find(run)).after(9) == 9
        behind = await b.find(run)
        assert [behind.after(seen) for seen in (0, 3)] == [0, 3]
        with pytest.raises(Overloaded):
            behind.after(9)

        relay.accept()
        await until_well(a)
        await b.read(run, until=9)
        assert (await b.find(run)).after(9) == 9
        await a.end(run, 10)
        ended = await b.find(run)
        assert ended.after(10) == 10
        with pytest.raises(ValueError, match="11"):
            ended.after(11)
        await a.die()


async def test_what_was_said_while_the_server_was_away_and_died_with_its_instance__ends_in_words(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    run = await a.begin("run")
    await a.say(run, 2, 3)
    own.freeze()
    await until_degraded(a)
    await until_degraded(b)
    await a.say(run, 4, 9)
    seen = ids(await a.read(run, until=9))[-1]
    await a.die()
    own.thaw()
    await until_well(b)

    end = (await b.read(run, 1))[-1]
    assert end.name == "error"
    assert end.id < seen  # the log never got the rest; the client is told the end all the same
    found = await b.find(run)
    assert await b.read(found, found.after(seen)) == [end]


async def test_many_long_runs__are_all_restored(own: Valkey, start_instance: StartInstance) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    runs = [await a.begin(f"run-{n}", owner=f"owner-{n}") for n in range(30)]
    for run in runs:
        await a.log.append(run, [record(id, Message("x" * 300)) for id in range(2, 1001)])

    own.tell("FLUSHALL")
    await patiently(lambda: b.log.find("owner-0", "never"))
    for run in runs:
        await a.end(run, 1001)

    for run in runs:
        assert ids(await b.read(run)) == list(range(1, 1002))
    assert not await degraded(a)


async def test_followers_elsewhere__are_still_counted_when_the_server_comes_back(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    run = await a.begin("run", on_disconnect="cancel")
    await a.log.join(run)
    await b.log.join(run)
    await a.log.leave(run)
    now = asyncio.get_running_loop().time

    own.freeze()
    frozen_at = now()
    await until_degraded(b)
    await until(lambda: now() - frozen_at > 2 * FAST.lease_seconds)
    own.thaw()
    await until_well(a, b)
    back_at = now()
    await until(lambda: now() - back_at > 2 * FAST.lease_seconds)

    assert a.told.cancels == []
    assert await b.log.leave(run)


async def test_tasks_that_were_all_cancelled__do_not_keep_the_instance_from_closing(
    valkey: Valkey,
) -> None:
    """As `asyncio.run` does it when it is interrupted."""
    async with asyncio.timeout(20):
        async with instance_on(valkey.url):
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
