"""Two tasks, one rate limit, ten times the allowed load: how much is admitted?

    python -m benchmarks.limiter

The load is open-loop: requests are sent when they are due, whether or not the earlier ones were
answered. Admitted is what was not refused with 429; the aim is the limit, +0 % and -2 %.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from tests.runs.valkey.services import HEADERS, service
from tests.runs.valkey.valkey import running_valkey

LIMIT = 100
WINDOW_SECONDS = 2
SECONDS = 10
TIMES = 10
TASKS = 2


async def measure() -> tuple[int, int, list[float]]:
    """Requests sent, those admitted, and the seconds each took."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        valkey = stack.enter_context(running_valkey(folder))
        limits = {"RATE_LIMIT_REQUESTS": str(LIMIT), "RATE_LIMIT_WINDOW": str(WINDOW_SECONDS)}
        tasks = [
            await stack.enter_async_context(service(valkey.url, "embedded:", folder, **limits))
            for _ in range(TASKS)
        ]
        connector = aiohttp.TCPConnector(limit=0)
        client = await stack.enter_async_context(
            aiohttp.ClientSession(headers=HEADERS, connector=connector)
        )
        now = asyncio.get_running_loop().time
        took: list[float] = []

        async def ask(url: str) -> bool:
            began = now()
            # a body that is refused costs the agent nothing, and counts as any other request
            async with client.post(f"{url}/v1/chat", json={}) as reply:
                took.append(now() - began)
                return reply.status != 429

        sent = []
        rate = TIMES * LIMIT / WINDOW_SECONDS
        began = now()
        for number in itertools.count():
            due = began + number / rate
            # the last of the load leaves before the first of it would have left the window again
            if due >= began + SECONDS - 0.05:
                break
            await asyncio.sleep(max(0.0, due - now()))
            sent.append(asyncio.create_task(ask(random.choice(tasks).url)))
        admitted = sum(await asyncio.gather(*sent))
    return len(sent), admitted, took


def main() -> None:
    sent, admitted, took = asyncio.run(measure())
    allowed = LIMIT * SECONDS // WINDOW_SECONDS
    off = 100 * (admitted - allowed) / allowed
    took.sort()
    print(f"{TASKS} tasks, one limit of {LIMIT} in {WINDOW_SECONDS} s, {SECONDS} s of load")
    print(f"sent {sent} ({sent / allowed:.1f} times the limit), allowed {allowed}")
    print(f"admitted {admitted}: {off:+.1f} %")
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    print(f"a request took: p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
    sys.exit(0 if -2 <= off <= 0 else 1)


if __name__ == "__main__":
    main()
