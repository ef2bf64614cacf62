from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from bff.api.openai.chat_completions import OpenAIEncoder
from bff.errors import AgentFailed, AgentThrottled
from bff.events import Done, Event, Message, Record, Thinking, ToolStart
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


def encoded(items: list[Record], *, include_usage: bool = False) -> list[Any]:
    encoder = OpenAIEncoder(RUN, model="agent", include_usage=include_usage, headers={})
    return frames(encoder(items))


def hello(**fields: Any) -> dict[str, Any]:
    return {"model": "agent", "messages": [{"role": "user", "content": "Hi"}], **fields}


def text(chunks: list[Any]) -> str:
    return "".join(
        choice["delta"].get("content", "")
        for chunk in chunks
        if chunk != "[DONE]"
        for choice in chunk.get("choices", [])
    )


def test_a_run__is_chunks_with_role_text_reasoning_and_one_finish_reason() -> None:
    *chunks, done = encoded(records(*BODY, COMPLETE))

    assert done == "[DONE]"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert text(chunks) == "Let me see.It is \u201c345\u201d.\n"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "A sum: use the tool."
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * 6
    assert chunks[-1]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert {
        (chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks
    } == {("chatcmpl-5f1c0de", "chat.completion.chunk", 1_800_000_000, "agent")}


def test_agent_side_tools__are_never_offered_to_be_run_again() -> None:
    assert "tool_calls" not in str(encoded(records(*BODY, COMPLETE)))


@pytest.mark.parametrize(
    ("done", "usage"),
    [
        (COMPLETE, {"prompt_tokens": 5, "completion_tokens": 8, "total_tokens": 13}),
        (
            Done(usage={"input_tokens": 1, "output_tokens": 2}),
            {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        ),
        (Done(), {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
    ],
)
def test_include_usage__always_yields_one_usage_chunk(done: Done, usage: dict[str, int]) -> None:
    *chunks, last, end = encoded(records(Message("a"), done), include_usage=True)

    assert end == "[DONE]"
    assert (last["choices"], last["usage"]) == ([], usage)
    assert [chunk["usage"] for chunk in chunks] == [None] * 3


@pytest.mark.parametrize(("end", "code"), [(FAILED, "agent_failed"), (CANCELLED, "run_cancelled")])
def test_a_run_that_does_not_complete__ends_in_an_error_and_no_finish_reason(
    end: Event, code: str
) -> None:
    *chunks, error, done = encoded(records(Message("Hel"), end), include_usage=True)

    assert done == "[DONE]"
    assert set(error) == {"error"}
    assert set(error["error"]) == {"message", "type", "code", "param"}
    assert error["error"]["code"] == code
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
    assert text(chunks) == "Hel"


def test_a_gap__is_an_error_and_the_end_of_what_is_told() -> None:
    [error, done] = encoded(with_gap(Message("rest"), COMPLETE))

    assert error["error"]["code"] == "gap"
    assert done == "[DONE]"


def test_batches__change_nothing_in_the_bytes() -> None:
    items = records(*BODY, COMPLETE)
    at_once = OpenAIEncoder(RUN, model="agent", include_usage=True, headers={})
    one_by_one = OpenAIEncoder(RUN, model="agent", include_usage=True, headers={})

    assert at_once(items) == b"".join(one_by_one([item]) for item in items)


async def test_a_stream__is_the_agents_answer_under_the_headers_its_clients_know(
    start: Start,
) -> None:
    service = await start(ScriptedAgent([[Message("Hel")], [Message("lo")], [Done()]]))

    async with service.client.post(
        "/v1/chat/completions", json=hello(stream=True, user="alice-1")
    ) as reply:
        chunks = frames(await reply.text())

    assert (reply.status, reply.content_type) == (200, "text/event-stream")
    assert text(chunks[:-1]) == "Hello"
    assert reply.headers["X-Session-Id"] == "alice-1"
    assert reply.headers["X-Run-Id"].startswith("run_")
    assert reply.headers["x-ratelimit-remaining-requests"] == "99"
    assert [prompt.conversation.text for prompt in service.agent.calls] == ["Hi"]


async def test_without_stream__the_answer_is_one_completion(start: Start) -> None:
    service = await start(
        ScriptedAgent([[Thinking("hm"), ToolStart("1", "t", {})], [Message("Hello")], [COMPLETE]])
    )

    async with service.client.post("/v1/chat/completions", json=hello(model="gpt-x")) as reply:
        body = await reply.json()

    assert (body["object"], body["model"]) == ("chat.completion", "gpt-x")
    [choice] = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hello", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 8, "total_tokens": 13}


@pytest.mark.parametrize(
    ("fields", "session"),
    [
        ({"user": "u-1"}, "u-1"),
        ({"user": "u-1", "metadata": {"session_id": "s-1"}}, "s-1"),
        ({"user": "", "metadata": {"session_id": "s-1"}}, "s-1"),
        (
            {"user": "alice@example.org"},
            "x-" + hashlib.sha256(b"alice@example.org").hexdigest()[:32],
        ),
    ],
)
async def test_the_session__is_metadata_session_id_else_user(
    start: Start, fields: dict[str, Any], session: str
) -> None:
    service = await start()

    async with service.client.post("/v1/chat/completions", json=hello(**fields)) as reply:
        assert reply.headers["X-Session-Id"] == session


async def test_without_a_name__every_call_is_a_session_of_its_own(start: Start) -> None:
    service = await start()

    for _ in range(2):
        async with service.client.post("/v1/chat/completions", json=hello()) as reply:
            assert reply.status == 200

    first, second = service.agent.calls
    assert first.session_id != second.session_id


async def test_parameters_of_other_models__are_taken_and_ignored(start: Start) -> None:
    service = await start()
    fields = {
        "temperature": 0.2,
        "max_tokens": 5,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": "auto",
        "response_format": {"type": "text"},
        "seed": 1,
        "metadata": {"team": "blue"},
    }

    async with service.client.post("/v1/chat/completions", json=hello(**fields)) as reply:
        assert reply.status == 200

    assert service.agent.calls[0].conversation.metadata == {"team": "blue"}


async def test_of_a_conversation__the_last_user_message_goes_to_the_agent(start: Start) -> None:
    service = await start()
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {
            "role": "user",
            "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}],
        },
        {"role": "assistant", "content": "ready"},
    ]

    async with service.client.post("/v1/chat/completions", json=hello(messages=messages)) as reply:
        assert reply.status == 200

    assert service.agent.calls[0].conversation.text == "One\nTwo"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x" * 32_001}]}, "messages.0.content"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url"}],
                    }
                ]
            },
            "messages.0.content.1",
        ),
        ({"n": 2}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"metadata": {"session_id": 5}}, "metadata.session_id"),
    ],
)
async def test_what_cannot_go_to_the_agent__is_422_with_the_param(
    start: Start, fields: dict[str, Any], param: str
) -> None:
    service = await start()

    async with service.client.post("/v1/chat/completions", json=hello(**fields)) as reply:
        body = await reply.json()

    assert (reply.status, reply.content_type) == (422, "application/problem+json")
    assert (body["error"]["code"], body["error"]["param"]) == ("invalid", param)
    assert service.agent.calls == []


async def test_a_failure_after_the_call__says_not_to_retry(start: Start) -> None:
    for error, status in ((AgentFailed(agent_called=True), 502), (AgentThrottled(), 429)):
        service = await start(ScriptedAgent([error]))

        async with service.client.post("/v1/chat/completions", json=hello()) as reply:
            body = await reply.json()

        assert reply.status == status
        assert reply.headers.get("X-Should-Retry") == ("false" if error.agent_called else None)
        assert body["error"]["code"] == error.code


async def test_closing_the_connection__cancels_the_run(start: Start) -> None:
    service = await start(ScriptedAgent([[Message("Hel")], asyncio.Event()]))

    async with service.client.post("/v1/chat/completions", json=hello(stream=True)) as reply:
        run_id = reply.headers["X-Run-Id"]
        await reply.content.readuntil(b'"Hel"')
        reply.close()

    assert await ended(service, run_id) == "cancelled"
    assert service.agent.closed == 1


async def test_models__are_the_one_agent(start: Start) -> None:
    service = await start(SERVICE_NAME="helpdesk")

    async with service.client.get("/v1/models") as reply:
        body = await reply.json()

    assert body == {
        "object": "list",
        "data": [{"id": "agent", "object": "model", "created": 0, "owned_by": "helpdesk"}],
    }


def test_the_problem_of_a_stream__is_the_member_error_of_its_document() -> None:
    [*_, error, _] = encoded(records(FAILED))

    assert error["error"] == PROBLEM["error"]
