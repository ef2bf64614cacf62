from __future__ import annotations

import sys
from contextlib import aclosing
from types import FrameType

import pytest

from bff.errors import Invalid, NotFound, Overloaded
from bff.events import Done, Message, Record, Start, record
from bff.runs.log import Run, Superseded
from bff.runs.memory import MemoryRunLog
from bff.runs.request import Idempotency
from tests.fakes.requests import run_request_of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def open_run(
    log: MemoryRunLog, run_id: str = "run", key: str | None = None, session_id: str | None = None
) -> Run:
    run = Run(
        run_id=run_id,
        request=run_request_of(session_id=session_id or f"session-{run_id}"),
        created_at=0,
        last_event_id=1,
    )
    idempotency = Idempotency(key, "body") if key else None
    first = record(1, Start(run.run_id, run.session_id))
    return await log.open(run, first, idempotency=idempotency, max_open=1000)


async def forget_session(log: MemoryRunLog, owner: str, session_id: str) -> bool:
    return await log.forget(owner, await log.runs_of(owner, session_id))


async def read(log: MemoryRunLog, run: Run, after: int = 0) -> list[Record]:
    records: list[Record] = []
    async with aclosing(log.follow(run, after, silence_seconds=0.001)) as batches:
        async for batch in batches:
            if not batch:
                break
            records.extend(batch)
    return records


def text(id: int, size: int = 1) -> Record:
    return record(id, Message("x" * size))


async def test_an_ended_run__is_kept_for_its_retention_and_then_unknown() -> None:
    clock = Clock()
    log = MemoryRunLog(retention_seconds=900, clock=clock)
    run = await open_run(log, key="key")
    await log.close(run, record(2, Done()), "complete")

    clock.now += 899
    kept = await log.find("owner", "run")
    assert kept is not None
    assert (kept.status, kept.ended_at) == ("complete", 1000)

    clock.now += 1
    assert await log.find("owner", "run") is None
    again = await open_run(log, run_id="next", key="key")
    assert again.run_id == "next"


async def test_a_forgotten_run__is_unknown_and_its_key_begins_no_other() -> None:
    clock = Clock()
    log = MemoryRunLog(retention_seconds=60, clock=clock)
    run = await open_run(log, key="key")
    assert not await log.forget(run.owner, [run.run_id])
    await log.close(run, record(2, Done()), "complete")

    assert await log.forget(run.owner, [run.run_id])

    assert await log.find(run.owner, run.run_id) is None
    for again in (
        log.find_known(run.owner, Idempotency("key", "body")),
        open_run(log, run_id="again", key="key"),
    ):
        with pytest.raises(NotFound) as caught:
            await again
        assert caught.value.errors[0]["field"] == "Idempotency-Key"
    with pytest.raises(Invalid):
        await log.find_known(run.owner, Idempotency("key", "another body"))
    assert log.bytes == 0
    assert not await log.forget(run.owner, [run.run_id])

    clock.now += 60
    assert (await open_run(log, run_id="again", key="key")).run_id == "again"


async def test_a_forgotten_session__has_none_of_its_runs_but_the_open_one() -> None:
    log = MemoryRunLog(retention_seconds=60)
    owner = "owner"
    for run_id, session_id in (("a", "chat"), ("b", "chat"), ("c", "other")):
        run = await open_run(log, run_id=run_id, session_id=session_id)
        await log.close(run, record(2, Done()), "complete")
    assert not await forget_session(log, owner, "unknown")
    assert not await forget_session(log, "somebody", "chat")
    await open_run(log, run_id="d", session_id="chat")

    assert await forget_session(log, owner, "chat")

    found = [await log.find(owner, run_id) for run_id in "abcd"]
    assert [one and one.run_id for one in found] == [None, None, "c", "d"]
    assert not await forget_session(log, owner, "chat")


async def test_a_forgotten_run__says_how_it_ended_where_that_is_wanted() -> None:
    clock = Clock()
    log = MemoryRunLog(retention_seconds=60, clock=clock)
    run = await open_run(log, run_id="mine", session_id="chat")
    end = record(2, Done("cancelled"))
    await log.close(run, end, "cancelled")

    assert await log.forget("owner", ["mine"], ended=run.ended_with(end, clock.now))

    assert await log.find("owner", "mine") is None
    assert await log.find("somebody", "mine", deleted=True) is None
    left = await log.find("owner", "mine", deleted=True)
    assert left is not None
    assert (left.status, left.last_event_id, left.session_id) == ("cancelled", 2, "chat")
    assert left == left.without_words()
    clock.now += 60
    assert await log.find("owner", "mine", deleted=True) is None


async def test_too_many_events__show_as_one_gap_with_both_ends_inclusive() -> None:
    log = MemoryRunLog(retention_seconds=900, max_events_per_run=100)
    run = await open_run(log)
    for id in range(2, 301):
        await log.append(run, [text(id)])

    records = await read(log, run)

    assert records[0].name == "gap"
    first_kept = records[1].id
    assert records[0].data == f'{{"from":1,"to":{first_kept - 1}}}'
    assert records[0].id == first_kept - 1
    assert [item.id for item in records[1:]] == list(range(first_kept, 301))
    assert (await read(log, run, after=299))[0].id == 300


async def test_too_many_bytes__drop_the_oldest_events_of_the_run() -> None:
    log = MemoryRunLog(retention_seconds=900, max_bytes_per_run=50_000)
    run = await open_run(log)
    for id in range(2, 102):
        await log.append(run, [text(id, 1000)])

    assert (await read(log, run))[0].name == "gap"


async def test_too_many_bytes_in_nearly_too_many_events__drop_no_more_than_needed() -> None:
    log = MemoryRunLog(retention_seconds=900, max_events_per_run=100, max_bytes_per_run=50_000)
    run = await open_run(log)
    for id in range(2, 102):
        await log.append(run, [text(id, 380)])
        assert log.bytes > 40_000 or id < 75


async def test_room_in_a_full_log__is_made_without_a_look_at_all_that_is_kept() -> None:
    log = MemoryRunLog(retention_seconds=900, max_bytes=2_000_000)
    for number in range(2000):
        run = await open_run(log, f"run-{number}")
        await log.append(run, [text(2, 500)])
        await log.close(run, record(3, Done()), "complete")
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    run = await open_run(log, "last")
    sys.setprofile(count)
    try:
        for id in range(2, 12):
            await log.append(run, [text(id)])
    finally:
        sys.setprofile(None)

    assert repr(log).startswith("<MemoryRunLog 1 running, 1")
    assert calls < 500


async def test_too_much_in_all__costs_ended_runs_before_open_ones() -> None:
    log = MemoryRunLog(retention_seconds=900, max_bytes=100_000)
    old = await open_run(log, "old")
    await log.append(old, [text(id, 1000) for id in range(2, 42)])
    await log.close(old, record(42, Done()), "complete")
    new = await open_run(log, "new")
    await log.append(new, [text(id, 1000) for id in range(2, 62)])

    assert [item.name for item in await read(log, old)] == ["gap", "done"]
    assert [item.id for item in await read(log, new)] == list(range(1, 62))


async def test_no_room_even_so__refuses_a_new_run() -> None:
    log = MemoryRunLog(retention_seconds=900, max_bytes=10_000)
    for number in range(7):
        await open_run(log, f"run-{number}")

    with pytest.raises(Overloaded):
        await open_run(log, "one-too-many")


async def test_a_closed_run__takes_no_more_events() -> None:
    log = MemoryRunLog(retention_seconds=900)
    run = await open_run(log)
    await log.close(run, record(2, Done()), "complete")

    with pytest.raises(Superseded):
        await log.append(run, [text(3)])
    with pytest.raises(Superseded):
        await log.close(run, record(3, Done()), "complete")


async def test_bytes__are_all_given_back() -> None:
    clock = Clock()
    log = MemoryRunLog(retention_seconds=10, clock=clock)
    for number in range(50):
        run = await open_run(log, f"run-{number}", key=f"key-{number}")
        await log.append(run, [text(2, 500)])
        await log.close(run, record(3, Done()), "complete")
    clock.now += 11
    last = await open_run(log, "last")
    await log.close(last, record(2, Done()), "complete")
    clock.now += 11
    await open_run(log, "very-last")

    assert repr(log).startswith("<MemoryRunLog 1 running, 0 kept, ")
    assert log.bytes < 2000
