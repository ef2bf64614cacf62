"""However many runs a task has, a server that gets through a few hundred at once loses none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runs.valkey.conftest import StartInstance
from tests.runs.valkey.instances import until
from tests.runs.valkey.simulation import Simulation
from tests.runs.valkey.valkey import Valkey

RUNS = 1000
MOST_KEYS = 2500
"""Of 400 runs that are renewed; an event or an end has fewer."""


@pytest.fixture
def simulation() -> Iterator[Simulation]:
    simulation = Simulation()
    yield simulation
    simulation.close()


@pytest.mark.parametrize("owners", [1, RUNS])
def test_a_task_with_many_runs__keeps_them_and_when_it_dies_they_are_soon_ended(
    simulation: Simulation, owners: int
) -> None:
    s, begun = simulation, []
    s.network.most_keys = MOST_KEYS
    owner, other = s.start_instance(), s.start_instance()
    s.loop.advance(2.5)
    for number in range(RUNS):
        begun.append(s.begin(owner, f"o{number % owners}", f"s{number}", max_open=RUNS))
    assert all(task.done() for task in begun)
    s.loop.advance(25)

    assert (s.told_interrupted, s.wrong) == ([], [])
    s.kill(owner)
    s.loop.advance(5)
    assert len(s.told_interrupted) == RUNS
    assert other.server.up


async def test_a_run_of_a_caller_with_many__is_ended_without_a_look_at_the_others(
    own: Valkey, start_instance: StartInstance
) -> None:
    a, b = await start_instance(own.url), await start_instance(own.url)
    for number in range(20):
        await a.begin(f"run-{number}", session_id=f"session-{number}")

    await a.die()
    await until(lambda: len(b.told.interruptions) == 20)

    assert "cmdstat_hgetall" not in own.tell("INFO commandstats")
    for number in range(20):
        await b.begin(f"next-{number}", session_id=f"session-{number}")
