"""What the keys of section 6 make of the plan, but for what tasks are told."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest

from bff.settings import Settings
from bff.telemetry.traces import open_tracing
from stack import trace_variables
from tests.stack.planner import ACCOUNT, DIGEST, make_plan
from tests.stack.reading import allowed, container, variables
from tests.stack.test_aws_models import report
from tests.stack.test_config import problems

SECRET = f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:secret:team/redis-AbCdEf"
CERTIFICATE = f"arn:aws:acm:us-west-2:{ACCOUNT}:certificate/0f1e2d3c"

# The provider -----------------------------------------------------------------------------------


def test_provider__gets_every_key_of_its_own() -> None:
    roles = [{"roleArn": "arn:aws:iam::210987654321:role/deploy"}]

    plan = make_plan(
        "dev",
        {
            "aws:allowedAccountIds": [int(ACCOUNT)],
            "aws:assumeRoles": roles,
            "aws:defaultTags": {"tags": {"CostCenter": "42"}},
            "aws:profile": "team",
            "aws:skipMetadataApiCheck": True,
            "tags": {"Team": "chat", "ManagedBy": "us"},
        },
    )

    provider = plan.one("pulumi:providers:aws")
    assert json.loads(provider["allowedAccountIds"]) == [ACCOUNT]
    assert json.loads(provider["assumeRoles"]) == roles
    assert provider["profile"] == "team"
    assert json.loads(provider["defaultTags"])["tags"] == {
        **{"Project": "agentcore-bff", "Environment": "dev"},
        **{"ManagedBy": "us", "Team": "chat", "CostCenter": "42"},
    }


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("aws:allowedAccounts", [ACCOUNT], "unknown"),
        ("aws:allowedAccountIds", ["12"], "account ids of 12 digits"),
        ("aws:defaultTags", {"Team": "chat"}, "takes {tags: {KEY: VALUE}}"),
        ("aws:defaultTags", ["chat"], "takes {tags: {KEY: VALUE}}"),
        ("aws:defaultTags", {"tags": {"Team": "R&D"}}, "letters, digits, spaces"),
    ],
)
def test_provider__a_key_that_it_has_not_is_refused(key: str, value: Any, why: str) -> None:
    (line,) = problems("dev", {key: value})

    assert line.startswith(f"{key}: ")
    assert why in line


def test_boundary__is_on_every_role() -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"

    plan = make_plan("prod", {"permissionsBoundaryArn": boundary, "deployment": "canary"})

    roles = plan.all("iam/role:Role")
    assert len(roles) == 4
    assert {role["permissionsBoundary"] for role in roles} == {boundary}


# Names ------------------------------------------------------------------------------------------


def test_extra_domains__are_proven_pointed_and_allowed() -> None:
    plan = make_plan("prod", {"extraDomains": ["www.example.com", "api.example.com"]})

    certificate = plan.one("acm/certificate:Certificate")
    names = ["chat.example.com", "www.example.com", "api.example.com"]
    assert certificate["subjectAlternativeNames"] == names[1:]
    assert variables(plan)["ALLOWED_HOSTS"] == ",".join(names)
    for name in names:
        assert plan.one("record:Record", f"bff-{name}")["name"] == name
        assert plan.one("record:Record", f"bff-proof-{name}")["name"] == f"_proof.{name}"


def test_own_certificate__needs_no_zone_and_says_what_to_point_at() -> None:
    plan = make_plan("prod", {"certificateArn": CERTIFICATE}, without=("hostedZoneName",))

    assert plan.all("route53") == plan.all("acm/certificate:Certificate") == []
    assert plan.all("record:Record") == []
    assert plan.one("listener:Listener", "bff-https")["certificateArn"] == CERTIFICATE
    assert plan.outputs["dnsTarget"] == plan.outputs["loadBalancerDns"]
    assert "aws:route53/getZone:getZone" not in plan.looked_up


def test_dns_role__makes_the_records_and_nothing_else() -> None:
    plan = make_plan("prod", {"dnsRoleArn": "arn:aws:iam::210987654321:role/dns"})

    for resource in plan.resources:
        if resource.type.startswith("aws:"):
            name = "dns" if "route53" in resource.type else "aws"
            assert resource.provider == f"pulumi:providers:aws::{name}", resource.key


def test_https_redirect__comes_after_https_and_the_names() -> None:
    redirect = make_plan("prod").one("listener:Listener", "bff-http")

    assert {
        "aws:lb/listener:Listener::bff-https",
        "aws:route53/record:Record::bff-chat.example.com",
    } <= redirect.depends_on


def test_internal__is_in_private_subnets_for_private_networks() -> None:
    plan = make_plan("dev", {"internal": True})

    balancer = plan.one("loadBalancer:LoadBalancer")
    assert balancer["internal"] is True
    assert balancer["subnets"] == ["subnet-1111111a", "subnet-1111111b"]
    assert variables(plan)["TRUSTED_PROXIES"] == "10.0.16.0/20,10.0.32.0/20"
    clients = {
        rule["cidrIpv4"]
        for rule in plan.all("IngressRule:SecurityGroupIngressRule")
        if "cidrIpv4" in rule.inputs
    }
    assert clients == {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"}


def test_ipv6__dual_stack_with_records_of_both_kinds() -> None:
    answers = {"aws:ec2/getSubnet:getSubnet": {"availabilityZone": "us-west-2a"}}
    plan = make_plan("prod", {"ipv6": True}, answers=answers, preview=True)

    assert plan.one("loadBalancer:LoadBalancer")["ipAddressType"] == "dualstack"
    assert plan.one("record:Record", "bff-chat.example.com-ipv6")["type"] == "AAAA"
    world = [r for r in plan.all("IngressRule:SecurityGroupIngressRule") if "cidrIpv6" in r.inputs]
    assert {(rule["cidrIpv6"], rule["fromPort"]) for rule in world} == {("::/0", 80), ("::/0", 443)}


def test_network__block_and_zones() -> None:
    vpc = make_plan("dev", {"vpcCidr": "10.20.0.0/18", "availabilityZones": 3}).one("awsx:ec2:Vpc")

    assert vpc["cidrBlock"] == "10.20.0.0/18"
    assert vpc["numberOfAvailabilityZones"] == 3
    assert [len(spec["cidrBlocks"]) for spec in vpc["subnetSpecs"]] == [3, 3, 3]


# Seeing into it ---------------------------------------------------------------------------------


def test_cache__is_in_three_zones_at_most() -> None:
    plan = make_plan("prod", {"availabilityZones": 4})

    subnets = plan.one("elasticache/serverlessCache:ServerlessCache")["subnetIds"]
    assert 2 <= len(subnets) <= 3


def test_firewall__two_stacks_of_an_account_count_apart() -> None:
    names = set()
    for stack in ("prod", "prod-eu"):
        plan = make_plan(stack)
        name = plan.one("webAcl:WebAcl")["visibilityConfig"]["metricName"]
        (alarm,) = (a for a in plan.all("MetricAlarm") if a.name == "bff-firewall-blocks")
        assert alarm["dimensions"]["WebACL"] == name
        names.add(name)

    assert len(names) == 2


def test_otel__endpoint_headers_and_port() -> None:
    otel = {"endpoint": "https://otlp.example.com:4318", "headersSecret": SECRET}

    plan = make_plan("dev", {"otel": otel})

    assert variables(plan)["OTEL_EXPORTER_OTLP_ENDPOINT"] == otel["endpoint"]
    secrets = {pair["name"]: pair["valueFrom"] for pair in container(plan)["secrets"]}
    assert secrets["OTEL_EXPORTER_OTLP_HEADERS"] == SECRET
    rule = plan.one("EgressRule:SecurityGroupEgressRule", "bff-tasks-out-4318")
    assert (rule["fromPort"], rule["cidrIpv4"]) == (4318, "0.0.0.0/0")


def test_xray__by_a_collector_that_the_service_does_not_need() -> None:
    plan = make_plan("prod", {"otel": "xray"})

    definition = plan.one("taskDefinition:TaskDefinition")
    service, collector = json.loads(definition["containerDefinitions"])
    assert collector["essential"] is False
    assert "@sha256:" in collector["image"]
    # Containers stop in the order that they did not start in.
    assert service["dependsOn"] == [{"containerName": collector["name"], "condition": "START"}]
    told = {pair["name"]: pair["value"] for pair in service["environment"]}
    assert told["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
    assert "xray:PutTraceSegments" in json.dumps(allowed(plan, "bff-task"))
    assert not plan.all("bff-tasks-out-4318")
    assert (
        report(
            "ecs",
            "RegisterTaskDefinition",
            {"family": "x", "containerDefinitions": [service, collector]},
        )
        == ""
    )


def test_xray__by_a_collector_of_ones_own() -> None:
    image = f"210987654321.dkr.ecr.us-west-2.amazonaws.com/mirror/adot@{DIGEST}"

    plan = make_plan("dev", {"otel": "xray", "collectorImage": image})

    _, collector = json.loads(plan.one("taskDefinition:TaskDefinition")["containerDefinitions"])
    assert collector["image"] == image
    (pulled,) = [
        repositories.split()
        for repositories, actions in allowed(plan, "bff-execution").items()
        if "ecr:BatchGetImage" in actions
    ]
    assert "arn:aws:ecr:us-west-2:210987654321:repository/mirror/adot" in pulled
    assert len(pulled) == 2


def test_opentelemetry__every_variable_that_is_taken_is_one_its_sdk_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: set[str] = set()
    get = type(os.environ).__getitem__

    def noted(environ: os._Environ[str], name: str) -> str:
        asked.add(name)
        return get(environ, name)

    async def trace() -> None:
        async with open_tracing(Settings(otlp_endpoint="http://127.0.0.1:1")):
            pass

    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")  # the one that asks for its share
    monkeypatch.setattr(type(os.environ), "__getitem__", noted)
    asyncio.run(trace())

    assert trace_variables.READ.keys() <= asked


def test_exec__with_its_role_and_its_log() -> None:
    plan = make_plan("dev", {"exec": True})

    assert plan.one("ecs/service:Service")["enableExecuteCommand"] is True
    logging = plan.one("ecs/cluster:Cluster")["configuration"]["executeCommandConfiguration"]
    assert logging["logConfiguration"]["cloudWatchLogGroupName"] == "/agentcore-bff-dev-exec"
    assert container(plan)["readonlyRootFilesystem"] is False
    assert "ssmmessages:OpenDataChannel" in json.dumps(allowed(plan, "bff-task"))


def test_budget__tells_the_alarms_topic() -> None:
    plan = make_plan("prod", {"budgetUsd": 300})

    budget = plan.one("budget:Budget")
    topic = plan.outputs["alertsTopicArn"]
    assert budget["name"] == "agentcore-bff-prod"
    assert (budget["limitAmount"], budget["timeUnit"]) == ("300", "MONTHLY")
    assert all(n["subscriberSnsTopicArns"] == [topic] for n in budget["notifications"])
    (statement,) = json.loads(plan.one("topicPolicy:TopicPolicy")["policy"])["Statement"]
    assert set(statement["Principal"]["Service"]) == {
        *("budgets.amazonaws.com", "cloudwatch.amazonaws.com"),
    }


# Files ------------------------------------------------------------------------------------------


def test_files__private_encrypted_expiring_and_on_one_prefix() -> None:
    config = {"files": True, "filesRetentionDays": 7, "corsOrigins": ["https://app.example.com"]}

    plan = make_plan("prod", config)

    (bucket,) = [b for b in plan.all("s3/bucket:Bucket") if b.name == "bff-files"]
    assert bucket.protect
    block = plan.one("bucketPublicAccessBlock:BucketPublicAccessBlock", "bff-files")
    assert all(value is True for key, value in block.inputs.items() if key != "bucket")
    (rule,) = plan.one("BucketLifecycleConfiguration", "bff-files")["rules"]
    assert (rule["filter"], rule["expiration"]) == ({"prefix": "files/"}, {"days": 7})
    (cors,) = plan.one("bucketCorsConfiguration:BucketCorsConfiguration")["corsRules"]
    assert cors["allowedOrigins"] == ["https://app.example.com"]
    (denial,) = json.loads(plan.one("bucketPolicy:BucketPolicy", "bff-files")["policy"])[
        "Statement"
    ]
    assert denial["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    told = variables(plan)
    assert (told["FILES"], told["FILES_RETENTION"]) == ("s3://bucket-bff-files/files", "7d")
    assert (
        Settings.load(
            {**told, "JWT_SECRET": "x" * 64, "HISTORY": "dynamodb://table"}
        ).files_retention_seconds
        == 7 * 86400
    )
    buckets = {
        resource: actions
        for resource, actions in allowed(plan, "bff-task").items()
        if "bff-files" in resource
    }
    [objects] = [resource for resource in buckets if resource.endswith("bff-files/files/*")]
    assert buckets.pop(objects) == [
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:PutObject",
    ]
    assert list(buckets.values()) == [["s3:ListBucket"]]
    assert plan.outputs["filesBucket"] == "bucket-bff-files"


def test_files__can_be_left_out_and_are_from_dev() -> None:
    left_out: list[tuple[str, dict[str, Any]]] = [("dev", {}), ("prod", {"files": False})]
    for stack, config in left_out:
        plan = make_plan(stack, config)
        assert not {"FILES", "FILES_RETENTION"} & variables(plan).keys()
        assert not [b for b in plan.all("s3/bucket:Bucket") if b.name == "bff-files"]
        assert "filesBucket" not in plan.outputs
