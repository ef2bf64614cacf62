"""That the benchmarks measure what they say; the figures themselves are no test's business."""

from __future__ import annotations

import json
import os
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.agentcore import Answer
from benchmarks.calls import COMMITTED as COUNTS
from benchmarks.calls import FIGURES as COUNTED
from benchmarks.calls import counted, too_high
from benchmarks.gate import COMMITTED, GATED, too_low
from benchmarks.measuring import FRESH, SCENARIOS, Plan, measure, parts
from benchmarks.report import FIGURES
from benchmarks.scenarios import BLOCKING, Marks, Size
from benchmarks.targets import Targets

TINY = Size(
    seconds=0.05,
    least=3,
    calls=2,
    at_once=(2,),
    crowds={4: Answer(events=2, pause_ms=1, stamped=True)},
    spread_seconds=0,
    idle=2,
)


def kind(figure: str) -> str:
    """A figure's name without how many were at once."""
    return figure.rstrip("0123456789")


async def test_every_scenario__can_be_done_to_ours_and_to_the_peers(
    tmp_path: Path,
) -> None:
    fronts = ("raw", "probe", "fastapi", "ours")
    lean = [name for name in SCENARIOS if name not in FRESH]  # those start every front anew

    table = await measure(Plan(TINY, 1, fronts, lean), tmp_path)

    assert {kind(name) for name in table.values} <= {kind(name) for name in FIGURES}
    for name in table.values:
        assert [front for front in fronts if not table.known(name, front)] == [], name


def test_crowds__are_failed_one_by_one() -> None:
    crowds = {4: Answer(events=2), 8: Answer(events=2)}
    plan = Plan(replace(TINY, crowds=crowds), 1, ["raw"], ["streams", "crowd"])

    done = list(parts(plan))

    assert [name for name, _ in done] == ["streams", "crowd", "crowd"]
    assert [size.crowds for _, size in done[1:]] == [{4: crowds[4]}, {8: crowds[8]}]


async def test_editions__answer_with_a_server_of_their_own(tmp_path: Path) -> None:
    before = dict(os.environ)
    async with AsyncExitStack() as stack:
        targets = Targets(stack, tmp_path)
        await targets.open()
        for name in ("ours+valkey", "ours+dynamodb"):
            async with targets.front(name) as front:
                with front.client() as client:
                    await client.call(BLOCKING)
            log = (tmp_path / f"{name}.log").read_text()
            assert '"level":"ERROR"' not in log  # a turn that is not written costs less
    assert dict(os.environ) == before  # the next program that is started here is none of theirs


async def test_memory__is_that_of_a_front_of_its_own(tmp_path: Path) -> None:
    table = await measure(Plan(TINY, 1, ["raw"], sorted(FRESH)), tmp_path)

    assert table.values.keys() == {"stream_kib", "socket_kib"}


def test_every_figure_that_is_gated__is_one_and_is_committed() -> None:
    assert set(GATED) <= FIGURES.keys()
    assert json.loads(COMMITTED.read_text()).keys() == set(GATED)


@pytest.mark.parametrize(("found", "low"), [(1.0, []), (0.81, []), (0.79, ["turn_cpu"])])
def test_the_gate__lets_a_fifth_pass_and_no_more(found: float, low: list[str]) -> None:
    assert too_low({"turn_cpu": found}, {"turn_cpu": 1.0}) == low


@pytest.mark.parametrize(("found", "high"), [(1.0, []), (1.25, []), (1.26, ["turn"])])
def test_counts__may_grow_by_a_quarter_and_no_more(found: float, high: list[str]) -> None:
    assert too_high({"turn": found, "new": 9.0}, {"turn": 1.0}) == high


def test_every_count__is_committed_for_each_python_that_has_any() -> None:
    committed = json.loads(COUNTS.read_text())

    assert committed
    assert all(counts.keys() == COUNTED.keys() for counts in committed.values())


async def test_calls_and_bytes__are_counted_in_the_service_as_it_is_started(tmp_path: Path) -> None:
    found = await counted(tmp_path, repeated=3)

    assert found.keys() == COUNTED.keys()
    assert found["answer"] > 10 * found["burst_event"] > 0
    assert 10_000 < found["socket_bytes"] < found["stream_bytes"] < 40_000


@pytest.mark.parametrize("cut", range(1, 13))
def test_marks__are_counted_wherever_the_body_is_cut(cut: int) -> None:
    body = b"event: x\nevent: xevent: "
    marks = Marks(b"event: x", until=2)

    for start in range(0, len(body), cut):
        marks(body[start : start + cut])

    assert marks.count == 2
    assert marks.reached.is_set()
