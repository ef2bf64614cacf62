"""What happens to a stack that is live: rotations, swaps of names, shifts of traffic, its end."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml

from tests.stack.engine.conftest import Deploy
from tests.stack.engine.engine import Engine, LiveStack
from tests.stack.planner import ROOT

RECORD = "aws:route53/record:Record::"
NEW, OLD = "new.example.com", "old.example.com"


@pytest.fixture(scope="module")
def prod(deploy: Deploy) -> LiveStack:
    return deploy("prod-live", {"domainName": "live.example.com"})


def test_rotation__is_never_undone(engine: Engine, deploy: Deploy) -> None:
    stack = deploy("dev-rotated")
    first = engine.cloud.current("bff-keys")
    for value in ("second:1", "third:2"):
        engine.cloud.rotate("bff-keys", value)

    refreshed = stack.refresh()
    applied = stack.up()

    assert (refreshed.ok, applied.ok) == (True, True), applied.text
    assert first not in ("third:2", engine.cloud.current("bff-keys"))
    assert engine.cloud.current("bff-keys") == "third:2"
    # However its version got lost: made again, it is not current.
    version = next(key for key in engine.cloud.resources if "secretVersion" in key[0])
    for _, id in [key for key in engine.cloud.resources if key[0] == version[0]]:
        del engine.cloud.resources[version[0], id]
    assert stack.refresh().ok
    assert stack.up().ok
    assert engine.cloud.current("bff-keys") == "third:2"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"aws:region": "eu-west-1"}, "aws:region"),
        ({"aws:allowedAccountIds": ["210987654321"]}, "aws:allowedAccountIds"),
        ({"vpcCidr": "10.1.0.0/16"}, "vpcCidr"),
        (
            {
                "vpcId": "vpc-0123456789abcdef0",
                "publicSubnetIds": ["subnet-0000000a", "subnet-0000000b"],
                "privateSubnetIds": ["subnet-1111111a", "subnet-1111111b"],
                "vpcEndpoints": False,
            },
            "vpcId",
        ),
        ({"internal": True}, "internal"),
        ({"hostedZoneName": "example.org", "domainName": "live.example.org"}, "hostedZoneName"),
        ({"domainName": "other.example.com"}, "domainName"),
        ({"memoryId": "chats-0123456789"}, "memoryId"),
        ({"capacity": "mixed"}, "capacity"),
    ],
)
def test_live_prod__what_would_break_it_is_refused_with_the_way(
    prod: LiveStack, change: dict[str, Any], key: str
) -> None:
    outcome = prod.preview(change)

    assert not outcome.ok
    assert f"{key}: got" in outcome.errors or f"{key}: set" in outcome.errors
    assert outcome.changes == {}


def test_drift__is_found_by_the_nightly_command_without_reading_a_secret(
    engine: Engine, deploy: Deploy
) -> None:
    stack = deploy("dev-drift")
    jobs = yaml.safe_load((ROOT / ".github/workflows/drift.yml").read_text())["jobs"]
    (command,) = (step["run"] for step in jobs["drift"]["steps"] if "run" in step)
    _, *nightly = shlex.split(command.replace("--stack prod", f"--stack {stack.name}"))
    nightly += ["--config-file", str(stack.write(stack.config))]
    engine.cloud.unreadable.add("secretVersion")

    nothing = engine.run(*nightly, check=False)
    balancers = engine.cloud.all("lb/loadBalancer:LoadBalancer")
    balancers[-1]["idleTimeout"] = 5  # by hand
    found = engine.run(*nightly, check=False)
    engine.cloud.unreadable.clear()

    assert nothing.returncode == 0, nothing.stdout + nothing.stderr
    assert "no changes were expected" in found.stdout + found.stderr


def test_zones__may_grow_and_not_shrink(deploy: Deploy) -> None:
    stack = deploy("dev-zones", {"availabilityZones": 3})

    assert (
        "availabilityZones: got 2, the live network has 3"
        in stack.preview({"availabilityZones": 2}).errors
    )
    grown = stack.preview({"availabilityZones": 4})
    assert grown.ok, grown.text
    assert (grown.replaced, grown.deleted) == (
        [step for step in grown.replaced if "TaskDefinition" in step],
        [],
    )


def test_ipv6_and_schedule__end_in_the_documented_steps(engine: Engine, deploy: Deploy) -> None:
    closed = {"cron": "0 20 * * *", "timezone": "UTC", "minTasks": 0, "maxTasks": 0}
    stack = deploy("dev-dual", {"ipv6": True, "schedule": [closed]})
    without = {key: value for key, value in stack.config.items() if key != "schedule"}

    refused = stack.preview({"ipv6": False})
    balancers = engine.cloud.all("lb/loadBalancer:LoadBalancer")
    (dual,) = (state for state in balancers if state.get("ipAddressType") == "dualstack")
    dual["ipAddressType"] = "ipv4"  # aws elbv2 set-ip-address-type
    (bounds,) = (
        state
        for state in engine.cloud.all("appautoscaling/target:Target")
        if "dev-dual" in state["resourceId"]
    )
    bounds |= {"minCapacity": 0, "maxCapacity": 0}  # the clock struck
    refreshed = stack.refresh()
    applied = stack.up({**without, "ipv6": False})

    assert "ipv6: got false, and AWS gives a dual-stack load balancer" in refused.errors
    assert (refreshed.ok, applied.ok) == (True, True), applied.text
    assert not [step for step in applied.replaced if "loadBalancer:" in step]
    targets = engine.cloud.all("appautoscaling/target:Target")
    assert {target["minCapacity"] for target in targets if "dev-dual" in target["resourceId"]} == {
        1
    }


def test_domain__is_swapped_without_an_end_of_either_name(engine: Engine, deploy: Deploy) -> None:
    stack = deploy("prod-swap", {"domainName": OLD})

    def names() -> set[str]:
        records = engine.cloud.all("route53/record:Record")
        return {record["name"] for record in records if record["type"] == "A"} & {NEW, OLD}

    steps: list[tuple[dict[str, Any], set[str]]] = [
        ({"extraDomains": [NEW]}, {OLD, NEW}),
        ({"domainName": NEW, "extraDomains": [OLD]}, {OLD, NEW}),
        ({"extraDomains": []}, {NEW}),
    ]
    for change, served in steps:
        outcome = stack.up({**stack.config, **change})

        assert outcome.ok, outcome.text
        assert names() == served
        lost = [step for step in outcome.replaced + outcome.deleted if RECORD in step]
        assert len(lost) == (0 if served == {OLD, NEW} else 2)  # its alias and its proof
        assert not [step for step in outcome.replaced if "listener" in step.lower()]


def test_shifted_traffic__is_no_drift(engine: Engine, deploy: Deploy) -> None:
    stack = deploy("dev-shift", {"deployment": "canary"})
    service = next(s for s in engine.cloud.all("ecs/service:Service") if "dev-shift" in s["name"])
    (target,) = service["loadBalancers"]
    advanced = target["advancedConfiguration"]
    green, blue = advanced["alternateTargetGroupArn"], target["targetGroupArn"]
    rule = next(
        rule
        for rule in engine.cloud.all("lb/listenerRule:ListenerRule")
        if green in str(rule["actions"])
    )

    # What ECS does at the end of a deployment.
    target["targetGroupArn"], advanced["alternateTargetGroupArn"] = green, blue
    for group in rule["actions"][0]["forward"]["targetGroups"]:
        group["weight"] = 100 if group["arn"] == green else 0

    nightly = engine.run(
        *("preview", "--refresh", "--expect-no-changes", "--stack", stack.name),
        *("--config-file", str(stack.write(stack.config))),
        check=False,
    )
    assert nightly.returncode == 0, nightly.stdout + nightly.stderr
    assert stack.refresh().ok
    after = stack.preview()
    assert after.ok, after.text
    assert after.changes == {}
    # And a deployment then goes on from there.
    changed = stack.preview({"cpu": 512, "memory": 1024})
    assert changed.of("update") == ["aws:ecs/service:Service::bff (taskDefinition)"]
    assert "deployment: got rolling" in stack.preview({"deployment": "rolling"}).errors
    # In front of another listener, too, those are served who are in use.
    named = {"domainName": "shift.example.com", "hostedZoneName": "example.com"}
    moved = stack.up({**stack.config, **named})
    assert moved.ok, moved.text
    assert stack.preview().changes == {}
    (target,) = next(
        s["loadBalancers"]
        for s in engine.cloud.all("ecs/service:Service")
        if "dev-shift" in s["name"]
    )
    rules = engine.cloud.all("lb/listenerRule:ListenerRule")
    (rule,) = (rule for rule in rules if green in str(rule["actions"]))
    assert target["targetGroupArn"] == green
    assert target["advancedConfiguration"]["productionListenerRule"] == rule["arn"]
    weights = {g["arn"]: g["weight"] for g in rule["actions"][0]["forward"]["targetGroups"]}
    assert weights == {green: 100, blue: 0}


def test_tear_down__of_prod_in_the_documented_steps(engine: Engine, deploy: Deploy) -> None:
    stack = deploy("prod-gone", {"domainName": "gone.example.com", "files": True})
    engine.cloud.fill()

    engine.run("state", "unprotect", "--all", "--yes", "--stack", stack.name)
    for state in engine.cloud.resources.values():
        for switch in ("enableDeletionProtection", "deletionProtectionEnabled"):
            if switch in state:
                state[switch] = False  # by the two commands of docs/operations.md
    engine.cloud.full = {name for name in engine.cloud.full if "files" not in name}  # emptied
    outcome = stack.destroy()

    assert outcome.ok, outcome.text
    assert stack.state() == []


def test_second_region__after_the_first_is_ready(engine: Engine, deploy: Deploy) -> None:
    first = deploy("prod-first", {"domainName": "two.example.com"})
    both = {**first.config, "aws:region": "eu-west-1", "primary": "prod-first"}
    second = engine.stack("prod-eu-west-1", both)

    early = second.up()
    assert not early.ok
    assert "does not share its table yet" in early.errors
    ready = first.up({**first.config, "secondary": "prod-eu-west-1"})
    assert ready.ok, ready.text
    assert not [step for step in ready.replaced + ready.deleted if RECORD in step]
    assert first.preview({"secondary": None}).ok
    late = second.up()
    assert late.ok, late.text
    for other in (None, "prod-us-east-1"):
        refused = first.preview({"secondary": other})
        assert f"secondary: got {other or 'none'}, and the copies" in refused.errors
        assert refused.changes == {}

    records = [r for r in engine.cloud.all("route53/record:Record") if r["type"] == "A"]
    pair = [record for record in records if record["name"] == "two.example.com"]
    assert {r["failoverRoutingPolicies"][0]["type"] for r in pair} == {"PRIMARY", "SECONDARY"}
    table = next(t for t in engine.cloud.all("dynamodb/table:Table") if t.get("streamEnabled"))
    (replica,) = engine.cloud.all("dynamodb/tableReplica:TableReplica")
    assert replica["globalTableArn"] == table["arn"]
    assert second.preview().changes == {}

    # The first region is lost, with the state of its stack.
    engine.run("stack", "rm", "--force", "--yes", first.name)
    alone = second.up({**both, "minTasks": 3})
    assert alone.ok, alone.text
    assert (alone.created, alone.replaced, alone.deleted) == ([], [], [])
    assert second.preview().changes == {}
    (kept,) = engine.cloud.all("dynamodb/tableReplica:TableReplica")
    assert kept == replica
    without = second.preview({"primary": None})
    assert "primary: got none" in without.errors
    assert without.changes == {}


def test_another_name__takes_over_table_and_keys(engine: Engine, deploy: Deploy) -> None:
    old = deploy("prod-old", {"domainName": "former.example.com"})
    new = engine.stack("prod-new", {**old.config, "domainName": "latter.example.com"})
    table = next(r for r in old.state() if r["type"] == "aws:dynamodb/table:Table")
    keys = next(r for r in old.state() if r["urn"].endswith("secret:Secret::bff-keys"))

    engine.run(
        *("state", "move", "--source", old.name, "--dest", new.name, "--include-parents", "--yes"),
        *(
            f"urn:pulumi:{old.name}::agentcore-bff::bff:stack:{part}::bff"
            for part in ("Storage", "Credentials")
        ),
    )
    outcome = new.up()

    assert outcome.ok, outcome.text
    now = {resource["urn"]: resource.get("id") for resource in new.state()}
    for moved in (table, keys):
        assert now[moved["urn"].replace(old.name, new.name)] == moved["id"]
    assert new.preview().changes == {}
