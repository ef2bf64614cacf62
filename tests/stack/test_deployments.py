"""What the keys about deployments, capacity and schedules make of the plan."""

from __future__ import annotations

from typing import Any

import pytest

from stack import config_parsers
from tests.stack.planner import ACCOUNT, make_plan
from tests.stack.reading import allowed
from tests.stack.test_aws_models import report
from tests.stack.test_config import load, problems


@pytest.mark.parametrize(
    ("deployment", "more", "expected"),
    [
        ("blueGreen", {"bakeMinutes": 3}, {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": "3"}),
        (
            "linear",
            {"stepPercent": 25},
            {
                "strategy": "LINEAR",
                "bakeTimeInMinutes": "15",
                "linearConfiguration": {"stepPercent": 25, "stepBakeTimeInMinutes": "15"},
            },
        ),
        (
            "canary",
            {"canaryPercent": 5, "bakeMinutes": 10},
            {
                "strategy": "CANARY",
                "bakeTimeInMinutes": "10",
                "canaryConfiguration": {"canaryPercent": 5, "canaryBakeTimeInMinutes": "10"},
            },
        ),
    ],
)
def test_shifting__is_ecss_own_and_turned_back(
    deployment: str, more: dict[str, Any], expected: dict[str, Any]
) -> None:
    plan = make_plan("prod", {"deployment": deployment, **more})

    service, rule = plan.one("ecs/service:Service"), plan.one("listenerRule:ListenerRule")
    assert service["deploymentConfiguration"] == expected
    assert service["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    assert service["alarms"]["rollback"] is True
    (target,) = service["loadBalancers"]
    groups = [group.name for group in plan.all("targetGroup:TargetGroup")]
    assert groups == ["bff", "bff-green"]
    assert target["targetGroupArn"].endswith(":bff")
    assert target["advancedConfiguration"]["alternateTargetGroupArn"].endswith(":bff-green")
    assert target["advancedConfiguration"]["productionListenerRule"].endswith(":bff")
    assert rule.ignore_changes == ("actions",)
    assert (
        report(
            "ecs",
            "CreateService",
            {
                "serviceName": service["name"],
                "loadBalancers": service["loadBalancers"],
                "deploymentConfiguration": {
                    "strategy": expected["strategy"],
                    "bakeTimeInMinutes": int(expected["bakeTimeInMinutes"]),
                    **{
                        key: {
                            name: int(value) if name.endswith("Minutes") else float(value)
                            for name, value in part.items()
                        }
                        for key, part in expected.items()
                        if isinstance(part, dict)
                    },
                },
            },
        )
        == ""
    )


def test_shifting__metrics_look_at_both_groups() -> None:
    plan = make_plan("prod", {"deployment": "canary"})

    policy = plan.one("appautoscaling/policy:Policy", "bff-requests")
    metrics = policy["targetTrackingScalingPolicyConfiguration"]["customizedMetricSpecification"]
    assert metrics["metrics"][-1]["expression"] == "FILL(m0, 0) + FILL(m1, 0)"
    alarm = plan.one("metricAlarm:MetricAlarm", "bff-unhealthy-hosts")
    assert len(alarm["metricQueries"]) == 3


def test_shifting__role_may_move_these_targets_and_no_other() -> None:
    plan = make_plan("prod", {"deployment": "canary"})

    granted = allowed(plan, "bff-shift")
    group = f"arn:aws:lb:us-west-2:{ACCOUNT}:bff"
    assert granted[f"{group} {group}-green"] == [
        "elasticloadbalancing:DeregisterTargets",
        "elasticloadbalancing:RegisterTargets",
    ]


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("canaryPercent", {"canaryPercent": 5}),
        ("bakeMinutes", {"bakeMinutes": 5}),
        ("stepPercent", {"stepPercent": 5, "deployment": "canary"}),
    ],
)
def test_shifting__a_key_of_another_strategy_is_refused(key: str, config: dict[str, Any]) -> None:
    (line,) = problems("dev", config)

    assert line.startswith(f"{key}: set with deployment")


@pytest.mark.parametrize(
    ("capacity", "expected"),
    [
        ("spot", [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]),
        (
            "mixed",
            [
                {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
                {"capacityProvider": "FARGATE_SPOT", "weight": 3},
            ],
        ),
    ],
)
def test_capacity__in_place_of_the_launch_type(capacity: str, expected: list[Any]) -> None:
    plan = make_plan("dev", {"capacity": capacity})

    service = plan.one("ecs/service:Service")
    assert service["capacityProviderStrategies"] == expected
    assert "launchType" not in service.inputs
    assert plan.one("ClusterCapacityProviders")["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]


def test_capacity__spot_is_not_for_prod() -> None:
    (line,) = problems("prod", {"capacity": "spot"})

    assert line.startswith("capacity: ")


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 8 ? * MON-FRI *", "cron(0 8 ? * MON-FRI *)"),
        ("cron(0 8 ? * MON-FRI *)", "cron(0 8 ? * MON-FRI *)"),
        ("30 18 * * 1-5", "cron(30 18 ? * 2-6 *)"),
        ("0 0 1 * *", "cron(0 0 1 * ? *)"),
        ("*/15 * * * 0,6", "cron(*/15 * ? * 1,7 *)"),
    ],
)
def test_schedule__takes_aws_s_cron_and_everybody_elses(cron: str, expected: str) -> None:
    step = {"cron": cron, "timezone": "Europe/Berlin", "minTasks": 4, "maxTasks": 20}
    plan = make_plan("prod", {"schedule": [step]})

    action = plan.one("scheduledAction:ScheduledAction")
    assert (action["schedule"], action["timezone"]) == (expected, "Europe/Berlin")
    assert action["scalableTargetAction"] == {"minCapacity": 4, "maxCapacity": 20}
    assert plan.one("target:Target").ignore_changes == ("minCapacity", "maxCapacity")


@pytest.mark.parametrize(
    "step",
    [
        {"cron": "0 8 * *", "timezone": "UTC", "minTasks": 1, "maxTasks": 2},
        {"cron": "0 8 1 * 1", "timezone": "UTC", "minTasks": 1, "maxTasks": 2},
        {"cron": "0 8 * * 1", "timezone": "Berlin", "minTasks": 1, "maxTasks": 2},
        *(
            {"cron": "0 8 * * 1", "timezone": zone, "minTasks": 1, "maxTasks": 2}
            for zone in ("Factory", "localtime", "", ["UTC"], 1)
        ),
        {"cron": "0 8 * * 1", "timezone": "UTC", "minTasks": 3, "maxTasks": 2},
        {"cron": "0 8 * * 1", "timezone": "UTC"},
    ],
)
def test_schedule__bad_steps_are_refused(step: dict[str, Any]) -> None:
    assert [line.partition(":")[0] for line in problems("prod", {"schedule": [step]})] == [
        "schedule"
    ]


def test_schedule__on_a_machine_without_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_parsers, "available_timezones", set)
    step = {"cron": "0 8 * * 1", "minTasks": 1, "maxTasks": 2}

    for zone in ("UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+9"):
        assert load("prod", {"schedule": [{**step, "timezone": zone}]}).service.schedule
    for zone in ("Factory", "localtime", "europe/berlin", "Berlin"):
        assert problems("prod", {"schedule": [{**step, "timezone": zone}]})


def test_tasks__wait_for_the_endpoints_they_start_through() -> None:
    plan = make_plan("prod")

    endpoints = {resource.key for resource in plan.all("vpcEndpoint:VpcEndpoint")}
    assert endpoints <= plan.one("ecs/service:Service").depends_on


def test_task_definitions__stay_to_be_returned_to() -> None:
    assert make_plan("dev").one("taskDefinition:TaskDefinition")["skipDestroy"] is True


def test_image__takes_its_bases_anew() -> None:
    assert make_plan("dev").one("docker-build:index:Image")["pull"] is True
