from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from bff.agents.embedded import EmbeddedAgent
from bff.api.ai_sdk.messages import ui_messages
from bff.api.ai_sdk.parts import UIEncoder
from bff.events import (
    Custom,
    Done,
    Event,
    File,
    Input,
    Message,
    Record,
    Source,
    ToolEnd,
    ToolStart,
    ToolUse,
)
from bff.history import StoredMessage
from bff.messages import ClientTool, FilePart
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
        "messageMetadata": {
            "status": "complete",
            "usage": {"inputTokens": 5, "outputTokens": 8, "totalTokens": 13},
        },
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
    assert result == {
        "type": "tool-output-available",
        "toolCallId": "call-1",
        "output": "345",
        "dynamic": True,  # else version 5 does not find the call
    }


def test_a_tool_that_failed__is_an_output_error() -> None:
    parts = encoded(records(ToolStart("1", "t", {}), ToolEnd("1", "t", error="no"), Done()))

    assert parts[3]["type"] == "tool-output-error"
    assert parts[3]["errorText"] == "no"
    assert parts[3]["dynamic"] is True


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
    assert parts[7] == {"type": "finish", "messageMetadata": {"status": "failed"}}


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


def test_what_the_agent_cites_and_makes__are_parts_of_their_own_kind() -> None:
    parts = encoded(
        records(
            Source("https://a/b", "A"),
            File("image/png", data="iVBORw=="),
            Custom({"x": 1}, "data-weather"),
            Custom([1], "STATE_DELTA"),
            Done(),
        )
    )

    assert parts[2:6] == [
        {"type": "source-url", "sourceId": f"{RUN.run_id}-2", "url": "https://a/b", "title": "A"},
        {"type": "file", "url": "data:image/png;base64,iVBORw==", "mediaType": "image/png"},
        {"type": "data-weather", "data": {"x": 1}},
        {"type": "data-STATE_DELTA", "data": [1]},
    ]


def test_a_question__is_a_call_that_the_page_has_to_settle() -> None:
    pay = ToolUse("c-1", "pay", {"amount": 10})
    asked = (
        Input("i-1", "approval", "May I?", pay),
        Input("i-2", "input", "Which city?"),
        Input("c-2", "tool", tool=ToolUse("c-2", "locate", {})),
    )
    parts = encoded(
        records(
            ToolStart("c-1", "pay", {"amount": 10}), *asked, Done("input_required", inputs=asked)
        )
    )

    assert types(parts)[2:] == [
        "tool-input-available",
        "tool-input-available",
        "tool-approval-request",
        "tool-input-available",
        "tool-input-available",
        "finish-step",
        "finish",
        "[DONE]",
    ]
    assert parts[3]["providerExecuted"] is False
    assert parts[4] == {
        "type": "tool-approval-request",
        "approvalId": "i-1",
        "toolCallId": "c-1",
    }
    assert parts[5]["input"] == {"message": "Which city?"}
    assert (parts[6]["toolName"], "dynamic" in parts[6]) == ("locate", False)


def test_a_run_that_answers__goes_on_with_the_message_that_asked() -> None:
    pay = ToolUse("c-1", "pay", {"amount": 10})
    question = Input("i-1", "approval", "May I?", pay)
    request = replace(RUN.request, questions=(question,), continues="run_first", declined=("i-1",))
    run = replace(RUN, request=request)
    paid = frames(UIEncoder(run)(records(ToolEnd("c-1", "pay", "paid"), Done())))
    silent = frames(UIEncoder(run)(records(Message("No."), Done())))
    asked_for_input = Input("i-1", "input", "How much?", pay)
    typed = replace(run, request=replace(request, questions=(asked_for_input,)))
    left_out = frames(UIEncoder(typed)(records(Done())))
    replayed = frames(
        UIEncoder(
            run,
            before=[
                {"type": "step-start"},
                {"type": "text", "text": "Wait."},
                {"type": "dynamic-tool", "toolName": "pay", "toolCallId": "c-1", "input": {},
                 "state": "approval-requested"},
            ],
        )(records(ToolEnd("c-1", "pay", "paid"), Done()))
    )  # fmt: skip

    assert paid[0]["messageId"] == silent[0]["messageId"] == "run_first"
    assert types(paid)[1:4] == ["start-step", "tool-output-available", "finish-step"]
    assert types(silent)[-5:-3] == ["text-end", "tool-output-denied"]
    # which only an approval has: version 5 does not know it
    assert types(left_out)[2] == "tool-output-available"
    assert types(replayed)[1:9] == [
        "start-step",
        "text-start",
        "text-delta",
        "text-end",
        "tool-input-available",
        "finish-step",
        "start-step",
        "tool-output-available",
    ]


def test_a_result_that_the_page_gave__is_not_told_to_it_again() -> None:
    question = Input("c-1", "tool", tool=ToolUse("c-1", "locate", {}))
    request = replace(RUN.request, questions=(question,), continues="run_first")
    parts = frames(
        UIEncoder(replace(RUN, request=request))(records(ToolEnd("c-1", "locate", "Rome"), Done()))
    )

    assert types(parts) == ["start", "start-step", "finish-step", "finish", "[DONE]"]


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


def test_a_call_that_failed_in_the_run_that_was_approved__is_shown_without_an_output() -> None:
    call = {"id": "c-1", "tool": "pay", "args": {}}
    shown = ui_messages(
        [
            StoredMessage("user", "Pay", "run_1", 1),
            StoredMessage("assistant", "Well.", "run_1", 2, tool_calls=[call]),
            StoredMessage("user", "Approved", "run_2", 3, continues="run_1"),
            StoredMessage("assistant", "", "run_2", 4, continues="run_1",
                          tool_calls=[{**call, "error": "no money"}]),
        ],
        (),
    )  # fmt: skip
    [part] = [part for part in shown[1]["parts"] if part["type"] == "dynamic-tool"]

    assert (part["state"], part["errorText"]) == ("output-error", "no money")
    assert "output" not in part  # else validateUIMessages refuses the chat


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
