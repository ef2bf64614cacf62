"""What a client cannot tell: that there are several instances."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from bff.errors import Invalid, SessionBusy, TooManyStreams
from bff.events import Failed, Message, Record, record
from bff.runs.log import Superseded
from bff.runs.valkey.timing import Timing
from tests.runs.valkey.conftest import StartInstance
from tests.runs.valkey.instances import FAST, ids, until
from tests.runs.valkey.valkey import Valkey


async def test_a_run__reads_the_same_on_every_instance_from_any_point(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b, c = [await start_instance(valkey.url) for _ in range(3)]
    run = await a.begin("run")
    live = [asyncio.create_task(task.read(run)) for task in (a, b, c, c)]

    await a.say(run, 2, 40)
    await a.end(run, 41)

    for reading in live:
        assert ids(await reading) == list(range(1, 42))
    whole = await a.read(run)
    for after in (0, 1, 20, 39, 40):
        assert await b.read(await b.find(run), after) == whole[after:]
    assert await b.read(run, 41) == []


async def test_text_of_any_kind__arrives_unchanged(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    run = await a.begin("run")
    texts = [
        "",
        " ",
        "\n",
        "\r\n\r\n",
        "\0",
        "a\u2028b",
        "\U0001f600",
        "x" * 100_000,
        "data: 1\n\n",
    ]
    items = [record(id, Message(text)) for id, text in enumerate(texts, 2)]
    live = asyncio.create_task(b.read(run, until=len(texts) + 1))

    await a.log.append(run, items)

    assert (await live)[1:] == items
    assert await b.read(run, 1, until=len(texts) + 1) == items


async def test_a_session__has_one_open_run_whichever_instance_is_asked(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    outcomes = await asyncio.gather(
        *[
            instance.begin(f"run-{i}", session_id="session")
            for i, instance in enumerate([a, b] * 10)
        ],
        return_exceptions=True,
    )
    [run] = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert sum(isinstance(outcome, SessionBusy) for outcome in outcomes) == 19

    for instance in (a, b):
        found = await instance.log.find_open("owner", "session")
        assert found is not None
        # the message is what a page that reloads on another instance shows above the answer
        assert (found.run_id, found.request.message) == (run.run_id, run.request.message)
        assert found.request.message
    assert [open.run_id for open in await b.log.open_runs("owner")] == [run.run_id]
    owner = a if int(run.run_id[-1]) % 2 == 0 else b
    await owner.end(run, 2)
    await b.begin("next", session_id="session")


async def test_open_runs__are_counted_over_all_instances(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    one = await a.begin("one", max_open=2)
    await b.begin("two", max_open=2)

    with pytest.raises(TooManyStreams):
        await b.begin("three", max_open=2)

    await b.begin("other", owner="someone else", max_open=2)
    await a.end(one, 2)
    await b.begin("three", max_open=2)


async def test_an_idempotency_key__is_known_to_every_instance(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    run = await a.begin("run", key="key")

    assert (await b.begin("again", key="key")).run_id == "run"
    with pytest.raises(Invalid):
        await b.begin("again", key="key", body="another body")
    assert (await b.begin("other", owner="someone else", key="key")).run_id == "other"

    await a.end(run, 2)
    ended = await b.begin("again", key="key")
    assert (ended.run_id, ended.status, ended.last_event_id) == ("run", "complete", 2)


async def test_the_same_key_on_two_instances_at_once__begins_one_run(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    runs = await asyncio.gather(
        *[instance.begin(f"run-{i}", key="key") for i, instance in enumerate([a, b] * 10)]
    )
    assert len({run.run_id for run in runs}) == 1


async def test_another_owners_run__is_as_unknown_as_one_that_never_was(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    await a.begin("run", owner="alice")

    assert await b.log.find("bob", "run") is None
    assert await b.log.find("bob", "never") is None
    assert await b.log.find("alice:run", "") is None


async def test_a_cancel__reaches_the_owner_from_any_instance(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    run = await a.begin("run")

    await b.log.request_cancel(await b.find(run))
    await until(lambda: a.told.cancels != [])

    assert set(a.told.cancels) == {"run"}
    assert b.told.cancels == []


async def test_a_run_that_ends_with_its_last_follower__counts_them_on_all_instances(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    run = await a.begin("run", on_disconnect="cancel")
    await a.log.join(run)
    await b.log.join(run)
    await b.log.join(run)

    assert not await a.log.leave(run)
    assert not await b.log.leave(run)
    assert await b.log.leave(run)


async def test_the_last_followers_instance_dies__and_the_run_is_cancelled(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    run = await a.begin("run", on_disconnect="cancel")
    await a.log.join(run)
    await b.log.join(run)
    await a.log.leave(run)
    assert a.told.cancels == []

    await b.die()

    await until(lambda: a.told.cancels != [])


async def test_a_dead_instances_run__ends_in_words_once_for_everybody(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b, c = [await start_instance(valkey.url) for _ in range(3)]
    run = await a.begin("run", session_id="session", key="key")
    said = await a.say(run, 2, 5)
    live = [asyncio.create_task(task.read(run)) for task in (b, c, b)]
    await a.die()

    whole = [await reading for reading in live]
    assert whole[0] == whole[1] == whole[2]
    assert whole[0][1:5] == said
    last = whole[0][5]
    assert isinstance(last.event, Failed)
    assert (last.id, last.event.problem["code"]) == (6, "interrupted")
    assert last.event.problem["instance"] == "/v1/runs/run"
    assert await c.read(run, 5) == [last]
    found = await c.find(run)
    assert (found.status, found.last_event_id) == ("interrupted", 6)
    [told] = b.told.interruptions + c.told.interruptions
    assert (told.run_id, told.request.message, told.status) == (
        "run",
        "What is 15 * 23?",
        "interrupted",
    )
    assert (await b.begin("again", key="key")).run_id == "run"
    await b.begin("next", session_id="session")


async def test_a_dead_instances_run_that_nobody_asks_for__is_ended_too(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    for i in range(5):
        await a.begin(f"run-{i}", owner=f"owner-{i}", max_open=1)
    await a.die()

    await until(lambda: len(b.told.interruptions) == 5)

    for i in range(5):
        await b.begin(f"next-{i}", owner=f"owner-{i}", max_open=1)


async def test_an_owner_that_was_taken_for_dead__cannot_write_and_hears_of_it(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    frozen = Timing(lease_seconds=0.6, renew_seconds=1000, tick_seconds=1000, grace_seconds=0.4)
    a, b = await start_instance(valkey.url, timing=frozen), await start_instance(valkey.url)
    run = await a.begin("run", session_id="session")
    await a.say(run, 2, 3)
    here = asyncio.create_task(a.read(run))

    there = await b.read(run)

    await until(lambda: a.told.lost == ["run"])
    with pytest.raises(Superseded):
        await a.say(run, 4)
    with pytest.raises(Superseded):
        await a.end(run, 4)
    assert await here == there
    assert ids(there) == [1, 2, 3, 4]
    assert await b.read(run, 3) == there[3:]
    assert (await a.find(run)).status == "interrupted"


async def test_what_a_follower_took__does_not_come_again_when_its_run_is_anothers(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    frozen = Timing(lease_seconds=2.0, renew_seconds=1000, tick_seconds=1000, grace_seconds=0.4)
    a, b = await start_instance(valkey.url, timing=frozen), await start_instance(valkey.url)
    run = await a.begin("run")
    taken: list[Record] = []

    def take(records: Sequence[Record]) -> bool:
        taken.extend(records)
        return True

    async with aclosing(a.log.follow(run, 1, silence_seconds=60, take=take)) as batches:
        rest = asyncio.ensure_future(anext(batches))
        await asyncio.sleep(0)
        await a.say(run, 2, 3)
        await b.read(run)

        assert [item.id for item in await rest] == [4]
    assert ids(taken) == [2, 3]


async def test_an_ended_run__is_unknown_once_its_retention_is_over(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = [await start_instance(valkey.url, retention_seconds=1) for _ in range(2)]
    run = await a.begin("run", key="key")
    await a.say(run, 2)
    await a.end(run, 3)
    assert (await b.find(run)).status == "complete"

    async with asyncio.timeout(30):
        while await b.log.find("owner", "run") or await a.log.find("owner", "run"):
            await asyncio.sleep(0.05)

    assert (await b.begin("again", key="key")).run_id == "again"


async def test_every_key__expires_some_day(valkey: Valkey, start_instance: StartInstance) -> None:
    a = await start_instance(valkey.url)
    run = await a.begin("run", key="key", on_disconnect="cancel")
    await a.say(run, 2, 3)
    await a.limiter.take("owner")
    await a.end(await a.begin("ended", key="another"), 2)

    script = (
        "return {#redis.call('KEYS','*'), "
        "(function() local n=0 for _,k in ipairs(redis.call('KEYS','*')) do "
        "if redis.call('PTTL',k) < 0 and not string.find(k,':epoch$') then n=n+1 end end "
        "return n end)()}"
    )
    _, count, without = valkey.tell(f'EVAL "{script}" 0').split("\r\n")
    assert int(count[1:]) > 6
    assert without == ":0"


async def test_too_long_a_run__drops_its_oldest_events_and_says_so_everywhere(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    run = await a.begin("run")
    big = "x" * 200_000
    for id in range(2, 62):
        await a.log.append(run, [record(id, Message(big))])

    here, there = await a.read(run, until=61), await b.read(run, until=61)

    for records in (here, there):
        gap, *rest = records
        assert gap.name == "gap"
        assert gap.data == f'{{"from":1,"to":{gap.id}}}'
        assert ids(rest) == list(range(gap.id + 1, 62))
    assert sum(len(item.data) for item in there) < 8 * 1024 * 1024


async def test_silence__is_told_as_empty_batches(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    run = await a.begin("run")
    async with aclosing(b.log.follow(run, 1, silence_seconds=0.05)) as batches:
        assert [await anext(batches) for _ in range(3)] == [(), (), ()]


async def test_a_cancelled_append__is_kept_and_the_end_comes_after_it(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    run = await a.begin("run")
    for id in range(2, 30):
        writing = asyncio.create_task(a.say(run, id))
        await asyncio.sleep(0)
        writing.cancel()
    await a.end(run, 30)

    assert ids(await b.read(run)) == ids(await a.read(run)) == list(range(1, 31))


async def test_lost_messages__are_made_up_for(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    run = await a.begin("run")
    live = asyncio.create_task(b.read(run))
    for id in range(2, 300):
        await a.say(run, id)
        if id % 50 == 0:
            valkey.tell("CLIENT KILL TYPE pubsub")
    await b.log.request_cancel(run)
    await until(lambda: a.told.cancels != [])
    await a.end(run, 300)

    assert ids(await live) == list(range(1, 301))


async def test_timing__lets_nobody_wait_longer_than_promised() -> None:
    for timing in (Timing(), FAST):
        assert timing.renew_seconds + timing.tick_seconds < timing.lease_seconds
        assert timing.grace_seconds > timing.renew_seconds
    assert Timing().lease_seconds + 2 * Timing().tick_seconds + 0.5 < 5


async def test_a_run_whose_copy_was_dropped_here__is_read_from_the_server(
    own: Valkey, start_instance: StartInstance
) -> None:
    a = await start_instance(own.url)
    big = "x" * 400_000
    first, *others = [await a.begin(f"run-{n}") for n in range(10)]
    for run in (first, *others):
        items = [record(id, Message(big)) for id in range(2, 21)]
        for item in items:
            await a.log.append(run, [item])
        await a.end(run, 21)

    assert ids(await a.read(await a.find(first))) == list(range(1, 22))
    assert ids(await a.read(await a.find(first), 5)) == list(range(6, 22))


async def test_an_instance_that_leaves__gives_up_its_share_at_once(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    slow = replace(FAST, alive_seconds=60.0)
    a, b = [await start_instance(valkey.url, timing=slow) for _ in range(2)]
    await until(lambda: "2 instances" in repr(a.limiter))

    await b.die()

    await until(lambda: "1 instances" in repr(a.limiter))


async def test_thousands_of_events_at_once__are_one_append(
    valkey: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(valkey.url), await start_instance(valkey.url)
    run = await a.begin("run")
    await a.log.append(run, [record(id, Message("x")) for id in range(2, 12_001)])
    await a.end(run, 12_001)

    assert ids(await b.read(run)) == ids(await a.read(run)) == list(range(1, 12_002))
