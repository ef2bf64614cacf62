"""What this service costs above the least a front can do.

Both serve the same answers of the same agent, in turn, on this machine; only the ratios mean
anything. Run: `python -m benchmarks.relay`.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from contextlib import AsyncExitStack

import aiohttp
import psutil

from benchmarks.parts import KEY, cpu_seconds, free_port, running

ROUNDS = 5
LOADS = {
    "a fast model: 50 streams, 200 words at 50/s": (50, 200, 0.02),
    "a burst: 20 streams, 2000 words at once": (20, 2000, 0.0),
}


async def load(url: str, streams: int, words: int, pause: float) -> tuple[float, float]:
    """Read the streams; returns the median seconds to the first word, and to the end of all."""
    first: list[float] = []

    async def one(client: aiohttp.ClientSession) -> None:
        began = time.perf_counter()
        message = json.dumps([words, pause])
        async with client.post(f"{url}/v1/chat/stream", json={"message": message}) as reply:
            assert reply.status == 200, await reply.text()
            text = b""
            async for chunk in reply.content.iter_any():
                if b"word 0 " in chunk:
                    first.append(time.perf_counter() - began)
                text += chunk
        assert text.count(b"word ") == words

    began = time.perf_counter()
    async with aiohttp.ClientSession(
        headers={"X-API-Key": KEY}, connector=aiohttp.TCPConnector(limit=0)
    ) as client:
        await asyncio.gather(*(one(client) for _ in range(streams)))
    return statistics.median(first), time.perf_counter() - began


async def main() -> None:
    agent_port, relay_port, bff_port = free_port(), free_port(), free_port()
    agent, relay, bff = (f"http://127.0.0.1:{port}" for port in (agent_port, relay_port, bff_port))
    parts = ("-m", "benchmarks.parts")
    async with AsyncExitStack() as stack:
        start = stack.enter_async_context
        await start(running(*parts, "agent", str(agent_port), url=agent))
        fronts: dict[str, tuple[str, psutil.Process]] = {
            "relay": (
                relay,
                await start(running(*parts, "relay", str(relay_port), agent, url=relay)),
            ),
            "bff": (
                bff,
                await start(
                    running(
                        "-m",
                        "bff",
                        url=f"{bff}/health",
                        PORT=str(bff_port),
                        AGENT_URL=agent,
                        API_KEYS=f"bench:{KEY}",
                        RATE_LIMIT_REQUESTS="1000000",
                        MAX_STREAMS_PER_USER="1000",
                        HISTORY="sqlite:////tmp/agentcore-bff-bench.db",
                    )
                ),
            ),
        }
        for name, (streams, words, pause) in LOADS.items():
            print(f"\n{name}")
            costs: dict[str, list[tuple[float, float, float]]] = {"relay": [], "bff": []}
            for _ in range(ROUNDS + 1):
                for front, (url, process) in fronts.items():
                    before = cpu_seconds(process)
                    first, whole = await load(url, streams, words, pause)
                    cpu = (cpu_seconds(process) - before) / (streams * words) * 1e6
                    costs[front].append((cpu, first * 1e3, whole))
            rows = {
                front: [statistics.median(column) for column in zip(*runs[1:], strict=True)]
                for front, runs in costs.items()  # the first round warms up
            }
            labels = ["CPU per word, µs", "to the first word, ms", "to the end, s"]
            print(f"  {'':24}{'relay':>10}{'bff':>10}{'ratio':>8}")
            for label, least, ours in zip(labels, rows["relay"], rows["bff"], strict=True):
                print(f"  {label:24}{least:10.2f}{ours:10.2f}{ours / least:8.2f}")


if __name__ == "__main__":
    asyncio.run(main())
