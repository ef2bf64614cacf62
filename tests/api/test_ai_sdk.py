from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from bff.api.ai_sdk import UIEncoder
from bff.events import Done, Event, Message, Record, ToolEnd, ToolStart
from tests.api.conftest import KEYS, Start
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


def encoded(items: list[Record]) -> list[Any]:
    return frames(UIEncoder(RUN)(items))


def types(parts: list[Any]) -> list[str]:
    return [part if part == "[DONE]" else part["type"] for part in parts]


def chat(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    message = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": "chat-1", "messages": [message], "trigger": "submit-message", **fields}


def test_a_run__opens_and_closes_a_block_wherever_the_kind_changes() -> None:
    parts = encoded(records(*BODY, COMPLETE))

    assert types(parts) == [
        "start",
        "start-step",
        "reasoning-start",
        "reasoning-delta",
        "reasoning-delta",
        "reasoning-end",
        "text-start",
        "text-delta",
        "text-delta",
        "text-end",
        "tool-input-available",
        "tool-output-available",
        "data-custom",
        "text-start",
        "text-delta",
        "text-end",
        "finish-step",
        "finish",
        "[DONE]",
    ]
    assert parts[0]["messageId"] == RUN.run_id
    assert parts[0]["messageMetadata"] == {"runId": RUN.run_id, "sessionId": "demo"}
    assert [part["id"] for part in parts[2:10]] == ["1"] * 4 + ["2"] * 4
    assert parts[-2] == {
        "type": "finish",
        "finishReason": "stop",
        "messageMetadata": {"usage": {"inputTokens": 5, "outputTokens": 8, "totalTokens": 13}},
    }


def test_tools__are_dynamic_and_never_the_pages_to_run() -> None:
    parts = encoded(records(*BODY, COMPLETE))

    call, result = parts[10:12]
    assert call == {
        "type": "tool-input-available",
        "toolCallId": "call-1",
        "toolName": "calculator",
        "input": {"expression": "15 * 23"},
        "dynamic": True,
        "providerExecuted": True,
    }
    assert result["output"] == "345"
    assert (result["dynamic"], result["providerExecuted"]) == (True, True)


def test_a_tool_that_failed__is_an_output_error() -> None:
    parts = encoded(records(ToolStart("1", "t", {}), ToolEnd("1", "t", error="no"), Done()))

    assert parts[3]["type"] == "tool-output-error"
    assert parts[3]["errorText"] == "no"


def test_a_result_without_its_call__brings_one_since_clients_throw() -> None:
    parts = encoded(with_gap(ToolEnd("1", "t", "42"), Done()))

    assert types(parts)[:5] == [
        "start",
        "start-step",
        "data-gap",
        "tool-input-available",
        "tool-output-available",
    ]
    assert parts[2]["data"] == {"from": 1, "to": 9}


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (COMPLETE, {"type": "tool-output-available", "output": ""}),
        (CANCELLED, {"type": "tool-output-error", "errorText": "cancelled"}),
        (FAILED, {"type": "tool-output-error", "errorText": PROBLEM["detail"]}),
    ],
)
def test_a_call_without_a_result__is_settled_at_the_end(
    end: Event, outcome: dict[str, str]
) -> None:
    parts = encoded(records(ToolStart("1", "t", {}), end))

    assert outcome.items() <= parts[3].items()


def test_a_failed_run__closes_what_is_open_and_then_says_the_error() -> None:
    parts = encoded(records(Message("Hel"), FAILED))

    assert types(parts)[4:] == ["text-end", "error", "finish-step", "finish", "[DONE]"]
    assert parts[5]["errorText"] == PROBLEM["detail"]
    assert parts[7]["finishReason"] == "error"


def test_a_cancelled_run__is_aborted() -> None:
    parts = encoded(records(Message("Hel"), CANCELLED))

    assert types(parts)[4:] == ["text-end", "abort", "[DONE]"]


def test_batches__change_nothing_in_the_bytes() -> None:
    items = records(*BODY, COMPLETE)
    at_once, one_by_one = UIEncoder(RUN), UIEncoder(RUN)

    assert at_once(items) == b"".join(one_by_one([item]) for item in items)


async def test_a_chat__streams_the_answer_under_the_protocols_headers(start: Start) -> None:
    service = await start()

    async with service.client.post("/v1/ui/chat", json=chat(theme="dark")) as reply:
        parts = frames(await reply.text())

    assert reply.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.headers["X-Session-Id"] == "chat-1"
    assert "".join(part["delta"] for part in parts[:-1] if "delta" in part) == "Hello"
    assert [prompt.conversation.text for prompt in service.agent.calls] == ["Hi"]


async def test_regenerating__sends_the_last_user_message_again(start: Start) -> None:
    service = await start()
    messages = [
        chat("First")["messages"][0],
        {"id": "a", "role": "assistant", "parts": [{"type": "text", "text": "…"}]},
        chat("Second")["messages"][0],
    ]
    body = chat(messages=messages, trigger="regenerate-message", messageId="b")

    async with service.client.post("/v1/ui/chat", json=body) as reply:
        assert reply.status == 200

    assert [prompt.conversation.text for prompt in service.agent.calls] == ["Second"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": ""}, "id"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "parts": []}]}, "messages"),
        ({"messages": [{"role": "user", "parts": []}]}, "messages.0.parts"),
        (
            {"messages": [{"role": "user", "parts": [{"type": "text", "text": "x" * 32_001}]}]},
            "messages.0.parts",
        ),
        (
            {"messages": [{"role": "user", "parts": [{"type": "file", "url": "data:,"}]}]},
            "messages.0.parts.0",
        ),
        ({"trigger": "resume"}, "trigger"),
    ],
)
async def test_what_cannot_go_to_the_agent__is_a_short_422(
    start: Start, fields: dict[str, Any], field: str
) -> None:
    service = await start()

    async with service.client.post("/v1/ui/chat", json=chat(**fields)) as reply:
        body = await reply.json()
        size = len(await reply.read())

    assert reply.status == 422
    assert [error["field"] for error in body["errors"]] == [field]
    assert size < 1000  # the AI SDK shows the whole body as the error's text
    assert service.agent.calls == []


async def test_a_closed_tab__leaves_the_run_going_and_can_come_back_to_its_start(
    start: Start,
) -> None:
    go_on = asyncio.Event()
    service = await start(ScriptedAgent([[Message("Hel")], go_on, [Message("lo")], [Done()]]))
    async with service.client.post("/v1/ui/chat", json=chat()) as reply:
        await reply.content.readuntil(b'"Hel"')
        reply.close()

    async with service.client.get("/v1/ui/chat/chat-1/stream") as resumed:
        go_on.set()
        parts = frames(await resumed.text())

    assert resumed.headers["X-Run-Id"] == reply.headers["X-Run-Id"]
    assert types(parts)[0] == "start"
    assert "".join(part["delta"] for part in parts[:-1] if "delta" in part) == "Hello"
    assert len(service.agent.calls) == 1


async def test_a_chat_without_an_open_run__has_nothing_to_resume_or_cancel(start: Start) -> None:
    service = await start()
    async with service.client.post("/v1/ui/chat", json=chat()) as reply:
        await reply.read()

    for name in ("chat-1", "never-heard-of", "a%2Fb", "%F0%9F%98%80"):
        async with service.client.get(f"/v1/ui/chat/{name}/stream") as reply:
            assert (reply.status, await reply.read()) == (204, b"")
        async with service.client.post(f"/v1/ui/chat/{name}/cancel") as reply:
            assert (reply.status, await reply.read()) == (204, b"")


@pytest.mark.parametrize("name", ["chat-1", "a/b c", "ünïcode"])
async def test_cancelling__stops_the_chats_run_whatever_it_is_called(
    start: Start, name: str
) -> None:
    service = await start(ScriptedAgent([[Message("Hel")], asyncio.Event()]))
    async with service.client.post("/v1/ui/chat", json=chat(id=name)) as reply:
        await reply.content.readuntil(b'"Hel"')

        path = f"/v1/ui/chat/{quote(name, safe='')}/cancel"
        async with service.client.post(URL(path, encoded=True)) as cancelled:
            body = await cancelled.json()
        rest = await reply.text()

    assert body["status"] == "cancelled"
    assert body["run_id"] == reply.headers["X-Run-Id"]
    assert rest.endswith('data: {"type":"abort","reason":"cancelled"}\n\ndata: [DONE]\n\n')
    assert service.agent.closed == 1


async def test_somebody_elses_chat__is_one_that_does_not_exist(start: Start) -> None:
    service = await start(ScriptedAgent([[Message("Hel")], asyncio.Event()]))
    bob = {"X-API-Key": KEYS["bob"]}
    async with service.client.post("/v1/ui/chat", json=chat()) as reply:
        await reply.content.readuntil(b'"Hel"')

        async with service.client.get("/v1/ui/chat/chat-1/stream", headers=bob) as other:
            assert other.status == 204
        async with service.client.post("/v1/ui/chat/chat-1/cancel", headers=bob) as other:
            assert other.status == 204
        run = await service.client.get(f"/v1/runs/{reply.headers['X-Run-Id']}")
        assert (await run.json())["status"] == "running"

        async with service.client.post("/v1/ui/chat/chat-1/cancel") as mine:
            assert mine.status == 200
    assert await ended(service, reply.headers["X-Run-Id"]) == "cancelled"
