"""How a WebSocket ends: an expired token, a flood, a drain, a client that does not read."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bff.api.websocket import arriving
from bff.api.websocket.arriving import Masks
from bff.api.websocket.handshake import SOCKETS
from bff.api.websocket.outbox import MAX_BYTES, Outbox
from bff.events import Done, Message, record
from bff.events import Start as Started
from bff.identity.principals import Principal
from bff.runs.log import Run
from tests.api.conftest import Service, Start
from tests.api.socket_client import PATH, SECRET, connect, refused, token, upgrade
from tests.fakes.requests import run_request_of
from tests.fakes.scripted import ScriptedAgent, gated


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


def framed(text: bytes, *, masked: bool = True) -> bytes:
    """A frame of text; its mask is of zeros."""
    size = len(text)
    if size < 126:
        length = bytes([size])
    else:
        length = b"\x7e" + size.to_bytes(2) if size < 1 << 16 else b"\x7f" + size.to_bytes(8)
    if masked:
        return b"\x81" + bytes([length[0] | 128]) + length[1:] + bytes(4) + text
    return b"\x81" + length + text


@pytest.mark.parametrize("sizes", [[0], [1, 0, 125], [126, 3], [70_000, 2, 200]])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000, 100_000])
def test_masks__are_found_wherever_the_bytes_are_cut(sizes: list[int], step: int) -> None:
    masks = Masks()
    good = b"".join(framed(b"\x00" * size) for size in sizes)
    for data, held in ((good, True), (framed(b"x", masked=False), False), (good, False)):
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        assert [masks.hold(piece) for piece in pieces][-1] is held

    assert masks.broken


async def test_a_frame_without_a_mask__closes_the_socket(start: Start) -> None:
    service = await start()
    async with raw_socket(service) as (reader, writer):
        writer.write(framed(b'{"type":"ping"}'))
        assert await reader.readexactly(18) == b'\x81\x10{"event":"pong"}'
        writer.write(framed(b'{"type":"ping"}', masked=False))
        async with asyncio.timeout(30):
            assert await reader.read() == b"\x88\x02" + (1002).to_bytes(2, "big")


async def test_a_small_frame_that_trickles__closes_the_socket(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "SMALL_SECONDS", 0.2)
    service = await start()
    close = b"\x88\x02" + (1008).to_bytes(2, "big")
    async with raw_socket(service) as (reader, writer), asyncio.timeout(30):
        closing = asyncio.create_task(reader.readuntil(close))
        for byte in framed(b'{"type":"ping"}' + b" " * 10_000):
            writer.write(bytes([byte]))
            await asyncio.wait({closing}, timeout=0.02)
            if closing.done():  # a client that went on sending would be reset
                break

        assert b'"request_timeout"' in await closing
        assert await reader.read() == b""


async def all_closed(service: Service) -> None:
    async with asyncio.timeout(30):
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
        async with asyncio.timeout(30):
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
    async with asyncio.timeout(30):
        while not transport.aborted:
            await asyncio.sleep(0.005)
    await outbox.finish()

    assert slow == [1]
