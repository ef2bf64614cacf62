"""Clients that are cut, and tasks that are killed under them: what is lost, doubled, reordered?

    make bench ARGS=interruptions                 12,000 interruptions, half of them by kill -9
    python -m benchmarks.interruptions --help     fewer, other numbers of clients and tasks

Three tasks share a Valkey that is now quick and now slow: it sleeps for some milliseconds whenever
it has answered. Every client begins a run somewhere and reads it; again and again it drops its
connection at a random event, stays away for a moment and resumes on a random task. Every few
seconds a random task is killed (SIGKILL, nothing is said to anybody) and another takes its place.
An interruption is one client's connection that was cut, or one task killed under it.

When a run is over it is read once more, from its first event, on another task. Lost: an event that
the client saw or the log took and that the resumed reading did not give. Doubled and reordered:
what the ids say. Wrong: an event whose content is not what the agent said. A run whose own task was
killed has to end in words (`interrupted`), within 5 s of its last event or of being asked for.

Meanwhile other callers post into their sessions again and again, before they may and the moment
they may. A bystander is whoever's run ended as `interrupted` although its task was not killed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.runs.valkey.services import CountingAgent, Reading, Service, resume, service, words
from tests.runs.valkey.valkey import Valkey, running_valkey

PRINCIPALS = 24
"""Users, so that the runs lie in many partitions."""
PAUSE_SECONDS = 0.08
"""Between two words."""
FEWEST_WORDS = 20
AGAIN_SECONDS = 0.005
"""Between two tries of a caller who posts before it may."""
SLOW_SECONDS = (0.0, 0.002, 0.004, 0.008)
"""The server's naps: they add up to two of them to a reply, and 40 ms would be an outage."""
PHASE_SECONDS = 3.0
"""Until they are longer or shorter."""
PATIENCE_SECONDS = 15.0
"""For one resumed reading of a run that is over or nobody's: far more than is promised."""


@dataclass
class Figures:
    cuts: int = 0
    kills: int = 0
    tasks_killed: int = 0
    runs: int = 0
    interrupted_runs: int = 0
    agent_calls: int = 0
    begun: int = 0
    events: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    wrong: int = 0
    unended: int = 0
    bystanders: int = 0
    repeats: int = 0
    refused: int = 0
    outages: int = 0
    """How often a task found Valkey away: then it may say what nobody has if it is killed."""
    stalls: int = 0
    """How often a task that was not killed was taken for dead: this machine was too busy for it."""
    resumes: list[float] = field(default_factory=list, repr=False)
    """Seconds from asking to the first event, where one was owed."""
    waits: list[float] = field(default_factory=list, repr=False)
    """Seconds of silence before the end of a run whose task was killed."""

    @property
    def interruptions(self) -> int:
        return self.cuts + self.kills

    @property
    def clean(self) -> bool:
        bad = self.lost + self.doubled + self.reordered + self.wrong + self.unended
        return self.runs > 0 and bad + self.bystanders == 0

    def report(self, seconds: float) -> str:
        return "\n".join(
            [
                f"{self.interruptions} interruptions in {seconds:.0f} s: "
                f"{self.cuts} connections cut, {self.kills} by "
                f"{self.tasks_killed} tasks killed (kill -9)",
                f"{self.runs} runs, {self.interrupted_runs} of them ended as interrupted; "
                f"{self.events} events; {self.begun} messages sent, {self.agent_calls} agent calls",
                f"events lost {self.lost}, doubled {self.doubled}, reordered {self.reordered}, "
                f"wrong {self.wrong}; runs without an end {self.unended}",
                f"bystanders {self.bystanders}, beside {self.repeats} answers of callers who post "
                f"again at once and were refused {self.refused} times",
                f"tasks found Valkey away {self.outages} times, and themselves taken for dead "
                f"{self.stalls} times: on a machine that is not too busy, never",
                f"resume to first event: p50 {_ms(self.resumes, 0.5)}, "
                f"p99 {_ms(self.resumes, 0.99)} ({len(self.resumes)} resumes)",
                f"silence before a killed task's run was ended: p50 {_ms(self.waits, 0.5)}, "
                f"most {_ms(self.waits, 1.0)}",
            ]
        )


def _ms(seconds: list[float], quantile: float) -> str:
    if not seconds:
        return "-"
    ordered = sorted(seconds)
    return f"{1000 * ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]:.0f} ms"


class Fleet:
    """The tasks, with one killed and replaced now and then."""

    def __init__(
        self, stack: AsyncExitStack, valkey_url: str, agent_url: str, folder: Path
    ) -> None:
        self.up: list[Service] = []
        self.all: list[Service] = []
        self._stack = stack
        self._valkey_url = valkey_url
        self._agent_url = agent_url
        self._folder = folder
        self._number = 0

    async def add(self) -> None:
        self._number += 1
        folder = self._folder / str(self._number)  # a history each: SQLite is not what is measured
        folder.mkdir()
        keys = ",".join(f"user{n}:key-{n}" for n in range(PRINCIPALS))
        task = service(self._valkey_url, self._agent_url, folder, API_KEYS=keys)
        self.all.append(await self._stack.enter_async_context(task))
        self.up.append(self.all[-1])

    def any(self, *, but: Service | None = None) -> Service:
        return random.choice([task for task in self.up if task is not but] or self.up)

    async def kill_one(self) -> None:
        victim = random.choice(self.up)
        self.up.remove(victim)
        victim.process.kill()
        await victim.exited()


class Client:
    """One user agent: begins runs, is cut, resumes, checks."""

    def __init__(self, number: int, fleet: Fleet, figures: Figures, *, most_words: int) -> None:
        self._key = {"X-API-Key": f"key-{number % PRINCIPALS}"}
        self._fleet = fleet
        self._figures = figures
        self._most_words = most_words

    async def work(self, stop: asyncio.Event) -> None:
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            headers=self._key, connector=connector, timeout=timeout
        ) as self._http:
            while not stop.is_set():
                await self._one_run()

    async def _one_run(self) -> None:
        count = random.randint(FEWEST_WORDS, self._most_words)
        reading = Reading()
        at = self._fleet.any()
        body = {"message": json.dumps([count, PAUSE_SECONDS])}
        until = self._cut(reading)
        self._figures.begun += 1
        try:
            async with self._http.post(f"{at.url}/v1/chat/stream", json=body) as reply:
                await reading.take(reply, until=until)
        except (aiohttp.ClientError, AssertionError):
            if not reading.run_id:
                return  # the task was gone, or not there yet: no run, nothing to lose
        while not reading.ended:
            self._count(reading, until)
            away = random.choice([0.0, random.uniform(0, 0.5)])
            await asyncio.sleep(away)
            until = self._cut(reading)
            if not await self._resume(reading, until, owed=away > 1.5 * PAUSE_SECONDS):
                self._figures.unended += 1
                return
        await self._check(reading, count, at)

    def _cut(self, reading: Reading) -> int:
        return reading.last + random.randint(1, 60)

    def _count(self, reading: Reading, until: int) -> None:
        if reading.last >= until:
            self._figures.cuts += 1
        else:
            self._figures.kills += 1

    async def _resume(self, reading: Reading, until: int, *, owed: bool) -> bool:
        """Go on on some task; false if the run never ended nor went on, or has ended unheard."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            before, began = len(reading.events), time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    left = await resume(self._http, self._fleet.any(), reading, until=until)
            except (aiohttp.ClientError, AssertionError, TimeoutError):
                await asyncio.sleep(0.02)
            else:
                new = reading.events[before:]
                if new and new[-1][1] == "error":
                    self._figures.waits.append(reading.silence)
                elif new and owed and reading.first_at is not None:
                    self._figures.resumes.append(reading.first_at - began)
                return left
        return False

    async def _check(self, reading: Reading, count: int, at: Service) -> None:
        figures = self._figures
        figures.runs += 1
        figures.events += len(reading.events)
        whole = Reading(run_id=reading.run_id)
        while not whole.ended:
            try:
                await resume(self._http, self._fleet.any(), whole)
            except (aiohttp.ClientError, AssertionError):
                await asyncio.sleep(0.05)
        ids = reading.ids
        figures.doubled += len(ids) - len(set(ids))
        figures.reordered += sum(a > b for a, b in itertools.pairwise(ids))
        figures.lost += len(set(whole.ids) ^ set(ids))
        figures.lost += len(set(range(1, reading.last + 1)) - set(ids))
        if reading.events[-1][1] == "error":
            figures.interrupted_runs += 1
            code = json.loads(reading.events[-1][2])["code"]
            figures.wrong += code != "interrupted"
            figures.bystanders += code == "interrupted" and at in self._fleet.up
        else:
            figures.lost += max(0, count + 2 - len(set(ids)))
        figures.wrong += reading.text != words(2, reading.last - 1)
        figures.wrong += whole.events != reading.events


class Repeater:
    """A caller who posts into one session again before it may, and the moment it may."""

    def __init__(self, number: int, fleet: Fleet, figures: Figures) -> None:
        self._key = {"X-API-Key": f"key-{number % PRINCIPALS}"}
        self._session = f"again-{number}"
        self._fleet = fleet
        self._figures = figures

    async def work(self, stop: asyncio.Event) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers=self._key, connector=connector) as self._http:
            tabs = [asyncio.create_task(self._tab(stop)) for _ in range(2)]
            await asyncio.gather(*tabs)

    async def _tab(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            at = self._fleet.any()
            body = {"message": json.dumps([3, 0.01]), "session_id": self._session}
            reading = Reading()
            self._figures.begun += 1
            try:
                async with self._http.post(f"{at.url}/v1/chat/stream", json=body) as reply:
                    if reply.status in (409, 503):
                        self._figures.begun -= 1
                        self._figures.refused += reply.status == 409
                        await asyncio.sleep(AGAIN_SECONDS)
                        continue
                    await reading.take(reply)
            except aiohttp.ClientError:
                continue  # the task was gone
            if reading.ended and at in self._fleet.up:
                self._figures.repeats += 1
                self._figures.bystanders += reading.events[-1][1] == "error"


async def slow_down(valkey: Valkey, stop: asyncio.Event) -> None:
    """Keep the server from answering at once, for a while and now and then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", valkey.port)
    try:
        while not stop.is_set():
            nap = random.choice(SLOW_SECONDS)
            until = time.monotonic() + PHASE_SECONDS * random.uniform(0.5, 1.5)
            while time.monotonic() < until and not stop.is_set():
                if nap:
                    writer.write(f"DEBUG SLEEP {nap}\r\n".encode())
                    said = await reader.readline()
                    assert said.startswith(b"+OK"), said
                else:
                    await asyncio.sleep(0.1)
    finally:
        writer.close()


async def measure(
    *,
    interruptions: int,
    clients: int,
    repeaters: int,
    tasks: int,
    kill_every: float,
    most_seconds: float,
    most_words: int,
    tell: bool = False,
) -> Figures:
    """Interrupt until it was often enough, and report."""
    figures = Figures()
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        valkey = stack.enter_context(running_valkey(folder))
        agent = await stack.enter_async_context(CountingAgent().serve())
        fleet = Fleet(stack, valkey.url, agent.url, folder)
        await asyncio.gather(*[fleet.add() for _ in range(tasks)])
        began = time.monotonic()
        work = [
            asyncio.create_task(Client(number, fleet, figures, most_words=most_words).work(stop))
            for number in range(clients)
        ]
        work += [
            asyncio.create_task(Repeater(number, fleet, figures).work(stop))
            for number in range(repeaters)
        ]
        work.append(asyncio.create_task(slow_down(valkey, stop)))
        told = began
        while (
            not (figures.interruptions >= interruptions and figures.kills >= interruptions // 2)
            and time.monotonic() - began < most_seconds
        ):
            await asyncio.sleep(kill_every * random.uniform(0.5, 1.5))
            # half of the interruptions are to be kills
            if len(fleet.up) == tasks and figures.kills <= figures.cuts:
                figures.tasks_killed += 1
                await fleet.kill_one()
                await fleet.add()
            if tell and time.monotonic() - told > 20:
                told = time.monotonic()
                print(f"  {told - began:.0f} s: {figures}", file=sys.stderr, flush=True)
        stop.set()
        await asyncio.gather(*work)
        figures.agent_calls = len(agent.calls)
    for each in fleet.all:
        figures.outages += each.log.count("does not answer")
        figures.stalls += "was taken over by another" in each.log
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--interruptions", type=int, default=12_000)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--repeaters", type=int, default=8, help="who post again before they may")
    parser.add_argument("--tasks", type=int, default=3)
    parser.add_argument("--kill-every", type=float, default=1.0, help="seconds between two kills")
    parser.add_argument("--most-words", type=int, default=120, help="in an answer")
    parser.add_argument("--most-seconds", type=float, default=900)
    options = parser.parse_args()
    began = time.monotonic()
    figures = asyncio.run(measure(**vars(options), tell=True))
    print(figures.report(time.monotonic() - began))
    sys.exit(0 if figures.clean else 1)


if __name__ == "__main__":
    main()
