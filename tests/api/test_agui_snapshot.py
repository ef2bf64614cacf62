"""A thread as messages, for a client that comes back to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ag_ui.core import MessagesSnapshotEvent

from bff.api.agui.snapshot import Thread
from bff.api.agui.versions import FIRST, UNKNOWN, Version
from bff.events import Done, Input, Message, ToolEnd, ToolStart, ToolUse
from bff.history import StoredMessage
from tests.api.agui_page import Page, called, said
from tests.api.conftest import Start
from tests.api.reading import frames
from tests.fakes.page import AgentByMessage
from tests.fakes.scripted import Step

PAID = {"id": "c", "tool": "pay", "args": {"n": 1}, "result": "paid"}
ASKED = {"id": "c", "tool": "pay", "args": {"n": 1}}
PAY = Input("i", "approval", "May I?", ToolUse("c", "pay", {"n": 1}))
OWN = Input("c", "tool", tool=ToolUse("c", "locate", {}))


def user(run: str, content: str, **fields: Any) -> StoredMessage:
    return StoredMessage("user", content, run, 0, **fields)


def answer(run: str, content: str, *calls: dict[str, Any], **fields: Any) -> StoredMessage:
    return StoredMessage("assistant", content, run, 0, tool_calls=calls, **fields)


def thread(*stored: StoredMessage, version: Version = FIRST) -> Thread:
    return Thread(stored, version)


def shown(found: Thread) -> list[tuple[str, Any]]:
    """Role and content of each message, or its calls; all valid for the protocol's own models."""
    event = MessagesSnapshotEvent.model_validate({"messages": found.messages})
    assert len({message.id for message in event.messages}) == len(event.messages)
    return [(m["role"], m.get("content") or m["toolCalls"][0]["id"]) for m in found.messages]


def test_a_turn_with_a_tool__is_call_result_and_answer() -> None:
    found = thread(user("run_1", "Pay"), answer("run_1", "Done.", PAID))

    assert shown(found) == [
        ("user", "Pay"),
        ("assistant", "run_1-t-c"),
        ("tool", "paid"),
        ("assistant", "Done."),
    ]
    assert found.calls == {}


def test_a_call_that_nobody_answered__gets_a_result_before_the_next_message() -> None:
    found = thread(user("run_1", "Pay"), answer("run_1", "", ASKED), user("run_2", "No, stop"))

    assert [message["role"] for message in found.messages] == ["user", "assistant", "tool", "user"]
    assert found.messages[2]["toolCallId"] == "run_1-t-c"


def test_an_answered_question__goes_on_with_its_call() -> None:
    found = thread(
        user("run_1", "Pay"),
        answer("run_1", "May I?", ASKED),
        user("run_2", '{"approved":true}', continues="run_1"),
        answer("run_2", "Done.", PAID, continues="run_1"),
    )

    assert shown(found) == [
        ("user", "Pay"),
        ("assistant", "May I?"),
        ("tool", "paid"),
        ("assistant", "Done."),
    ]
    assert found.messages[2]["toolCallId"] == found.messages[1]["toolCalls"][0]["id"]


def test_a_clients_own_result__is_what_it_said() -> None:
    found = thread(
        user("run_1", "Where am I?"),
        answer("run_1", "", ASKED),
        user("run_2", "Rome", continues="run_1"),
        answer("run_2", "In Rome.", continues="run_1"),
    )

    assert shown(found)[2:] == [("tool", "Rome"), ("assistant", "In Rome.")]


def test_an_open_question__waits_in_a_call_even_if_none_was_told() -> None:
    found = thread(user("run_1", "Pay"), answer("run_1", "Well."))
    found.ask([PAY], "run_1")

    assert shown(found)[2:] == [("assistant", "run_1-t-c")]
    assert found.calls == {"c": "run_1-t-c"}


def test_an_open_run__brings_the_results_of_the_agents_calls_and_not_of_the_clients() -> None:
    agents, clients = (thread(user("run_1", "Pay"), answer("run_1", "", ASKED)) for _ in range(2))
    agents.go_on([PAY], "yes")
    clients.go_on([OWN], "Rome")

    assert agents.calls == {"c": "run_1-t-c"}
    assert shown(agents)[-1] == ("assistant", "run_1-t-c")
    assert clients.calls == {}
    assert shown(clients)[-1] == ("tool", "Rome")


def test_files__are_parts_where_the_client_knows_them() -> None:
    image = {"type": "image", "source": {"type": "file", "value": "file-1"}}
    said = user("run_1", "See", parts=[{"type": "text", "text": "See"}, image])
    new, old = thread(said), thread(said, version=UNKNOWN)

    assert new.messages[0]["content"][1] == image
    assert shown(old) == [("user", "See")]


async def test_a_run_that_answers__is_shown_from_its_start(start: Start) -> None:
    go_on = asyncio.Event()
    asks: Sequence[Step] = [[ToolStart("c", "pay", {"n": 1}), PAY, Done()]]
    pays: Sequence[Step] = [[Message("Hel")], go_on, [ToolEnd("c", "pay", "paid"), Done()]]
    agent = AgentByMessage(lambda message: asks if message == "Pay" else pays)
    service = await start(agent)
    page = Page(service)
    asked = await page.say("Pay")
    resume = {"resume": [{"interruptId": "i", "payload": {"approved": True}}]}
    body = {"threadId": page.thread, "runId": "r", "messages": [], "protocolVersion": "1.0"}

    async with service.client.post("/v1/agui", json=body | resume) as running:
        await running.content.readuntil(b'"Hel"')
        async with service.client.post("/v1/agui/connect", json=body) as back:
            begin = await back.content.readuntil(b'"Hel"')
            go_on.set()
            events = frames(begin + await back.content.read())

    assert [message["role"] for message in events[1]["messages"]] == ["user", "assistant"]
    assert events[1]["messages"][1]["toolCalls"][0]["id"] == called(asked)
    assert said(events) == "Hel"
    [result] = [event for event in events if event["type"] == "TOOL_CALL_RESULT"]
    assert result["toolCallId"] == called(asked)
