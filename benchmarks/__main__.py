"""`make bench`: what the service costs, as ratios to the least a front can do.

    make bench                      the short form, two minutes
    make bench ARGS=full            all fronts, all figures, twenty-five minutes
    make bench ARGS=--write         and the README's table from it; with full as well
    make bench ARGS=gate            has anything become slower than what is committed?
    make bench ARGS=calls           the same without a clock, on any machine: what CI runs
    make bench ARGS=interruptions   what is lost when clients are cut and tasks are killed
    make bench ARGS=limiter         what two tasks admit together
    make bench ARGS=matching        what it costs to find the session of a long transcript
    make bench ARGS=outage          what clients see while Valkey is away
    make bench ARGS=pictures        what a picture costs until the first event
    make bench ARGS=soak            what stays behind of ten minutes of requests of every kind
    make bench ARGS=uploads         what a thousand files of 25 MB, fifty at once, cost in memory
    make bench ARGS=workers         how many processes so many cores want
    make bench ARGS="flames X.svg"  where the time goes, as a flame graph

Fronts take turns, scenario by scenario, so that a busy machine disturbs them alike. Of each figure
the median round counts; the ratio is that to `raw` in the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import calls, gate
from benchmarks.measuring import SCENARIOS, Plan, measure, tell
from benchmarks.processes import ROOT, allow_many_connections, run
from benchmarks.report import write_section
from benchmarks.scenarios import FULL, SHORT
from benchmarks.targets import FRONTS, LITELLM

README = ROOT / "README.md"

PROGRAMS = (
    *("flames", "interruptions", "limiter", "matching", "outage", "pictures", "soak", "uploads"),
    "workers",
)


def planned(options: argparse.Namespace) -> Plan:
    full = options.what == "full"
    missing = {"litellm"} if not LITELLM.exists() else set()
    if full and missing:
        tell("without LiteLLM: `make .envs/litellm/.ready` installs it")
    if not options.before:
        missing |= {front for front in FRONTS if front.startswith("before")}
    there = [front for front in FRONTS if front not in missing]
    few = ("raw", "before", "ours") if options.before else ("raw", "probe", "fastapi", "ours")
    return Plan(
        size=FULL if full else SHORT,
        rounds=options.rounds or (3 if full else 2),
        fronts=options.fronts or (there if full else few),
        scenarios=options.scenarios or list(SCENARIOS),
        before=options.before,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what", nargs="?", default="short", choices=("short", "full", "gate", "calls", *PROGRAMS)
    )
    parser.add_argument("--fronts", type=_names(FRONTS), help="some, with commas between")
    parser.add_argument("--scenarios", type=_names(SCENARIOS), help="some, with commas between")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--before", type=Path, help="another checkout, to be measured beside ours")
    parser.add_argument("--json", type=Path, help="where to write every round's figures")
    parser.add_argument("--write", action="store_true", help="the README's table anew")
    options, more = parser.parse_known_args()
    if options.what in PROGRAMS:
        sys.argv = [options.what, *more]
        runpy.run_module(f"benchmarks.{options.what}", run_name="__main__")
        return
    if more:
        parser.error(f"unknown: {' '.join(more)}")
    allow_many_connections()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        if options.what == "gate":
            sys.exit(run(gate.check(Path(name), write=options.write)))
        if options.what == "calls":
            sys.exit(run(calls.check(Path(name), write=options.write)))
        plan = planned(options)
        table = run(measure(plan, Path(name)))
    print(table.markdown(plan.fronts, spread=True))
    if options.json:
        options.json.write_text(json.dumps(table.values))
    if options.write:
        write_section(README, f"{table.markdown(plan.fronts, spread=False)}\n\n{_machine()}")


def _machine() -> str:
    day = time.strftime("%Y-%m-%d")
    return f"{os.cpu_count()} cores that ran everything, Python {platform.python_version()}, {day}."


def _names(known: Sequence[str] | Mapping[str, object]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if wrong := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"{wrong[0]} is none of {', '.join(known)}")
        return chosen

    return parse


if __name__ == "__main__":
    main()
