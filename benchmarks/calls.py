"""Does anything take more steps, or more memory, than what is committed? A gate without a clock.

    make bench ARGS=calls             fails if it does
    make bench ARGS="calls --write"   commits to what is counted now

What is counted is calls of functions, Python's and C's, in all threads of the service, and the
bytes that Python has given out for a connection that is open. Both are the same on every machine
and under any load; what they depend on is the versions of Python and of what is installed: so the
committed numbers are those of one Python and one event loop, and elsewhere nothing fails.
docs/decisions/speed.md has what it can see and what it cannot.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.agentcore import Answer
from benchmarks.connections import open_sockets, open_streams, socket_client, turns
from benchmarks.processes import Teller
from benchmarks.scenarios import BLOCKING, Front, warm_up
from benchmarks.targets import Targets
from bff.server import loop_factory

COMMITTED = Path(__file__).with_name("calls.json")
ALLOWED = 1.25
"""Of a committed number: what is more fails."""
FAILED = 3
"""The exit code of that, and of nothing else: what cannot be counted is not too much."""
SETTLE_SECONDS = 1.0
"""After connections were opened or left, until their ends are written."""
REPEATED = 60
FEW, MANY = 10, 210
"""Events of two streams; what the second takes more is that of its events."""
FIGURES: Mapping[str, str] = {
    "answer": "calls a whole answer",
    "stream": "calls a stream, without its events",
    "burst_event": "calls an event, many in one write",
    "paced_event": "calls an event, each written by itself",
    "turn": "calls a WebSocket turn",
    "stream_bytes": "bytes an open stream",
    "socket_bytes": "bytes an open WebSocket",
}
HELD = 100
"""Connections that are open at once for that."""


class Counted:
    """A front that counts; what something takes is the difference of two readings."""

    def __init__(self, front: Front, path: Path) -> None:
        self._teller = Teller(front.process, path)

    async def calls(self, work: Callable[[], Awaitable[None]], times: int) -> float:
        """Calls that it takes once, of several times one after the other."""
        before = await self.read()
        for _ in range(times):
            await work()
        return (await self.read() - before) / times

    async def read(self) -> int:
        return int(await self._teller.read())


async def held(targets: Targets, path: Path) -> dict[str, float]:
    """Bytes that one open connection holds, once as many were open before."""
    async with (
        targets.counted(path, "traced") as front,
        socket_client() as sockets,
    ):
        await warm_up(front)
        of, found = Counted(front, path), {}
        with front.client() as client:
            for connection in await open_streams(client, HELD):
                connection.leave()
            await asyncio.sleep(SETTLE_SECONDS)
            before = await of.read()
            opened = await open_streams(client, HELD)
            await asyncio.sleep(SETTLE_SECONDS)
            found["stream_bytes"] = (await of.read() - before) / HELD
            for connection in opened:
                connection.leave()
        for socket in await open_sockets(front, sockets, HELD):
            await socket.close()
        await asyncio.sleep(SETTLE_SECONDS)
        before = await of.read()
        _ = await open_sockets(front, sockets, HELD)
        await asyncio.sleep(SETTLE_SECONDS)
        found["socket_bytes"] = (await of.read() - before) / HELD
    return found


async def counted(folder: Path, *, repeated: int = REPEATED) -> dict[str, float]:
    """`FIGURES`, as they are here; each is the mean of so many."""
    path = folder / "calls"
    async with AsyncExitStack() as stack:
        targets = Targets(stack, folder)
        await targets.open()
        memory = await held(targets, path)
        front = await stack.enter_async_context(targets.counted(path))
        await warm_up(front)
        client, of = stack.enter_context(front.client()), Counted(front, path)

        def stream(answer: Answer) -> Callable[[], Awaitable[None]]:
            return lambda: client.call(answer, stream=True)

        answer = await of.calls(lambda: client.call(BLOCKING), repeated)
        few, many = [
            await of.calls(stream(Answer(events=count, burst=True)), repeated)
            for count in (FEW, MANY)
        ]
        paced_few, paced_many = [
            await of.calls(stream(Answer(events=count, pause_ms=20)), min(repeated, 6))
            for count in (FEW, FEW + 20)
        ]
        async with turns(front) as turn:
            taken = await of.calls(turn, repeated)
        burst_event = (many - few) / (MANY - FEW)
        return {
            "answer": answer,
            "stream": few - FEW * burst_event,
            "burst_event": burst_event,
            "paced_event": (paced_many - paced_few) / 20,
            "turn": taken,
            **memory,
        }


def conditions() -> str:
    """What the numbers depend on, besides what is installed."""
    loop = "uvloop" if loop_factory() else "asyncio"
    return f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}, {loop}"


async def check(folder: Path, *, write: bool) -> int:
    """Count, print, and return the exit code."""
    found = await counted(folder)
    committed: dict[str, dict[str, float]] = json.loads(COMMITTED.read_text())
    if write:
        committed[conditions()] = {name: round(value, 1) for name, value in found.items()}
        COMMITTED.write_text(json.dumps(committed, indent=2) + "\n")
    known = committed.get(conditions(), {})
    high = too_high(found, known)
    for name, label in FIGURES.items():
        then = f"committed {known[name]:.0f}" if name in known else "none committed"
        print(f"  {label:42} {found[name]:7.1f}, {then}{'  TOO MANY' if name in high else ''}")
    if not known:
        print(f"nothing is committed for {conditions()}, so nothing fails")
    return FAILED if high else 0


def too_high(found: Mapping[str, float], committed: Mapping[str, float]) -> list[str]:
    """The figures that have become larger than is allowed."""
    return [name for name in found if name in committed and found[name] > ALLOWED * committed[name]]
