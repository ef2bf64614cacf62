from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.errors import AgentThrottled, Invalid, NotFound, SessionBusy, TooManyStreams
from bff.events import Custom, Done, Event, Failed, Input, Message, Record, ToolEnd, ToolStart
from bff.history import CALL_TIMEOUT_SECONDS
from bff.runs import Follower, Runs
from bff.runs.log import Run
from bff.runs.memory import MemoryRunLog
from bff.runs.request import Idempotency, RunRequest
from bff.runs.turns import HISTORY_SECONDS
from tests.fakes.requests import run_request_of
from tests.fakes.scripted import HELLO, ScriptedAgent, Step
from tests.runs.running import ORDER, House, house, names, read


async def code_of(runs: Runs, order: RunRequest = ORDER) -> str:
    last = (await read(await runs.start(order)))[-1].event
    assert isinstance(last, Failed)
    return str(last.problem["code"])


async def test_a_run__is_numbered_from_one_and_ends_once() -> None:
    async with house().runs() as runs:
        records = await read(await runs.start(ORDER))

    assert [record.id for record in records] == [1, 2, 3, 4]
    assert names(records) == ["start", "message", "message", "done"]


async def test_a_run__calls_the_agent_once_with_derived_ids_only() -> None:
    parts = house()
    async with parts.runs() as runs:
        await read(await runs.start(ORDER))

    [prompt] = parts.agent.calls
    assert (prompt.session_id, prompt.actor_id) == ("a" * 64, "owner")


async def test_a_run_with_questions__ends_in_all_of_them_and_frees_its_session() -> None:
    first, second = Input("i-1", "approval", value={"amount": 10}), Input("i-2", "input")
    parts = house([[Message("Wait.")], [first, second], [first], [Done()]])
    async with parts.runs() as runs:
        follower = await runs.start(ORDER)
        records = await read(follower)
        run = await runs.find("owner", follower.run.run_id)
        again = await runs.start(ORDER)
        await read(again)

    assert records[-1].event == Done("input_required", None, (first, second))
    assert run.status == "input_required"
    assert parts.history.turns[0].status == "input_required"


async def test_a_second_follower__gets_the_same_from_any_point() -> None:
    async with house().runs() as runs:
        follower = await runs.start(ORDER)
        whole = await read(follower)
        for after in range(5):
            assert await read(await runs.follow(follower.run), after) == whole[after:]


async def test_an_event__is_in_the_log_before_it_is_delivered() -> None:
    more = asyncio.Event()
    async with house([[Message("a")], more, [Done()]]).runs() as runs:
        follower = await runs.start(ORDER)
        async with aclosing(follower.batches()) as batches:
            async for batch in batches:
                kept = await runs.find("owner", follower.run.run_id)
                assert batch[-1].id <= kept.last_event_id
                more.set()


async def test_the_turn__is_in_the_history_before_the_end_is_told() -> None:
    parts = house([[ToolStart("t", "calc", {"a": 1}), ToolEnd("t", "calc", "1")], *HELLO])
    async with (
        parts.runs() as runs,
        await runs.start(ORDER) as follower,
        aclosing(follower.batches()) as batches,
    ):
        async for batch in batches:
            assert len(parts.history.turns) == batch[-1].terminal

    [turn] = parts.history.turns
    assert (turn.message, turn.answer, turn.status) == ("Hi", "Hello", "complete")
    assert turn.tool_calls == [{"id": "t", "tool": "calc", "args": {"a": 1}, "result": "1"}]


async def test_a_broken_history__does_not_take_the_answer_away() -> None:
    parts = house()
    parts.history.broken = True
    async with parts.runs() as runs:
        assert names(await read(await runs.start(ORDER)))[-1] == "done"

    assert parts.notes.history_failures == 1


async def test_a_second_message_into_an_open_session__is_refused_and_not_run() -> None:
    parts = house([asyncio.Event()])
    async with parts.runs() as runs:
        await runs.start(ORDER)
        with pytest.raises(SessionBusy):
            await runs.start(ORDER)
        await asyncio.sleep(0)

    assert len(parts.agent.calls) == 1


async def test_two_messages_at_once__only_one_wins() -> None:
    parts = house([asyncio.Event()])
    async with parts.runs() as runs:
        outcomes = await asyncio.gather(
            *(runs.start(ORDER) for _ in range(20)), return_exceptions=True
        )

    assert sum(isinstance(outcome, Follower) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, SessionBusy) for outcome in outcomes) == 19


async def test_the_session__is_free_when_its_run_ended_in_any_way() -> None:
    for steps in (HELLO, [AgentThrottled()], [RuntimeError()], [[Message("half")]]):
        async with house(steps).runs() as runs:
            await read(await runs.start(ORDER))
            await read(await runs.start(ORDER))


async def test_open_runs_per_owner__are_limited_and_slots_come_back() -> None:
    go = asyncio.Event()
    async with house([go, *HELLO]).runs(max_open=2) as runs:
        first = await runs.start(replace(ORDER, session_id="a"))
        second = await runs.start(replace(ORDER, session_id="b"))
        with pytest.raises(TooManyStreams):
            await runs.start(replace(ORDER, session_id="c"))
        other = await runs.start(replace(ORDER, owner="other"))
        go.set()
        for follower in (first, second, other):
            await read(follower)
        await read(await runs.start(replace(ORDER, session_id="c")))


async def test_an_idempotency_key__gives_the_same_run_whatever_became_of_it() -> None:
    parts = house()
    order = replace(ORDER, idempotency=Idempotency("key", "body"))
    async with parts.runs() as runs:
        first = await read(await runs.start(order))
        again = await read(await runs.start(replace(order, session_id="another")))

    assert again == first
    assert len(parts.agent.calls) == 1


async def test_an_idempotency_key_with_another_body__is_refused() -> None:
    async with house().runs() as runs:
        await runs.start(replace(ORDER, idempotency=Idempotency("key", "body")))
        with pytest.raises(Invalid):
            await runs.start(replace(ORDER, idempotency=Idempotency("key", "other")))


async def test_an_idempotency_key__is_the_owners_own() -> None:
    parts = house()
    keyed = replace(ORDER, idempotency=Idempotency("key", "body"))
    async with parts.runs() as runs:
        await read(await runs.start(keyed))
        await read(await runs.start(replace(keyed, owner="other")))

    assert len(parts.agent.calls) == 2


async def test_another_owners_run__is_not_found() -> None:
    async with house().runs() as runs:
        follower = await runs.start(ORDER)
        with pytest.raises(NotFound):
            await runs.find("other", follower.run.run_id)


async def test_cancel__closes_the_agent_and_ends_with_cancelled() -> None:
    parts = house([[Message("a")], asyncio.Event()])
    async with parts.runs() as runs:
        follower = await runs.start(ORDER)
        async with aclosing(follower.batches(1)) as batches:
            await anext(batches)  # what the agent said first
        run = await runs.cancel(follower.run)
        again = await runs.cancel(run)
        records = await read(follower)

    assert run.status == again.status == "cancelled"
    assert records[-1].event == Done("cancelled")
    assert parts.agent.closed == 1


async def test_cancel_before_the_call_began__makes_none() -> None:
    parts = house()
    async with parts.runs() as runs:
        follower = await runs.start(ORDER)
        run = await runs.cancel(follower.run)
        records = await read(follower)

    assert run.status == "cancelled"
    assert [item.name for item in records] == ["start", "done"]
    assert not parts.agent.calls


async def test_cancel_before_the_agent_was_reached__still_ends_the_run() -> None:
    async with house([asyncio.Event()]).runs() as runs:
        follower = await runs.start(ORDER)
        runs.cancel_requested(follower.run.run_id)
        assert names(await read(follower)) == ["start", "done"]


async def test_cancel_after_the_end__changes_nothing() -> None:
    async with house().runs() as runs:
        follower = await runs.start(ORDER)
        await read(follower)
        run = await runs.cancel(await runs.find("owner", follower.run.run_id))
        assert run.status == "complete"


@pytest.mark.parametrize("stop", [True, False])
async def test_cancel__stops_the_agents_session_only_if_told_so(stop: bool) -> None:
    parts = house([asyncio.Event()])
    async with parts.runs(stop_agent_on_cancel=stop) as runs:
        follower = await runs.start(ORDER)
        await runs.cancel(follower.run)

    assert parts.agent.stopped == (["a" * 64] if stop else [])


async def test_the_last_follower_to_leave__cancels_a_run_that_is_to_be_cancelled_then() -> None:
    order = replace(ORDER, on_disconnect="cancel")
    async with house([asyncio.Event()]).runs() as runs:
        follower = await runs.start(order)
        second = await runs.follow(follower.run)
        async with follower:
            pass
        await asyncio.sleep(0)
        assert (await runs.find("owner", follower.run.run_id)).status == "running"
        async with second:
            pass
        assert await runs.end_of(follower.run, timeout_seconds=30)
        assert (await runs.find("owner", follower.run.run_id)).status == "cancelled"


async def test_a_starter_who_leaves_while_starting__counts_as_having_left() -> None:
    class Slow(MemoryRunLog):
        at_once = False

    parts = house([asyncio.Event()])
    async with parts.runs(log=Slow(retention_seconds=60)) as runs:
        starting = asyncio.create_task(runs.start(replace(ORDER, on_disconnect="cancel")))
        await asyncio.sleep(0)
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        await runs.drain(5)

    assert parts.notes.ended == [("cancelled", None)]


async def test_a_follower_who_leaves_while_joining__counts_as_having_left() -> None:
    class Slow(MemoryRunLog):
        at_once = False
        slow = False

        async def join(self, run: Run) -> None:
            await super().join(run)
            if self.slow:
                await asyncio.Event().wait()

    log = Slow(retention_seconds=60)
    async with house([asyncio.Event()]).runs(log=log) as runs:
        follower = await runs.start(replace(ORDER, on_disconnect="cancel"))
        log.slow = True
        joining = asyncio.create_task(runs.follow(follower.run))
        await asyncio.sleep(0)
        joining.cancel()
        await asyncio.gather(joining, return_exceptions=True)
        async with follower:
            pass
        assert await runs.end_of(follower.run, timeout_seconds=30)
        async with asyncio.timeout(30):
            await runs.drain(60)


async def test_followers_who_drop__leave_a_run_alone_by_default() -> None:
    go = asyncio.Event()
    async with house([go, *HELLO]).runs() as runs:
        async with await runs.start(ORDER) as follower:
            pass
        go.set()
        assert names(await read(await runs.follow(follower.run)))[-1] == "done"


async def test_a_silent_agent__times_out() -> None:
    parts = house([[Message("a")], asyncio.Event()])
    async with parts.runs(idle_timeout_seconds=0.01) as runs:
        assert await code_of(runs) == "agent_timeout"

    assert parts.agent.closed == 1


async def test_an_endless_agent__meets_the_deadline() -> None:
    class Endless(ScriptedAgent):
        async def stream(self, prompt):  # type: ignore[no-untyped-def]
            while True:
                yield [Message("x")]
                await asyncio.sleep(0.001)

    async with House(Endless()).runs() as runs:
        assert await code_of(runs, run_request_of(deadline_seconds=0.05)) == "agent_timeout"


async def test_an_agent_that_only_shows_life__is_not_silent() -> None:
    class Alive(ScriptedAgent):
        async def stream(self, prompt):  # type: ignore[no-untyped-def]
            for _ in range(24):
                await asyncio.sleep(0.05)
                yield []
            yield [Message("at last"), Done()]

    async with House(Alive()).runs(idle_timeout_seconds=1) as runs:
        assert names(await read(await runs.start(ORDER))) == ["start", "message", "done"]


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([AgentThrottled(agent_called=True)], "agent_throttled"),
        ([[Message("half")], AgentThrottled(agent_called=True)], "agent_throttled"),
        ([RuntimeError("secret text")], "internal"),
        ([[Message("no end")]], "agent_failed"),
        ([], "agent_failed"),
        ([[Message("a"), Done(usage={"input_tokens": 10**4300})]], "internal"),
    ],
)
async def test_what_goes_wrong__is_the_terminal_event(steps: list[Step], code: str) -> None:
    parts = house(steps)
    async with parts.runs() as runs:
        records = await read(await runs.start(ORDER))

    last = records[-1].event
    assert isinstance(last, Failed)
    assert last.problem["code"] == code
    assert last.problem["should_retry"] is False
    assert "secret" not in records[-1].data
    assert parts.notes.ended == [("failed", code)]


def test_a_run__is_open_for_as_long_as_its_turn_may_still_be_written() -> None:
    # a history's call goes on to its own time limit without its caller
    assert HISTORY_SECONDS > CALL_TIMEOUT_SECONDS


async def test_a_follower_who_does_not_read__holds_nobody_up() -> None:
    go = asyncio.Event()
    steps: list[Step] = [[Message("x" * 1000)] for _ in range(500)]
    log = MemoryRunLog(retention_seconds=60, max_bytes_per_run=100_000)
    async with house([go, *steps, [Done()]]).runs(log=log) as runs:
        follower = await runs.start(ORDER)
        lazy = await runs.follow(follower.run)
        async with aclosing(lazy.batches()) as batches:
            assert names(await anext(batches)) == ["start"]
            go.set()
            await runs.end_of(follower.run, timeout_seconds=30)
            behind = [item async for batch in batches for item in batch]

    assert behind[0].name == "gap"
    assert behind[-1].name == "done"


async def test_silence__is_told_as_empty_batches() -> None:
    async with (
        house([asyncio.Event()]).runs() as runs,
        await runs.start(ORDER) as follower,
        aclosing(follower.batches(1, silence_seconds=0.001)) as batches,
    ):
        assert await anext(batches) == ()
        assert await anext(batches) == ()


texts = st.text(max_size=5)
anything: st.SearchStrategy[Event] = st.one_of(
    st.builds(Message, texts), st.builds(Custom, st.dictionaries(texts, st.integers()))
)


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.lists(anything, max_size=4), max_size=8),
    drops=st.lists(st.integers(min_value=0, max_value=3), max_size=12),
)
async def test_any_interleaving_of_follow_drop_and_resume__gives_the_same_transcript(
    batches: list[list[Event]], drops: list[int]
) -> None:
    async with house([*batches, [Done()]]).runs() as runs:
        follower = await runs.start(ORDER)
        seen: list[Record] = []
        for count in drops:
            after = seen[-1].id if seen else 0
            async with (
                await runs.follow(follower.run) as again,
                aclosing(again.batches(after)) as following,
            ):
                async for batch in following:
                    seen.extend(batch)
                    count -= 1
                    if count <= 0:
                        break
        after = seen[-1].id if seen else 0
        seen.extend(await read(await runs.follow(follower.run), after))
        whole = await read(follower)

    assert seen == whole
    assert [record.id for record in seen] == list(range(1, len(seen) + 1))


async def test_a_session_that_begins_with_something__is_written_before_the_agent_is_called() -> (
    None
):
    parts = house()
    written, may = asyncio.Event(), asyncio.Event()

    async def beginning() -> None:
        written.set()
        await may.wait()

    def order(session_id: str) -> RunRequest:
        wanted = run_request_of(session_id=session_id)
        assert wanted.call is not None
        return replace(wanted, call=replace(wanted.call, beginning=beginning))

    async with asyncio.timeout(30), parts.runs() as runs:
        one = asyncio.create_task(runs.start(order("one")))
        await written.wait()
        written.clear()
        other = asyncio.create_task(runs.start(order("other")))
        await written.wait()
        open_run = await runs.find_open("owner", "other")
        assert open_run is not None
        cancelling = asyncio.create_task(runs.cancel(open_run))
        await asyncio.sleep(0)
        assert parts.agent.calls == []
        may.set()
        whole, cut = await read(await one), await read(await other)
        await cancelling

    assert names(whole) == ["start", "message", "message", "done"]
    assert [record.event for record in cut[1:]] == [Done("cancelled")]
    assert len(parts.agent.calls) == 1


async def test_a_refused_run__begins_no_session() -> None:
    parts = house()
    begun: list[str] = []

    async def beginning() -> None:
        begun.append("session")

    wanted = run_request_of()
    assert wanted.call is not None
    order = replace(wanted, call=replace(wanted.call, beginning=beginning))
    async with parts.runs(max_open=0) as runs:
        with pytest.raises(TooManyStreams):
            await runs.start(order)

    assert begun == []
