"""Limits of what is read: how large, how many at once, and how much of it is found wrong."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import BaseModel, ValidationError

from bff.api import BODIES, SETTINGS, STATE, RequestState
from bff.api.agui.run_input import RunAgentInput
from bff.api.ai_sdk.chat import UIChatRequest
from bff.api.bodies import TOTAL_BYTES, Bodies, Body, memory_bytes, seconds_for, total_bytes
from bff.api.body import MAX_ERRORS, field_errors, read_and_decode
from bff.api.chat_request import ChatRequest
from bff.api.openai.chat_completions import ChatCompletionRequest
from bff.api.session_actions import ForkRequest
from bff.api.sessions import TitleRequest
from bff.api.start_run import Asked
from bff.api.websocket.arriving import CONTROL_BYTES, Arriving
from bff.api.websocket.connection import MessageFrame, PingFrame, ResumeFrame, RunFrame
from bff.errors import Overloaded, Problem
from bff.events import Done, Message
from bff.messages import Conversation
from bff.off_loop import LARGE
from bff.settings import MAX_BODY_BYTES, Settings
from tests.api.conftest import Service, Start
from tests.fakes.scripted import ScriptedAgent

MB = 1024 * 1024

# How much is found wrong

UNKNOWN: dict[str, Any] = {f"{number:x}": number for number in range(28_000)}
WRONG: list[Any] = [{"role": 1, **dict.fromkeys("abcdefgh", 0)}] * 9_000
SOURCE = {"type": "data", "value": "QQ==", "mimeType": "a", **UNKNOWN}
FLOODS: dict[str, tuple[type[BaseModel], dict[str, Any]]] = {
    "chat: unknown fields": (ChatRequest, {"message": "x", **UNKNOWN}),
    "chat: parts": (ChatRequest, {"message": WRONG}),
    "chat: parts of unknown fields": (
        ChatRequest,
        {"message": [{"type": "text", "text": "a", **UNKNOWN}] * 50},
    ),
    "chat: a source of unknown fields": (
        ChatRequest,
        {"message": [{"type": "image", "source": SOURCE}] * 50},
    ),
    "chat: metadata that is a list": (ChatRequest, {"message": "x", "metadata": WRONG}),
    "chat: tools": (ChatRequest, {"message": "x", "tools": WRONG[:1000]}),
    "chat: tools of unknown fields": (
        ChatRequest,
        {"message": "x", "tools": [{"name": "f", **UNKNOWN}] * 50},
    ),
    "chat: context": (ChatRequest, {"message": "x", "context": WRONG[:1000]}),
    "chat: answers": (ChatRequest, {"resume": WRONG}),
    "frame: unknown fields": (MessageFrame, {"message": "x", **UNKNOWN}),
    "cancel: unknown fields": (RunFrame, {"type": "cancel", "run_id": "x", **UNKNOWN}),
    "resume: unknown fields": (ResumeFrame, {"type": "resume", "run_id": "x", **UNKNOWN}),
    "ping: unknown fields": (PingFrame, {"type": "ping", **UNKNOWN}),
    "title: unknown fields": (TitleRequest, {"title": "x", **UNKNOWN}),
    "fork: unknown fields": (ForkRequest, UNKNOWN),
    "openai: tools": (ChatCompletionRequest, {"messages": [{}], "tools": [1] * 9_000}),
    "openai: messages": (ChatCompletionRequest, {"messages": [1] * 90_000}),
    "ui: messages": (UIChatRequest, {"id": "x", "messages": [1] * 9_000}),
    "ui: parts": (UIChatRequest, {"id": "x", "messages": [{"role": "user", "parts": WRONG}] * 50}),
    "agui: messages": (RunAgentInput, {"threadId": "t", "runId": "r", "messages": WRONG}),
    "agui: no object": (RunAgentInput, {"threadId": WRONG, "runId": WRONG, "messages": WRONG}),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_mistakes__is_given_up_at_the_first_twenty(name: str) -> None:
    model, body = FLOODS[name]
    try:
        model.model_validate(body)
    except ValidationError as error:
        found = error.error_count()
        told = field_errors(error)
    else:  # a protocol whose decoder looks at them, one by one
        return

    assert 1 <= found <= 3 * MAX_ERRORS
    assert 1 <= len(told) <= MAX_ERRORS


def test_unknown_fields__are_told_by_name_beside_what_else_is_wrong() -> None:
    with pytest.raises(ValidationError) as caught:
        ChatRequest.model_validate({"session_id": "../x", **UNKNOWN, "message": "hi"})
    told = {error["field"]: error["message"] for error in field_errors(caught.value)}

    assert len(told) == MAX_ERRORS
    assert "session_id" in told
    assert told["0"] == told["1"] == "unknown field"


# How large

CHATS: dict[str, dict[str, Any]] = {
    "/v1/chat": {"message": "hi"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
}


def padded(body: dict[str, Any], size: int) -> bytes:
    """The body with as much white space behind it as makes it that large."""
    return json.dumps(body).encode().ljust(size)


async def post(
    service: Service, path: str, data: bytes, *, declared: bool = True, method: str = "POST"
) -> tuple[int, Any]:
    async def parts() -> AsyncIterator[bytes]:
        for place in range(0, len(data), 65_536):
            yield data[place : place + 65_536]

    headers = {"Content-Type": "application/json"}
    body = io.BytesIO(data) if declared else parts()
    async with service.client.request(method, path, data=body, headers=headers) as reply:
        return reply.status, await reply.json()


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("path", CHATS)
async def test_a_chat_request__may_have_max_request_mb(
    start: Start, path: str, declared: bool
) -> None:
    service = await start(MAX_REQUEST_MB="1")

    fits, _ = await post(service, path, padded(CHATS[path], MB), declared=declared)
    over, problem = await post(service, path, padded(CHATS[path], MB + 1), declared=declared)

    assert (fits, over, problem["code"]) == (200, 413, "too_large")
    assert problem["errors"] == [{"field": "body", "message": "may have at most 1,048,576 bytes"}]


@pytest.mark.parametrize(
    ("method", "path"), [("PATCH", "/v1/sessions/s"), ("POST", "/v1/sessions/s/fork")]
)
async def test_any_other_request__may_have_256_kib(start: Start, method: str, path: str) -> None:
    service = await start()

    fits, _ = await post(service, path, padded({}, MAX_BODY_BYTES), method=method)
    over, problem = await post(service, path, padded({}, MAX_BODY_BYTES + 1), method=method)

    assert fits in (404, 422)
    assert (over, problem["code"]) == (413, "too_large")


async def test_a_large_body__is_decoded_beside_the_event_loop() -> None:
    class Anything(BaseModel):
        pass

    async def decode(request: web.Request) -> web.Response:
        request[STATE] = RequestState("a-request")
        thread = await read_and_decode(request, Anything, lambda _: threading.get_ident())
        return web.json_response(thread == threading.get_ident())

    app = web.Application()
    app[BODIES], app[SETTINGS] = Bodies(), Settings()
    app.router.add_post("/", decode)
    async with TestClient(TestServer(app)) as client:
        headers = {"Content-Type": "application/json"}
        small = await client.post("/", data=padded({}, 1000), headers=headers)
        large = await client.post("/", data=padded({}, LARGE), headers=headers)

        assert (await small.json(), await large.json()) == (True, False)


# How many at once


def test_all_open_bodies__take_256_mib_or_a_quarter_of_the_memory() -> None:
    assert TOTAL_BYTES == 256 * MB
    assert total_bytes(16 * 1024 * MB) == 256 * MB
    assert total_bytes(512 * MB) == 128 * MB
    assert 64 * MB < memory_bytes() < 1 << 62


@pytest.mark.parametrize(
    ("size", "seconds"), [(0, 10.0), (256 * 1024, 10.0), (512 * 1024, 11.0), (8 * MB, 41.0)]
)
def test_a_body__may_take_10_seconds_and_one_more_for_each_256_kib(
    size: int, seconds: float
) -> None:
    assert seconds_for(size) == seconds


async def test_a_body__counts_as_what_it_takes_once_it_is_read(start: Start) -> None:
    gate = asyncio.Event()
    service = await start(ScriptedAgent([gate, [Message("a")], [Done()]]))
    said = "x" * 200_000 + "\U0001f600"  # takes four times its text
    body = {"messages": [{"role": role, "content": said} for role in ("user", "assistant")]}
    body["messages"].append({"role": "user", "content": "hi"})
    reply = await service.client.post("/v1/chat/completions", json={**body, "stream": True})

    assert 1_600_000 < service.app[BODIES].open_bytes < 1_700_000
    gate.set()
    await reply.read()


async def test_a_body_that_takes_more_than_is_left__is_refused_once_it_is_read(
    start: Start,
) -> None:
    agent = ScriptedAgent()
    service = await start(agent)
    service.app[BODIES].take(TOTAL_BYTES - 1_000_000)
    said = json.dumps({"message": "hi", "state": "x" * 300_000 + "\U0001f600"}).encode()

    status, problem = await post(service, "/v1/chat", said)

    assert (status, problem["code"], agent.calls) == (503, "overloaded", [])
    await closed(service)
    assert service.app[BODIES].open_bytes == TOTAL_BYTES - 1_000_000


def test_a_body__takes_of_the_total_until_nobody_has_it() -> None:
    bodies = Bodies(total_bytes=100)
    one, other = Body(bodies), Body(bodies)
    one.grow(60)
    one.grow(40)  # less than it has already
    with pytest.raises(Overloaded):
        other.grow(41)
    other.grow(40)
    assert repr(bodies) == "<Bodies 100 of 100 bytes>"

    one.hold()
    one.close()
    other.close()
    assert bodies.open_bytes == 60
    one.close()
    assert bodies.open_bytes == 0


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_past_the_total__is_refused_and_a_smaller_one_read(
    start: Start, declared: bool
) -> None:
    service = await start()
    bodies = service.app[BODIES]
    bodies.take(TOTAL_BYTES - 100_000)

    refused = await service.client.post(
        "/v1/chat",
        data=padded({"message": "hi"}, 100_001),
        headers={"Content-Type": "application/json"},
    )
    over, problem = await post(
        service, "/v1/chat", padded({"message": "hi"}, 200_000), declared=declared
    )
    fits, _ = await post(service, "/v1/chat", padded({"message": "hi"}, 90_000), declared=declared)

    assert refused.headers["Retry-After"] == "1"
    assert (refused.status, over, problem["code"], fits) == (503, 503, "overloaded", 200)
    await asyncio.sleep(0)
    assert bodies.open_bytes == TOTAL_BYTES - 100_000
    bodies.take(-bodies.open_bytes)


async def test_a_body__is_open_until_the_agent_begins_to_answer(start: Start) -> None:
    begins, ends = asyncio.Event(), asyncio.Event()
    service = await start(ScriptedAgent([begins, [Message("a")], ends, [Done()]]))
    bodies = service.app[BODIES]
    body = padded({"message": "hi", "session_id": "s"}, 10_000)
    headers = {"Content-Type": "application/json"}
    reply = await service.client.post("/v1/chat/stream", data=body, headers=headers)
    busy = await service.client.post("/v1/chat/stream", data=body, headers=headers)
    assert busy.status == 409
    assert bodies.open_bytes == 10_000

    begins.set()
    await reply.content.readuntil(b"event: message")
    assert bodies.open_bytes == 0
    ends.set()
    await reply.read()


async def test_a_body__is_open_until_the_agent_has_it_though_its_client_has_left(
    start: Start,
) -> None:
    gate = asyncio.Event()
    service = await start(ScriptedAgent([gate, [Message("a")], [Done()]]))
    bodies = service.app[BODIES]
    body = padded({"message": "hi"}, 10_000)
    headers = {"Content-Type": "application/json"}
    reply = await service.client.post("/v1/chat/stream", data=body, headers=headers)
    reply.close()
    await closed(service)
    assert bodies.open_bytes == 10_000

    gate.set()
    async with asyncio.timeout(30):
        while bodies.open_bytes:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "data",
    [b"[]", b"{", padded({"message": 1}, 200_000), padded({}, 9 * MB), padded(dict(x=1), 1000)],
    ids=["no object", "no JSON", "wrong", "too large", "unknown"],
)
async def test_a_body_that_is_refused__takes_nothing(start: Start, data: bytes) -> None:
    service = await start()

    status, _ = await post(service, "/v1/chat", data)

    assert status >= 400
    await closed(service)
    assert service.app[BODIES].open_bytes == 0


async def test_a_body_whose_client_leaves__takes_nothing(start: Start) -> None:
    service = await start()
    _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(
        b"POST /v1/chat HTTP/1.1\r\nHost: x\r\nX-API-Key: alice-key\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
    )
    async with asyncio.timeout(30):
        while service.app[BODIES].open_bytes != 100_000:
            await asyncio.sleep(0.01)
    writer.transport.abort()
    await closed(service)

    assert service.app[BODIES].open_bytes == 0


async def closed(service: Service) -> None:
    """Return when no request is being handled."""
    async with asyncio.timeout(30):
        while any(connection._request_in_progress for connection in service.connections):
            await asyncio.sleep(0.01)


SAID = "to be forgotten"
SAYING: dict[str, dict[str, Any]] = {
    "/v1/chat": {"message": SAID},
    "/v1/chat/stream": {"message": SAID},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": SAID}]},
    "/v1/responses": {"model": "agent", "input": SAID},
    "/v1/ui/chat": {
        "id": "c",
        "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": SAID}]}],
    },
    "/v1/agui": {
        **{"threadId": "t", "runId": "r", "state": {}, "tools": [], "context": []},
        "messages": [{"id": "m", "role": "user", "content": SAID}],
        "forwardedProps": {},
    },
}


@pytest.mark.parametrize("path", SAYING)
async def test_a_connection_that_is_kept__keeps_no_conversation(start: Start, path: str) -> None:
    service = await start()
    reply = await service.client.post(path, json=SAYING[path])
    await reply.read()
    await closed(service)
    service.agent.calls.clear()
    gc.collect()

    held = [item.text for item in gc.get_objects() if isinstance(item, Conversation)]
    assert (reply.status, len(service.connections)) == (200, 1)
    assert SAID not in held
    assert service.app[BODIES].open_bytes == 0


@pytest.mark.parametrize("path", [path for path in SAYING if path != "/v1/chat"])
async def test_a_stream__holds_no_conversation_once_the_agent_answers(
    start: Start, path: str
) -> None:
    gate = asyncio.Event()
    service = await start(ScriptedAgent([[Message("begun")], gate, [Done()]]))
    reply = await service.client.post(path, json={**SAYING[path], **STREAMED.get(path, {})})
    await reply.content.readuntil(b"begun")
    service.agent.calls.clear()
    gc.collect()

    held = [item for item in gc.get_objects() if isinstance(item, Conversation | Asked | BaseModel)]
    assert SAID not in str(held)
    assert service.app[BODIES].open_bytes == 0
    gate.set()
    await reply.read()


STREAMED = {path: {"stream": True} for path in ("/v1/chat/completions", "/v1/responses")}


# Frames


async def test_a_frame__may_have_max_request_mb(start: Start) -> None:
    service = await start(MAX_REQUEST_MB="1")
    frame = padded({"message": "hi"}, MB).decode()
    async with service.client.ws_connect("/v1/ws/chat") as socket:
        await socket.send_str(frame)
        async with asyncio.timeout(30):
            assert (await socket.receive_json())["event"] == "start"
            while (await socket.receive_json())["event"] != "done":
                pass
        await socket.send_str(frame + " ")
        async with asyncio.timeout(30):
            assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 1009
    await closed(service)
    assert service.app[BODIES].open_bytes == 0


async def test_a_frame_past_the_total__is_told_and_the_socket_closed(start: Start) -> None:
    service = await start()
    service.app[BODIES].take(TOTAL_BYTES - MB)
    async with service.client.ws_connect("/v1/ws/chat") as socket:
        await socket.send_str(padded({"message": "hi"}, 7 * MB).decode())
        async with asyncio.timeout(30):
            told = await socket.receive_json()
            assert (told["event"], told["data"]["code"]) == ("error", "overloaded")
            assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 1013
    await closed(service)

    assert service.app[BODIES].open_bytes == TOTAL_BYTES - MB


async def test_a_frame_that_arrives__is_counted_from_64_kib_on() -> None:
    bodies, told = Bodies(total_bytes=1_000_000), list[Problem]()
    one, other = Arriving(bodies, told.append), Arriving(bodies, told.append)

    assert one.received(LARGE - 1)
    assert bodies.open_bytes == 0
    assert one.received(700_000)
    assert bodies.open_bytes == 700_000 + LARGE - 1
    assert other.received(LARGE)
    assert not other.received(700_000)
    assert not other.received(1)
    assert [problem.code for problem in told] == ["overloaded"]
    assert bodies.open_bytes == 700_000 + LARGE - 1
    one.handled()
    assert bodies.open_bytes == 0


async def test_a_frame_that_trickles__is_refused_and_the_rest_of_it_passed_over() -> None:
    bodies, told, now = Bodies(), list[Problem](), 0.0
    frame = Arriving(bodies, told.append, now=lambda: now)

    assert frame.received(LARGE)
    now = 10.0
    assert frame.received(1)
    now = 10.1
    assert not frame.received(1)
    assert not frame.received(MB)
    assert [problem.code for problem in told] == ["request_timeout"]
    assert bodies.open_bytes == 0


async def test_a_large_frame__may_take_one_second_more_for_each_256_kib() -> None:
    bodies, told, now = Bodies(), list[Problem](), 0.0
    frame = Arriving(bodies, told.append, now=lambda: now)

    assert frame.received(4 * MB)
    now = 24.9
    assert frame.received(1)
    now = 25.1
    assert not frame.received(1)
    assert [problem.code for problem in told] == ["request_timeout"]


async def test_a_small_frame_that_trickles__is_refused_whatever_comes_between() -> None:
    bodies, told, now = Bodies(), list[Problem](), 0.0
    frame = Arriving(bodies, told.append, now=lambda: now)

    for at in (0.0, 12.0, 24.0):
        now = at
        assert frame.received(1)
        frame.received(CONTROL_BYTES + 5)
        frame.control_handled(5)
    now = 24.1
    assert not frame.received(1)
    assert [problem.code for problem in told] == ["request_timeout"]


async def test_pongs_and_whole_frames__are_no_frame_that_trickles() -> None:
    bodies, told, now = Bodies(), list[Problem](), 0.0
    frame = Arriving(bodies, told.append, now=lambda: now)

    for at in range(0, 1000, 16):
        now = float(at)
        assert frame.received(CONTROL_BYTES)
        frame.control_handled(0)
        assert frame.received(100)
        frame.handled()
    assert told == []


async def test_a_message_in_pieces__is_counted_whole_though_pings_come_between() -> None:
    bodies, told = Bodies(), list[Problem]()
    frame = Arriving(bodies, told.append)

    for _ in range(3):
        assert frame.received(LARGE // 2)
        assert frame.received(CONTROL_BYTES)
        frame.control_handled(0)

    assert bodies.open_bytes == LARGE + LARGE // 2 + CONTROL_BYTES


async def test_a_frame_behind_one_that_is_handled__may_wait() -> None:
    bodies, told, now = Bodies(), list[Problem](), 0.0
    frame = Arriving(bodies, told.append, now=lambda: now)

    assert frame.received(LARGE)
    frame.handling = True
    now = 1000.0
    assert frame.received(1)
    assert told == []


async def test_large_frames_that_are_no_messages__count_as_many(start: Start) -> None:
    service = await start()
    frame = padded({"type": "ping"}, 4 * MB).decode()
    async with service.client.ws_connect("/v1/ws/chat") as socket, asyncio.timeout(30):
        for _ in range(10):
            await socket.send_str(frame)
        frames = [message async for message in socket]
    pongs = [message for message in frames if message.type is WSMsgType.TEXT]

    assert socket.close_code == 1008
    assert len(pongs) == 9
