"""Fronts and scenarios, in turns: what a plan of the two comes to."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import connections, scenarios
from benchmarks.processes import Running
from benchmarks.report import Table
from benchmarks.scenarios import Figures, Front, Size, warm_up
from benchmarks.targets import Targets

Scenario = Callable[[Front, Running, Size], Awaitable[Figures]]

SCENARIOS: Mapping[str, Scenario] = {
    "blocking": scenarios.blocking,
    "latency": scenarios.latency,
    "streams": scenarios.streams,
    "crowd": connections.crowd,
    "leaving": connections.leaving,
    "sockets": connections.sockets,
    "stream_memory": connections.stream_memory,
    "socket_memory": connections.socket_memory,
}
FRESH = frozenset({"stream_memory", "socket_memory"})
"""What is left of earlier load would be counted: these have a process of their own."""


@dataclass(frozen=True)
class Plan:
    size: Size
    rounds: int
    fronts: Sequence[str]
    scenarios: Sequence[str]
    before: Path | None = None
    most_seconds: float = 3600.0
    """After this time no other round is begun, once there are three."""


def parts(plan: Plan) -> Iterator[tuple[str, Size]]:
    """What is done in one go: a front that fails a large crowd may manage a small one."""
    for name in plan.scenarios:
        if name == "crowd":
            for count, answer in plan.size.crowds.items():
                yield name, replace(plan.size, crowds={count: answer})
        else:
            yield name, plan.size


async def measure(plan: Plan, folder: Path) -> Table:
    table = Table()
    async with AsyncExitStack() as stack:
        targets = Targets(stack, folder, before=plan.before)
        agent = await targets.open()
        fronts = {}
        for name in plan.fronts:
            fronts[name] = await stack.enter_async_context(targets.front(name))
            await warm_up(fronts[name])
        started = time.monotonic()
        for number in range(plan.rounds):
            if number >= 3 and time.monotonic() - started > plan.most_seconds:
                break
            for scenario, size in parts(plan):
                began, first = time.monotonic(), number % len(fronts)
                found = {
                    name: await _one(scenario, name, fronts[name], targets, agent, size)
                    for name in [*plan.fronts[first:], *plan.fronts[:first]]
                }
                table.add(found)
                if sys.stderr.isatty():
                    tell(f"round {number + 1}: {scenario}, {time.monotonic() - began:.0f} s")
    return table


async def _one(
    scenario: str, name: str, front: Front, targets: Targets, agent: Running, size: Size
) -> Figures | None:
    try:
        async with AsyncExitStack() as stack:
            if scenario in FRESH:
                front = await stack.enter_async_context(targets.front(name))
                await warm_up(front)
            return await SCENARIOS[scenario](front, agent, size)
    except (OSError, RuntimeError, TimeoutError) as error:
        tell(f"{name} failed {scenario}: {type(error).__name__} {error}")
        return None


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
