"""Runs and sessions that are forgotten, on every instance."""

from __future__ import annotations

import asyncio

import pytest

from bff.errors import Invalid, NotFound, Overloaded
from bff.events import Done, record
from bff.runs.request import Idempotency
from bff.runs.valkey.keys import epoch_key, partition, session_runs_key
from tests.runs.valkey.conftest import StartInstance
from tests.runs.valkey.instances import forget_session, ids
from tests.runs.valkey.valkey import Valkey


async def test_a_forgotten_run__is_unknown_on_every_task_and_its_key_begins_no_other(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b, c = [await start_instance(valkey.url) for _ in range(3)]
    for name, instance in (("by its owner", a), ("by another", b)):
        run = await a.begin(name, session_id="session", key=name)
        assert run.run_id == name
        assert not await instance.log.forget(run.owner, [run.run_id])
        await a.end(run, 2)

        assert await instance.log.forget(run.owner, [run.run_id])

        for each in (a, b, c):
            assert await each.log.find(run.owner, run.run_id) is None
            with pytest.raises(NotFound):
                await each.log.find_known(run.owner, Idempotency(name, "body"))
            with pytest.raises(NotFound) as caught:
                await each.begin("again", key=name)
            assert caught.value.errors[0]["field"] == "Idempotency-Key"
            with pytest.raises(Invalid):
                await each.begin("again", key=name, body="another body")
            assert await each.log.find(run.owner, "again") is None
        assert not await instance.log.forget(run.owner, [run.run_id])


async def test_a_forgotten_session__has_none_of_its_runs_on_any_task(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b, c = [await start_instance(valkey.url) for _ in range(3)]
    mine, theirs = await a.begin("mine", session_id="chat"), await b.begin("other")
    await a.end(mine, 2)
    further = await b.begin("further", session_id="chat")
    await b.end(further, 2)
    await b.end(theirs, 2)
    still_open = await b.begin("open", session_id="chat")
    reading = asyncio.create_task(c.read(still_open))
    assert not await forget_session(c.log, "owner", "unknown")
    assert not await forget_session(c.log, "somebody", "chat")

    assert await forget_session(c.log, "owner", "chat")

    for each in (a, b, c):
        assert await each.log.find("owner", "mine") is None
        assert await each.log.find("owner", "further") is None
        assert (await each.find(theirs)).status == "complete"
        assert (await each.find(still_open)).status == "running"
    assert not await forget_session(c.log, "owner", "chat")
    await b.end(still_open, 2)
    assert ids(await reading) == [1, 2]
    assert await forget_session(c.log, "owner", "chat")
    assert await b.log.find("owner", "open") is None


async def test_a_forgotten_run__says_on_every_task_how_it_ended_where_that_is_wanted(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = [await start_instance(valkey.url) for _ in range(2)]
    run, other = await a.begin("mine", session_id="chat"), await a.begin("other")
    for each in (run, other):
        await a.end(each, 2)
    ended = run.ended_with(record(2, Done("cancelled")), 1_700_000_000.125)

    assert await b.log.forget("owner", ["mine", "other"], ended=ended)

    for task in (a, b):
        assert await task.log.find("owner", "mine") is None
        assert await task.log.find("owner", "mine", deleted=True) == ended.without_words()
        assert await task.log.find("owner", "other", deleted=True) is None
        assert await task.log.find("somebody", "mine", deleted=True) is None


async def test_a_forgotten_session__has_no_run_whose_owner_died(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = [await start_instance(valkey.url) for _ in range(2)]
    run = await a.begin("run", session_id="chat")
    await a.die()
    async with asyncio.timeout(30):
        while (await b.find(run)).status == "running":
            await asyncio.sleep(0.05)

    assert await forget_session(b.log, "owner", "chat")

    assert await b.log.find("owner", "run") is None


async def test_a_long_run__is_still_known_as_its_sessions(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = [await start_instance(own.url) for _ in range(2)]
    run = await a.begin("run", session_id="chat")
    own.tell(f"DEL {session_runs_key('owner', 'chat')}")  # as if it had been open for so long
    async with asyncio.timeout(30):
        while own.tell(f"EXISTS {session_runs_key('owner', 'chat')}") == ":0":
            await asyncio.sleep(0.05)
    await a.end(run, 2)

    assert await forget_session(b.log, "owner", "chat")


async def test_a_session__cannot_be_forgotten_while_the_server_is_away_or_has_just_lost_its_runs(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = [await start_instance(own.url) for _ in range(2)]
    await a.end(await a.begin("run", session_id="chat"), 2)
    own.freeze()
    for each in (a, b):
        with pytest.raises(Overloaded):
            await forget_session(each.log, "owner", "chat")
    own.thaw()
    own.tell("FLUSHALL")

    async with asyncio.timeout(30):
        while True:
            try:
                assert await forget_session(b.log, "owner", "chat")
                break
            except Overloaded:
                await asyncio.sleep(0.05)

    for each in (a, b):
        assert await each.log.find("owner", "run") is None


async def test_a_forgotten_run__is_not_brought_back_by_an_owner_that_does_not_hear_of_it(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = [await start_instance(own.url) for _ in range(2)]
    run = await a.begin("run", key="key")
    await a.end(run, 2)
    own.tell("CLIENT KILL TYPE pubsub")
    assert await b.log.forget(run.owner, [run.run_id])

    own.tell(f"DEL {epoch_key(partition(run.owner))}")
    await a.begin("next")  # sees that the server has lost something, and restores what there is

    assert await a.log.find(run.owner, run.run_id) is None
    assert await b.log.find(run.owner, run.run_id) is None
