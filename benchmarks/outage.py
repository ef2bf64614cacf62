"""Valkey is stopped for ten seconds under load: what do clients see, second by second?

    python -m benchmarks.outage             killed, and started again with nothing in it
    python -m benchmarks.outage --freeze    SIGSTOP and SIGCONT: the connections stay open

Two tasks, streams that are followed on the task that runs them, one message a few times a second
with and one without an Idempotency-Key, resumes on the other task, and one caller far over the rate
limit. Every line is one second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp

from tests.runs.valkey.services import CountingAgent, Reading, Service, resume, service, words
from tests.runs.valkey.valkey import running_valkey

STREAMS = 20
STREAM_WORDS = 1000
PAUSE_SECONDS = 0.02
BEFORE, AWAY, AFTER = 3, 10, 5
LIMIT, WINDOW_SECONDS = 50, 1
PEOPLE = ("reader", "asker", "keyed", "resumer", "greedy")


class Outage:
    def __init__(self, client: aiohttp.ClientSession, a: Service, b: Service) -> None:
        self.a, self.b = a, b
        self.stop = asyncio.Event()
        self.seen: Counter[str] = Counter()
        self.slowest = 0.0
        self._client = client
        self._now = asyncio.get_running_loop().time
        self._keys = 0

    async def often(self, each: float, act: Callable[[], Awaitable[None]]) -> None:
        """Act every so many seconds, however long it takes: the load does not wait."""
        going: set[asyncio.Task[None]] = set()
        while not self.stop.is_set():
            task = asyncio.ensure_future(act())
            going.add(task)
            task.add_done_callback(going.discard)
            await asyncio.sleep(each)
        await asyncio.gather(*going)

    async def _post(self, at: Service, person: str, body: object, **headers: str) -> int:
        began = self._now()
        headers = {"X-API-Key": person, **headers}
        async with self._client.post(f"{at.url}/v1/chat", json=body, headers=headers) as reply:
            await reply.read()
            self.slowest = max(self.slowest, self._now() - began)
            return reply.status

    async def ask(self) -> None:
        status = await self._post(self.a, "asker", {"message": "[2, 0]"})
        self.seen[f"message {status}"] += 1

    async def ask_with_key(self) -> None:
        self._keys += 1
        key = {"Idempotency-Key": f"key-{self._keys}"}
        status = await self._post(self.b, "keyed", {"message": "[2, 0]"}, **key)
        self.seen[f"keyed {status}"] += 1

    async def overdo(self) -> None:
        for at in (self.a, self.b):
            status = await self._post(at, "greedy", {})
            self.seen["admitted" if status != 429 else "refused"] += 1

    async def resume_elsewhere(self, reading: Reading) -> None:
        began = self._now()
        headers = {"X-API-Key": "reader", "Last-Event-ID": str(max(0, reading.last - 5))}
        url = f"{self.b.url}/v1/runs/{reading.run_id}/events"
        with suppress(TimeoutError):
            async with asyncio.timeout(1), self._client.get(url, headers=headers) as reply:
                self.seen[f"resume {reply.status}"] += 1
                self.slowest = max(self.slowest, self._now() - began)

    async def stream(self, reading: Reading) -> None:
        body = {"message": json.dumps([STREAM_WORDS, PAUSE_SECONDS])}
        headers = {"X-API-Key": "reader"}
        url = f"{self.a.url}/v1/chat/stream"
        async with self._client.post(url, json=body, headers=headers) as reply:
            await reading.take(reply)


async def measure(*, freeze: bool) -> bool:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        valkey = stack.enter_context(running_valkey(folder))
        agent = await stack.enter_async_context(CountingAgent().serve())
        more = {
            "API_KEYS": ",".join(f"{person}:{person}" for person in PEOPLE),
            "RATE_LIMIT_REQUESTS": str(LIMIT),
            "RATE_LIMIT_WINDOW": str(WINDOW_SECONDS),
        }
        a, b = [
            await stack.enter_async_context(service(valkey.url, agent.url, folder, **more))
            for _ in range(2)
        ]
        connector = aiohttp.TCPConnector(limit=0)
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        outage = Outage(client, a, b)
        readings = [Reading() for _ in range(STREAMS)]
        streams = [asyncio.create_task(outage.stream(reading)) for reading in readings]
        await asyncio.sleep(1)
        load = [
            asyncio.create_task(outage.often(0.2, outage.ask)),
            asyncio.create_task(outage.often(0.2, outage.ask_with_key)),
            asyncio.create_task(outage.often(0.01, outage.overdo)),
            asyncio.create_task(outage.often(0.25, lambda: outage.resume_elsewhere(readings[0]))),
        ]
        before = 0
        for second in range(BEFORE + AWAY + AFTER):
            if second == BEFORE:
                print("   -- Valkey is stopped")
                valkey.freeze() if freeze else valkey.kill()
            if second == BEFORE + AWAY:
                print("   -- Valkey is back")
                valkey.thaw() if freeze else valkey.start()
            outage.seen.clear()
            outage.slowest = 0.0
            await asyncio.sleep(1)
            events = sum(len(reading.events) for reading in readings)
            seen = ", ".join(f"{what} x{count}" for what, count in sorted(outage.seen.items()))
            print(
                f"{second + 1:3} s  {events - before:4} events; {seen}; "
                f"slowest {outage.slowest * 1000:.0f} ms",
                flush=True,
            )
            before = events
        outage.stop.set()
        await asyncio.gather(*load)
        await asyncio.gather(*streams)
        whole = [Reading(run_id=reading.run_id) for reading in readings]
        client.headers["X-API-Key"] = "reader"
        for reading in whole:
            await resume(client, b, reading)
        good = all(
            there.events == here.events and here.text == words(2, STREAM_WORDS + 1)
            for here, there in zip(readings, whole, strict=True)
        )
        print(
            f"afterwards {STREAMS} streams of {STREAM_WORDS + 2} events were "
            f"{'whole, here and resumed on the other task' if good else 'NOT whole'}"
        )
        return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--freeze", action="store_true", help="SIGSTOP instead of SIGKILL")
    sys.exit(0 if asyncio.run(measure(**vars(parser.parse_args()))) else 1)


if __name__ == "__main__":
    main()
