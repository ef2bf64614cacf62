import asyncio
import json
import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from bff.errors import Overloaded
from bff.history import Page, Session, open_history
from bff.history.agentcore import AgentCoreHistory, open_memory
from bff.history.agentcore.client import session_log
from bff.settings import MemoryHistory, Settings, SettingsError
from tests.fakes.memory import FakeMemory, Refused
from tests.history.conftest import VirtualTime, memory_history
from tests.history.test_agentcore_events import CHECKPOINT, dump, said
from tests.history.turns import ALICE, BOB, TURN, derive, turn

CHAT = derive(ALICE, "chat")
CHAT_LOG = session_log(CHAT)
THROTTLED = Refused(429, "ThrottledException")


@pytest.fixture
async def history(memory: FakeMemory) -> AsyncIterator[AgentCoreHistory]:
    async with memory_history() as history:
        memory.calls.clear()
        yield history


def agent_says(memory: FakeMemory, question: str, answer: str, *, at: float = 0.0) -> None:
    """A turn as an agent with a checkpointer and a conversation of its own writes it."""
    at = at or time.time()
    memory.put(ALICE, CHAT, [{"blob": CHECKPOINT}, {"blob": CHECKPOINT}], at=at)
    memory.put(ALICE, CHAT, [said("USER", question), said("ASSISTANT", answer)], at=at)
    memory.put(ALICE, CHAT, [{"blob": CHECKPOINT}], at=at)


async def contents(history: AgentCoreHistory, session_id: str = "chat") -> list[str] | None:
    found = await history.messages(ALICE, session_id, limit=100)
    return None if found is None else [message.content for message in found[1].items]


async def until_swept(history: AgentCoreHistory, clock: VirtualTime | None = None) -> None:
    """Wait for the sweeps; with a clock, also until the notes that outlive them may go."""
    async with asyncio.timeout(30):
        while not repr(history).endswith(" 0 sweeps>"):
            await asyncio.sleep(0.005)
    if clock is not None:
        clock.now += 60
        await history.sessions(ALICE, limit=1)
        await until_swept(history)


async def test_a_turn__lies_where_the_agent_would_put_it(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    await history.add(ALICE, TURN)

    (event,) = memory.sessions[(ALICE, CHAT)]
    assert event["payload"][:2] == [said("USER", TURN.message), said("ASSISTANT", TURN.answer)]
    assert set(memory.sessions) == {(ALICE, CHAT), (ALICE, "bff-notes"), (ALICE, CHAT_LOG)}


async def test_open_history__takes_the_setting(memory: FakeMemory) -> None:
    settings = Settings(history=MemoryHistory("memory-0123456789", write=False))

    async with open_history(settings, derive=derive) as history:
        await history.ping()

    assert repr(history).startswith("<AgentCoreHistory memory-0123456789 (the agent writes) ")


async def test_a_memory_that_is_not_there__is_refused(memory: FakeMemory) -> None:
    with pytest.raises(
        SettingsError, match=r"^HISTORY: got agentcore://other-0123456789 \(no such"
    ):
        async with memory_history("other-0123456789"):
            pass


async def test_an_agents_conversation__appears_without_its_checkpoints(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    agent_says(memory, "hello", "hi", at=100.0)
    agent_says(memory, "more", "yes", at=200.0)

    found = await history.messages(ALICE, "chat", limit=3)

    assert found is not None
    session, page = found
    assert session == Session(session_id="chat", title="hello", created_at=100.0, updated_at=200.0)
    assert [m.content for m in page.items] == ["hello", "hi", "more"]
    rest = await history.messages(ALICE, "chat", limit=3, after=page.next)
    assert rest is not None
    assert [m.content for m in rest[1].items] == ["yes"]
    assert await history.messages(BOB, "chat", limit=3) is None


async def test_an_agents_conversation__gets_into_the_list_when_it_gets_a_title(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    agent_says(memory, "hello", "hi", at=100.0)
    assert await history.sessions(ALICE, limit=10) == Page([])

    renamed = await history.rename(ALICE, "chat", "Named")

    assert renamed == Session(session_id="chat", title="Named", created_at=100.0, updated_at=100.0)
    assert await history.sessions(ALICE, limit=10) == Page([renamed])


async def test_strands__is_shown_as_text(history: AgentCoreHistory, memory: FakeMemory) -> None:
    memory.put(ALICE, CHAT, [said("USER", dump("user", {"text": "hello"}))], at=1.0)
    memory.put(ALICE, CHAT, [said("ASSISTANT", dump("assistant", {"text": "hi"}))], at=2.0)

    assert await contents(history) == ["hello", "hi"]


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_many_pages__of_which_some_are_empty_are_read_to_their_end(
    history: AgentCoreHistory, memory: FakeMemory, order: Any
) -> None:
    memory.order, memory.page, memory.empty_pages = order, 7, True
    for n in range(25):
        agent_says(memory, f"q{n}", f"a{n}", at=100.0 + n)

    assert await contents(history) == [text for n in range(25) for text in (f"q{n}", f"a{n}")]


async def test_clearing__keeps_to_the_services_rate_and_leaves_nothing(
    memory: FakeMemory,
) -> None:
    clock = VirtualTime()
    memory.clock, memory.deletes_per_second = clock.clock, 5
    for n in range(20):
        agent_says(memory, f"q{n}", f"a{n}")
    async with memory_history(time=clock) as history:
        await history.add(ALICE, TURN)
        assert await history.delete(ALICE, "chat") is True
        calls = memory.count("DeleteEvent")
        assert calls <= 1, "the request does not wait for the sweep"
        assert await contents(history) is None
        await until_swept(history, clock)

    assert memory.size == 0
    assert len(memory.deleted) == memory.count("DeleteEvent") == 65, "none was throttled"
    took = memory.deleted[60][0] - memory.deleted[0][0]
    assert took >= 60 / 5


async def test_clearing_several__keeps_to_the_accounts_rate(memory: FakeMemory) -> None:
    clock = VirtualTime()
    memory.clock = clock.clock
    names = [f"s{n}" for n in range(8)]
    async with memory_history(time=clock) as history:
        for name in names:
            for n in range(4):
                memory.put(ALICE, derive(ALICE, name), [said("USER", f"{n}")], at=1.0 + n)
        await asyncio.gather(*(history.delete(ALICE, name) for name in names))
        await until_swept(history, clock)

    times = [when for when, _ in memory.deleted]
    assert len(times) == 8 * (4 + 2), "the events, and what hid them in both logs"
    assert max(sum(1 for t in times if start <= t < start + 1) for start in times) <= 20
    assert memory.size == 0


async def test_clearing__tolerates_what_another_task_has_deleted_and_throttling(
    memory: FakeMemory,
) -> None:
    clock = VirtualTime()
    for n in range(4):
        agent_says(memory, f"q{n}", f"a{n}")
    gone = Refused(404, "ResourceNotFoundException")
    async with memory_history(time=clock) as history:
        memory.failing["DeleteEvent"] = deque([gone, *[THROTTLED] * 4, gone])
        await history.delete(ALICE, "chat")
        await until_swept(history, clock)

    # the two that were "gone" are in fact still there: a last look before the note goes finds them
    assert memory.count("DeleteEvent") == 6 + 12 + 2
    assert memory.size == 0


async def test_clearing__is_taken_up_again_after_the_process_died(memory: FakeMemory) -> None:
    clock = VirtualTime()
    agent_says(memory, "old", "words")
    async with memory_history(time=clock) as history:
        memory.failing["DeleteEvent"] = deque([Refused(403, "AccessDeniedException")])
        await history.delete(ALICE, "chat")
        await until_swept(history)
    assert memory.size == 5, "the events, and what hides them in both logs"

    async with memory_history(time=clock) as history:
        assert await contents(history) is None
        assert await history.delete(ALICE, "chat") is False
        await until_swept(history, clock)

    assert memory.size == 0


async def test_clearing__never_takes_what_a_new_run_has_written(memory: FakeMemory) -> None:
    for n in range(3):
        agent_says(memory, f"old {n}", "words")
    async with memory_history() as history:
        await history.add(ALICE, turn(1))
        swept = asyncio.Event()

        async def a_new_run_in_between() -> None:
            if not swept.is_set():
                swept.set()
                await asyncio.sleep(0.002)
                agent_says(memory, "new", "words")
                await history.add(ALICE, turn(5))

        memory.before_delete = a_new_run_in_between
        await history.delete(ALICE, "chat")
        await until_swept(history)

        assert swept.is_set()
        assert len(memory.sessions[(ALICE, CHAT)]) == 4, "three of the agent's, one of ours"
        assert set(await contents(history) or ()) == {"new", "words", "question 5", "answer 5"}
        (session,) = (await history.sessions(ALICE, limit=10)).items
        assert session.title == "question 5"


@pytest.mark.parametrize("place", ["event", "notes"])
async def test_a_turn_that_is_being_written_while_its_session_is_deleted__goes_whole(
    memory: FakeMemory, place: str
) -> None:
    clock, told, let = VirtualTime(), asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        body = await request.json()
        if (body["sessionId"] == CHAT) is (place == "event"):
            told.set()
            await let.wait()
        return await memory.create(request)

    async with memory_history(time=clock) as history:
        await history.add(ALICE, turn(1))
        memory.before_create = wait
        writing = asyncio.create_task(history.add(ALICE, turn(2)))
        await told.wait()
        memory.before_create = None
        assert await history.delete(ALICE, "chat") is True
        await until_swept(history)
        let.set()
        await writing

        assert await contents(history) is None
        assert (await history.sessions(ALICE, limit=10)).items == []
        await until_swept(history, clock)

    assert memory.size == 0


async def test_clearing_twice__sweeps_both_times(memory: FakeMemory) -> None:
    clock = VirtualTime()
    async with memory_history(time=clock) as history:
        for n in range(2):
            await history.add(ALICE, turn(n))
            assert await history.delete(ALICE, "chat") is True
        await until_swept(history, clock)

    assert memory.size == 0


async def test_clearing__what_is_only_checkpoints_makes_the_agent_forget(
    memory: FakeMemory,
) -> None:
    clock = VirtualTime()
    memory.put(ALICE, CHAT, [{"blob": CHECKPOINT}], at=1.0)
    async with memory_history(time=clock) as history:
        assert await contents(history) is None
        assert await history.delete(ALICE, "chat") is True
        await until_swept(history, clock)

    assert memory.size == 0


async def test_notes__of_many_turns_are_tidied_up(memory: FakeMemory) -> None:
    async with memory_history() as history:
        for n in range(40):
            await history.add(ALICE, turn(n))
        assert len(memory.sessions[(ALICE, "bff-notes")]) == 40

        before = await history.sessions(ALICE, limit=10)
        await until_swept(history)

        assert len(memory.sessions[(ALICE, "bff-notes")]) == 2
        assert await history.sessions(ALICE, limit=10) == before
        assert before.items[0].created_at == turn(0).asked_at
        assert before.items[0].updated_at == turn(39).answered_at


async def test_notes__that_are_not_ours_are_passed_over(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    for junk in ("{", "[]", '{"kind": "turn"}', '{"a": 1}', "null", json.dumps("x")):
        memory.put(ALICE, "bff-notes", [{"blob": junk}], at=1.0)
    memory.put(ALICE, "bff-notes", [said("USER", "x")], at=1.0)

    assert await history.sessions(ALICE, limit=10) == Page([])


async def test_throttling__is_waited_out_and_then_overloaded(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    memory.failing["CreateEvent"] = deque([THROTTLED])
    await history.add(ALICE, TURN)
    assert memory.count("CreateEvent") == 4

    memory.failing["ListEvents"] = deque([THROTTLED] * 10)
    with pytest.raises(Overloaded):
        await history.sessions(ALICE, limit=10)


async def test_a_write_whose_answer_was_lost__is_repeated_and_kept_once(
    history: AgentCoreHistory, memory: FakeMemory
) -> None:
    await history.add(ALICE, TURN)
    await history.add(ALICE, TURN)

    assert len(memory.sessions[(ALICE, CHAT)]) == 1


@pytest.mark.parametrize(
    ("owner", "name"),
    [("alice@example.com", "chat"), ("auth0|alice", "chat"), ("", "chat"), ("a" * 256, "chat")],
)
async def test_ids_the_service_does_not_take__are_refused_before_a_call(
    history: AgentCoreHistory, memory: FakeMemory, owner: str, name: str
) -> None:
    with pytest.raises(ValueError, match="id"):
        await history.add(owner, replace(TURN, session_id=name))

    assert memory.calls == []


async def test_a_derivation_the_service_does_not_take__is_refused_before_a_call(
    memory: FakeMemory,
) -> None:
    async with open_memory(
        "memory-0123456789", region="us-west-2", write=True, derive=lambda owner, name: name * 30
    ) as history:
        memory.calls.clear()
        with pytest.raises(ValueError, match="id"):
            await history.add(ALICE, TURN)

    assert memory.calls == []


async def test_a_refusal__tells_the_operator_why_and_shows_no_text(
    history: AgentCoreHistory, memory: FakeMemory, caplog: pytest.LogCaptureFixture
) -> None:
    memory.failing["CreateEvent"] = deque([Refused(403, "AccessDeniedException")])

    with pytest.raises(Overloaded):
        await history.add(ALICE, TURN)

    assert "CreateEvent" in caplog.text
    assert "AccessDeniedException" in caplog.text
    assert TURN.message not in caplog.text


async def test_a_memory_out_of_reach__is_overloaded_and_no_reason_not_to_start(
    aws_environ: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", address)
        async with open_memory(
            "memory-0123456789",
            region="us-west-2",
            write=True,
            derive=derive,
            call_timeout_seconds=0.1,
        ) as history:
            for call in (history.ping(), history.add(ALICE, TURN), history.delete(ALICE, "chat")):
                with pytest.raises(Overloaded):
                    await call
