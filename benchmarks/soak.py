"""Does anything stay behind? Requests of every kind for minutes, and what the service holds then.

    python -m benchmarks.soak                          ten minutes, in process
    python -m benchmarks.soak --valkey --minutes 60

Clients read to the end or leave in the middle, come back, cancel, repeat, hold sockets, keep files,
delete sessions, and send what is refused. Between two parts all of them are gone, and so is what
the service keeps for a while (`RUN_RETENTION`). What it holds after the last part is compared with
what it held after the second; more than a little fails. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.client import KEY
from benchmarks.processes import Teller, run
from benchmarks.soak_clients import Clients
from benchmarks.targets import Targets

PART_SECONDS = 60.0
RETENTION_SECONDS = 10
QUIET_SECONDS = 32.0
"""Between two parts: the retention, what is swept now and then, connections that are kept."""
REQUEST_SECONDS = 60.0
AT_ONCE = 40
MORE_OBJECTS = 1.02
MORE_MEMORY = 1.10
"""Of what was held after the second part; more fails. Memory is the allocator's, too."""
FAILED = 3


@dataclass(frozen=True)
class Held:
    """What the service holds at one time; memory is in KiB."""

    objects: int
    tasks: int
    descriptors: int
    threads: int
    memory: float
    kinds: Mapping[str, int]

    def __str__(self) -> str:
        return (
            f"{self.objects} objects, {self.tasks} tasks, {self.descriptors} descriptors, "
            f"{self.threads} threads, {self.memory / 1024:.1f} MiB"
        )

    def grown(self, before: Held) -> list[str]:
        """What has become more than a little more."""
        more = {
            "objects": self.objects > before.objects * MORE_OBJECTS,
            "tasks": self.tasks > before.tasks,
            "descriptors": self.descriptors > before.descriptors,
            "threads": self.threads > before.threads,
            "memory": self.memory > before.memory * MORE_MEMORY,
        }
        return [name for name, is_more in more.items() if is_more]


async def held(teller: Teller) -> Held:
    return Held(**json.loads(await teller.read()), memory=teller.process.memory_kib())


async def load(clients: Clients, ended: Counter[tuple[str, str]], seconds: float) -> None:
    """So many clients at once, each with one request after the other."""
    over_at = time.monotonic() + seconds

    async def client() -> None:
        while time.monotonic() < over_at:
            kind = clients.next_kind()
            try:
                status = str(await kind())
            except (aiohttp.ClientError, TimeoutError) as error:
                status = type(error).__name__
            ended[kind.__name__, status] += 1
            await asyncio.sleep(0)

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))


async def soak(folder: Path, *, valkey: bool, minutes: float, seed: int) -> int:
    """Run, print, and return the exit code."""
    path, ended = folder / "counts", Counter[tuple[str, str]]()
    parts = max(3, round(minutes * 60 / (PART_SECONDS + QUIET_SECONDS)))
    async with AsyncExitStack() as stack:
        targets = Targets(stack, folder)
        await targets.open()
        settings = {
            "RUN_RETENTION": str(RETENTION_SECONDS),
            "RATE_LIMIT_WINDOW": "1",
            "FILES": f"file:///{folder}/files",
            **({"REDIS_URL": targets.valkey()} if valkey else {}),
        }
        front = await stack.enter_async_context(targets.counted(path, "inventory", **settings))
        http = await stack.enter_async_context(
            aiohttp.ClientSession(
                headers={"X-API-Key": KEY},
                timeout=aiohttp.ClientTimeout(REQUEST_SECONDS),
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
            )
        )
        clients, found = Clients(front.process.url, http, seed), list[Held]()
        teller = Teller(front.process, path)
        for part in range(parts):
            await load(clients, ended, PART_SECONDS)
            await asyncio.sleep(QUIET_SECONDS)
            found.append(await held(teller))
            print(f"part {part + 1} of {parts}, {ended.total()} requests: {found[-1]}", flush=True)
    for (kind, status), count in sorted(ended.items()):
        print(f"  {kind:20} {status:12} {count:7}")
    grown = found[-1].grown(found[1])
    if grown:
        print(f"GROWN since part 2: {', '.join(grown)}")
        more = Counter(found[-1].kinds)
        more.subtract(found[1].kinds)
        for name, count in more.most_common(12):
            print(f"  {name:40} {count:+}")
        return FAILED
    print("nothing has stayed behind")
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--valkey", action="store_true", help="runs, limits and keys are in Valkey")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1, help="another order of requests")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(run(soak(Path(folder), **vars(options))))


if __name__ == "__main__":
    main()
