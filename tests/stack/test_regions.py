"""Two stacks in two regions: what the second shares, what the first makes ready."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stack.planner import ACCOUNT, Plan, make_plan
from tests.stack.reading import container
from tests.stack.test_config import problems


def second_region(**answers: Any) -> Plan:
    return make_plan("prod-eu-west-1", {"aws:region": "eu-west-1", "primary": "prod"}, **answers)


def test_second_region__shares_name_table_and_secrets() -> None:
    def live(args: dict[str, Any]) -> dict[str, Any]:
        urn = "urn:pulumi:prod::agentcore-bff::bff:stack:X$aws:{}::{}"
        table = {"arn": f"arn:aws:dynamodb:us-west-2:{ACCOUNT}:table/bff-1", "streamEnabled": True}
        secret = f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:secret:bff-"
        if not args["stackName"].endswith("/prod"):
            return {"outputs": {}}
        return {
            "outputs": {
                urn.format("dynamodb/table:Table", "bff"): {"outputs": table},
                **{
                    urn.format("secretsmanager/secret:Secret", f"bff-{part}"): {
                        "outputs": {"arn": f"{secret}{part}-1"}
                    }
                    for part in ("jwt", "keys")
                },
            }
        }

    plan = second_region(
        answers={
            "pulumi:pulumi:readStackOutputs": {"outputs": {"clusterArn": "x"}},
            "pulumi:pulumi:readStackResourceOutputs": live,
        }
    )

    replica = plan.one("tableReplica:TableReplica")
    assert replica["globalTableArn"] == f"arn:aws:dynamodb:us-west-2:{ACCOUNT}:table/bff-1"
    assert plan.all("dynamodb/table:Table") == []
    record = plan.one("record:Record", "bff-chat.example.com")
    assert record["failoverRoutingPolicies"] == [{"type": "SECONDARY"}]
    assert record["setIdentifier"] == "prod-eu-west-1"
    check = plan.one("healthCheck:HealthCheck")
    assert (check["type"], check["resourcePath"]) == ("HTTPS", "/health")
    secrets = {pair["name"]: pair["valueFrom"] for pair in container(plan)["secrets"]}
    assert secrets["JWT_SECRET"] == f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:bff-jwt-1"


def test_second_region__previews_before_the_first_is_there_and_says_so() -> None:
    plan = second_region(preview=True)

    assert len(plan.all("tableReplica:TableReplica")) == 1
    assert "`pulumi up -s prod` comes first" in " ".join(plan.warnings)


def test_first_region__is_made_ready_for_the_second() -> None:
    plan = make_plan("prod", {"secondary": "prod-eu-west-1"})

    assert plan.one("dynamodb/table:Table")["streamViewType"] == "NEW_AND_OLD_IMAGES"
    secrets = plan.all("secretsmanager/secret:Secret")
    assert [secret["replicas"] for secret in secrets] == [[{"region": "eu-west-1"}]] * 2
    record = plan.one("record:Record", "bff-chat.example.com")
    assert record["failoverRoutingPolicies"] == [{"type": "PRIMARY"}]


@pytest.mark.parametrize(
    ("stack", "config", "key"),
    [
        ("dev", {"primary": "prod"}, "primary"),
        ("prod-eu", {"primary": "prod"}, "primary"),
        ("prod", {"secondary": "prod-us-west-2"}, "secondary"),
        ("prod", {"secondary": "prod-eu-west-1", "internal": True}, "secondary"),
    ],
)
def test_regions__what_cannot_fail_over_is_refused(
    stack: str, config: dict[str, Any], key: str
) -> None:
    assert key in {line.partition(":")[0] for line in problems(stack, config)}
