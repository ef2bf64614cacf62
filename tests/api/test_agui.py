from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from ag_ui.core import Event as AgUiEvent
from ag_ui.core import RunAgentInput
from pydantic import TypeAdapter

from bff.api.agui.events import AgUiEncoder
from bff.api.agui.versions import FIRST, UNKNOWN, Version
from bff.events import (
    Custom,
    Done,
    Event,
    File,
    Input,
    Message,
    Record,
    Source,
    Thinking,
    ToolEnd,
    ToolStart,
    ToolUse,
)
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


def encoder(version: Version = FIRST, **fields: Any) -> AgUiEncoder:
    run = fields.pop("run", RUN)
    return AgUiEncoder(run, thread_id="thread-1", run_id="client-run", version=version, **fields)


def encoded(items: list[Record], **fields: Any) -> list[Any]:
    """The events, each valid for the protocol's own models and without a field unknown to them."""
    events = frames(encoder(**fields)(items))
    for event in events:
        model = OFFICIAL.validate_python(event)
        assert not model.model_extra, model
    return events


def for_older(*events: Event, version: Version = UNKNOWN) -> list[Any]:
    return frames(encoder(version)(records(*events)))


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


PAY = ToolUse("c1", "pay", {"amount": 7})
APPROVAL = Input("i1", "approval", "May I pay?", PAY, value={"why": "x"})
TIME = "2030-01-01T00:00Z"
ASKED = Input("i2", "input", "Which city?", schema={"type": "string"}, expires_at=TIME)
OWN = Input("c2", "tool", tool=ToolUse("c2", "locate", {}))


def waits(*questions: Input) -> tuple[Event, ...]:
    return (*questions, Done("input_required", inputs=questions))


def test_questions__are_the_outcome_and_their_calls_wait() -> None:
    events = encoded(records(Message("Well."), *waits(APPROVAL, ASKED)))

    assert types(events)[4:] == [
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "RUN_FINISHED",
    ]
    approval, asked = events[-1]["outcome"]["interrupts"]
    assert events[-1]["outcome"]["type"] == "interrupt"
    assert approval["toolCallId"] == events[4]["toolCallId"]
    assert (approval["id"], approval["reason"]) == ("i1", "tool_call")
    assert approval["message"] == "May I pay?"
    assert approval["responseSchema"]["required"] == ["approved"]
    assert approval["metadata"] == {"value": {"why": "x"}}
    assert asked == {
        "id": "i2",
        "reason": "input_required",
        "message": "Which city?",
        "responseSchema": {"type": "string"},
        "expiresAt": TIME,
    }


def test_a_clients_own_tool__is_a_call_without_a_result() -> None:
    events = encoded(records(*waits(OWN)))

    assert types(events) == [
        "RUN_STARTED",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "RUN_FINISHED",
    ]
    assert events[-1]["outcome"] == {
        "type": "success",
        "pendingToolCallIds": [events[1]["toolCallId"]],
    }


def test_an_agents_own_interrupt__comes_out_as_it_was_asked() -> None:
    own = {"id": "i1", "reason": "approval:pay", "toolCallId": "c1", "metadata": {"a": 1}}
    events = encoded(records(*waits(Input("i1", "approval", "Pay?", PAY, value=own))))

    [interrupt] = events[-1]["outcome"]["interrupts"]
    assert interrupt == own | {"toolCallId": events[1]["toolCallId"]}


def test_older_clients__are_asked_in_the_way_they_know() -> None:
    unknown = for_older(*waits(APPROVAL))
    older = for_older(*waits(APPROVAL), version=(0, 0, 45))
    newer = for_older(*waits(APPROVAL), version=(0, 0, 59))

    for events in (unknown, older):
        assert events[-2]["name"] == "on_interrupt"
        assert json.loads(events[-2]["value"]) == {"why": "x"}
        assert events[-2]["rawEvent"]["id"] == "i1"
    assert unknown[-1]["outcome"]["type"] == newer[-1]["outcome"]["type"] == "interrupt"
    assert "outcome" not in older[-1]
    assert "CUSTOM" not in types(newer)


def test_older_clients__get_no_event_that_they_do_not_know() -> None:
    activity = {"messageId": "a", "activityType": "PLAN", "content": {}}
    events = for_older(
        Thinking("hm"), Message(""), Message("b"), Custom(activity, "ACTIVITY_SNAPSHOT"), CANCELLED
    )

    assert types(events) == [
        "RUN_STARTED",
        "THINKING_START",
        "THINKING_TEXT_MESSAGE_START",
        "THINKING_TEXT_MESSAGE_CONTENT",
        "THINKING_TEXT_MESSAGE_END",
        "THINKING_END",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "CUSTOM",
        "RUN_FINISHED",
    ]
    assert (events[-2]["name"], events[-2]["value"]) == ("ACTIVITY_SNAPSHOT", activity)
    assert events[-1]["result"] == {"status": "cancelled"}


def test_an_agents_own_events__come_out_as_themselves() -> None:
    activity = {"message_id": "a", "activity_type": "PLAN", "content": {"n": 1}, "replace": None}
    user = {"id": "1", "role": "user", "content": "Hi", "name": None}
    patch = [{"op": "replace", "path": "/n", "value": 2}]
    events = encoded(
        records(
            Custom({"n": 1}, "STATE_SNAPSHOT"),
            Custom(patch, "STATE_DELTA"),
            Custom(activity, "ACTIVITY_SNAPSHOT"),
            Custom([user], "MESSAGES_SNAPSHOT"),
            Custom({"stepName": "plan"}, "STEP_STARTED"),
            Custom(1, "progress"),
            Custom({"odd": True}, "ACTIVITY_DELTA"),
            Done(),
        )
    )

    assert events[1:-1] == [
        {"type": "STATE_SNAPSHOT", "snapshot": {"n": 1}},
        {"type": "STATE_DELTA", "delta": patch},
        {
            "type": "ACTIVITY_SNAPSHOT",
            "messageId": "a",
            "activityType": "PLAN",
            "content": {"n": 1},
        },
        {"type": "MESSAGES_SNAPSHOT", "messages": [{"id": "1", "role": "user", "content": "Hi"}]},
        {"type": "STEP_STARTED", "stepName": "plan"},
        {"type": "CUSTOM", "name": "progress", "value": 1},
        {"type": "CUSTOM", "name": "ACTIVITY_DELTA", "value": {"odd": True}},
        {"type": "STEP_FINISHED", "stepName": "plan"},
    ]


def test_what_does_not_pair__is_custom_since_clients_throw() -> None:
    step, agent = {"stepName": "plan"}, {"subagentRunId": "s", "name": "a"}
    events = encoded(
        records(
            Custom(step, "STEP_FINISHED"),
            Custom(agent, "SUBAGENT_STARTED"),
            Custom(agent, "SUBAGENT_STARTED"),
            Custom({"subagentRunId": "s"}, "SUBAGENT_FINISHED"),
            Custom(agent, "SUBAGENT_STARTED"),
            Done(),
        )
    )

    assert types(events)[1:-1] == [
        "CUSTOM",
        "SUBAGENT_STARTED",
        "CUSTOM",
        "SUBAGENT_FINISHED",
        "CUSTOM",
    ]


def test_what_the_agent_cites_and_makes__is_custom_under_its_kind() -> None:
    events = encoded(
        records(Source("https://a.example", "A"), File("image/png", data="iVBORw=="), Done())
    )

    assert [(event["name"], event["value"]) for event in events[1:-1]] == [
        ("source", {"url": "https://a.example", "title": "A"}),
        ("file", {"data": "iVBORw==", "mimeType": "image/png"}),
    ]


def test_a_run_that_answers__goes_on_with_the_calls_that_the_client_knows() -> None:
    request = replace(RUN.request, questions=(APPROVAL,), continues="run_first")
    run = replace(RUN, request=request)
    result = records(ToolEnd("c1", "pay", "paid"), Done())
    replayed = encoded(result, run=run)
    known = encoded(result, run=run, calls={"c1": "as the client says"})

    assert types(replayed) == types(known) == ["RUN_STARTED", "TOOL_CALL_RESULT", "RUN_FINISHED"]
    assert replayed[1]["toolCallId"] == "run_first-t-c1"
    assert known[1]["toolCallId"] == "as the client says"


def test_a_call_of_an_earlier_run__is_not_left_open_when_its_question_is_answered() -> None:
    request = replace(RUN.request, questions=(APPROVAL,), continues="run_first", message="Declined")
    run = replace(RUN, request=request)
    silent = records(Message("No."), Done())
    asked_again = encoded(records(APPROVAL, Done("input_required", inputs=(APPROVAL,))), run=run)

    [result] = [e for e in encoded(silent, run=run) if e["type"] == "TOOL_CALL_RESULT"]
    assert (result["toolCallId"], result["content"]) == ("run_first-t-c1", "Declined")
    for events in (
        asked_again,
        encoded(records(Done("cancelled")), run=run),
        encoded(silent, run=run, given={"c1"}),  # the client answered by a result
        encoded(records(Custom([], "MESSAGES_SNAPSHOT"), Done()), run=run),  # the agent tells all
    ):
        assert "TOOL_CALL_RESULT" not in types(events)


def test_a_result_that_the_client_gave__is_not_told_to_it_again() -> None:
    question = Input("c1", "tool", tool=ToolUse("c1", "locate", {}))
    request = replace(RUN.request, questions=(question,), continues="run_first")
    events = encoded(
        records(ToolEnd("c1", "locate", "Rome"), Done()), run=replace(RUN, request=request)
    )

    assert types(events) == ["RUN_STARTED", "RUN_FINISHED"]


def test_a_client_that_comes_back__is_told_the_messages_first() -> None:
    before = [{"id": "1", "role": "user", "content": "Hi"}]
    events = encoded(records(Message("b"), Done()), before=before)

    assert types(events)[:3] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "TEXT_MESSAGE_START"]
    assert events[1]["messages"] == before


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
        {"id": "1", "role": "assistant", "toolCalls": [{"id": "x", "function": 1}]},
        {"id": "3", "role": "tool", "toolCallId": "x", "content": {"odd": "\ud800"}},
        {"id": "4", "role": "user", "content": {"odd": 1}},
        {"id": "5", "role": "assistant", "content": "Hm \ud800"},
        {"id": "6", "role": "user", "content": "Question"},
    ]

    async with service.client.post("/v1/agui", json=asked(messages=messages)) as reply:
        assert reply.status == 200

    assert [prompt.conversation.text for prompt in service.agent.calls] == ["Question"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"threadId": ""}, "threadId"),
        ({"runId": 5}, "runId"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0.content"),
        ({"messages": [{"content": "Hi"}]}, "messages.0.role"),
        ({"tools": [{"description": "no name"}]}, "tools.0.name"),
        ({"resume": [{"status": "resolved"}]}, "resume.0.interruptId"),
        ({"resume": [{"interruptId": "i", "status": "perhaps"}]}, "resume.0.status"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x" * 100_001}]}, "messages.0.content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            "messages.0.content.0.source",
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


@pytest.mark.parametrize("version", [None, "1.0"])
async def test_no_messages__are_an_empty_run(start: Start, version: str | None) -> None:
    service = await start()

    body = asked(messages=[], protocolVersion=version)
    async with service.client.post("/v1/agui", json=body) as reply:
        events = frames(await reply.text())

    assert reply.content_type == "text/event-stream"
    assert types(events) == ["RUN_STARTED", "RUN_FINISHED"]
    assert [(event["threadId"], event["runId"]) for event in events] == [
        ("thread-1", "client-run")
    ] * 2
    assert service.agent.calls == []


async def test_on_disconnect__leaves_the_run_going_if_the_address_says_so(start: Start) -> None:
    go_on = asyncio.Event()
    service = await start(ScriptedAgent([[Message("Hel")], go_on, [Message("lo")], [Done()]]))

    async with service.client.post("/v1/agui?on_disconnect=continue", json=asked()) as reply:
        await reply.content.readuntil(b'"Hel"')
        reply.close()
    async with service.client.post("/v1/agui/connect", json=asked(messages=[])) as back:
        await back.content.readuntil(b'"Hel"')
        go_on.set()
        rest = await back.text()

    assert back.headers["X-Run-Id"] == reply.headers["X-Run-Id"]
    assert '"lo"' in rest
    assert await ended(service, reply.headers["X-Run-Id"]) == "complete"
    assert len(service.agent.calls) == 1


@pytest.mark.parametrize("query", ["on_disconnect=perhaps", "protocolVersion=new", "agent=x"])
async def test_an_odd_address__is_422_naming_its_parameter(start: Start, query: str) -> None:
    service = await start()

    async with service.client.post(f"/v1/agui?{query}", json=asked(protocolVersion=None)) as reply:
        body = await reply.json()

    assert reply.status == 422
    assert [error["field"] for error in body["errors"]] == [query.partition("=")[0]]
    assert service.agent.calls == []
