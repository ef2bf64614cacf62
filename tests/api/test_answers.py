"""Answers to an agent's questions when something is in their way: one run, and one call at most."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from bff.errors import AgentFailed, AgentTimeout, AgentUnavailable
from bff.events import Done, Input, Message, ToolUse
from tests.api.asking import APPROVAL, CITY, YES, asking, chat, resume
from tests.api.conftest import Service, Start
from tests.fakes.history import ListHistory
from tests.fakes.scripted import ScriptedAgent


async def test_an_answer_that_was_not_delivered__can_be_given_again(start: Start) -> None:
    service = await start(asking(APPROVAL, then=(AgentUnavailable(),)))
    await chat(service, message="Pay", session_id="s")
    await chat(service, 503, session_id="s", resume=YES)
    service.agent.stream = asking().stream  # type: ignore[method-assign]

    answered = await chat(service, session_id="s", resume=YES)

    assert answered["message"] == "Paid."


async def test_a_question_asked_again_under_its_id__is_answered_again(start: Start) -> None:
    """LangGraph's `interrupt()` has the same id each time one node asks."""
    service = await start(asking(APPROVAL, then=([Message("Once more. ")], [APPROVAL], [Done()])))
    await chat(service, message="Pay", session_id="s")

    first = await chat(service, session_id="s", resume=YES)
    second = await chat(service, session_id="s", resume=YES)

    assert first["run_id"] != second["run_id"]
    assert len(service.agent.calls) == 3


async def test_an_approval_sent_again__does_not_answer_what_was_asked_since(start: Start) -> None:
    """Its id names the run that asked, though the agent's own id is the same again."""
    service = await start(asking(APPROVAL, then=([APPROVAL], [Done()])))

    async def respond(**body: Any) -> dict[str, Any]:
        async with service.client.post("/v1/responses", json=body) as reply:
            answer: dict[str, Any] = await reply.json()
            assert reply.status == 200, answer
            return answer

    def approval_of(response: dict[str, Any]) -> dict[str, Any]:
        [item] = [i for i in response["output"] if i["type"] == "mcp_approval_request"]
        answer = {"type": "mcp_approval_response", "approval_request_id": item["id"]}
        return {"input": [{**answer, "approve": True}], "previous_response_id": response["id"]}

    asked = await respond(input="Pay")
    first = await respond(**approval_of(asked))
    again = await respond(**approval_of(asked))
    second = await respond(**approval_of(first))

    assert again["id"] == first["id"] != second["id"]
    assert len(service.agent.calls) == 3


async def test_an_answer_with_a_key__is_one_run_though_the_question_comes_again(
    start: Start,
) -> None:
    service = await start(asking(APPROVAL, then=([Message("Once more. ")], [APPROVAL], [Done()])))
    await chat(service, message="Pay", session_id="s")
    headers = {"Idempotency-Key": "key"}
    replies = []
    for body in ({"resume": YES}, {"resume": YES}, {"resume": resume(("i-1", False))}):
        async with service.client.post(
            "/v1/chat", json={"session_id": "s", **body}, headers=headers
        ) as reply:
            replies.append((reply.status, (await reply.json()).get("run_id")))

    assert [status for status, _ in replies] == [200, 200, 422]
    assert replies[0] == replies[1]
    assert len(service.agent.calls) == 2


async def test_a_message_with_a_key_that_answered__is_no_new_question(start: Start) -> None:
    service = await start(asking(CITY))
    await chat(service, message="Book", session_id="s")
    replies = []
    for _ in range(2):
        async with service.client.post(
            "/v1/chat",
            json={"session_id": "s", "message": "Rome"},
            headers={"Idempotency-Key": "key"},
        ) as reply:
            replies.append((await reply.json())["run_id"])

    assert replies[0] == replies[1]
    assert len(service.agent.calls) == 2


async def test_the_same_message_while_its_answer_runs__is_the_same_run(start: Start) -> None:
    go_on = asyncio.Event()
    service = await start(asking(CITY, then=([Message("On my way. ")], go_on, [Done()])))
    await chat(service, message="Book", session_id="s")
    stream = await service.client.post(
        "/v1/chat/stream", json={"message": "Rome", "session_id": "s"}
    )
    await stream.content.readuntil(b"event: message")

    other = await chat(service, 409, message="Paris", session_id="s")
    same = await service.client.post("/v1/chat/stream", json={"message": "Rome", "session_id": "s"})
    go_on.set()
    await service.read(stream)
    await service.read(same)

    assert other["code"] == "session_busy"
    assert same.headers["X-Run-Id"] == stream.headers["X-Run-Id"]
    assert len(service.agent.calls) == 2


def approved_on_a_page(id: str) -> list[dict[str, Any]]:
    """The messages of an AI SDK page whose user has just approved."""
    part = {
        "type": "dynamic-tool",
        "toolName": "pay",
        "toolCallId": id,
        "input": {},
        "state": "approval-responded",
        "approval": {"id": id, "approved": True},
    }
    return [
        {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Pay"}]},
        {"id": "2", "role": "assistant", "parts": [part]},
    ]


@pytest.mark.parametrize(("payload", "status"), [("prompt", 200), ("langgraph", 422)])
async def test_a_message_behind_an_approval__does_not_answer_in_its_place(
    start: Start, payload: str, status: int
) -> None:
    service = await start(asking(APPROVAL), AGENT_PAYLOAD=payload)
    await chat(service, message="Pay", session_id="s")
    hurry = {"id": "3", "role": "user", "parts": [{"type": "text", "text": "And hurry"}]}
    body = {"id": "s", "messages": [*approved_on_a_page("i-1"), hurry]}
    async with service.client.post("/v1/ui/chat", json=body) as reply:
        assert reply.status == status
        await reply.read()

    for told in service.agent.calls[1:]:
        assert told.conversation.answers[0].approved is True
        assert told.conversation.text == "And hurry"
    assert len(service.agent.calls) == (2 if status == 200 else 1)


async def test_the_same_answer_in_other_words__is_the_same_run(start: Start) -> None:
    """A native client says what another protocol only calls "approved"."""
    service = await start(asking(APPROVAL))
    await chat(service, message="Pay", session_id="s")
    body = {"id": "s", "messages": approved_on_a_page("i-1")}

    native = await chat(service, session_id="s", resume=resume(("i-1", True)))
    async with service.client.post("/v1/ui/chat", json=body) as reply:
        assert reply.headers["X-Run-Id"] == native["run_id"]
    assert len(service.agent.calls) == 2


async def test_a_question_whose_time_is_over__does_not_keep_the_others_waiting(
    start: Start,
) -> None:
    over = Input("i-1", "approval", expires_at="2020-01-01T00:00:00Z")
    service = await start(asking(over, CITY))
    await chat(service, message="Pay", session_id="s")
    shown = await (await service.client.get("/v1/sessions/s")).json()

    answered = await chat(service, session_id="s", resume=resume(("i-2", "Rome")))

    assert [question["id"] for question in shown["inputs"]] == ["i-2"]
    assert answered["message"] == "Paid."
    answers = service.agent.calls[1].conversation.answers
    assert [(a.input_id, a.status, a.payload) for a in answers] == [
        ("i-1", "cancelled", None),
        ("i-2", "resolved", "Rome"),
    ]


async def test_an_agent_that_fails_on_the_answer_at_once__has_no_session_any_more(
    start: Start,
) -> None:
    service = await start(asking(APPROVAL, then=(AgentFailed(answered=True, agent_called=True),)))
    await chat(service, message="Pay", session_id="s")

    failed = await chat(service, 502, session_id="s", resume=YES)
    shown = await (await service.client.get("/v1/sessions/s")).json()

    assert (failed["code"], failed["should_retry"]) == ("agent_session_idle", False)
    assert "inputs" not in shown


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([[Message("Well ")], AgentFailed(answered=True, agent_called=True)], "agent_failed"),
        ([AgentFailed(agent_called=True)], "agent_failed"),
        ([AgentTimeout(agent_called=True)], "agent_timeout"),
    ],
)
async def test_an_agent_that_fails_otherwise__just_failed(
    start: Start, steps: Any, code: str
) -> None:
    service = await start(asking(APPROVAL, then=steps))
    await chat(service, message="Pay", session_id="s")
    async with service.client.post("/v1/chat", json={"session_id": "s", "resume": YES}) as reply:
        assert (await reply.json())["code"] == code


async def test_an_agent_that_asks_anew__is_an_end_and_no_new_question(start: Start) -> None:
    """Strands in a new session: the answer to what it has not asked is a message to its model."""

    def question(id: str) -> Input:
        value = {"id": f"v1:before_tool_call:{id}:x", "name": "approval", "reason": "old"}
        call = ToolUse(id, "delete_file", {"path": "a.txt"})
        return Input(value["id"], "approval", tool=call, value=value)

    first, again = question("call-1"), question("call-2")
    service = await start(asking(first, then=([Message("I will. ")], [again], [Done()])))
    await chat(service, message="Delete a.txt", session_id="s")

    reply = await service.client.post(
        "/v1/chat/stream", json={"session_id": "s", "resume": resume((first.id, "y"))}
    )
    events = await service.read(reply)
    shown = await (await service.client.get("/v1/sessions/s")).json()

    assert [event["event"] for event in events] == ["start", "message", "error"]
    assert json.loads(events[-1]["data"])["code"] == "agent_session_idle"
    assert "inputs" not in shown
    # it waits for an answer to what nobody will be asked: its session ends
    assert service.agent.stopped == [service.agent.calls[0].session_id]


async def test_a_run_cancelled_before_its_call__leaves_the_question_open(start: Start) -> None:
    history = SlowClaims()
    service = await start(asking(APPROVAL), history=history)
    await chat(service, message="Pay", session_id="s")
    answering = asyncio.create_task(
        service.client.post("/v1/chat", json={"session_id": "s", "resume": YES})
    )
    await history.claiming.wait()
    [run] = await service.runs.open_runs(history.owner)
    await service.runs.request_cancel(run)
    history.go_on.set()

    reply = await answering
    again = await chat(service, session_id="s", resume=YES)

    assert (reply.status, (await reply.json())["code"]) == (409, "run_cancelled")
    assert again["message"] == "Paid."
    assert len(service.agent.calls) == 2


async def test_a_deletion__takes_the_question_with_it(start: Start) -> None:
    service = await start(asking(APPROVAL))
    await chat(service, message="Pay", session_id="s")

    assert (await service.client.delete("/v1/sessions/s")).status == 204
    problem = await chat(service, 409, session_id="s", resume=YES)

    assert problem["code"] == "not_waiting"
    assert len(service.agent.calls) == 1


class SlowClaims(ListHistory):
    """A history that takes its time to say who may answer."""

    def __init__(self) -> None:
        super().__init__()
        self.claiming, self.go_on = asyncio.Event(), asyncio.Event()
        self.owner = ""

    async def claim(
        self, owner: str, session_id: str, run_id: str, input_ids: Sequence[str]
    ) -> bool:
        self.owner = owner
        self.claiming.set()
        await self.go_on.wait()
        return await super().claim(owner, session_id, run_id, input_ids)


async def test_a_client_that_names_no_session__is_never_told_that_one_is_busy(
    start: Start,
) -> None:
    """Examples that many requests begin with are one transcript, whose session the first takes."""
    gate = asyncio.Event()
    service = await start(ScriptedAgent(([Message("Good")], gate, [Done()])))
    streams = [await say(service, *GREETED, ("user", text)) for text in ("Bad", "Worse", "Bad")]
    gate.set()
    for stream in streams:
        await stream.read()

    assert len({stream.headers["X-Session-Id"] for stream in streams}) == 3
    assert len({call.session_id for call in service.agent.calls}) == 3
    assert all(len(call.history) == 2 for call in service.agent.calls)


async def test_a_message_while_another_answers__is_no_new_question(start: Start) -> None:
    go_on = asyncio.Event()
    service = await start(asking(CITY, then=([Message("On my way. ")], go_on, [Done()])))
    asked = await say(service, ("user", "Book"))
    await asked.read()
    said = ("user", "Book"), ("assistant", "Wait. Which city?")
    first = await say(service, *said, ("user", "Rome"))
    other = await say(service, *said, ("user", "Rome!"), status=409)
    go_on.set()
    await first.read()

    assert (await other.json())["code"] == "session_busy"
    assert first.headers["X-Session-Id"] == asked.headers["X-Session-Id"]
    assert len(service.agent.calls) == 2


GREETED = ("user", "Fine"), ("assistant", "Good")


async def say(
    service: Service, *messages: tuple[str, str], status: int = 200
) -> aiohttp.ClientResponse:
    """Stream a chat completion, up to the agent's first word."""
    said = [{"role": role, "content": text} for role, text in messages]
    body = {"messages": said, "stream": True}
    reply = await service.client.post("/v1/chat/completions", json=body)
    assert reply.status == status
    if status == 200:
        await reply.content.readuntil(b'"content":"')
    return reply
