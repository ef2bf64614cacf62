from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from bff.agents.embedded import EmbeddedAgent
from bff.events import (
    Done,
    Message,
)
from bff.messages import ClientTool, FilePart
from tests.api.conftest import KEYS, Start
from tests.api.reading import ended, frames
from tests.fakes.scripted import ScriptedAgent


def chat(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    message = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": "chat-1", "messages": [message], "trigger": "submit-message", **fields}


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
            {"messages": [{"role": "user", "parts": [{"type": "text", "text": "x" * 100_001}]}]},
            "messages.0.parts",
        ),
        (
            {"messages": [{"role": "user", "parts": [{"type": "file", "url": "data:,"}]}]},
            "messages.0.parts.0.url",
        ),
        ({"trigger": "resume"}, "trigger"),
        ({"messages": [{"role": "robot", "parts": []}]}, "messages.0.role"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "user", "parts": "Hi"}]}, "messages.0.parts"),
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
    assert parts[0]["type"] == "start"
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
    assert rest.endswith('data: {"type":"abort"}\n\ndata: [DONE]\n\n')
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


async def test_only_the_new_message__may_be_sent(start: Start) -> None:
    service = await start(EmbeddedAgent())
    shown = ""
    for text in ("I am Jo", "/turns"):
        body = {"id": "chat-1", "message": chat(text)["messages"][0]}
        async with service.client.post("/v1/ui/chat", json=body) as reply:
            parts = frames(await reply.text())
            shown = "".join(part.get("delta", "") for part in parts[:-1])

    assert shown == "I have seen 2 turns of this conversation."


async def test_an_answer__is_given_again_to_a_page_that_sends_no_messages(start: Start) -> None:
    """As the AI SDK's guide has pages prepare their requests."""
    service = await start(EmbeddedAgent())

    async def say(status: int = 200, **body: Any) -> Any:
        async with service.client.post("/v1/ui/chat", json={"id": "demo", **body}) as reply:
            assert reply.status == status, await reply.text()
            return frames(await reply.text()) if status == 200 else await reply.json()

    def text(parts: list[Any]) -> str:
        return "".join(part["delta"] for part in parts[:-1] if part["type"] == "text-delta")

    again: dict[str, Any] = {"trigger": "regenerate-message"}
    assert (await say(404, **again))["code"] == "not_found"
    said = [
        await say(message=chat(each)["messages"][0]) for each in ("I am Jo", "/turns", "/turns")
    ]

    assert [text(parts)[:15] for parts in said[1:]] == ["I have seen 2 t", "I have seen 3 t"]
    assert text(await say(**again)) == text(said[2])
    first = await say(**again, messageId=said[1][0]["messageId"])
    assert text(first) == text(said[1])
    assert text(await say(message=chat("/turns")["messages"][0])) == text(
        said[2]
    )  # behind that answer
    edited = await say(
        **again, messageId=first[0]["messageId"], message=chat("Hello")["messages"][0]
    )
    assert text(edited) == "You said: Hello"
    unknown = await say(404, **again, messageId="run_0")
    assert unknown["errors"][0]["field"] == "messageId"
    shown = await (await service.client.get("/v1/ui/chat/demo")).json()
    assert [part["text"] for said in shown for part in said["parts"] if part["type"] == "text"] == [
        *("I am Jo", "You said: I am Jo", "Hello", "You said: Hello")
    ]


async def test_what_a_page_adds__reaches_the_agent(start: Start) -> None:
    service = await start()
    body = chat(
        system="Be short.",
        tools={"locate": {"description": "Where", "parameters": {"type": "object"}}},
        metadata={"plan": "pro"},
        webSearch=True,
    )
    body["messages"][0]["parts"].append(
        {"type": "file", "mediaType": "image/png", "filename": "a.png",
         "url": "data:image/png;base64,iVBORw=="}
    )  # fmt: skip

    async with service.client.post("/v1/ui/chat", json=body) as reply:
        assert reply.status == 200

    said = service.agent.calls[0].conversation
    assert said.system == "Be short."
    assert said.tools == (ClientTool("locate", "Where", {"type": "object"}),)
    assert (said.metadata, said.options) == ({"plan": "pro"}, {"webSearch": True})
    assert said.files == (FilePart("image", "image/png", data="iVBORw==", filename="a.png"),)


async def test_an_answer_that_nobody_waits_for__is_refused_and_not_run(start: Start) -> None:
    service = await start()
    part = {
        "type": "dynamic-tool", "toolName": "pay", "toolCallId": "c", "input": {},
        "state": "approval-responded", "approval": {"id": "i", "approved": True},
    }  # fmt: skip
    body = chat("pay 10")
    body["messages"].append({"id": "run_x", "role": "assistant", "parts": [part]})

    async with service.client.post("/v1/ui/chat", json=body) as reply:
        problem = await reply.json()

    assert (reply.status, problem["errors"][0]["field"]) == (422, "messages")
    assert service.agent.calls == []


async def test_a_chat__is_shown_as_messages_with_its_open_question(start: Start) -> None:
    service = await start(EmbeddedAgent())
    for text in ("What is 15 * 23?", "/approve 7"):
        async with service.client.post("/v1/ui/chat", json=chat(text)) as reply:
            await reply.read()
    async with service.client.get("/v1/ui/chat/chat-1") as reply:
        first, second, third, fourth = await reply.json()
    other = await service.client.get("/v1/ui/chat/other")
    bobs = await service.client.get("/v1/ui/chat/chat-1", headers={"X-API-Key": KEYS["bob"]})

    assert [message["role"] for message in (first, second, third, fourth)] == [
        "user", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert first["parts"] == [{"type": "text", "text": "What is 15 * 23?"}]
    assert [part["type"] for part in second["parts"]] == ["step-start", "dynamic-tool", "text"]
    assert second["parts"][1]["output"] == "345"
    [_, text, asked] = fourth["parts"]
    assert text["text"] == "I would like to pay."
    assert (asked["state"], asked["toolName"]) == ("approval-requested", "pay")
    assert third["id"] != first["id"]
    assert (other.status, bobs.status) == (404, 404)


async def test_a_chat_whose_run_is_open__is_shown_up_to_what_its_stream_tells(
    start: Start,
) -> None:
    go_on = asyncio.Event()
    service = await start(ScriptedAgent([[Message("Hel")], go_on, [Done()]]))
    async with service.client.post("/v1/ui/chat", json=chat()) as reply:
        await reply.content.readuntil(b'"Hel"')
        async with service.client.get("/v1/ui/chat/chat-1") as shown:
            messages = await shown.json()
        go_on.set()
        await reply.read()

    assert [(m["role"], m["parts"]) for m in messages] == [
        ("user", [{"type": "text", "text": "Hi"}])
    ]


async def test_the_address__names_the_agent(start: Start) -> None:
    agents = {"a": {"url": "embedded:"}, "b": {"url": "embedded:"}}
    service = await start(AGENTS=json.dumps(agents))
    for address, headers in (("/v1/ui/chat?agent=b", {}), ("/v1/ui/chat", {"X-Agent": "b"})):
        body = chat(id=f"chat-{len(headers)}")
        async with service.client.post(address, json=body, headers=headers) as reply:
            assert reply.status == 200
    async with service.client.post("/v1/ui/chat?agent=c", json=chat()) as reply:
        assert reply.status == 422

    assert [call.agent for call in service.agent.calls] == ["b", "b"]
