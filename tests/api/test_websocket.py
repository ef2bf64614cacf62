from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from bff.api.websocket.handshake import SOCKETS
from bff.api.websocket.outbox import MAX_BYTES, Outbox
from bff.events import Done, Message, record
from bff.events import Start as Started
from bff.identity.principals import Principal
from bff.runs.log import Run
from tests.api.conftest import KEYS, Service, Start
from tests.fakes.requests import run_request_of
from tests.fakes.scripted import ScriptedAgent

SECRET = "s" * 40
ORIGIN = "https://app.example.com"
PATH = "/v1/ws/chat"
Frame = dict[str, Any]


class Client:
    """What a page does with its socket: sends frames, reads the next, reads a run to its end."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.transcript: list[str] = []

    async def send(self, **frame: Any) -> None:
        self.transcript.append(f">> {json.dumps(frame)}")
        await self.socket.send_str(json.dumps(frame))

    async def read(self) -> Frame:
        message = await self.socket.receive(timeout=10)
        assert message.type is WSMsgType.TEXT, message
        self.transcript.append(f"<< {message.data}")
        frame: Frame = json.loads(message.data)
        return frame

    async def read_until(self, ended: Callable[[Frame], bool]) -> list[Frame]:
        frames = [await self.read()]
        while not ended(frames[-1]):
            frames.append(await self.read())
        return frames

    async def read_run(self) -> list[Frame]:
        return await self.read_until(lambda frame: frame["event"] in ("done", "error"))

    async def close_code(self) -> int | None:
        """Read what is left, to the close."""
        async for _ in self.socket:
            pass
        return self.socket.close_code


@asynccontextmanager
async def connect(service: Service, key: str = "alice-key") -> AsyncIterator[Client]:
    async with (
        aiohttp.ClientSession(service.url, headers={"X-API-Key": key}) as http,
        http.ws_connect(PATH) as socket,
    ):
        yield Client(socket)


def token(sub: str = "alice", seconds: float = 600) -> str:
    return jwt.encode({"sub": sub, "exp": time.time() + seconds}, SECRET, "HS256")


@asynccontextmanager
async def upgrade(
    service: Service,
    protocols: Sequence[str] = (),
    origin: str | None = None,
    *,
    path: str = PATH,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Client]:
    """Connect as a browser does: no headers of its own, the token among the sub-protocols."""
    async with (
        aiohttp.ClientSession(service.url) as http,
        http.ws_connect(path, protocols=protocols, origin=origin, headers=headers) as socket,
    ):
        yield Client(socket)


async def refused(service: Service, *args: Any, **options: Any) -> int:
    with pytest.raises(WSServerHandshakeError) as caught:
        async with upgrade(service, *args, **options):
            pass
    return caught.value.status


def gated() -> tuple[ScriptedAgent, asyncio.Event]:
    """An agent that says one word, waits, says another."""
    gate = asyncio.Event()
    return ScriptedAgent(([Message("one ")], gate, [Message("two")], [Done()])), gate


# Runs


async def test_a_message__is_answered_by_the_runs_events(start: Start) -> None:
    service = await start()
    async with connect(service) as client:
        await client.send(type="message", message="hi", session_id="s-1")
        frames = await client.read_run()

    run_id = frames[0]["run_id"]
    assert frames == [
        {
            "event": "start",
            "id": 1,
            "run_id": run_id,
            "data": {"run_id": run_id, "session_id": "s-1"},
        },
        {"event": "message", "id": 2, "run_id": run_id, "data": {"content": "Hel"}},
        {"event": "message", "id": 3, "run_id": run_id, "data": {"content": "lo"}},
        {"event": "done", "id": 4, "run_id": run_id, "data": {"status": "complete"}},
    ]


async def test_a_message_without_session__goes_on_in_the_sockets_last(start: Start) -> None:
    service = await start()
    sessions = []
    async with connect(service) as client:
        for frame in ({}, {}, {"session_id": "s-1"}, {}):
            await client.send(message="hi", **frame)
            sessions.append((await client.read_run())[0]["data"]["session_id"])

    assert sessions[0] == sessions[1]
    assert sessions[2:] == ["s-1", "s-1"]


async def test_two_runs_a_cancel_and_a_resume__as_a_page_does_it(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent, JWT_SECRET=SECRET, CORS_ORIGINS=ORIGIN)
    protocols = ("chat.v1", f"bearer.{token()}")
    async with upgrade(service, protocols, ORIGIN) as page:
        await page.send(message="first", session_id="s-1")
        first = (await page.read_until(lambda frame: frame["id"] == 2))[0]["run_id"]
        await page.send(message="second", session_id="s-2")
        second = (await page.read_until(lambda frame: frame["id"] == 2))[0]["run_id"]
        await page.send(type="cancel", run_id=first)
        cancelled = (await page.read_run())[-1]

    gate.set()
    async with upgrade(service, protocols, ORIGIN) as back:
        await back.send(type="resume", run_id=second, after=2)
        resumed = await back.read_run()
        await back.send(message="third")
        third = await back.read_run()

    assert (cancelled["run_id"], cancelled["data"]) == (first, {"status": "cancelled"})
    assert [(frame["run_id"], frame["id"]) for frame in resumed] == [(second, 3), (second, 4)]
    assert third[0]["data"]["session_id"] == "s-2"
    print("-- a page opens its socket", *page.transcript, sep="\n")
    print("-- it lost the connection and is back", *back.transcript, sep="\n")


async def test_runs_in_different_sessions__come_side_by_side(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent)
    async with connect(service) as client:
        for name in ("s-1", "s-2", "s-3"):
            await client.send(message="hi", session_id=name)
        open_runs = [await client.read() for _ in range(6)]
        gate.set()
        rest = [await client.read() for _ in range(6)]

    by_run: dict[str, list[int]] = {}
    for frame in open_runs + rest:
        by_run.setdefault(frame["run_id"], []).append(frame["id"])
    assert list(by_run.values()) == [[1, 2, 3, 4]] * 3


async def test_a_resume_of_what_is_followed_already__begins_anew(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent)
    async with connect(service) as client:
        await client.send(message="hi")
        run_id = (await client.read_until(lambda frame: frame["id"] == 2))[0]["run_id"]
        await client.send(type="resume", run_id=run_id)
        again = [await client.read() for _ in range(2)]
        gate.set()
        rest = await client.read_run()

    assert [frame["id"] for frame in again + rest] == [1, 2, 3, 4]


async def test_a_resume_on_the_same_socket__does_not_end_a_run_that_ends_with_its_followers(
    start: Start,
) -> None:
    agent, gate = gated()
    service = await start(agent)
    async with connect(service) as client:
        await client.send(message="hi", on_disconnect="cancel")
        run_id = (await client.read_until(lambda frame: frame["id"] == 2))[0]["run_id"]
        for _ in range(3):
            await client.send(type="resume", run_id=run_id, after=1)
            assert (await client.read())["id"] == 2
        gate.set()

        assert (await client.read_run())[-1]["data"] == {"status": "complete"}


async def test_a_resume_of_what_was_seen_whole__says_nothing(start: Start) -> None:
    service = await start()
    async with connect(service) as client:
        await client.send(message="hi")
        last = (await client.read_run())[-1]
        await client.send(type="resume", run_id=last["run_id"], after=last["id"])
        await client.send(type="ping")

        assert await client.read() == {"event": "pong"}


async def test_a_cancel__may_come_from_another_socket_and_twice(start: Start) -> None:
    agent, _ = gated()
    service = await start(agent)
    async with connect(service) as one, connect(service) as two:
        await one.send(message="hi")
        run_id = (await one.read())["run_id"]
        await two.send(type="cancel", run_id=run_id)
        await two.send(type="cancel", run_id=run_id)
        last = (await one.read_run())[-1]
        await two.send(type="cancel", run_id=run_id)
        await two.send(type="ping")

        assert last["data"] == {"status": "cancelled"}
        assert await two.read() == {"event": "pong"}


@pytest.mark.parametrize(("on_disconnect", "status"), [("cancel", "cancelled"), (None, "complete")])
async def test_leaving__ends_a_run_only_if_it_was_asked_for(
    start: Start, on_disconnect: str | None, status: str
) -> None:
    agent, gate = gated()
    service = await start(agent)
    extra = {"on_disconnect": on_disconnect} if on_disconnect else {}
    async with connect(service) as client:
        await client.send(message="hi", **extra)
        run_id = (await client.read_until(lambda frame: frame["id"] == 2))[0]["run_id"]
    if on_disconnect is None:
        gate.set()

    async with asyncio.timeout(5):
        while service.runs.open_count:
            await asyncio.sleep(0.005)
    run = await (await service.client.get(f"/v1/runs/{run_id}")).json()
    assert run["status"] == status


async def test_a_socket_that_closes__leaves_no_task_behind(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent)
    before = len(asyncio.all_tasks())
    async with connect(service) as client:
        await client.send(message="hi")
        await client.read()
    gate.set()

    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.005)
    assert repr(service.app[SOCKETS]) == "<Sockets 0 open>"


async def test_idle_sockets__cost_no_task_of_ours(start: Start) -> None:
    service = await start()
    async with AsyncExitStack() as stack:
        for _ in range(20):
            client = await stack.enter_async_context(connect(service))
            await client.send(type="ping")
            assert await client.read() == {"event": "pong"}
        names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]

        assert repr(service.app[SOCKETS]) == "<Sockets 20 open>"
        assert [name for name in names if name.startswith(("Outbox", "Socket."))] == []


# Who may open one


async def test_a_browser__passes_its_token_as_a_sub_protocol(start: Start) -> None:
    service = await start(JWT_SECRET=SECRET, CORS_ORIGINS=ORIGIN)

    async with upgrade(service, ("chat.v1", f"bearer.{token()}"), ORIGIN) as client:
        protocol, headers = client.socket.protocol, client.socket._response.headers

    assert protocol == "chat.v1"
    assert headers["X-RateLimit-Remaining"] == "99"
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Sec-WebSocket-Extensions" not in headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "https://app.example.com.evil.example",
        "https://app.example.com:8443",
        "http://app.example.com",
        "https://app.example.co",
        "https://APP.example.com",
        "https://app.example.com/",
        "",
    ],
)
async def test_a_foreign_origin__is_refused_before_the_upgrade(start: Start, origin: str) -> None:
    service = await start(JWT_SECRET=SECRET, CORS_ORIGINS=ORIGIN)

    assert await refused(service, ("chat.v1", f"bearer.{token()}"), origin) == 403
    assert await refused(service, headers={"X-API-Key": "alice-key", "Origin": origin}) == 403


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 401),
        ({"protocols": ["chat.v1"]}, 401),
        ({"protocols": ["chat.v1", "bearer."]}, 401),
        ({"protocols": ["chat.v1", "bearer.x.y.z"]}, 401),
        ({"protocols": ["chat.v1", "bearer.TOKEN", "bearer.TOKEN"]}, 401),
        ({"protocols": ["chat.v1", "bearer.TOKEN"], "headers": {"X-API-Key": "alice-key"}}, 401),
        ({"protocols": ["chat.v1", "bearer.TOKEN"], "headers": {"Authorization": "x"}}, 401),
        ({"protocols": ["chat.v1", "bearer.EXPIRED"]}, 401),
        ({"protocols": ["bearer.TOKEN"]}, 400),
        ({"protocols": ["chat.v2", "bearer.TOKEN"]}, 400),
        ({"path": PATH + "?access_token=TOKEN"}, 401),
        ({"path": PATH + "?token=TOKEN", "headers": {"X-API-Key": "alice-key"}}, 400),
    ],
)
async def test_a_handshake__is_refused_and_its_token_is_in_no_log(
    start: Start, caplog: pytest.LogCaptureFixture, options: dict[str, Any], status: int
) -> None:
    caplog.set_level(0)
    service = await start(JWT_SECRET=SECRET)
    good, old = token(), token(seconds=-60)
    text = json.dumps(options).replace("TOKEN", good).replace("EXPIRED", old)

    assert await refused(service, **json.loads(text)) == status
    signatures = (good.rpartition(".")[2], old.rpartition(".")[2])
    mine = [
        record.getMessage() for record in caplog.records if not record.name.startswith("asyncio")
    ]
    assert not any(signature in line for signature in signatures for line in mine)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upgrade": "websocket", "Connection": "Upgrade"},
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "é" * 24},
        {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(b"x" * 16).decode(),
            "Sec-WebSocket-Version": "99",
        },
    ],
)
async def test_a_broken_handshake__is_a_problem_document(
    start: Start, headers: dict[str, str]
) -> None:
    service = await start()

    reply = await service.client.get(PATH, headers=headers)

    assert reply.status == 400
    assert (await reply.json())["code"] == "bad_request"


# Bad frames

BAD: dict[str, tuple[str | bytes, str]] = {
    "binary": (b"{}", "bad_request"),
    "not JSON": ("hello", "bad_request"),
    "empty": ("", "bad_request"),
    "a list": ("[]", "invalid"),
    "text": ('"hi"', "invalid"),
    "null": ("null", "invalid"),
    "nested 100,000 deep": ("[" * 100_000, "bad_request"),
    "nested 40 deep": ('{"message":' + "[" * 40 + "]" * 40 + "}", "bad_request"),
    "NaN": ('{"message":"hi","metadata":NaN}', "bad_request"),
    "a name twice": ('{"message":"a","message":"b"}', "bad_request"),
    "a number of 5,000 digits": ('{"after":' + "9" * 5000 + "}", "bad_request"),
    "a lone surrogate": ('{"message":"\\ud800"}', "invalid"),
    "no message": ("{}", "invalid"),
    "an empty message": ('{"message":""}', "invalid"),
    "100,001 characters": ('{"message":"' + "x" * 100_001 + '"}', "invalid"),
    "a field too many": ('{"message":"hi","role":"system"}', "invalid"),
    "a bad session": ('{"message":"hi","session_id":"../x"}', "invalid"),
    "a type of ours that is none": ('{"type":"shout"}', "invalid"),
    "a type that is no text": ('{"type":["message"]}', "invalid"),
    "a ping with more": ('{"type":"ping","x":1}', "invalid"),
    "a cancel without run": ('{"type":"cancel"}', "invalid"),
    "a cancel of nothing": ('{"type":"cancel","run_id":"run_x"}', "not_found"),
    "a resume of nothing": ('{"type":"resume","run_id":"run_x","after":0}', "not_found"),
    "a resume with after as text": ('{"type":"resume","run_id":"run_x","after":"1"}', "invalid"),
    "a resume with after true": ('{"type":"resume","run_id":"run_x","after":true}', "invalid"),
    "a resume with after -1": ('{"type":"resume","run_id":"run_x","after":-1}', "invalid"),
    "a resume with after 1e30": ('{"type":"resume","run_id":"run_x","after":1e30}', "invalid"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_frame__is_told_and_the_socket_stays(start: Start, name: str) -> None:
    service = await start()
    frame, code = BAD[name]
    async with connect(service) as client:
        if isinstance(frame, bytes):
            await client.socket.send_bytes(frame)
        else:
            await client.socket.send_str(frame)
        told = await client.read()
        await client.send(message="hi")
        answered = await client.read_run()

    assert set(told) == {"event", "data"}
    assert told["event"] == "error"
    assert told["data"]["code"] == code
    assert answered[-1]["event"] == "done"


async def test_anothers_run__is_as_unknown_as_one_that_never_was(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent)
    async with connect(service) as alice, connect(service, KEYS["bob"]) as bob:
        await alice.send(message="hi", session_id="s-1")
        run_id = (await alice.read())["run_id"]
        told = []
        for name in (run_id, "run_" + "0" * 32):
            for kind in ("cancel", "resume"):
                await bob.send(type=kind, run_id=name)
                told.append(await bob.read())
        await bob.send(message="hi", session_id="s-1")
        own = await bob.read()
        gate.set()
        last = (await alice.read_run())[-1]

    assert told[0] == told[1] == told[2] == told[3]
    assert told[0]["data"]["code"] == "not_found"
    assert own["event"] == "start"
    assert last["data"] == {"status": "complete"}


async def test_a_resume_behind_the_end__is_refused(start: Start) -> None:
    service = await start()
    async with connect(service) as client:
        await client.send(message="hi")
        run_id = (await client.read_run())[0]["run_id"]
        await client.send(type="resume", run_id=run_id, after=5)

        told = await client.read()

    assert told["data"]["errors"] == [
        {"field": "after", "message": "must be the id of an event of this run, 0 to 4"}
    ]


async def test_a_busy_session__is_told_without_run(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent)
    async with connect(service) as client:
        await client.send(message="hi")
        await client.read_until(lambda frame: frame["id"] == 2)
        await client.send(message="again")
        told = await client.read()
        gate.set()
        await client.read_run()

    assert "run_id" not in told
    assert told["data"]["code"] == "session_busy"


# The close


async def test_an_expired_token__closes_the_socket_and_not_its_run(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent, JWT_SECRET=SECRET)
    soon = token(seconds=-4.8)  # inside the leeway, and the socket's grace ends in 0.2 s
    async with upgrade(service, ("chat.v1", f"bearer.{soon}")) as client:
        await client.send(message="hi")
        run_id = (await client.read())["run_id"]
        code = await client.close_code()
    gate.set()
    async with upgrade(service, ("chat.v1", f"bearer.{token()}")) as back:
        await back.send(type="resume", run_id=run_id)
        last = (await back.read_run())[-1]

    assert code == 4401
    assert last["data"] == {"status": "complete"}


async def test_twenty_refused_messages__close_the_socket(start: Start) -> None:
    service = await start(RATE_LIMIT_REQUESTS="3", RATE_LIMIT_WINDOW="600")
    async with connect(service) as client:
        for _ in range(2):
            await client.send(message="hi")
            await client.read_run()
        told = []
        for _ in range(20):
            await client.send(message="hi")
            told.append(await client.read())

        assert await client.close_code() == 4429
    assert {frame["data"]["code"] for frame in told} == {"rate_limited"}
    assert told[0]["data"]["retry_after"] > 500


@pytest.mark.parametrize("kind", ["ping frames", "pings", "bad frames"])
async def test_a_flood__closes_the_socket(start: Start, kind: str) -> None:
    service = await start()
    async with connect(service) as client:
        reading = asyncio.create_task(client.close_code())
        for _ in range(1000):
            try:
                match kind:
                    case "ping frames":
                        await client.socket.ping(b"x")
                    case "pings":
                        await client.socket.send_str('{"type":"ping"}')
                    case _:
                        await client.socket.send_str("?")
            except ConnectionError:
                break

        assert await reading == 1008


async def test_a_drain__closes_idle_sockets_at_once_and_others_after_their_runs(
    start: Start,
) -> None:
    agent, gate = gated()
    service = await start(agent)
    async with connect(service) as idle, connect(service) as busy:
        await busy.send(message="hi")
        await busy.read_until(lambda frame: frame["id"] == 2)
        service.runs.drain_begun.set()
        idle_code = await idle.close_code()
        await busy.send(message="again", session_id="s-2")
        told = await busy.read()
        gate.set()
        rest = await busy.read_run()

        assert idle_code == 1001
        assert told["data"]["code"] == "draining"
        assert rest[-1]["data"] == {"status": "complete"}
        assert await busy.close_code() == 1001
    assert await refused(service, headers={"X-API-Key": "alice-key"}) == 503


async def test_the_end_of_a_drain__tells_of_the_run_and_closes(start: Start) -> None:
    agent, _ = gated()
    service = await start(agent)
    async with connect(service) as client:
        await client.send(message="hi")
        await client.read_until(lambda frame: frame["id"] == 2)
        await service.runs.drain(0)
        await service.app.shutdown()

        assert (await client.read_run())[-1]["data"]["code"] == "draining"
        assert await client.close_code() == 1001


async def test_the_end_of_a_drain__closes_who_follows_another_tasks_run(start: Start) -> None:
    service = await start()
    run = Run(
        run_id="run_elsewhere",
        request=run_request_of(owner=Principal("key", ("alice",)).id, session_id="s"),
        created_at=time.time(),
        last_event_id=1,
    )
    log, first = service.runs._log, record(1, Started(run.run_id, run.session_id))
    await log.open(run, first, idempotency=None, max_open=1)
    async with connect(service) as client:
        await client.send(type="resume", run_id=run.run_id)
        assert (await client.read())["event"] == "start"
        await service.runs.drain(0)
        await service.app.shutdown()

        assert await client.close_code() == 1001


@asynccontextmanager
async def raw_socket(
    service: Service,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client that answers nothing by itself, open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port, limit=1024)
    key = base64.b64encode(b"0" * 16).decode()
    writer.write(
        f"GET {PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "X-API-Key: alice-key\r\n\r\n".encode()
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader, writer
    finally:
        writer.close()


async def all_closed(service: Service) -> None:
    async with asyncio.timeout(3):
        while repr(service.app[SOCKETS]) != "<Sockets 0 open>":
            await asyncio.sleep(0.005)


async def test_a_drain__does_not_wait_for_a_client_that_does_not_answer(start: Start) -> None:
    service = await start()
    async with raw_socket(service) as (reader, _):
        service.runs.drain_begun.set()
        await all_closed(service)

        assert await reader.read() == b"\x88\x02" + (1001).to_bytes(2, "big")


async def test_a_dead_client__is_cut(start: Start) -> None:
    service = await start()
    service.app[SOCKETS].ping_seconds = 0.1
    async with raw_socket(service) as (reader, _):
        ping = await reader.readexactly(2)
        await all_closed(service)

    assert ping == b"\x89\x00"


async def test_a_reader_that_does_not_read__holds_up_nobody(start: Start) -> None:
    agent = ScriptedAgent((*[[Message("x" * 100_000)]] * 200, [Done()]))
    service = await start(agent)
    text = b'{"message":"hi","session_id":"s-1"}'
    async with raw_socket(service) as (_, writer):
        writer.write(b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text)
        async with asyncio.timeout(10):
            while service.runs.open_count or not agent.calls:
                await asyncio.sleep(0.005)

        [socket] = service.app[SOCKETS]._open
        assert 0 < socket._outbox._bytes <= MAX_BYTES + 101_000


class StuckResponse:
    """A response whose client reads nothing."""

    async def send_str(self, text: str) -> None:
        await asyncio.Event().wait()

    def exception(self) -> None:
        return None


class Transport:
    aborted = False

    def get_write_buffer_size(self) -> int:
        return 1_000_000

    def abort(self) -> None:
        self.aborted = True


async def test_a_write_that_takes_too_long__ends_the_connection() -> None:
    transport, slow = Transport(), []
    outbox = Outbox(
        StuckResponse(),  # type: ignore[arg-type]
        transport,  # type: ignore[arg-type]
        slow=lambda: slow.append(1),
        write_timeout_seconds=0.01,
    )

    await outbox.text("hi")
    async with asyncio.timeout(5):
        while not transport.aborted:
            await asyncio.sleep(0.005)
    await outbox.finish()

    assert slow == [1]
