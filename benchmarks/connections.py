"""What is done with many open connections: slow streams, clients that leave, sockets, memory."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from benchmarks.agentcore import Answer
from benchmarks.client import KEY, Client, Connection, new_session
from benchmarks.processes import Running
from benchmarks.scenarios import (
    Figures,
    Front,
    Size,
    first_events,
    quantile,
    repeated,
    undisturbed,
)

SOCKETS_AT_ONCE = 50
LEAVE_AFTER = 3
TURN = Answer(events=5)
SOCKET = "/v1/ws/chat"

_STAMP = re.compile(rb"@\d+:(\d+)@")


async def crowd(front: Front, agent: Running, size: Size) -> Figures:
    """Many slow streams at once: how late their events are, and what they cost."""
    found: Figures = {}
    for count, answer in size.crowds.items():
        late: list[float] = []

        async def one(
            number: int, count: int = count, answer: Answer = answer, late: list[float] = late
        ) -> None:
            await asyncio.sleep(size.spread_seconds * number / count)
            rest = b""

            def take(data: bytes) -> None:
                nonlocal rest
                now, end = time.monotonic() * 1e6, 0
                data = rest + data
                for stamp in _STAMP.finditer(data):
                    late.append((now - int(stamp[1])) / 1e3)
                    end = stamp.end()
                rest = data[max(end, len(data) - 40) :]

            await client.call(answer, stream=True, taken=take)

        with front.client() as client, undisturbed():
            cpu = front.process.cpu_seconds()
            await asyncio.gather(*[one(number) for number in range(count)])
            cpu = front.process.cpu_seconds() - cpu
        if len(late) != count * answer.events:
            raise RuntimeError(f"{len(late)} events of {count * answer.events}")
        found[f"late_{count}"] = quantile(late, 0.99)
        found[f"late_cpu_{count}"] = cpu / len(late) * 1e4
    return found


async def leaving(front: Front, agent: Running, size: Size) -> Figures:
    """Clients that leave after a few events: how soon the agent is left alone."""
    count = 20
    before = (await stats(agent))["left"]

    async def leave() -> None:
        connection = await client.connect()
        _ = await first_events(
            front.dialect, connection, Answer(events=200, pause_ms=25), LEAVE_AFTER
        )
        connection.leave()

    with front.client() as client:
        await asyncio.gather(*[leave() for _ in range(count)])
        began = time.perf_counter()
        while (await stats(agent))["left"] - before < count:
            if time.perf_counter() - began > 4:
                raise RuntimeError("the agent goes on though its client has left")
            await asyncio.sleep(0.005)
    return {"left": (time.perf_counter() - began) * 1e3}


async def stats(agent: Running) -> Mapping[str, int]:
    async with aiohttp.ClientSession() as client, client.get(f"{agent.url}/stats") as reply:
        found: Mapping[str, int] = json.loads(await reply.read())
        return found


async def sockets(front: Front, agent: Running, size: Size) -> Figures:
    """Turns over WebSockets: a message, five events, the end."""
    if not front.dialect.sockets:
        return {}
    async with turns(front) as turn:
        done, took, cpu = await repeated(
            front, turn, at_once=SOCKETS_AT_ONCE, seconds=size.seconds, least=size.least
        )
    return {"turns": done / took, "turn_cpu": cpu / done * 1e6}


@asynccontextmanager
async def turns(front: Front) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """What takes one turn on whichever of `SOCKETS_AT_ONCE` open sockets is free."""
    async with socket_client() as client:
        opened = await open_sockets(front, client, SOCKETS_AT_ONCE)
        free = list(opened)

        async def turn() -> None:
            socket = free.pop()
            await _turn(socket)
            free.append(socket)

        yield turn
        for socket in opened:
            await socket.close()


async def open_sockets(
    front: Front, client: aiohttp.ClientSession, count: int
) -> list[aiohttp.ClientWebSocketResponse]:
    return [await client.ws_connect(f"{front.process.url}{SOCKET}") for _ in range(count)]


def socket_client() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, headers={"X-API-Key": KEY})


async def _turn(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.send_json({"session_id": new_session(), "message": TURN.prompt()})
    while True:
        frame: Any = await socket.receive(timeout=20)
        if frame.type is not aiohttp.WSMsgType.TEXT:
            raise RuntimeError(f"a socket ended in {frame.type.name}")
        if '"event":"done"' in frame.data:
            return


async def stream_memory(front: Front, agent: Running, size: Size) -> Figures:
    """Memory of a stream that has had one event and waits for the next."""
    with front.client() as client:
        before = front.process.memory_kib()
        opened = await open_streams(client, size.idle)
        await asyncio.sleep(0.3)
        used = front.process.memory_kib() - before
        for connection in opened:
            connection.leave()
    return {"stream_kib": used / size.idle}


async def open_streams(client: Client, count: int) -> list[Connection]:
    """So many streams that have had one event and wait for the next, for a minute."""
    answer = Answer(events=2, pause_ms=60_000)
    few = asyncio.Semaphore(50)
    opened: list[Connection] = []

    async def open_stream() -> None:
        async with few:
            connection = await client.connect()
            opened.append(connection)
            _ = await first_events(client.dialect, connection, answer, 1)

    await asyncio.gather(*[open_stream() for _ in range(count)])
    return opened


async def socket_memory(front: Front, agent: Running, size: Size) -> Figures:
    """Memory of a WebSocket on which nothing was said yet."""
    if not front.dialect.sockets:
        return {}
    async with socket_client() as client:
        before = front.process.memory_kib()
        opened = await open_sockets(front, client, size.idle)
        await asyncio.sleep(0.3)
        used = front.process.memory_kib() - before
    return {"socket_kib": used / len(opened)}
