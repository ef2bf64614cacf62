"""Every document handed to AWS, held against botocore's own models of the calls it ends in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from tests.stack.planner import make_plan
from tests.stack.reading import BOTH, Plans


def report(service: str, operation: str, parameters: dict[str, Any]) -> str:
    """What AWS's model has against the parameters; unknown members included."""
    model = botocore.session.get_session().get_service_model(service).operation_model(operation)
    assert model.input_shape is not None
    found = str(ParamValidator().validate(parameters, model.input_shape).generate_report())
    return found or "\n".join(_refused_texts(parameters, model.input_shape, operation))


def _refused_texts(value: Any, shape: Any, where: str) -> Iterator[str]:
    """What botocore leaves to the service: choices, patterns and longest texts."""
    if shape.type_name == "structure":
        for key, item in value.items():
            yield from _refused_texts(item, shape.members[key], f"{where}.{key}")
    elif shape.type_name == "list":
        for item in value:
            yield from _refused_texts(item, shape.member, f"{where}[]")
    elif shape.type_name == "map":
        for item in value.values():
            yield from _refused_texts(item, shape.value, f"{where}{{}}")
    elif shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            yield f"{where}: {value!r} is none of {shape.enum}"
        pattern = shape.metadata.get("pattern")
        # Java's classes and surrogates are not Python's.
        ours = pattern and r"\p{" not in pattern and r"\u" not in pattern
        if ours and not re.fullmatch(pattern, value):
            yield f"{where}: {value!r} does not match {pattern}"
        if len(value) > shape.metadata.get("max", len(value)):
            yield f"{where}: {value!r} is too long"


def upper(value: Any) -> Any:
    """AWS's older interfaces begin their members with a capital."""
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: upper(item) for key, item in value.items()}
    return [upper(item) for item in value] if isinstance(value, list) else value


SOME_ACL: dict[str, Any] = {
    "Name": "x",
    "Scope": "REGIONAL",
    "DefaultAction": {"Allow": {}},
    "VisibilityConfig": {
        "SampledRequestsEnabled": True,
        "CloudWatchMetricsEnabled": True,
        "MetricName": "x",
    },
}


def test_report__would_notice_a_wrong_member() -> None:
    wrong = {"family": "x", "containerDefinitions": [{"name": 1, "stopTimeOut": 5}]}

    found = report("ecs", "RegisterTaskDefinition", wrong)

    assert "stopTimeOut" in found
    assert "name" in found
    described = {"Description": "a; b"}
    assert "does not match" in report("wafv2", "CreateWebACL", {**SOME_ACL, **described})
    launched = {"serviceName": "x", "launchType": "FARGATTE"}
    assert "FARGATTE" in report("ecs", "CreateService", launched)


@BOTH
def test_task_definition__is_a_valid_call(planned: Plans, stack: str) -> None:
    task = planned(stack).one("taskDefinition:TaskDefinition")

    assert (
        report(
            "ecs",
            "RegisterTaskDefinition",
            {
                "family": task["family"],
                "containerDefinitions": json.loads(task["containerDefinitions"]),
                "cpu": task["cpu"],
                "memory": task["memory"],
                "networkMode": task["networkMode"],
                "requiresCompatibilities": task["requiresCompatibilities"],
                "runtimePlatform": task["runtimePlatform"],
                "executionRoleArn": task["executionRoleArn"],
                "taskRoleArn": task["taskRoleArn"],
            },
        )
        == ""
    )


@BOTH
def test_service__is_a_valid_call(planned: Plans, stack: str) -> None:
    service = planned(stack).one("ecs/service:Service")

    assert (
        report(
            "ecs",
            "CreateService",
            {
                "serviceName": service["name"],
                "cluster": service["cluster"],
                "taskDefinition": service["taskDefinition"],
                "launchType": service["launchType"],
                "platformVersion": service["platformVersion"],
                "desiredCount": service["desiredCount"],
                "healthCheckGracePeriodSeconds": service["healthCheckGracePeriodSeconds"],
                "availabilityZoneRebalancing": service["availabilityZoneRebalancing"],
                "enableECSManagedTags": service["enableEcsManagedTags"],
                "propagateTags": service["propagateTags"],
                "deploymentController": service["deploymentController"],
                "loadBalancers": service["loadBalancers"],
                "networkConfiguration": {
                    "awsvpcConfiguration": {
                        **service["networkConfiguration"],
                        "assignPublicIp": "ENABLED"
                        if service["networkConfiguration"]["assignPublicIp"]
                        else "DISABLED",
                    }
                },
                "deploymentConfiguration": {
                    "deploymentCircuitBreaker": service["deploymentCircuitBreaker"],
                    "alarms": service["alarms"],
                    "minimumHealthyPercent": service["deploymentMinimumHealthyPercent"],
                    "maximumPercent": service["deploymentMaximumPercent"],
                },
            },
        )
        == ""
    )


@BOTH
def test_scaling__policies_are_valid_calls(planned: Plans, stack: str) -> None:
    for policy in planned(stack).all("appautoscaling/policy:Policy"):
        tracking = upper(policy["targetTrackingScalingPolicyConfiguration"])

        assert (
            report(
                "application-autoscaling",
                "PutScalingPolicy",
                {
                    "PolicyName": policy.name,
                    "PolicyType": policy["policyType"],
                    "ServiceNamespace": policy["serviceNamespace"],
                    "ResourceId": policy["resourceId"],
                    "ScalableDimension": policy["scalableDimension"],
                    "TargetTrackingScalingPolicyConfiguration": tracking,
                },
            )
            == ""
        )


@BOTH
def test_alarms__are_valid_calls(planned: Plans, stack: str) -> None:
    for alarm in planned(stack).all("metricAlarm:MetricAlarm"):
        plain = dict(alarm.inputs)
        queries = [
            {**query, "metricStat": _metric_stat(query["metric"])} if "metric" in query else query
            for query in plain.pop("metricQueries", [])
        ]
        parameters = {upper_name(key): value for key, value in plain.items()}
        if "Dimensions" in parameters:
            parameters["Dimensions"] = _dimensions(parameters["Dimensions"])
        if queries:
            parameters["Metrics"] = [
                upper({key: value for key, value in query.items() if key != "metric"})
                for query in queries
            ]

        parameters["AlarmName"] = parameters.pop("Name")
        assert report("cloudwatch", "PutMetricAlarm", parameters) == "", alarm.name


def upper_name(key: str) -> str:
    return {"okActions": "OKActions"}.get(key, key[0].upper() + key[1:])


def _dimensions(pairs: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in pairs.items()]


def _metric_stat(metric: dict[str, Any]) -> dict[str, Any]:
    return {
        "metric": {
            "namespace": metric["namespace"],
            "metricName": metric["metricName"],
            "dimensions": _dimensions(metric["dimensions"]),
        },
        "period": metric["period"],
        "stat": metric["stat"],
    }


@BOTH
def test_dashboard__widgets_are_of_the_documented_form(planned: Plans, stack: str) -> None:
    # The body is a string in AWS's model: the form is that of
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    dashboard = planned(stack).one("dashboard:Dashboard")
    body = json.loads(dashboard["dashboardBody"])

    assert (
        report(
            "cloudwatch",
            "PutDashboard",
            {
                "DashboardName": dashboard["dashboardName"],
                "DashboardBody": dashboard["dashboardBody"],
            },
        )
        == ""
    )
    for widget in body["widgets"]:
        properties = widget["properties"]
        assert widget["type"] in {"metric", "log", "alarm"}
        assert 1 <= widget["width"] <= 24
        if widget["type"] == "metric":
            assert {"region", "title", "metrics", "stat", "period"} <= set(properties)
            for metric in properties["metrics"]:
                *names, options = metric if isinstance(metric[-1], dict) else [*metric, {}]
                assert len(names) % 2 == 0
                assert all(isinstance(name, str) for name in names)
                assert set(options) <= {"stat", "label", "color", "yAxis", "visible"}


@BOTH
def test_policies__are_valid_documents(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    documents = [
        *(role["assumeRolePolicy"] for role in plan.all("iam/role:Role")),
        *(policy["policy"] for policy in plan.all("rolePolicy:RolePolicy")),
        *(policy["policy"] for policy in plan.all("bucketPolicy:BucketPolicy")),
    ]

    for document in map(json.loads, documents):
        assert document["Version"] == "2012-10-17"
        for statement in document["Statement"]:
            assert set(statement) <= {
                *("Effect", "Action", "Resource", "Principal", "Condition"),
            }
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert re.fullmatch(r"[a-z0-9-]+:(\*|[A-Z][A-Za-z]+)", action), action


@BOTH
def test_actions__exist_in_the_services_they_name(planned: Plans, stack: str) -> None:
    session = botocore.session.get_session()
    granted = {
        action
        for policy in planned(stack).all("rolePolicy:RolePolicy")
        for statement in json.loads(policy["policy"])["Statement"]
        for action in statement["Action"]
    }
    # A transaction's check of a condition is an action of its own, without a call.
    granted.discard("dynamodb:ConditionCheckItem")
    if "s3:ListBucket" in granted:  # S3 names what allows its calls in its own way
        granted = granted - {"s3:ListBucket"} | {"s3:ListObjectsV2"}

    for action in granted:
        service, _, operation = action.partition(":")
        operations = session.get_service_model(service).operation_names
        assert operation in operations, action


@BOTH
def test_lifecycle_policy__is_a_valid_call(planned: Plans, stack: str) -> None:
    policy = planned(stack).one("lifecyclePolicy:LifecyclePolicy")

    assert (
        report(
            "ecr",
            "PutLifecyclePolicy",
            {"repositoryName": policy["repository"], "lifecyclePolicyText": policy["policy"]},
        )
        == ""
    )


def test_firewall__is_a_valid_call() -> None:
    acl = make_plan("prod").one("webAcl:WebAcl")
    renamed = {
        "cloudwatchMetricsEnabled": "CloudWatchMetricsEnabled",
        "evaluationWindowSec": "EvaluationWindowSec",
    }

    def spelled(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                renamed.get(key, key[0].upper() + key[1:]): spelled(item)
                for key, item in value.items()
            }
        return [spelled(item) for item in value] if isinstance(value, list) else value

    assert (
        report(
            "wafv2",
            "CreateWebACL",
            {
                "Name": "bff",
                "Scope": acl["scope"],
                "Description": acl["description"],
                "DefaultAction": spelled(acl["defaultAction"]),
                "Rules": spelled(acl["rules"]),
                "VisibilityConfig": spelled(acl["visibilityConfig"]),
            },
        )
        == ""
    )


@BOTH
def test_target_group__is_a_valid_call(planned: Plans, stack: str) -> None:
    group = planned(stack).one("targetGroup:TargetGroup")
    check = group["healthCheck"]

    assert (
        report(
            "elbv2",
            "CreateTargetGroup",
            {
                "Name": "bff",
                "Port": group["port"],
                "Protocol": group["protocol"],
                "TargetType": group["targetType"],
                "VpcId": group["vpcId"],
                "HealthCheckEnabled": check["enabled"],
                "HealthCheckProtocol": check["protocol"],
                "HealthCheckPath": check["path"],
                "HealthCheckIntervalSeconds": check["interval"],
                "HealthCheckTimeoutSeconds": check["timeout"],
                "HealthyThresholdCount": check["healthyThreshold"],
                "UnhealthyThresholdCount": check["unhealthyThreshold"],
                "Matcher": {"HttpCode": check["matcher"]},
            },
        )
        == ""
    )


def test_cache__is_a_valid_call() -> None:
    cache = make_plan("prod").one("serverlessCache:ServerlessCache")
    limits = cache["cacheUsageLimits"]

    assert (
        report(
            "elasticache",
            "CreateServerlessCache",
            {
                "ServerlessCacheName": cache["name"],
                "Description": cache["description"],
                "Engine": cache["engine"],
                "MajorEngineVersion": cache["majorEngineVersion"],
                "SubnetIds": cache["subnetIds"],
                "SecurityGroupIds": cache["securityGroupIds"],
                "SnapshotRetentionLimit": cache["snapshotRetentionLimit"],
                "CacheUsageLimits": {
                    "DataStorage": upper(limits["dataStorage"]),
                    "ECPUPerSecond": upper(limits["ecpuPerSeconds"][0]),
                },
            },
        )
        == ""
    )
