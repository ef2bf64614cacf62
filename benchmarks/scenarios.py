"""What is done to a front, and the figures that come of it.

Each scenario is given one front and the fake behind it, keeps within its time, and raises if
anything was answered wrongly: a front that refuses is not fast. Figures are named once, in
`report.FIGURES`.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.agentcore import Answer
from benchmarks.client import AGENTCORE, Client, Connection, Dialect
from benchmarks.processes import Running

Figures = dict[str, float]

BLOCKING = Answer()
STREAM_EVENTS = 50
ONE_BY_ONE = Answer(events=STREAM_EVENTS)
BURST = Answer(events=STREAM_EVENTS, burst=True)
STREAMS_AT_ONCE = 16
LATENCY_SECONDS = 10.0
"""Then enough was timed one by one, once it was done …"""
LEAST_CALLS = 50
"""… so often."""


@dataclass(frozen=True)
class Size:
    """How much of each is done."""

    seconds: float
    """For what counts how much is done in a time, …"""
    least: int
    """… and how many answers or turns it has to be at least; a stream counts as ten."""
    calls: int
    """For what is timed one by one."""
    at_once: tuple[int, ...]
    crowds: Mapping[int, Answer]
    """Streams that are open together, and what each brings, …"""
    spread_seconds: float
    """… begun over this time, or all their events would be due at once."""
    idle: int
    """Open connections whose memory is measured."""


SHORT = Size(
    seconds=1.2,
    least=0,
    calls=100,
    at_once=(1, 32),
    crowds={500: Answer(events=16, pause_ms=250, stamped=True)},
    spread_seconds=2,
    idle=300,
)
FULL = Size(
    seconds=2,
    least=0,
    calls=300,
    at_once=(1, 32, 128),
    crowds={
        40: Answer(events=100, pause_ms=20, stamped=True),
        500: Answer(events=24, pause_ms=250, stamped=True),
        2000: Answer(events=8, pause_ms=1000, stamped=True),
    },
    spread_seconds=2,
    idle=1000,
)


@dataclass(frozen=True)
class Front:
    """What is measured: a process and how it is spoken to."""

    process: Running
    dialect: Dialect

    def client(self) -> Client:
        return Client(self.dialect, self.process.port)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Without pauses of our own garbage collection in what is timed."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def quantile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


async def repeated(
    front: Front,
    work: Callable[[], Awaitable[None]],
    *,
    at_once: int,
    seconds: float,
    least: int = 0,
) -> tuple[int, float, float]:
    """Do it again and again, so many at once: how often, in how long, for how much CPU."""
    begun = done = 0

    async def one() -> None:
        nonlocal begun, done
        while time.perf_counter() < until or begun < least:
            begun += 1
            await work()
            done += 1

    with undisturbed():
        cpu, began = front.process.cpu_seconds(), time.perf_counter()
        until = began + seconds
        await asyncio.gather(*[one() for _ in range(at_once)])
        took = time.perf_counter() - began
        return done, took, front.process.cpu_seconds() - cpu


async def warm_up(front: Front) -> None:
    """So that no front is measured while it loads what it needs."""
    with front.client() as client:
        for _ in range(50):
            await client.call(BLOCKING)
        await asyncio.gather(*[client.call(ONE_BY_ONE, stream=True) for _ in range(10)])


async def blocking(front: Front, agent: Running, size: Size) -> Figures:
    """Whole answers, as fast as so many callers get them."""
    found: Figures = {}
    with front.client() as client:
        for at_once in size.at_once:
            done, took, cpu = await repeated(
                front,
                lambda: client.call(BLOCKING),
                at_once=at_once,
                seconds=size.seconds,
                least=size.least,
            )
            found[f"answers_{at_once}"] = done / took
            found[f"answer_cpu_{at_once}"] = cpu / done * 1e6
    return found


async def latency(front: Front, agent: Running, size: Size) -> Figures:
    """What a call takes beyond the agent's own answer, one at a time, in turns with the agent."""
    direct_to = Front(agent, AGENTCORE)
    through: dict[str, list[float]] = {"whole": [], "first": []}
    direct: dict[str, list[float]] = {"whole": [], "first": []}
    with front.client() as client, direct_to.client() as bare, undisturbed():
        until = time.perf_counter() + LATENCY_SECONDS
        for number in range(size.calls):
            if number >= LEAST_CALLS and time.perf_counter() > until:
                break
            for asked, took in ((client, through), (bare, direct)):
                began = time.perf_counter()
                await asked.call(BLOCKING)
                took["whole"].append(time.perf_counter() - began)
                took["first"].append(await _first_event(asked))
    added = {
        kind: [(statistics.median(through[kind]) - statistics.median(direct[kind])) * 1e3]
        for kind in through
    }
    return {
        "added": added["whole"][0],
        "added_p99": (quantile(through["whole"], 0.99) - quantile(direct["whole"], 0.99)) * 1e3,
        "first_added": added["first"][0],
    }


async def _first_event(client: Client) -> float:
    """Seconds to the first event of a stream, which is read to its end."""
    connection = await client.connect()
    began = time.perf_counter()
    reply = await first_events(client.dialect, connection, Answer(events=2, pause_ms=2), 1)
    took = time.perf_counter() - began
    await reply
    client.give_back(connection)
    return took


async def first_events(
    dialect: Dialect, connection: Connection, answer: Answer, count: int
) -> asyncio.Future[int]:
    """Ask for a stream and return its reply, to come, once so many events of it are here."""
    marks = Marks(dialect.event, until=count)
    reply = connection.ask(dialect.request(answer, stream=True), marks)
    reply.add_done_callback(lambda reply: reply.cancelled() or reply.exception())
    await asyncio.wait_for(marks.reached.wait(), 20)
    return reply


class Marks:
    """Counts a mark in a body that comes in pieces; `reached` says that it came so often."""

    def __init__(self, mark: bytes, until: int = 0) -> None:
        self.count = 0
        self.reached = asyncio.Event()
        self._mark = mark
        self._until = until
        self._rest = b""

    def __call__(self, data: bytes) -> None:
        data = self._rest + data
        self.count += data.count(self._mark)
        if self.count >= self._until:
            self.reached.set()
        self._rest = data[1 - len(self._mark) :]


async def streams(front: Front, agent: Running, size: Size) -> Figures:
    """Events that are passed on, each written by itself and all in one write."""
    found: Figures = {}
    with front.client() as client:
        for name, answer in (("single", ONE_BY_ONE), ("burst", BURST)):

            async def one(answer: Answer = answer) -> None:
                marks = Marks(front.dialect.event)
                await client.call(answer, stream=True, taken=marks)
                if not marks.count:
                    raise RuntimeError("a stream without an event")

            done, took, cpu = await repeated(
                front,
                one,
                at_once=STREAMS_AT_ONCE,
                seconds=size.seconds,
                least=size.least // 10,
            )
            found[f"{name}_events"] = done * STREAM_EVENTS / took
            found[f"{name}_cpu"] = cpu / (done * STREAM_EVENTS) * 1e4
    return found
