"""Has the service become slower than what is committed?

    make bench ARGS=gate             fails if it has
    make bench ARGS="gate --write"   commits to what is measured now

What is compared is CPU, ours against the bare relay's, in short rounds that take turns: wall time
on a shared machine says more of its other tenants than of us, and most virtual ones cannot count
instructions. The committed ratios are in ratios.json; docs/decisions/speed.md has the noise.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path

from benchmarks.measuring import Plan, measure
from benchmarks.report import FIGURES, REFERENCE
from benchmarks.scenarios import Size

COMMITTED = Path(__file__).with_name("ratios.json")
ALLOWED = 0.8
"""Of a committed ratio: more than a fifth below it fails."""
GATED = ("answer_cpu_32", "single_cpu", "burst_cpu", "turn_cpu")
PLAN = Plan(
    size=Size(seconds=0.2, least=400, calls=0, at_once=(32,), crowds={}, spread_seconds=0, idle=0),
    rounds=9,
    most_seconds=38,
    fronts=(REFERENCE, "ours"),
    scenarios=("blocking", "streams", "sockets"),
)


async def check(folder: Path, *, write: bool) -> int:
    """Measure, print, and return the exit code."""
    table = await measure(PLAN, folder)
    found = {name: 1 / statistics.median(table.ratios(name, "ours")) for name in GATED}
    if write:
        COMMITTED.write_text(json.dumps(found, indent=2) + "\n")
    committed: dict[str, float] = json.loads(COMMITTED.read_text())
    low = too_low(found, committed)
    print("the bare relay's part of our CPU: 1 is as cheap, less is dearer")
    for name, ratio in found.items():
        label, change = FIGURES[name].label, ratio / committed[name] - 1
        print(
            f"  {label:45} {ratio:.3f}, committed {committed[name]:.3f} ({change:+.0%})"
            f"{'  TOO LOW' if name in low else ''}"
        )
    return 1 if low else 0


def too_low(found: Mapping[str, float], committed: Mapping[str, float]) -> list[str]:
    """The figures that have become worse than is allowed."""
    return [name for name, ratio in found.items() if ratio < ALLOWED * committed[name]]
