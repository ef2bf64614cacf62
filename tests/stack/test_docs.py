from __future__ import annotations

import os
import re
from decimal import Decimal

from stack import trace_variables
from stack.environment import OWNED
from tests.stack import costs
from tests.stack.planner import ROOT, Plan
from tests.stack.test_alarms import alarms

STACK = (ROOT / "docs/stack.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def test_outputs__documented_each(prod: Plan) -> None:
    page = STACK.partition("## Outputs")[2].partition("\n## ")[0]

    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == set(prod.outputs)


def test_alarms__documented_each(prod: Plan) -> None:
    page = OPERATIONS.partition("## Read the alarms")[2].partition("\n## ")[0]

    assert set(re.findall(r"^\| `([\w-]+)` \|", page, re.M)) == set(alarms(prod))


def test_costs__are_the_plans(dev: Plan, prod: Plan) -> None:
    before, heading, rest = OPERATIONS.partition("## What it costs")
    page = rest.partition("\n## ")[0]
    written = "\n".join(line for line in page.splitlines() if line.startswith("|")) + "\n"
    now = costs.table(dev, prod)

    if os.environ.get("UPDATE_GOLDEN") and written != now:
        path = ROOT / "docs/operations.md"
        path.write_text(before + heading + rest.replace(written, now, 1))
        written = now

    assert written == now, "UPDATE_GOLDEN=1 writes it anew"
    together = re.search(r"\*\*together\*\* \| \| \*\*([\d.]+)\*\* \| \*\*([\d.]+)\*\*", now)
    assert together
    assert Decimal(together[1]) / Decimal(together[2]) < Decimal("0.36")


def test_defaults__in_the_table_are_the_stacks(dev: Plan, prod: Plan) -> None:
    rows = {
        key: (dev_default.strip("` "), prod_default.strip("` "))
        for key, dev_default, prod_default in re.findall(
            r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", STACK, re.M
        )
    }
    tasks = [plan.one("taskDefinition:TaskDefinition") for plan in (dev, prod)]
    targets = [plan.one("appautoscaling/target:Target") for plan in (dev, prod)]
    groups = [plan.one("targetGroup:TargetGroup") for plan in (dev, prod)]

    assert rows["cpu"] == tuple(task["cpu"] for task in tasks)
    assert rows["memory"] == tuple(task["memory"] for task in tasks)
    assert rows["minTasks"] == tuple(str(target["minCapacity"]) for target in targets)
    assert rows["maxTasks"] == tuple(str(target["maxCapacity"]) for target in targets)
    assert rows["deregistrationDelay"] == tuple(str(g["deregistrationDelay"]) for g in groups)


def test_opentelemetry__every_variable_that_is_read_is_named() -> None:
    page = (ROOT / "docs/metrics.md").read_text().partition("## Traces")[2]
    named = {name for name in re.findall(r"`(OTEL_[A-Z_]+)`", page) if name[-1] != "_"}
    read = {name for name in trace_variables.READ if "OTLP_TRACES_" not in name}

    assert named - OWNED.keys() == read
