"""How many workers so many cores want: `make bench ARGS=workers`, six minutes.

The service with Valkey runs on the first cores of the machine alone, as in a container of that
size; the load, the fake agent and Valkey have the others, and share its cores where none are left.
Each case is started anew and they take turns.

- *answers*: as many as 128 callers get, and the CPU of one, which tells what cores of its own would
  bring where these are shared;
- *busy*: of the service's cores, how much the service used meanwhile. What is far from 100 % was
  held up by something else;
- *busiest*: of the workers, the part of that CPU that the busiest had. Connections are kept, so a
  worker has what it accepted;
- *late*: slow streams, each with an event every 250 ms: how late the events are, p99;
- *memory*: after that, pages that workers share counted once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.agentcore import Answer
from benchmarks.connections import crowd
from benchmarks.processes import allow_many_connections, on_cores, run
from benchmarks.report import short, table_text
from benchmarks.scenarios import BLOCKING, Front, Size, repeated, warm_up
from benchmarks.targets import Targets

CALLERS = 128
"""So many that none of the workers waits for the load."""
STREAMS = (250, 500, 1000)
ROUNDS = 3
MOST_CORES = 4
"""The one process that makes the load can keep no more busy."""
SIZE = Size(
    seconds=3,
    least=0,
    calls=0,
    at_once=(CALLERS,),
    crowds={count: Answer(events=16, pause_ms=250, stamped=True) for count in STREAMS},
    spread_seconds=2,
    idle=0,
)


class Case(NamedTuple):
    cores: int
    workers: int


def cases(cores: int) -> list[Case]:
    """For each size up to that of this machine: one worker, one a core, and one more."""
    sizes = [size for size in (1, 2, 4) if size <= min(cores, MOST_CORES)]
    return [Case(size, workers) for size in sizes for workers in sorted({1, size, size + 1})]


async def measure(case: Case, folder: Path, size: Size = SIZE) -> Mapping[str, float]:
    every = sorted(os.sched_getaffinity(0))
    own = every[: case.cores]
    async with AsyncExitStack() as stack:
        stack.enter_context(on_cores(every[case.cores :] or every))
        targets = Targets(stack, folder)
        agent = await targets.open()
        targets.valkey()  # before the front, or it would be kept on the front's cores
        front = await stack.enter_async_context(
            targets.front("ours+valkey", cores=own, METRICS="emf", WORKERS=str(case.workers))
        )
        for _ in range(case.workers):
            await warm_up(front)
        return {
            **await answers(front, case, size.seconds),
            **await crowd(front, agent, size),
            "memory": front.process.own_memory_kib() / 1024,
        }


async def answers(front: Front, case: Case, seconds: float) -> Mapping[str, float]:
    with front.client() as client:
        before = front.process.cpu_by_process()
        done, took, cpu = await repeated(
            front, lambda: client.call(BLOCKING), at_once=CALLERS, seconds=seconds
        )
        each = [
            after - before.get(pid, 0.0) for pid, after in front.process.cpu_by_process().items()
        ]
    return {
        "answers": done / took,
        "cpu": cpu / done * 1e6,
        "busy": cpu / took / case.cores * 100,
        "busiest": max(each) / sum(each) * 100,
    }


def told(found: Mapping[Case, Sequence[Mapping[str, float]]]) -> str:
    first = next(iter(found.values()))[0]
    columns = {
        "answers": ("answers", "/s"),
        "cpu": ("CPU of one", "µs"),
        "busy": ("busy", "%"),
        "busiest": ("busiest", "%"),
        **{
            name: (f"{name.removeprefix('late_')} streams late", "ms")
            for name in first
            if name.startswith("late_") and "cpu" not in name
        },
        "memory": ("memory", "MiB"),
    }
    rows = [
        [
            *(str(case.cores), str(case.workers)),
            *(
                f"{short(statistics.median(each[name] for each in rounds))} {unit}"
                for name, (_, unit) in columns.items()
            ),
        ]
        for case, rounds in found.items()
    ]
    return table_text(["cores", "WORKERS", *(label for label, _ in columns.values())], rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    if not hasattr(os, "sched_setaffinity"):
        parser.error("this system cannot keep a process on some of its cores; Linux can")
    allow_many_connections()
    found: dict[Case, list[Mapping[str, float]]] = defaultdict(list)
    for _ in range(ROUNDS):
        for case in cases(len(os.sched_getaffinity(0))):
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                found[case].append(run(measure(case, Path(folder))))
    print(told(found))


if __name__ == "__main__":
    main()
