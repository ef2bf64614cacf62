from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bff.api import RUNS
from bff.app import create_app
from bff.connections import REFUSED_BODY_SECONDS, Runner
from bff.server import loop_factory
from bff.settings import Settings
from tests.fakes.scripted import ScriptedAgent
from tests.runs.valkey.services import START_SECONDS

KEY = "alice-key"
ROOT = Path(__file__).parent.parent


@dataclass
class Served:
    """A real process of the service."""

    process: Process
    client: aiohttp.ClientSession
    said: list[str]
    """Messages of its log, up to the address."""

    async def stream(self, message: str) -> aiohttp.ClientResponse:
        """Begin a run and return once its first words are there."""
        reply = await self.client.post("/v1/chat/stream", json={"message": message})
        seen = b""
        while b"event: message" not in seen:
            seen += await reply.content.readany()
        return reply

    async def draining(self) -> None:
        async with asyncio.timeout(30):
            while (await self.client.get("/ready")).status != 503:
                await asyncio.sleep(0.01)

    async def exit_code(self) -> int:
        async with asyncio.timeout(30):
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
        said = []
        async with asyncio.timeout(START_SECONDS):
            while found is None:
                line = await process.stdout.readline()
                assert line, "the service did not start"
                said.append(json.loads(line)["message"])
                found = re.search(r"listening on (http://[0-9.:]+)", said[-1])
        connector = aiohttp.TCPConnector(limit=0)
        client = aiohttp.ClientSession(found[1], headers={"X-API-Key": KEY}, connector=connector)
        started.append(Served(process, client, said))
        return started[-1]

    yield start
    for served in started:
        await served.client.close()
        if served.process.returncode is None:
            served.process.kill()
            await served.process.wait()
        served.process._transport.close()  # type: ignore[attr-defined]


async def test_the_start__says_which_event_loop_runs(serve: Serve) -> None:
    served = await serve()

    assert f"event loop: {'asyncio' if loop_factory() is None else 'uvloop'}" in served.said


async def test_an_agents_name__is_in_its_metrics_and_its_log_lines(serve: Serve) -> None:
    agents = {"good": {"url": "embedded:"}, "gone": {"url": "http://127.0.0.1:9"}}
    served = await serve(AGENTS=json.dumps(agents))
    runs = {}
    for agent in agents:
        async with served.client.post("/v1/chat", json={"message": "hi", "agent": agent}) as reply:
            runs[agent] = (reply.status, reply.headers["X-Run-Id"])
    metrics = await (await served.client.get("/metrics")).text()
    served.process.terminate()
    assert served.process.stdout
    lines = [json.loads(line) for line in (await served.process.stdout.read()).splitlines()]

    assert [status for status, _ in runs.values()] == [200, 503]
    for labels in ('{agent="good",code="",status="complete"}',
                   '{agent="gone",code="agent_unavailable",status="failed"}'):  # fmt: skip
        assert f"bff_runs_total{labels} 1.0" in metrics
    for agent, (_, run_id) in runs.items():
        about = [line for line in lines if line.get("run_id") == run_id]
        assert {line["agent"] for line in about} == {agent}
        assert "bff.access" in [line["logger"] for line in about]
    assert "bff.agents.http" in [line["logger"] for line in lines if line.get("agent") == "gone"]


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


@dataclass
class Left:
    """What a client was told at the end: of its runs, and of its socket."""

    terminals: list[tuple[str, str | None]]
    close_code: int | None = None


async def read_stream(served: Served, begun: asyncio.Barrier) -> Left:
    told = Left([])
    body = {"message": "/slow 1000"}
    async with served.client.post("/v1/chat/stream", json=body) as reply:
        name = ""
        async for line in reply.content:
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
                if name == "start":
                    await begun.wait()
            elif field == "data" and name in ("done", "error"):
                told.terminals.append((name, json.loads(value).get("code")))
    return told


async def read_socket(served: Served, begun: asyncio.Barrier, *, runs: int) -> Left:
    told, started = Left([]), 0
    async with served.client.ws_connect("/v1/ws/chat") as socket:
        for number in range(runs):
            await socket.send_json({"message": "/slow 1000", "session_id": f"{id(told)}-{number}"})
        if not runs:
            await begun.wait()
        async for message in socket:
            frame = json.loads(message.data)
            if frame["event"] == "start":
                started += 1
                if started == runs:
                    await begun.wait()
            elif frame["event"] in ("done", "error"):
                told.terminals.append((frame["event"], frame["data"].get("code")))
        told.close_code = socket.close_code
    return told


async def test_the_end_of_a_drain__tells_everybody_and_is_over_within_five_seconds(
    serve: Serve, tmp_path: Path
) -> None:
    """200 streams and 20 sockets, and a history that takes no turn any more."""
    drain_seconds, streams, sockets = 1.5, 200, 20
    served = await serve(
        DRAIN_TIMEOUT=str(drain_seconds),
        RATE_LIMIT_REQUESTS="10000",
        MAX_STREAMS_PER_USER="10000",
    )
    begun = asyncio.Barrier(streams + 2 * sockets + 1)
    reading = [asyncio.create_task(read_stream(served, begun)) for _ in range(streams)]
    talking = [
        asyncio.create_task(read_socket(served, begun, runs=1 + number % 3))
        for number in range(sockets)
    ]
    idle = [asyncio.create_task(read_socket(served, begun, runs=0)) for _ in range(sockets)]
    async with asyncio.timeout(60):
        await begun.wait()

    with closing(sqlite3.connect(tmp_path / "data" / "bff.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # nobody else writes until this is over
        served.process.send_signal(signal.SIGTERM)
        idle_ends = await asyncio.gather(*idle)
        still_open = [task for task in (*reading, *talking) if not task.done()]
        async with asyncio.timeout(drain_seconds + 5):
            assert await served.process.wait() == 0

    assert len(still_open) == streams + sockets
    assert {left.close_code for left in idle_ends} == {1001}
    for task in reading:
        assert (await task).terminals == [("error", "draining")]
    for number, task in enumerate(talking):
        assert (await task).terminals == [("error", "draining")] * (1 + number % 3)
        assert (await task).close_code == 1001


REFUSED_WHILE_SENDING = (0, None)
"""A busy machine does not get 1.6 GB sent in the seconds in which what is refused is read."""


def most_memory_kib(pid: int) -> int:
    """The most memory that a process had at any time."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc for the most memory it had")
async def test_200_bodies_of_8_mb_at_once__are_answered_within_bounded_memory(serve: Serve) -> None:
    """Text in them that takes four times its bytes once it is read: 6 GiB in all, were it kept."""
    served = await serve(RATE_LIMIT_REQUESTS="10000", MAX_STREAMS_PER_USER="10000")
    half = "x" * (4 * 1024 * 1024 - 200) + "\U0001f600"
    messages = [{"role": role, "content": half} for role in ("user", "assistant")]
    body = json.dumps({"messages": [*messages, {"role": "user", "content": "hi"}]}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}

    async def post() -> tuple[int, str | None]:
        try:
            async with served.client.post(
                "/v1/chat/completions", data=io.BytesIO(body), headers=headers
            ) as reply:
                return reply.status, (await reply.json()).get("code")
        except aiohttp.ClientConnectionError:
            if now() < began + REFUSED_BODY_SECONDS:
                raise
            return REFUSED_WHILE_SENDING

    now = asyncio.get_running_loop().time
    began = now()
    async with asyncio.timeout(100):
        answers = Counter(await asyncio.gather(*[post() for _ in range(200)]))
    most_kib = most_memory_kib(served.process.pid)

    assert answers.keys() - {REFUSED_WHILE_SENDING} == {(200, None), (503, "overloaded")}, answers
    assert answers[200, None] >= 2
    assert most_kib < 700 * 1024
    assert (await served.client.post("/v1/chat", json={"message": "hi"})).status == 200


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"PORT": "http"}, b"PORT: got 'http', takes a whole number from 0 to 65535"),
        # an address that is nobody's (RFC 5737)
        (
            {"HOST": "203.0.113.1"},
            b"HOST: got '203.0.113.1', takes an address of this machine, or a name of one",
        ),
        ({".env": "PORT=\udcff"}, b".env: got bytes that are no UTF-8, takes lines of NAME=VALUE"),
    ],
)
async def test_a_wrong_setting__ends_with_2_and_one_line(
    tmp_path: Path, variables: dict[str, str], line: bytes
) -> None:
    (tmp_path / ".env").write_bytes(os.fsencode(variables.pop(".env", "")))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bff",
        cwd=tmp_path,
        env={**environ(), **variables},
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(START_SECONDS):
        out, error = await process.communicate()

    assert process.returncode == 2
    assert error == line + b"\n"
    assert out == b""


async def test_a_taken_port__ends_with_2_and_one_line(serve: Serve, tmp_path: Path) -> None:
    served = await serve()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bff",
        cwd=tmp_path,
        env={**environ(), "PORT": str(served.client._base_url.port)},  # type: ignore[union-attr]
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(START_SECONDS):
        _, error = await process.communicate()

    assert process.returncode == 2
    assert re.fullmatch(rb"PORT: got \d+ on 127.0.0.1 \(.+\), takes one that is free .*\n", error)


async def test_a_drain__is_told_at_once_though_a_dependency_hangs(tmp_path: Path) -> None:
    asked: list[ScriptedAgent] = []

    class Hanging(ScriptedAgent):
        async def ping(self) -> None:
            asked.append(self)
            await asyncio.Event().wait()

    settings = Settings.load({"HISTORY": f"sqlite:///{tmp_path}/bff.db"})
    app = create_app(settings, agent=Hanging())
    runner = Runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        app[RUNS].drain_begun.set()
        async with aiohttp.ClientSession() as client:
            reply = await client.get(f"http://{host}:{port}/ready")
            assert reply.status == 503
            assert (await reply.json())["status"] == "draining"
    finally:
        await runner.cleanup()

    assert asked == []
