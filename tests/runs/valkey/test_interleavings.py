"""Replies that come late, beside others that do not: whose run may that touch?"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

from bff.errors import SessionBusy
from bff.events import Done, Failed
from bff.runs.valkey import scripts
from bff.runs.valkey.keys import idempotency_key, run_keys
from tests.runs.valkey.conftest import StartInstance
from tests.runs.valkey.instances import FAST, Instance, ids, until
from tests.runs.valkey.relay import Relay
from tests.runs.valkey.valkey import Valkey

PATIENT = replace(FAST, call_seconds=20.0)
"""For tests that hold a reply: no server is taken for gone because of it."""


async def test_an_early_next_message__ends_nobodys_run(
    own: Valkey, start_instance: StartInstance
) -> None:
    """The server has taken the end of Alice's run, and this instance has not heard of it yet."""
    async with Relay(own.port).serve() as relay:
        a, b = await start_instance(relay.url, timing=PATIENT), await start_instance(own.url)
        await a.end(await a.begin("met"), 2)
        alice, bob, carol = [
            await a.begin(name, owner=name, session_id="session")
            for name in ("alice", "bob", "carol")
        ]
        relay.hold(scripts.CLOSE)
        ends = [
            asyncio.create_task(work) for work in (a.end(alice, 2), a.end(bob, 2), a.say(carol, 2))
        ]
        await relay.held.wait()

        again = asyncio.create_task(a.begin("again", owner="alice", session_id="session"))
        await a.log.ping()  # behind it on the same connection
        relay.release()

        await asyncio.gather(*ends)
        assert (await again).run_id == "again"
        await a.end(carol, 3)
        for run, last in ((alice, 2), (bob, 2), (carol, 3)):
            here, there = await a.read(run), await b.read(run)
            assert here == there
            assert ids(here) == list(range(1, last + 1))
            assert isinstance(here[-1].event, Done)
        assert a.told.lost == []
        await a.die()


async def test_ending_dead_runs__keeps_no_living_run_from_its_lease(
    own: Valkey, start_instance: StartInstance
) -> None:
    async with Relay(own.port).serve() as relay:
        dying, other = await start_instance(own.url), await start_instance(own.url)
        for n in range(3):
            await dying.begin(f"met-{n}", owner=f"owner-{n}")
        await dying.die()
        while len(other.told.interruptions) < 3:
            await asyncio.sleep(0.01)
        dying, a = await start_instance(own.url), await start_instance(relay.url, timing=PATIENT)
        living = await a.begin("living")
        await dying.begin("dead")
        await other.die()  # so that it is `a` that ends the dead run

        relay.hold(scripts.INTERRUPT)
        await dying.die()
        await relay.held.wait()
        async with asyncio.timeout(30):
            await relay.passed(scripts.RENEW, 5)
        relay.release()

        await a.end(living, 2)
        assert a.told.lost == []
        await a.die()


async def test_a_dead_run_whose_end_was_not_heard_of__still_gets_its_turn_in_the_history(
    own: Valkey, start_instance: StartInstance
) -> None:
    """The server has ended it, and the reply that says so is lost: nobody else is told."""
    own.load(scripts.INTERRUPT.text)
    async with Relay(own.port).serve() as relay:
        dying, a = await start_instance(own.url), await start_instance(relay.url, timing=PATIENT)
        dead = await dying.begin("dead")
        relay.hold(scripts.INTERRUPT)
        await dying.die()
        await relay.held.wait()
        assert a.told.interruptions == []

        relay.cut()

        await until(lambda: bool(a.told.interruptions))
        [run] = a.told.interruptions
        assert (run.run_id, run.status, run.last_event_id) == ("dead", "interrupted", 2)
        assert run.request.message == "What is 15 * 23?"
        assert [item.name for item in await a.read(dead)] == ["start", "error"]
        await a.die()


async def test_a_key_that_was_evicted__leaves_no_run_that_nobody_can_end(
    own: Valkey, start_instance: StartInstance
) -> None:
    a = await start_instance(own.url)
    first = await a.begin("first", session_id="session", key="key")
    await a.end(first, 2)
    own.tell(f"DEL {idempotency_key('owner', 'key')}")

    again = await a.begin("again", session_id="session", key="key")

    assert (again.run_id, again.status) == ("first", "complete")
    assert list(await a.log.open_runs("owner")) == []
    async with asyncio.timeout(30):
        await begin_when_free(a, "next")
    assert [run.run_id for run in await a.log.open_runs("owner")] == ["next"]


async def begin_when_free(instance: Instance, run_id: str) -> None:
    while True:
        try:
            await instance.begin(run_id, session_id="session")
        except SessionBusy:
            await asyncio.sleep(0.01)
        else:
            return


async def test_an_evicted_log_of_an_ended_run__keeps_its_end(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    done = Done(usage={"total_tokens": 7})
    complete, failed, dead = [await a.begin(name) for name in ("complete", "failed", "dead")]
    for run in (complete, failed, dead):
        await a.say(run, 2)
    await a.end(complete, 3, done)
    await a.end(failed, 3, Failed({"code": "agent_failed"}), "failed")
    await a.die()
    interrupted = (await b.read(dead))[-1]
    for run in (complete, failed, dead):
        own.tell(f"DEL {run_keys('owner', run.run_id).log}")

    for run, event in (
        (complete, done),
        (failed, Failed({"code": "agent_failed"})),
        (dead, interrupted.event),
    ):
        found = await b.find(run)
        assert found.last_event_id == 3
        gap, end = await b.read(found, 0)
        assert (gap.name, gap.id, gap.data) == ("gap", 2, '{"from":1,"to":2}')
        assert (end.id, end.event) == (3, event)
        assert await b.read(found, 2) == [end]
        assert await b.read(found, 3) == []


async def test_a_log_that_is_evicted_under_a_follower__still_ends(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    run = await a.begin("run")
    await a.say(run, 2, 3)
    await a.end(run, 4)
    async with aclosing(b.log.follow(await b.find(run), 2, silence_seconds=60)) as batches:
        own.tell(f"DEL {run_keys('owner', 'run').log}")
        items = [item async for batch in batches for item in batch]

    assert [(item.id, item.name) for item in items] == [(3, "gap"), (4, "done")]
