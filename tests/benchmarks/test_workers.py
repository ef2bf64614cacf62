from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.agentcore import Answer
from benchmarks.processes import on_cores
from benchmarks.scenarios import Size
from benchmarks.workers import Case, cases, measure, told

TINY = Size(
    seconds=0.1,
    least=0,
    calls=0,
    at_once=(),
    crowds={4: Answer(events=2, pause_ms=1, stamped=True)},
    spread_seconds=0,
    idle=0,
)


def test_sizes__are_those_that_the_machine_has() -> None:
    assert cases(1) == [Case(1, 1), Case(1, 2)]
    assert cases(3) == [Case(1, 1), Case(1, 2), Case(2, 1), Case(2, 2), Case(2, 3)]


needs_affinity = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")


@needs_affinity
def test_what_is_started_on_some_cores__stays_there_and_nothing_else() -> None:
    before = os.sched_getaffinity(0)
    program = "import os; print(*os.sched_getaffinity(0))"

    with on_cores([max(before)]):
        started = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert started.stdout.split() == [b"%d" % max(before)]
    assert os.sched_getaffinity(0) == before


@needs_affinity
async def test_workers__are_measured_together_and_one_by_one(tmp_path: Path) -> None:
    found = await measure(Case(1, 2), tmp_path, TINY)

    assert found["busy"] > 0
    assert 50 <= found["busiest"] <= 100
    assert "| 1     | 2       |" in told({Case(1, 2): [found]})
