"""What a stack costs before anybody talks: list prices times what the plan has.

`UPDATE_GOLDEN=1 python -m pytest tests/stack/test_docs.py` writes the table in docs/operations.md.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from bff.telemetry.emf import UNITS
from tests.stack.planner import Plan

HOURS = 730
CENT = Decimal("0.01")
TIMES = "\u00d7"

# us-west-2, looked up in 2026; https://aws.amazon.com/pricing
VCPU, GIGABYTE = Decimal("0.03238"), Decimal("0.00356")
BALANCER, CAPACITY, NAT = Decimal("0.0225"), Decimal("0.008"), Decimal("0.045")
ADDRESS, ENDPOINT, VALKEY = Decimal("0.005"), Decimal("0.01"), Decimal("0.084")


def _tasks(plan: Plan, prod: bool) -> Decimal:
    definition = plan.one("taskDefinition:TaskDefinition")
    cpu, memory = (Decimal(int(definition[key])) / 1024 for key in ("cpu", "memory"))
    count = int(plan.one("appautoscaling/target:Target")["minCapacity"])
    return count * (cpu * VCPU + memory * GIGABYTE) * HOURS


def _nats(plan: Plan) -> int:
    vpc = plan.one("awsx:ec2:Vpc")
    zones = int(vpc["numberOfAvailabilityZones"])
    return {"None": 0, "Single": 1, "OnePerAz": zones}[vpc["natGateways"]["strategy"]]


def _addresses(plan: Plan, prod: bool) -> Decimal:
    balancer = len(plan.one("loadBalancer:LoadBalancer")["subnets"])
    return (balancer + _nats(plan)) * ADDRESS * HOURS


def _endpoints(plan: Plan, prod: bool) -> Decimal:
    interfaces = plan.all("vpcEndpoint:VpcEndpoint")
    return sum(len(one["subnetIds"]) for one in interfaces) * ENDPOINT * HOURS


def _firewall(plan: Plan, prod: bool) -> Decimal:
    return Decimal(sum(5 + len(acl["rules"]) for acl in plan.all("webAcl:WebAcl")))


def _alarms(plan: Plan, prod: bool) -> Decimal:
    ours = sum(
        sum("metric" in query for query in alarm.inputs.get("metricQueries", ())) or 1
        for alarm in plan.all("metricAlarm:MetricAlarm")
    )
    autoscalings = 2 * len(plan.all("appautoscaling/policy:Policy"))
    return Decimal("0.10") * (ours + autoscalings)


def _count(type: str, price: str) -> Callable[[Plan, bool], Decimal]:
    return lambda plan, prod: len(plan.all(type)) * Decimal(price)


def _guess(dev: str, prod: str) -> Callable[[Plan, bool], Decimal]:
    return lambda plan, is_prod: Decimal(prod if is_prod else dev)


ROWS: list[tuple[str, str, Callable[[Plan, bool], Decimal]]] = [
    ("tasks (arm64)", f"(vCPU x {VCPU} + GB x {GIGABYTE}) x 730 x `minTasks`", _tasks),
    (
        "load balancer",
        f"{BALANCER} x 730",
        lambda plan, prod: len(plan.all("loadBalancer:LoadBalancer")) * BALANCER * HOURS,
    ),
    (
        "its capacity",
        f"prod one LCU: {CAPACITY} x 730",
        lambda plan, prod: CAPACITY * HOURS if prod else Decimal(0),
    ),
    ("NAT gateways", f"{NAT} x 730 each", lambda plan, prod: _nats(plan) * NAT * HOURS),
    ("public addresses", f"{ADDRESS} x 730 each, of balancer and NATs", _addresses),
    ("interface endpoints", f"{ENDPOINT} x 730 a service and zone", _endpoints),
    (
        "Valkey",
        f"0.1 GB x {VALKEY} x 730",
        lambda plan, prod: len(plan.all("serverlessCache:ServerlessCache")) * VALKEY * HOURS / 10,
    ),
    ("firewall", "5, and 1 a rule", _firewall),
    ("secrets", "0.40 each", _count("secretsmanager/secret:Secret", "0.40")),
    ("Container Insights", "0.07 a metric; about 40 and 60", _guess("2.80", "4.20")),
    (
        "own metrics",
        f"0.30 x {len(UNITS)}",
        lambda plan, prod: len(UNITS) * Decimal("0.30"),
    ),
    ("alarms", "0.10 a metric, of ours and of autoscaling", _alarms),
    ("dashboard", "3", _count("dashboard:Dashboard", "3")),
    ("logs", "0.50 a GB taken in; 1 and 10", _guess("0.50", "5.00")),
    ("table", "on demand; about 3 million writes in prod", _guess("0.00", "2.00")),
]


def cents(amount: Any) -> Decimal:
    return Decimal(amount).quantize(CENT, ROUND_HALF_UP)


def table(dev: Plan, prod: Plan) -> str:
    rows = [(name, sum_, cents(of(dev, False)), cents(of(prod, True))) for name, sum_, of in ROWS]
    together = [sum(row[place] for row in rows) for place in (2, 3)]  # type: ignore[misc]
    lines = ["| item | sum | dev | prod |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {sum_} | {a} | {b} |" for name, sum_, a, b in rows]
    lines.append(f"| **together** | | **{together[0]}** | **{together[1]}** |")
    return "\n".join(lines).replace(" x ", f" {TIMES} ") + "\n"
