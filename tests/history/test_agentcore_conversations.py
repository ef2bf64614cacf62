"""What AgentCore Memory does for conversations that go on: calls, claims, points, whose words."""

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bff.errors import Overloaded
from bff.history import Turn
from bff.history.agentcore import AgentCoreHistory, open_memory
from bff.history.agentcore.client import place_of, session_log, turns_of
from bff.history.agentcore.points import EVENTS_KEPT, MAX_LOOKUPS
from tests.fakes.memory import MEMORY_ID, FakeMemory, Refused
from tests.history.conftest import VirtualTime, memory_history
from tests.history.test_agentcore import contents, until_swept
from tests.history.test_agentcore_events import CHECKPOINT, dump, said
from tests.history.turns import ALICE, begun, derive, found_at, pointed, session_after, turn

CHAT = derive(ALICE, "chat")
LOG = (ALICE, session_log(CHAT))


@pytest.fixture
async def history(memory: FakeMemory) -> AsyncIterator[AgentCoreHistory]:
    async with memory_history() as history:
        memory.calls.clear()
        yield history


def asking(n: int, *ids: str) -> Turn:
    return replace(turn(n), inputs=[{"id": id, "kind": "input"} for id in ids or ("q",)])


async def test_each_question__costs_the_calls_that_it_must(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    async def cost(call: Any) -> dict[str, int]:
        memory.calls.clear()
        await call
        return {name: memory.count(name) for name in sorted(set(memory.calls))}

    for n in range(3):  # the same however long the session is
        assert await cost(history.add(ALICE, pointed(n, f"a{n}", f"b{n}"))) == {"CreateEvent": 5}
        assert await cost(history.session(ALICE, "chat")) == {"ListEvents": 1}
        assert await cost(history.find(ALICE, [f"a{n}", f"c{n}"])) == {"ListEvents": 3}
    assert await cost(history.find(ALICE, ["x", "y"])) == {"ListEvents": 2}
    await history.add(ALICE, asking(5))
    assert await cost(history.claim(ALICE, "chat", "run", ["q"])) == {
        "CreateEvent": 2,
        "ListEvents": 2,
    }
    assert await cost(history.claim(ALICE, "chat", "run", ["q"])) == {"ListEvents": 1}
    turns = [turn(n) for n in range(100)]
    assert await cost(history.begin(ALICE, begun("fork"), turns)) == {
        "CreateEvent": 3,
        "ListEvents": 2,
    }


async def test_a_beginning__lies_where_no_agent_finds_it(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    turns = [replace(turn(n), answer=random.Random(n).randbytes(60_000).hex()) for n in range(20)]

    await history.begin(ALICE, begun("chat"), turns)

    assert (ALICE, CHAT) not in memory.sessions
    events = memory.sessions[(ALICE, turns_of(CHAT))]
    assert len(events) > 1
    assert all("blob" in item for event in events for item in event["payload"])
    found = await history.messages(ALICE, "chat", limit=100)
    assert found is not None
    assert [m.content for m in found[1].items][1::2] == [t.answer for t in turns]


async def test_two_beginnings_at_once__show_the_turns_of_one(memory: FakeMemory) -> None:
    async with memory_history() as one, memory_history() as two:
        await asyncio.gather(
            one.begin(ALICE, begun("chat"), [turn(1)]),
            two.begin(ALICE, replace(begun("chat"), title="b"), [turn(2), turn(3)]),
        )
        session = await one.session(ALICE, "chat")
        found = await two.messages(ALICE, "chat", limit=10)

    assert session is not None
    assert found is not None
    assert len(found[1].items) == (4 if session.title == "b" else 2)


# Claims


async def claim_at_once(memory: FakeMemory, runs: int) -> list[bool]:
    async with memory_history() as one, memory_history() as two:
        await one.add(ALICE, asking(1))
        tasks = [(one, two)[n % 2].claim(ALICE, "chat", f"run-{n}", ["q"]) for n in range(runs)]
        return await asyncio.gather(*tasks)


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_a_claim__is_the_first_event_of_its_token(memory: FakeMemory, order: Any) -> None:
    memory.order = order
    won = await claim_at_once(memory, 10)

    assert won.count(True) == 1
    kinds = [json.loads(event["payload"][0]["blob"])["kind"] for event in memory.sessions[LOG]]
    assert sorted(kinds) == ["claim", "turn"]


async def test_a_claim__whose_token_is_refused_for_its_other_body_is_lost(
    memory: FakeMemory,
) -> None:
    memory.refuses_tokens = True
    won = await claim_at_once(memory, 6)

    assert won.count(True) == 1


async def test_a_claim__that_is_listed_late_is_waited_for(memory: FakeMemory) -> None:
    async with memory_history() as history:
        await history.add(ALICE, asking(1))
        memory.lag = 3
        assert await history.claim(ALICE, "chat", "run", ["q"]) is True
        assert await history.claim(ALICE, "chat", "other", ["q"]) is False


async def test_a_claim__that_is_never_listed_is_overloaded_and_nobodys(
    memory: FakeMemory,
) -> None:
    async with memory_history() as history:
        await history.add(ALICE, asking(1))
    async with open_memory(
        MEMORY_ID, region="us-west-2", write=True, derive=derive, call_timeout_seconds=0.4
    ) as history:
        memory.lag = 1000
        with pytest.raises(Overloaded):
            await history.claim(ALICE, "chat", "run", ["q"])


async def test_a_claim__that_the_list_does_not_hear_of_holds_all_the_same(
    history: AgentCoreHistory, memory: FakeMemory, caplog: pytest.LogCaptureFixture
) -> None:
    await history.add(ALICE, asking(1))
    write = memory.create

    async def refuse_the_list(request: Any) -> Any:
        if (await request.json())["sessionId"] == "bff-notes":
            raise Refused(403, "AccessDeniedException")
        return await write(request)

    memory.before_create = refuse_the_list
    assert await history.claim(ALICE, "chat", "run", ["q"]) is True

    assert "missing from the list" in caplog.text
    session = await history.session(ALICE, "chat")
    assert session is not None
    assert session.inputs == ()


# Points


async def test_a_point_of_very_many_sessions__is_tidied_and_the_newest_are_found(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    for n in range(EVENTS_KEPT + 5):
        await history.add(ALICE, pointed(n, "hi", session_id=f"s{n}"))

    last = EVENTS_KEPT + 4
    expected = (f"s{last}", turn(last, session_id=f"s{last}").run_id)
    assert await found_at(history, ALICE, ["hi"]) == expected
    await until_swept(history)

    assert len(memory.sessions[(ALICE, place_of("hi"))]) == EVENTS_KEPT
    assert await found_at(history, ALICE, ["hi"]) == expected


async def test_a_point__is_looked_up_a_limited_number_of_times(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    await history.add(ALICE, pointed(1, "a"))
    memory.calls.clear()

    assert await found_at(history, ALICE, [f"{n}" for n in range(200)] + ["a"]) is None
    assert memory.count("ListEvents") == MAX_LOOKUPS


async def test_a_point__that_others_wrote_into_is_read_all_the_same(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    await history.add(ALICE, pointed(1, "a"))
    for junk in ("{", "[]", "null", '{"session": 1}', '{"session":"x","run":"y","asked":"z"}'):
        memory.put(ALICE, place_of("a"), [{"blob": junk}], at=time.time())
    memory.put(ALICE, place_of("a"), [said("USER", "x")], at=time.time())

    assert await found_at(history, ALICE, ["a"]) == ("chat", turn(1).run_id)


async def test_a_point__left_behind_by_a_cleared_session_is_not_the_new_ones(
    memory: FakeMemory,
) -> None:
    clock = VirtualTime()
    async with memory_history(time=clock) as history:
        await history.add(ALICE, pointed(1, "a"))
        (left,) = memory.sessions[(ALICE, place_of("a"))]
        await history.delete(ALICE, "chat")
        await until_swept(history, clock)
        assert memory.size == 0
        left["eventTimestamp"] -= 5  # as if what hid it had long been gone
        left["metadata"]["bff.stamp"]["stringValue"] = str(round(left["eventTimestamp"] * 1000))
        memory.sessions[(ALICE, place_of("a"))].append(left)
        await history.add(ALICE, turn(2))

        assert await found_at(history, ALICE, ["a"]) is None


async def test_clearing__takes_all_of_it_along(memory: FakeMemory) -> None:
    clock = VirtualTime()
    async with memory_history(time=clock) as history:
        await history.add(ALICE, pointed(0, "a", "b", session_id="other"))
        size = memory.size
        await history.begin(ALICE, begun("chat"), [turn(n) for n in range(3)])
        for n in range(4):
            await history.add(ALICE, pointed(n, "a", f"{n}"))
        await history.add(ALICE, asking(9))
        await history.claim(ALICE, "chat", "run", ["q"])
        await history.rename(ALICE, "chat", "named")
        await history.delete(ALICE, "chat")
        assert await history.session(ALICE, "chat") is None
        await until_swept(history, clock)

        assert memory.size == size
        assert await found_at(history, ALICE, ["a"]) is not None


async def test_a_long_session__keeps_a_short_log(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    for n in range(60):
        await history.add(ALICE, turn(n))
        await history.session(ALICE, "chat")
    await until_swept(history)

    assert len(memory.sessions[LOG]) < 25
    session = await history.session(ALICE, "chat")
    assert session == replace(
        session_after(turn(0)), updated_at=turn(59).answered_at, last_run_id=turn(59).run_id
    )


# What 0.1.0 wrote


def written_by_0_1_0(memory: FakeMemory, *turns: Turn) -> None:
    """Events and notes as 0.1.0 wrote them, from its source."""
    for t in turns:
        marks = {
            "bff.run": t.run_id,
            "bff.session": "chat",
            "bff.status": t.status,
            "bff.asked": repr(t.asked_at),
            "bff.answered": repr(t.answered_at),
            "bff.part": "0 of 1",
            "bff.stamp": str(round(t.answered_at * 1000)),
        }
        calls = [{"blob": json.dumps(list(t.tool_calls))}] if t.tool_calls else []
        memory.put(
            ALICE,
            CHAT,
            [said("USER", t.message), said("ASSISTANT", t.answer), *calls],
            at=t.answered_at,
            metadata={name: {"stringValue": value} for name, value in marks.items()},
        )
        note = {
            "kind": "turn",
            "session_id": "chat",
            "at": round(t.answered_at * 1000),
            "title": t.message,
            "created_at": t.asked_at,
            "updated_at": t.answered_at,
        }
        memory.put(ALICE, "bff-notes", [{"blob": json.dumps(note)}], at=t.answered_at)


async def test_what_0_1_0_wrote__is_read_gone_on_with_and_deleted(memory: FakeMemory) -> None:
    clock = VirtualTime()
    calls = [{"id": "1", "tool": "t", "args": {}, "result": "r"}]
    written_by_0_1_0(memory, turn(1), replace(turn(2), tool_calls=calls))
    expected = replace(session_after(turn(1)), updated_at=turn(2).answered_at, last_run_id=None)
    async with memory_history(time=clock) as history:
        assert (await history.sessions(ALICE, limit=9)).items == [expected]
        found = await history.messages(ALICE, "chat", limit=9)
        assert found is not None
        assert found[0] == expected
        assert found[1].items[3].tool_calls == calls
        shared = await history.fork_turns(ALICE, "chat", turn(1).run_id)
        assert [t.run_id for t in shared or ()] == [turn(1).run_id]
        await history.begin(ALICE, begun("chat"), [turn(7)])  # the name is taken

        await history.add(ALICE, pointed(5, "new"))
        found = await history.messages(ALICE, "chat", limit=9)
        assert found is not None
        now = replace(
            expected,
            updated_at=turn(5).answered_at,
            last_run_id=turn(5).run_id,
            point="new",
        )
        assert found[0] == now
        assert (await history.sessions(ALICE, limit=9)).items == [now]
        assert len(found[1].items) == 6
        assert await found_at(history, ALICE, ["new"]) == ("chat", turn(5).run_id)

        assert await history.delete(ALICE, "chat") is True
        assert await history.messages(ALICE, "chat", limit=9) is None
        await until_swept(history, clock)
    assert memory.size == 0


async def test_a_title__can_be_given_to_what_0_1_0_wrote(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    written_by_0_1_0(memory, turn(1))

    renamed = await history.rename(ALICE, "chat", "mine")

    assert renamed == replace(session_after(turn(1)), title="mine", last_run_id=None)
    assert await history.session(ALICE, "chat") == renamed
    assert (await history.sessions(ALICE, limit=9)).items == [renamed]


# Where the agent writes the conversation


NOW = time.time() - 1000


def run(n: int, **changes: Any) -> Turn:
    """The nth run, lately, since the agent writes at its own time."""
    at = NOW + 60 * n
    return replace(turn(n), asked_at=at, answered_at=at + 2, **changes)


def agent_writes(memory: FakeMemory, t: Turn, *texts: tuple[str, str]) -> None:
    for n, (role, text) in enumerate(texts):
        memory.put(ALICE, CHAT, [said(role, text)], at=t.asked_at + 1 + n / 10)
    memory.put(ALICE, CHAT, [{"blob": CHECKPOINT}], at=t.asked_at + 1.5)


@pytest.fixture
async def agents(memory: FakeMemory) -> AsyncIterator[AgentCoreHistory]:
    async with memory_history(write=False) as history:
        yield history


async def test_without_writing__no_word_of_the_conversation_is_written(
    agents: AgentCoreHistory, memory: FakeMemory
) -> None:
    agent_writes(memory, run(1), ("USER", "question 1"), ("ASSISTANT", "the agent's words"))
    await agents.add(ALICE, run(1, points=["a"], inputs=[{"id": "q", "kind": "input"}]))
    await agents.begin(ALICE, begun("fork"), [run(1)])

    kinds = {
        kind
        for (_, session), events in memory.sessions.items()
        for event in events
        for item in event["payload"]
        for kind in item
        if session != CHAT
    }
    assert kinds == {"blob"}
    assert len(memory.sessions[(ALICE, CHAT)]) == 3, "what the agent wrote"
    assert await contents(agents) == ["question 1", "the agent's words"]


async def test_without_writing__sessions_are_known_to_every_task_and_the_next(
    memory: FakeMemory,
) -> None:
    async with memory_history(write=False) as one, memory_history(write=False) as two:
        agent_writes(memory, run(1), ("USER", "question 1"), ("ASSISTANT", "yes"))
        await one.add(ALICE, run(1, points=["a"]))
        assert await two.session(ALICE, "chat") == session_after(run(1, points=["a"]))
        assert await two.rename(ALICE, "chat", "Mine") is not None
    async with memory_history(write=False) as history:
        (session,) = (await history.sessions(ALICE, limit=10)).items
        assert session.title == "Mine"
        assert await found_at(history, ALICE, ["a"]) == ("chat", turn(1).run_id)
        assert await contents(history) == ["question 1", "yes"]


async def test_without_writing__a_run_has_the_agents_words_and_our_ids(
    agents: AgentCoreHistory, memory: FakeMemory
) -> None:
    parts = [{"type": "image", "source": {"type": "file", "value": "file_1"}}]
    given = [{"type": "source", "url": "https://example.com"}]
    agent_writes(memory, run(1), ("USER", "question 1"), ("ASSISTANT", "one"), ("ASSISTANT", "two"))
    agent_writes(memory, run(2), ("USER", "[removed]"), ("ASSISTANT", "I may not say"))
    agent_writes(memory, run(3), ("USER", "Before:\nuser: hi\n\nquestion 3"), ("ASSISTANT", "3"))
    await agents.add(ALICE, run(3, continues=turn(1).run_id))
    await agents.add(ALICE, run(1, status="cancelled", parts=parts, answer_parts=given))
    await agents.add(ALICE, run(2, answer="what a guardrail took back"))

    found = await agents.messages(ALICE, "chat", limit=10)

    assert found is not None
    items = found[1].items
    assert [m.run_id for m in items] == [turn(n).run_id for n in (1, 1, 2, 2, 3, 3)]
    assert [m.content for m in items] == [
        *("question 1", "one\ntwo"),
        *("[removed]", "I may not say"),
        *("question 3", "3"),
    ]
    assert [m.status for m in items[1::2]] == ["cancelled", "complete", "complete"]
    assert (list(items[0].parts), list(items[1].parts)) == (parts, given)
    assert items[5].continues == turn(1).run_id


async def test_without_writing__a_run_of_which_the_agent_wrote_nothing_is_still_shown(
    agents: AgentCoreHistory, memory: FakeMemory
) -> None:
    await agents.add(ALICE, run(1, status="failed", answer=""))

    assert await contents(agents) == ["question 1", ""]


async def test_without_writing__strands_words_and_tools_are_the_runs(
    agents: AgentCoreHistory, memory: FakeMemory
) -> None:
    use = {"toolUse": {"toolUseId": "t1", "name": "pay", "input": {"x": 1}}}
    result = {"toolResult": {"toolUseId": "t1", "status": "success", "content": [{"text": "ok"}]}}
    agent_writes(
        memory,
        run(1),
        ("USER", dump("user", {"text": "question 1"})),
        ("ASSISTANT", dump("assistant", {"text": "Paying. "}, use)),
        ("USER", dump("user", result)),
        ("ASSISTANT", dump("assistant", {"text": "Paid."})),
    )
    await agents.add(ALICE, run(1))

    found = await agents.messages(ALICE, "chat", limit=10)

    assert found is not None
    assert [m.content for m in found[1].items] == ["question 1", "Paying. Paid."]
    assert found[1].items[1].tool_calls == [
        {"id": "t1", "tool": "pay", "args": {"x": 1}, "result": "ok"}
    ]


async def test_without_writing__what_was_said_between_runs_stays_the_agents(
    agents: AgentCoreHistory, memory: FakeMemory
) -> None:
    memory.put(ALICE, CHAT, [said("USER", "elsewhere"), said("ASSISTANT", "yes")], at=NOW + 90)
    for n in (1, 2):
        agent_writes(memory, run(n), ("USER", f"question {n}"), ("ASSISTANT", f"{n}"))
        await agents.add(ALICE, run(n))

    assert await contents(agents) == ["question 1", "1", "elsewhere", "yes", "question 2", "2"]


async def test_without_writing__runs_close_together_keep_their_own_words(
    agents: AgentCoreHistory, memory: FakeMemory
) -> None:
    for n in range(4):
        at = NOW + n
        t = replace(turn(n), asked_at=at, answered_at=at + 0.8)
        memory.put(ALICE, CHAT, [said("USER", t.message)], at=at + 0.05)
        memory.put(ALICE, CHAT, [said("ASSISTANT", t.answer)], at=at + 0.82)
        await agents.add(ALICE, t)

    assert await contents(agents) == [
        text for n in range(4) for text in (turn(n).message, turn(n).answer)
    ]


async def test_without_writing__a_session_forks_at_a_run_or_an_agents_message(
    agents: AgentCoreHistory, memory: FakeMemory
) -> None:
    early = memory.put(ALICE, CHAT, [said("USER", "early")], at=NOW - 500)
    late = memory.put(ALICE, CHAT, [said("ASSISTANT", "one"), said("ASSISTANT", "two")], at=NOW)
    for n in (1, 2):
        agent_writes(memory, run(n), ("USER", f"question {n}"), ("ASSISTANT", f"{n}"))
        await agents.add(ALICE, run(n, agent="clerk"))

    async def fork(run_id: str) -> list[tuple[str, str, str]] | None:
        turns = await agents.fork_turns(ALICE, "chat", run_id)
        return None if turns is None else [(t.message, t.answer, t.agent) for t in turns]

    first = ("early", "one\ntwo", "clerk")
    assert await fork(turn(1).run_id) == [first, ("question 1", "1", "clerk")]
    assert await fork(early["eventId"]) == await fork(late["eventId"]) == [first]
    assert await fork("run-unknown") is None
    turns = await agents.fork_turns(ALICE, "chat", turn(2).run_id)
    assert turns is not None
    await agents.begin(ALICE, begun("fork"), turns)
    found = await agents.messages(ALICE, "fork", limit=10)
    assert found is not None
    assert [m.content for m in found[1].items] == [
        *("early", "one\ntwo"),
        *("question 1", "1"),
        *("question 2", "2"),
    ]


async def test_without_writing__clearing_takes_all_of_it_along(memory: FakeMemory) -> None:
    clock = VirtualTime()
    async with memory_history(write=False, time=clock) as history:
        await history.begin(ALICE, begun("chat"), [turn(0)])
        for n in (1, 2):
            agent_writes(memory, run(n), ("USER", f"question {n}"), ("ASSISTANT", f"{n}"))
            await history.add(ALICE, run(n, points=[f"{n}", "x"]))
        assert await history.delete(ALICE, "chat") is True
        assert await contents(history) is None
        assert (await history.sessions(ALICE, limit=9)).items == []
        await until_swept(history, clock)

    assert memory.size == 0


async def test_a_write_that_is_throttled_in_part__is_told_and_nothing_is_left_running(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    throttled = Refused(429, "ThrottledException")
    memory.failing["CreateEvent"] = deque([throttled] * 20)

    with pytest.raises(Overloaded):
        await history.add(ALICE, pointed(1, "a", "b", "c"))

    assert repr(history).endswith(" 0 calls, 0 sweeps>")
