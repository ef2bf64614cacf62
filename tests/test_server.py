from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bff.app import create_app
from bff.server import Runner
from bff.settings import Settings
from tests.fakes.scripted import ScriptedAgent

KEY = "alice-key"
ROOT = Path(__file__).parent.parent


@dataclass
class Served:
    """A real process of the service."""

    process: Process
    client: aiohttp.ClientSession

    async def stream(self, message: str) -> aiohttp.ClientResponse:
        """Begin a run and return once its first words are there."""
        reply = await self.client.post("/v1/chat/stream", json={"message": message})
        seen = b""
        while b"event: message" not in seen:
            seen += await reply.content.readany()
        return reply

    async def draining(self) -> None:
        async with asyncio.timeout(5):
            while (await self.client.get("/ready")).status != 503:
                await asyncio.sleep(0.01)

    async def exit_code(self) -> int:
        async with asyncio.timeout(15):
            return await self.process.wait()


Serve = Callable[..., Coroutine[Any, Any, Served]]


def environ(**variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PORT": "0", **variables}


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    started: list[Served] = []

    async def start(**variables: str) -> Served:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bff",
            cwd=tmp_path,
            env=environ(API_KEYS=f"alice:{KEY}", LOG_FORMAT="json", **variables),
            stdin=DEVNULL,
            stdout=PIPE,
            limit=1 << 20,
        )
        assert process.stdout
        found = None
        async with asyncio.timeout(20):
            while found is None:
                line = await process.stdout.readline()
                assert line, "the service did not start"
                found = re.search(rb"listening on (http://[0-9.:]+)", line)
        client = aiohttp.ClientSession(found[1].decode(), headers={"X-API-Key": KEY})
        started.append(Served(process, client))
        return started[-1]

    yield start
    for served in started:
        await served.client.close()
        if served.process.returncode is None:
            served.process.kill()
            await served.process.wait()
        served.process._transport.close()  # type: ignore[attr-defined]


async def test_sigterm_with_nothing_open__exits_with_0(serve: Serve) -> None:
    served = await serve(DRAIN_TIMEOUT="60")
    await served.client.get("/health")

    served.process.send_signal(signal.SIGTERM)

    assert await served.exit_code() == 0


async def test_sigterm_with_an_open_stream__lets_it_end_and_refuses_new_runs(
    serve: Serve,
) -> None:
    served = await serve(DRAIN_TIMEOUT="60")
    reply = await served.stream("/slow 15")

    served.process.send_signal(signal.SIGTERM)
    await served.draining()
    health = await served.client.get("/health")
    refused = await served.client.post("/v1/chat", json={"message": "Hi"})
    rest = await reply.text()

    assert health.status == 200
    assert refused.status == 503
    assert (await refused.json())["code"] == "draining"
    assert rest.rstrip().endswith('data: {"status":"complete"}') or '"usage"' in rest
    assert await served.exit_code() == 0


async def test_sigterm_twice__is_as_once(serve: Serve) -> None:
    served = await serve(DRAIN_TIMEOUT="60")
    reply = await served.stream("/slow 10")

    served.process.send_signal(signal.SIGTERM)
    await served.draining()
    served.process.send_signal(signal.SIGTERM)

    assert "event: done" in await reply.text()
    assert await served.exit_code() == 0


@pytest.mark.parametrize(
    ("timeout", "signals"),
    [("0.2", [signal.SIGTERM]), ("60", [signal.SIGINT, signal.SIGINT])],
    ids=["the drain is over", "a person is in a hurry"],
)
async def test_what_is_still_open_at_the_end__is_ended_in_words(
    serve: Serve, timeout: str, signals: list[signal.Signals]
) -> None:
    served = await serve(DRAIN_TIMEOUT=timeout)
    reply = await served.stream("/slow 1000")

    served.process.send_signal(signals[0])
    if signals[1:]:
        await served.draining()
        served.process.send_signal(signals[1])
    last = (await reply.text()).rstrip().rpartition("data: ")[2]

    assert json.loads(last)["code"] == "draining"
    assert await served.exit_code() == 0


async def test_a_wrong_setting__ends_with_2_and_one_line(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bff",
        cwd=tmp_path,
        env=environ(PORT="http"),
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(20):
        out, error = await process.communicate()

    assert process.returncode == 2
    assert error == b"PORT: got 'http', takes a whole number from 0 to 65535\n"
    assert out == b""


async def test_a_head_that_does_not_arrive__is_answered_with_408(tmp_path: Path) -> None:
    settings = Settings.load({"HISTORY": f"sqlite:///{tmp_path}/bff.db"})
    runner = Runner(create_app(settings, agent=ScriptedAgent()), head_seconds=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        for sent in (b"", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow"):
            reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
            writer.write(sent)
            async with asyncio.timeout(5):
                reply = await reader.read()
            assert reply.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            assert b'"code":"request_timeout"' in reply
            writer.close()
    finally:
        await runner.cleanup()


async def test_a_slow_second_head__is_answered_with_408_as_well(tmp_path: Path) -> None:
    settings = Settings.load({"HISTORY": f"sqlite:///{tmp_path}/bff.db"})
    runner = Runner(create_app(settings, agent=ScriptedAgent()), head_seconds=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.3)  # an idle connection is kept: it has not begun a head
        writer.write(b"GET /health HTTP/1.1\r\nHost")
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 408")
        writer.close()
    finally:
        await runner.cleanup()


async def test_what_is_not_http__is_answered_with_a_problem(tmp_path: Path) -> None:
    settings = Settings.load({"HISTORY": f"sqlite:///{tmp_path}/bff.db"})
    runner = Runner(create_app(settings, agent=ScriptedAgent()))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(b"NOT HTTP\r\n\r\n")
        async with asyncio.timeout(5):
            reply = await reader.read()
        assert b" 400 Bad Request" in reply.splitlines()[0]
        assert b'"code":"bad_request"' in reply
        writer.close()
    finally:
        await runner.cleanup()
