"""Connections from outside, byte by byte: heads that are late, replies that nobody reads."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bff.app import create_app
from bff.connections import Connection, Runner
from bff.events import Done, Message
from bff.settings import Settings
from tests.fakes.scripted import ScriptedAgent


@asynccontextmanager
async def serving(
    folder: Path, agent: ScriptedAgent | None = None, *, api_keys: str = "", **limits: float
) -> AsyncIterator[Runner]:
    """The service on a port, with time limits of `Runner`'s."""
    variables = {"API_KEYS": api_keys} if api_keys else {}
    settings = Settings.load({"HISTORY": f"sqlite:///{folder}/bff.db", **variables})
    runner = Runner(create_app(settings, agent=agent or ScriptedAgent()), **limits)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner
    finally:
        await runner.cleanup()


async def test_a_reply_that_is_not_read__is_cut(tmp_path: Path) -> None:
    agent = ScriptedAgent([[Message("x" * 7_000_000)], [Done()]])
    loop = asyncio.get_running_loop()
    body = b'{"message":"Hi"}'
    head = "POST /v1/chat HTTP/1.1\r\nHost: x\r\nX-API-Key: alice-key\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    limited = serving(tmp_path, agent, api_keys="a:alice-key", write_seconds=0.4)
    async with limited as runner:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener.setblocking(False)
            await loop.sock_connect(listener, runner.addresses[0][:2])
            await loop.sock_sendall(listener, head.encode() + body)
            async with asyncio.timeout(30):
                assert runner.server
                while runner.server.requests_count == 0:
                    await asyncio.sleep(0.01)
                while runner.server.connections:
                    await asyncio.sleep(0.01)

    assert len(agent.calls) == 1


async def test_a_head_that_does_not_arrive__is_answered_with_408(tmp_path: Path) -> None:
    async with serving(tmp_path, head_seconds=0.5) as runner:
        for sent in (b"", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow"):
            reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
            writer.write(sent)
            async with asyncio.timeout(30):
                reply = await reader.read()
            assert reply.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            assert b'"code":"request_timeout"' in reply
            writer.close()


async def test_a_slow_second_head__is_answered_with_408_as_well(tmp_path: Path) -> None:
    async with serving(tmp_path, head_seconds=0.5) as runner:
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.6)  # an idle connection is kept: it has not begun a head
        writer.write(b"GET /health HTTP/1.1\r\nHost")
        async with asyncio.timeout(30):
            assert (await reader.read()).startswith(b"HTTP/1.1 408")
        writer.close()


GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
POST = (
    b"POST /v1/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b'Content-Length: 16\r\n\r\n{"message":"hi"}'
)
CHUNKED = POST.replace(b"Content-Length: 16", b"Transfer-Encoding: chunked").replace(
    b'{"message":"hi"}', b'10\r\n{"message":"hi"}\r\n0\r\n\r\n'
)
HALVES = [
    b"G",
    b"GET /hea",
    b"GET /health HTTP/1.1\r\n",
    GET[:-2],
    GET[:-1],
    POST[:-20],
    CHUNKED[:60],
]


async def test_half_a_head_behind_a_whole_request__is_answered_with_408(tmp_path: Path) -> None:
    async with serving(tmp_path, head_seconds=0.5) as runner:

        async def statuses(sent: bytes) -> list[bytes]:
            reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
            writer.write(sent)
            async with asyncio.timeout(30):
                reply = await reader.read()
            writer.close()
            return re.findall(rb"HTTP/1.1 ([0-9]{3})", reply)

        for whole in (GET, POST, CHUNKED, GET + POST, POST + GET * 3):
            found = await asyncio.gather(*[statuses(whole + half) for half in HALVES])
            assert [codes[-1] for codes in found] == [b"408"] * len(HALVES), whole
            assert {len(codes) for codes in found} == {whole.count(b"HTTP/1.1") + 1}


async def read_reply(reader: asyncio.StreamReader) -> int:
    """The status of the next reply, which is read to its end and no further."""
    async with asyncio.timeout(30):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"Content-Length: ([0-9]+)", head)
        assert length
        await reader.readexactly(int(length[1]))
    return int(head.split()[1])


@pytest.mark.parametrize("more", [b"", b"\r\n", b"\n\r\n"], ids=repr)
@pytest.mark.parametrize(
    "whole", [GET, POST, CHUNKED, GET + POST], ids=["get", "post", "chunked", "two"]
)
async def test_a_connection_without_half_a_head__is_kept_for_the_next_request(
    tmp_path: Path, whole: bytes, more: bytes
) -> None:
    async with serving(tmp_path, head_seconds=0.5) as runner:
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(whole + more)
        for _ in range(whole.count(b"HTTP/1.1")):
            await read_reply(reader)
        assert runner.server
        [connection] = runner.server.connections
        assert isinstance(connection, Connection)
        async with asyncio.timeout(30):
            while connection._head_timer is not None:
                await asyncio.sleep(0.01)
        writer.write(GET)
        assert await read_reply(reader) == 200
        writer.close()


async def test_what_is_not_http__is_answered_with_a_problem(tmp_path: Path) -> None:
    async with serving(tmp_path) as runner:
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(b"NOT HTTP\r\n\r\n")
        async with asyncio.timeout(30):
            reply = await reader.read()
        assert b" 400 Bad Request" in reply.splitlines()[0]
        assert b'"code":"bad_request"' in reply
        writer.close()
