from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from ag_ui.core import Event as AgUiEvent
from ag_ui.core import RunAgentInput
from pydantic import TypeAdapter

from bff.api.agui import AgUiEncoder
from bff.events import Done, Event, Message, Record, Thinking, ToolEnd, ToolStart
from tests.api.conftest import Start
from tests.api.example_run import (
    BODY,
    CANCELLED,
    COMPLETE,
    FAILED,
    PROBLEM,
    RUN,
    records,
    with_gap,
)
from tests.api.reading import ended, frames
from tests.fakes.scripted import ScriptedAgent

OFFICIAL: TypeAdapter[Any] = TypeAdapter(AgUiEvent)


def encoder() -> AgUiEncoder:
    return AgUiEncoder(RUN, thread_id="thread-1", run_id="client-run")


def encoded(items: list[Record]) -> list[Any]:
    """The events, each valid for the protocol's own models and without a field unknown to them."""
    events = frames(encoder()(items))
    for event in events:
        model = OFFICIAL.validate_python(event)
        assert not model.model_extra, model
    return events


def types(events: list[Any]) -> list[str]:
    return [event["type"] for event in events]


def asked(content: Any = "Hi", **fields: Any) -> dict[str, Any]:
    body = {
        "threadId": "thread-1",
        "runId": "client-run",
        "protocolVersion": "1.0",
        "state": {},
        "messages": [{"id": "m1", "role": "user", "content": content}],
        "tools": [],
        "context": [],
        "forwardedProps": {},
        **fields,
    }
    return body


def test_a_run__is_events_that_the_protocols_models_take() -> None:
    events = encoded(records(*BODY, COMPLETE))

    assert types(events) == [
        "RUN_STARTED",
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
        "CUSTOM",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert events[0] == {
        "type": "RUN_STARTED",
        "threadId": "thread-1",
        "runId": "client-run",
        "protocolVersion": "1.0",
    }
    assert events[11]["parentMessageId"] == events[7]["messageId"]
    assert events[12]["delta"] == '{"expression":"15 * 23"}'
    assert events[14]["content"] == "345"
    assert events[-1] == {
        "type": "RUN_FINISHED",
        "threadId": "thread-1",
        "runId": "client-run",
        "outcome": {"type": "success"},
        "usage": [{"inputTokens": 5, "outputTokens": 8, "totalTokens": 13}],
    }


def test_ids__are_the_runs_own_even_where_an_agent_repeats_its() -> None:
    twice: list[Event] = [ToolStart("1", "t", {}), ToolEnd("1", "t", "a")] * 2
    events = encoded(records(Thinking("a"), Message("b"), *twice, Message("c"), Done()))

    begun = [event["messageId"] for event in events if event["type"].endswith("MESSAGE_START")]
    calls = [event["toolCallId"] for event in events if event["type"] == "TOOL_CALL_START"]
    results = [event["messageId"] for event in events if event["type"] == "TOOL_CALL_RESULT"]
    ids = [*begun, *calls, *results]
    assert len(set(ids)) == len(ids) == 7
    assert all(id.startswith(RUN.run_id) for id in ids)


@pytest.mark.parametrize("opened", [Message("Hel"), Thinking("Hel")])
@pytest.mark.parametrize(
    ("end", "last"),
    [
        (COMPLETE, {"type": "RUN_FINISHED", "outcome": {"type": "success"}}),
        (CANCELLED, {"type": "RUN_FINISHED", "outcome": {"type": "cancelled"}}),
        (FAILED, {"type": "RUN_ERROR", "message": PROBLEM["detail"], "code": "agent_failed"}),
    ],
)
def test_whatever_the_end__what_is_open_is_ended_before_it(
    opened: Event, end: Event, last: dict[str, Any]
) -> None:
    events = encoded(records(opened, end))

    assert types(events)[-2] in ("TEXT_MESSAGE_END", "REASONING_END")
    assert last.items() <= events[-1].items()


def test_a_call_without_a_result__is_not_left_for_the_page_to_run() -> None:
    complete = encoded(records(ToolStart("1", "t", {}), Done()))
    cancelled = encoded(records(ToolStart("1", "t", {}), CANCELLED))

    assert types(complete)[-2:] == ["TOOL_CALL_RESULT", "RUN_FINISHED"]
    assert complete[-2]["toolCallId"] == complete[1]["toolCallId"]
    assert types(cancelled)[-2:] == ["TOOL_CALL_END", "RUN_FINISHED"]


def test_a_result_without_its_call__brings_one() -> None:
    events = encoded(records(ToolEnd("1", "t", error="no"), Done()))

    assert types(events)[1:5] == [
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
    ]
    assert events[4]["content"] == "no"


def test_a_gap__is_an_error_and_the_end_of_what_is_told() -> None:
    events = encoded(with_gap(Message("rest"), COMPLETE))

    assert types(events) == ["RUN_STARTED", "RUN_ERROR"]
    assert events[1]["code"] == "gap"


def test_batches__change_nothing_in_the_bytes() -> None:
    items = records(*BODY, COMPLETE)
    at_once, one_by_one = encoder(), encoder()

    assert at_once(items) == b"".join(one_by_one([item]) for item in items)


@pytest.mark.parametrize("content", ["Hi", [{"type": "text", "text": "Hi"}]])
async def test_a_run_input__is_answered_with_its_own_ids(start: Start, content: Any) -> None:
    service = await start()
    body = asked(content, threadId="Thread of alice@example.org")
    _ = RunAgentInput.model_validate(body)

    async with service.client.post("/v1/agui", json=body) as reply:
        events = frames(await reply.text())

    assert reply.content_type == "text/event-stream"
    digest = hashlib.sha256(b"Thread of alice@example.org").hexdigest()[:32]
    assert reply.headers["X-Session-Id"] == f"x-{digest}"
    for event in (events[0], events[-1]):
        assert event["threadId"] == "Thread of alice@example.org"
        assert event["runId"] == "client-run"
    assert [prompt.conversation.text for prompt in service.agent.calls] == ["Hi"]


async def test_other_roles__may_hold_what_they_like(start: Start) -> None:
    service = await start()
    messages = [
        {"id": "0", "role": "activity", "activityType": "PLAN", "content": {"steps": []}},
        {"id": "1", "role": "assistant", "toolCalls": []},
        {"id": "2", "role": "user", "content": "Question"},
        {"id": "3", "role": "tool", "toolCallId": "x", "content": "345"},
    ]

    async with service.client.post("/v1/agui", json=asked(messages=messages)) as reply:
        assert reply.status == 200

    assert [prompt.conversation.text for prompt in service.agent.calls] == ["Question"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"threadId": ""}, "threadId"),
        ({"runId": 5}, "runId"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x" * 100_001}]}, "messages.0.content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            "messages.0.content.0",
        ),
    ],
)
async def test_what_cannot_go_to_the_agent__is_422_naming_the_field(
    start: Start, fields: dict[str, Any], field: str
) -> None:
    service = await start()

    async with service.client.post("/v1/agui", json=asked(**fields)) as reply:
        body = await reply.json()

    assert reply.status == 422
    assert [error["field"] for error in body["errors"]] == [field]
    assert service.agent.calls == []


async def test_closing_the_connection__cancels_the_run(start: Start) -> None:
    service = await start(ScriptedAgent([[Message("Hel")], asyncio.Event()]))

    async with service.client.post("/v1/agui", json=asked()) as reply:
        await reply.content.readuntil(b'"Hel"')
        reply.close()

    assert await ended(service, reply.headers["X-Run-Id"]) == "cancelled"
    assert service.agent.closed == 1
