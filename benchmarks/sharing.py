"""What sharing runs costs: CPU per event with Valkey and without, at 50 events a second per run.

    python -m benchmarks.sharing

One task, 40 runs that are followed by one client each. The CPU is the service's own process, over
the middle of the runs; the aim is at most twice what the in-process edition takes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import psutil

from benchmarks.parts import cpu_seconds
from tests.runs.valkey.services import HEADERS, CountingAgent, Reading, service
from tests.runs.valkey.valkey import running_valkey

RUNS = 40
PAUSE_SECONDS = 0.02
SECONDS = 6.0


async def microseconds_per_event(valkey_url: str, folder: Path) -> float:
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(CountingAgent().serve())
        task = await stack.enter_async_context(service(valkey_url, agent.url, folder))
        connector = aiohttp.TCPConnector(limit=0)
        client = await stack.enter_async_context(
            aiohttp.ClientSession(headers=HEADERS, connector=connector)
        )
        readings = [Reading() for _ in range(RUNS)]

        async def read(reading: Reading) -> None:
            body = {"message": json.dumps([int((SECONDS + 6) / PAUSE_SECONDS), PAUSE_SECONDS])}
            async with client.post(f"{task.url}/v1/chat/stream", json=body) as reply:
                await reading.take(reply)

        reading = [asyncio.create_task(read(each)) for each in readings]
        await asyncio.sleep(2)
        process = psutil.Process(task.process.pid)
        cpu, events = cpu_seconds(process), sum(len(each.events) for each in readings)
        await asyncio.sleep(SECONDS)
        cpu = cpu_seconds(process) - cpu
        events = sum(len(each.events) for each in readings) - events
        for each in reading:
            each.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    print(f"  {events / SECONDS:.0f} events/s, {cpu / SECONDS * 100:.0f} % of a core")
    return cpu / events * 1e6


async def measure() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = await microseconds_per_event("", folder)
        with running_valkey(folder) as valkey:
            shared = await microseconds_per_event(valkey.url, folder)
    return alone, shared


def main() -> None:
    alone, shared = asyncio.run(measure())
    print(
        f"CPU per event: {alone:.0f} us in process, {shared:.0f} us shared: "
        f"{shared / alone:.2f} times as much"
    )
    sys.exit(0 if shared <= 2 * alone else 1)


if __name__ == "__main__":
    main()
