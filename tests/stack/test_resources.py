"""What is planned, feature by feature, options included."""

from __future__ import annotations

import ipaddress
import json
import re
import runpy
import sys
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from bff.history.dynamodb.items import INDEX, TABLE, TTL_ATTRIBUTE
from stack.network import Layout
from tests.stack.planner import ACCOUNT, DIGEST, ROOT, RUNTIME_ARN, SECRET, Plan, make_plan
from tests.stack.test_config import NETWORK

Plans = Callable[[str], Plan]
BOTH = pytest.mark.parametrize("stack", ["dev", "prod"])


def allowed(plan: Plan, role: str) -> dict[str, list[str]]:
    """Actions of a role by what they may be done to."""
    statements = json.loads(plan.one("rolePolicy:RolePolicy", role)["policy"])["Statement"]
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    return {
        resource if isinstance(resource := statement["Resource"], str) else " ".join(resource): (
            statement["Action"]
        )
        for statement in statements
    }


# Every resource ---------------------------------------------------------------------------------


@BOTH
def test_preview__plans_the_same_with_everything_unknown(planned: Plans, stack: str) -> None:
    preview = make_plan(stack, preview=True)

    assert sorted(r.key for r in preview.resources) == sorted(
        r.key for r in planned(stack).resources
    )


def test_program__runs_as_pulumi_runs_it(planned: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    # The folder by its path, from within, without the project on the path.
    monkeypatch.chdir(ROOT / "stack")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(ROOT))])

    plan = make_plan(
        "dev", program=lambda: runpy.run_path(str(ROOT / "stack"), run_name="__main__")
    )

    assert sorted(r.key for r in plan.resources) == sorted(r.key for r in planned("dev").resources)


@BOTH
def test_image_given__preview_builds_and_looks_up_no_image(stack: str) -> None:
    image = f"{ACCOUNT}.dkr.ecr.us-west-2.amazonaws.com/other/bff@{DIGEST}"

    plan = make_plan(stack, {"image": image}, preview=True)

    assert plan.all("docker-build:index:Image") == []
    assert "aws:ecr/getAuthorizationToken:getAuthorizationToken" not in plan.looked_up
    assert plan.one("ecr/repository:Repository").name == "bff"


@BOTH
def test_every_aws_resource__goes_through_the_tagging_provider(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    provider = plan.one("pulumi:providers:aws")

    tags = json.loads(provider["defaultTags"])["tags"]
    assert tags == {"Project": "agentcore-bff", "Environment": stack, "ManagedBy": "pulumi"}
    assert provider["region"] == "us-west-2"
    for resource in plan.resources:
        if resource.type.startswith("aws:"):
            assert resource.provider == "pulumi:providers:aws::aws", resource.key
    assert plan.one("awsx:ec2:Vpc").providers == {"aws": "pulumi:providers:aws::aws"}


@BOTH
def test_every_resource__hangs_under_a_component(planned: Plans, stack: str) -> None:
    components = {r.key for r in planned(stack).resources if r.type.startswith("bff:stack:")}

    for resource in planned(stack).resources:
        if resource.component or resource.type == "pulumi:providers:aws":
            continue
        assert resource.parent in components, resource.key


@BOTH
def test_protection__prod_keeps_data_and_secrets(planned: Plans, stack: str) -> None:
    protected = {resource.key for resource in planned(stack).resources if resource.protect}

    assert protected == (
        {
            "aws:dynamodb/table:Table::bff",
            "aws:ecr/repository:Repository::bff",
            "aws:s3/bucket:Bucket::bff-files",
            "aws:secretsmanager/secret:Secret::bff-jwt",
            "aws:secretsmanager/secret:Secret::bff-keys",
        }
        if stack == "prod"
        else set()
    )


@BOTH
def test_random_values__only_where_they_are_secret(planned: Plans, stack: str) -> None:
    plan = planned(stack)

    for resource in plan.resources:
        for key, value in resource.inputs.items():
            if SECRET in json.dumps(value):
                assert key in resource.secret, f"{resource.key} {key}"
    for name, value in plan.outputs.items():
        assert SECRET not in json.dumps(value) or name in plan.secret_outputs, name


@BOTH
def test_every_log_group__has_a_retention(stack: str) -> None:
    groups = make_plan(stack, {"logRetentionDays": 30}).all("logGroup:LogGroup")

    assert [group["retentionInDays"] for group in groups] == [30, 30]


@BOTH
def test_physical_names__only_what_people_type(planned: Plans, stack: str) -> None:
    named = {r.key: r["name"] for r in planned(stack).resources if "name" in r.inputs}
    ours = f"agentcore-bff-{stack}"

    named.pop("aws:elasticache/serverlessCache:ServerlessCache::bff", None)  # must have one
    named = {key: name for key, name in named.items() if "route53" not in key}
    assert named == {
        "aws:cloudwatch/logGroup:LogGroup::bff": f"/{ours}",
        "aws:ecr/repository:Repository::bff": ours,
        "aws:ecs/cluster:Cluster::bff": ours,
        "aws:ecs/service:Service::bff": ours,
    }


@BOTH
def test_generated_names__fit_into_32_characters(planned: Plans, stack: str) -> None:
    for resource in planned(stack).resources:
        if resource.type.startswith("aws:lb/"):
            assert len(resource.name) + 8 <= 32, resource.key


@BOTH
def test_group_descriptions__hold_only_what_ec2_takes(planned: Plans, stack: str) -> None:
    # The model has no pattern for it; an apostrophe is refused.
    described = [r for r in planned(stack).resources if "ecurityGroup" in r.type]

    for resource in described:
        description = resource.inputs.get("description", "")
        assert re.fullmatch(r"[0-9A-Za-z_ .:/()#,@\[\]+=&;{}!$*-]{0,255}", description), description


# Network ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "172.20.0.0/18", "192.168.16.0/20"])
@pytest.mark.parametrize("zones", [2, 3, 4])
def test_subnets__disjoint_and_inside_the_vpc(cidr: str, zones: int) -> None:
    layout = Layout.of(cidr, zones)
    blocks = [
        ipaddress.IPv4Network(block)
        for kind in (layout.public, layout.private, layout.isolated, layout.dual_stack)
        for block in kind
    ]

    assert len(blocks) == 4 * zones
    assert all(block.subnet_of(ipaddress.IPv4Network(cidr)) for block in blocks)
    assert not any(a.overlaps(b) for a in blocks for b in blocks if a is not b)
    assert all(block.num_addresses >= 32 for block in blocks)


def test_subnets__a_further_zone_leaves_the_others_where_they_are() -> None:
    two, three = (Layout.of("10.0.0.0/16", zones) for zones in (2, 3))

    assert two.public == three.public[:2] == ("10.0.0.0/24", "10.0.1.0/24")
    assert two.private == three.private[:2] == ("10.0.16.0/20", "10.0.32.0/20")
    assert two.isolated == three.isolated[:2] == ("10.0.2.0/24", "10.0.3.0/24")


@pytest.mark.parametrize(("stack", "nat"), [("dev", "Single"), ("prod", "OnePerAz")])
def test_vpc__explicit_layout_and_free_gateways(planned: Plans, stack: str, nat: str) -> None:
    vpc = planned(stack).one("awsx:ec2:Vpc")

    assert vpc["subnetStrategy"] == "Auto"
    assert [spec["type"] for spec in vpc["subnetSpecs"]] == ["Public", "Private", "Isolated"]
    assert all(len(spec["cidrBlocks"]) == 2 for spec in vpc["subnetSpecs"])
    assert vpc["numberOfAvailabilityZones"] == 2
    assert vpc["natGateways"] == {"strategy": nat}
    assert vpc["enableDnsHostnames"] is True
    assert {(e["serviceName"], e["vpcEndpointType"]) for e in vpc["vpcEndpointSpecs"]} == {
        ("com.amazonaws.us-west-2.s3", "Gateway"),
        ("com.amazonaws.us-west-2.dynamodb", "Gateway"),
    }


@BOTH
def test_default_security_group__closed(planned: Plans, stack: str) -> None:
    group = planned(stack).one("defaultSecurityGroup:DefaultSecurityGroup")

    assert not group.inputs.get("ingress")
    assert not group.inputs.get("egress")


@BOTH
def test_security_groups__only_the_balancer_is_open(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    rules = plan.all("securityGroupIngressRule:SecurityGroupIngressRule")

    assert all("ingress" not in group.inputs for group in plan.all("securityGroup:SecurityGroup"))
    open_ports = {
        (rule["securityGroupId"], rule["fromPort"], rule["toPort"])
        for rule in rules
        if "referencedSecurityGroupId" not in rule.inputs
    }
    balancer = "securitygroup-bff-balancer"
    ports = (80, 443) if stack == "prod" else (80,)
    assert open_ports == {(balancer, port, port) for port in ports}


@BOTH
def test_security_groups__each_hop_by_reference(planned: Plans, stack: str) -> None:
    def hops(kind: str) -> set[tuple[str, str, int, int]]:
        return {
            (
                rule["securityGroupId"].removeprefix("securitygroup-bff-"),
                rule["referencedSecurityGroupId"].removeprefix("securitygroup-bff-"),
                rule["fromPort"],
                rule["toPort"],
            )
            for rule in planned(stack).all(f"SecurityGroup{kind}Rule")
            if "referencedSecurityGroupId" in rule.inputs
        }

    expected = {("tasks", "balancer", 8000, 8000)}
    if stack == "prod":
        expected |= {("cache", "tasks", 6379, 6380), ("endpoints", "tasks", 443, 443)}
    assert hops("Ingress") == expected
    assert hops("Egress") == {(to, by, low, high) for by, to, low, high in expected}


def test_tasks__reach_the_world_on_443_only(prod: Plan) -> None:
    world = [
        rule
        for rule in prod.all("securityGroupEgressRule:SecurityGroupEgressRule")
        if "cidrIpv4" in rule.inputs
    ]

    assert [(r["securityGroupId"], r["fromPort"], r["toPort"]) for r in world] == [
        ("securitygroup-bff-tasks", 443, 443)
    ]


def test_endpoints__what_a_task_needs_in_private_subnets(dev: Plan, prod: Plan) -> None:
    endpoints = prod.all("vpcEndpoint:VpcEndpoint")

    assert dev.all("vpcEndpoint:VpcEndpoint") == []
    assert {endpoint["serviceName"].partition("us-west-2.")[2] for endpoint in endpoints} == {
        *("ecr.api", "ecr.dkr", "logs", "secretsmanager", "bedrock-agentcore")
    }
    for endpoint in endpoints:
        assert endpoint["vpcEndpointType"] == "Interface"
        assert endpoint["privateDnsEnabled"] is True
        assert endpoint["securityGroupIds"] == ["securitygroup-bff-endpoints"]
        assert endpoint["subnetIds"] == ["subnet-1111111a", "subnet-1111111b"]


def test_agentcore_endpoint__only_in_zones_that_have_it() -> None:
    service = "aws:ec2/getVpcEndpointService:getVpcEndpointService"

    plan = make_plan("prod", answers={service: {"availabilityZones": ["us-west-2b"]}})

    endpoint = plan.one("vpcEndpoint:VpcEndpoint", "bff-bedrock-agentcore")
    assert endpoint["subnetIds"] == ["subnet-1111111b"]
    assert len(plan.one("vpcEndpoint:VpcEndpoint", "bff-logs")["subnetIds"]) == 2


def test_agentcore_endpoint__in_no_zone_is_refused_by_name() -> None:
    service = "aws:ec2/getVpcEndpointService:getVpcEndpointService"

    with pytest.raises(pulumi.RunError, match="set vpcEndpoints to false"):
        make_plan("prod", answers={service: {"availabilityZones": ["us-west-2d"]}})


def test_existing_network__nothing_is_made_in_its_place() -> None:
    plan = make_plan("prod", NETWORK)

    assert plan.all("awsx:ec2:Vpc") == []
    for kind in ("flowLog:FlowLog", "vpcEndpoint:VpcEndpoint", "DefaultSecurityGroup"):
        assert plan.all(kind) == []
    assert plan.one("loadBalancer:LoadBalancer")["subnets"] == NETWORK["publicSubnetIds"]
    service = plan.one("ecs/service:Service")
    assert service["networkConfiguration"]["subnets"] == NETWORK["privateSubnetIds"]
    assert plan.one("serverlessCache:ServerlessCache")["subnetIds"] == NETWORK["privateSubnetIds"]
    assert plan.outputs["vpcId"] == NETWORK["vpcId"]


@BOTH
def test_flow_logs__of_all_traffic_to_their_group(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    log = plan.one("flowLog:FlowLog")

    assert log["trafficType"] == "ALL"
    assert log["logDestination"].endswith(":bff-flow")
    assert allowed(plan, "bff-flow") == {
        f"{log['logDestination']}:*": [
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
        ]
    }


# Image, credentials, storage --------------------------------------------------------------------


@BOTH
def test_repository__immutable_scanned_and_kept_for_rollback(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    repository = plan.one("ecr/repository:Repository")
    (rule,) = json.loads(plan.one("lifecyclePolicy:LifecyclePolicy")["policy"])["rules"]

    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert repository["forceDelete"] is True  # what must stay is protected
    assert rule["selection"] == {
        "tagStatus": "any",
        "countType": "imageCountMoreThan",
        "countNumber": 100,
    }


@BOTH
def test_image__pushed_and_run_by_digest_never_by_tag(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    image = plan.one("docker-build:index:Image")
    url = f"{ACCOUNT}.dkr.ecr.us-west-2.amazonaws.com/agentcore-bff-{stack}"

    assert "tags" not in image.inputs
    assert image["exports"][0]["registry"]["names"] == [url]
    assert image["exports"][0]["registry"]["pushByDigest"] is True
    assert image["buildOnPreview"] is False
    assert image["platforms"] == ["linux/arm64"]
    assert container(plan)["image"] == f"{url}@{DIGEST}"


@BOTH
def test_image__context_is_the_same_on_every_machine(planned: Plans, stack: str) -> None:
    image = planned(stack).one("docker-build:index:Image")

    assert image["context"]["location"] == ".."
    assert image["dockerfile"]["location"] == "../Dockerfile"
    assert "password" not in json.dumps([key for key in image.inputs if key not in image.secret]), (
        "the registry's password is secret"
    )


def test_architecture__image_and_task_agree() -> None:
    plan = make_plan("dev", {"architecture": "amd64"})

    assert plan.one("docker-build:index:Image")["platforms"] == ["linux/amd64"]
    platform = plan.one("taskDefinition:TaskDefinition")["runtimePlatform"]
    assert platform == {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"}


@BOTH
def test_credentials__first_values_that_later_updates_leave_alone(
    planned: Plans, stack: str
) -> None:
    versions = planned(stack).all("secretVersion:SecretVersion")

    assert {version.name for version in versions} == {"bff-jwt", "bff-keys"}
    for version in versions:
        assert "secretString" in version.ignore_changes
        assert "secretString" in version.secret
    window = 30 if stack == "prod" else 0
    secrets = planned(stack).all("secretsmanager/secret:Secret")
    assert [secret["recoveryWindowInDays"] for secret in secrets] == [window, window]


@BOTH
def test_first_api_key__is_the_one_whose_hash_is_stored(planned: Plans, stack: str) -> None:
    import hashlib

    plan = planned(stack)
    name, _, digest = plan.one("secretVersion:SecretVersion", "bff-keys")["secretString"].partition(
        ":"
    )

    key = plan.outputs["firstApiKey"]
    assert name == "first"
    assert digest == hashlib.sha256(key.encode()).hexdigest()
    assert "firstApiKey" in plan.secret_outputs


@BOTH
def test_table__has_the_shape_that_the_service_checks(planned: Plans, stack: str) -> None:
    table = planned(stack).one("dynamodb/table:Table")
    keys = {key["KeyType"]: key["AttributeName"] for key in TABLE["KeySchema"]}
    (index,) = TABLE["LocalSecondaryIndexes"]
    index_keys = {key["KeyType"]: key["AttributeName"] for key in index["KeySchema"]}

    assert (table["hashKey"], table["rangeKey"]) == (keys["HASH"], keys["RANGE"])
    assert table["localSecondaryIndexes"] == [
        {"name": INDEX, "rangeKey": index_keys["RANGE"], "projectionType": "ALL"}
    ]
    assert {a["name"]: a["type"] for a in table["attributes"]} == {
        a["AttributeName"]: a["AttributeType"] for a in TABLE["AttributeDefinitions"]
    }
    assert table["ttl"] == {"attributeName": TTL_ATTRIBUTE, "enabled": True}
    assert table["billingMode"] == TABLE["BillingMode"]


@BOTH
def test_table__recovery_and_protection_in_prod(planned: Plans, stack: str) -> None:
    table = planned(stack).one("dynamodb/table:Table")

    assert table["pointInTimeRecovery"]["enabled"] is (stack == "prod")
    assert table["deletionProtectionEnabled"] is (stack == "prod")


def test_memory__instead_of_the_table() -> None:
    plan = make_plan("prod", {"memoryId": "chats-0123456789"})

    assert plan.all("dynamodb/table:Table") == []
    assert variables(plan)["HISTORY"] == "agentcore://chats-0123456789"
    memory = f"arn:aws:bedrock-agentcore:us-west-2:{ACCOUNT}:memory/chats-0123456789"
    assert allowed(plan, "bff-task")[memory] == [
        "bedrock-agentcore:CreateEvent",
        "bedrock-agentcore:DeleteEvent",
        "bedrock-agentcore:ListEvents",
    ]
    assert "dynamodb" not in json.dumps(allowed(plan, "bff-task"))


def test_cache__valkey_with_ceilings_in_isolated_subnets(dev: Plan, prod: Plan) -> None:
    cache = prod.one("serverlessCache:ServerlessCache")

    assert dev.all("serverlessCache:ServerlessCache") == []
    assert "REDIS_URL" not in variables(dev)
    assert cache["engine"] == "valkey"
    assert len(cache["name"]) <= 40
    assert cache["subnetIds"] == ["subnet-2222222a", "subnet-2222222b"]
    assert cache["securityGroupIds"] == ["securitygroup-bff-cache"]
    assert cache["cacheUsageLimits"]["dataStorage"]["maximum"] == 5
    assert variables(prod)["REDIS_URL"].startswith("rediss+cluster://bff-abc.serverless.")


# Roles ------------------------------------------------------------------------------------------


def test_task_role__exactly_what_the_service_calls(prod: Plan) -> None:
    table = f"arn:aws:dynamodb:us-west-2:{ACCOUNT}:bff"
    bucket = f"arn:aws:s3:us-west-2:{ACCOUNT}:bff-files"

    assert allowed(prod, "bff-task") == {
        bucket: ["s3:ListBucket"],
        f"{bucket}/files/*": [
            "s3:AbortMultipartUpload",
            "s3:DeleteObject",
            "s3:GetObject",
            "s3:PutObject",
        ],
        f"{RUNTIME_ARN} {RUNTIME_ARN}/runtime-endpoint/DEFAULT": [
            "bedrock-agentcore:InvokeAgentRuntime",
            "bedrock-agentcore:StopRuntimeSession",
        ],
        f"arn:aws:ecs:us-west-2:{ACCOUNT}:task/agentcore-bff-prod/*": [
            "ecs:GetTaskProtection",
            "ecs:UpdateTaskProtection",
        ],
        f"{table} {table}/index/*": [
            "dynamodb:BatchGetItem",
            "dynamodb:BatchWriteItem",
            "dynamodb:ConditionCheckItem",
            "dynamodb:DeleteItem",
            "dynamodb:DescribeTable",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
        ],
    }


def test_execution_role__exactly_what_a_start_needs(prod: Plan) -> None:
    secret = f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}"

    assert allowed(prod, "bff-execution") == {
        "*": ["ecr:GetAuthorizationToken"],
        f"arn:aws:ecr:us-west-2:{ACCOUNT}:repository/agentcore-bff-prod": [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
        ],
        f"arn:aws:cloudwatch:us-west-2:{ACCOUNT}:bff:*": [
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        ],
        f"{secret}:bff-keys {secret}:bff-jwt": ["secretsmanager:GetSecretValue"],
    }


def test_execution_role__pulls_from_the_repository_of_a_given_image() -> None:
    image = f"210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/bff:v3@{DIGEST}"

    plan = make_plan("dev", {"image": image})

    assert "arn:aws:ecr:eu-west-1:210987654321:repository/team/bff" in allowed(
        plan, "bff-execution"
    )


@BOTH
def test_roles__no_wildcard_action_and_no_managed_policy(planned: Plans, stack: str) -> None:
    for policy in planned(stack).all("rolePolicy:RolePolicy"):
        assert "*" not in json.dumps(
            [s["Action"] for s in json.loads(policy["policy"])["Statement"]]
        )
    for role in planned(stack).all("iam/role:Role"):
        assert "managedPolicyArns" not in role.inputs


@BOTH
def test_task_roles__assumed_by_this_accounts_tasks_only(planned: Plans, stack: str) -> None:
    for name in ("bff-task", "bff-execution"):
        role = planned(stack).one("iam/role:Role", name)
        (statement,) = json.loads(role["assumeRolePolicy"])["Statement"]
        assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_secrets__reach_the_container_by_reference(prod: Plan) -> None:
    assert {s["name"]: s["valueFrom"] for s in container(prod)["secrets"]} == {
        "API_KEYS": f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:bff-keys",
        "JWT_SECRET": f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:bff-jwt",
    }


# Task and service -------------------------------------------------------------------------------


def container(plan: Plan) -> dict[str, Any]:
    (only,) = json.loads(plan.one("taskDefinition:TaskDefinition")["containerDefinitions"])
    assert isinstance(only, dict)
    return only


def variables(plan: Plan) -> dict[str, str]:
    return {pair["name"]: pair["value"] for pair in container(plan)["environment"]}


@BOTH
def test_container__cannot_do_more_than_serve(planned: Plans, stack: str) -> None:
    only = container(planned(stack))

    assert only["readonlyRootFilesystem"] is True
    assert only["user"] == "10001:10001"
    assert only["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
    assert only["ulimits"] == [{"name": "nofile", "softLimit": 65536, "hardLimit": 65536}]
    assert only["healthCheck"]["command"][:3] == ["CMD", "python", "-c"]
    assert only["logConfiguration"]["options"]["mode"] == "non-blocking"


@BOTH
def test_task__waits_for_what_it_may_read(planned: Plans, stack: str) -> None:
    definition = planned(stack).one("taskDefinition:TaskDefinition")

    assert {
        "aws:iam/rolePolicy:RolePolicy::bff-execution",
        "aws:iam/rolePolicy:RolePolicy::bff-task",
        "aws:secretsmanager/secretVersion:SecretVersion::bff-jwt",
        "aws:secretsmanager/secretVersion:SecretVersion::bff-keys",
    } <= definition.depends_on


@BOTH
def test_service__rolls_back_by_itself(planned: Plans, stack: str) -> None:
    service = planned(stack).one("ecs/service:Service")

    assert service["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    assert service["deploymentMinimumHealthyPercent"] == 100
    assert service["deploymentMaximumPercent"] == 200
    assert service["alarms"] == {
        "enable": True,
        "rollback": True,
        "alarmNames": [f"bff-{alarm}-1234567" for alarm in ROLLBACK],
    }
    assert service["waitForSteadyState"] is True


ROLLBACK = ("internal-errors", "balancer-5xx", "unhealthy-hosts")


@BOTH
def test_service__leaves_its_number_to_autoscaling(planned: Plans, stack: str) -> None:
    service = planned(stack).one("ecs/service:Service")

    assert service.ignore_changes == ("desiredCount",)
    assert service["desiredCount"] == (2 if stack == "prod" else 1)


@BOTH
def test_service__in_private_subnets_behind_listeners(planned: Plans, stack: str) -> None:
    service = planned(stack).one("ecs/service:Service")

    assert service["networkConfiguration"] == {
        "assignPublicIp": False,
        "securityGroups": ["securitygroup-bff-tasks"],
        "subnets": ["subnet-1111111a", "subnet-1111111b"],
    }
    assert {listener.key for listener in planned(stack).all("listener:Listener")} <= (
        service.depends_on
    )


@BOTH
def test_cluster__has_container_insights(planned: Plans, stack: str) -> None:
    assert planned(stack).one("ecs/cluster:Cluster")["settings"] == [
        {"name": "containerInsights", "value": "enhanced"}
    ]


@BOTH
def test_scaling__on_cpu_requests_and_open_streams(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    target = plan.one("appautoscaling/target:Target")
    tracked = {
        policy.name: policy["targetTrackingScalingPolicyConfiguration"]
        for policy in plan.all("appautoscaling/policy:Policy")
    }

    assert target["resourceId"] == f"service/agentcore-bff-{stack}/agentcore-bff-{stack}"
    assert (target["minCapacity"], target["maxCapacity"]) == (
        (2, 10) if stack == "prod" else (1, 1)
    )
    assert {name: t["targetValue"] for name, t in tracked.items()} == {
        "bff-cpu": 70,
        "bff-requests": 1000,
        "bff-streams": 200,
    }
    assert {(t["scaleOutCooldown"], t["scaleInCooldown"]) for t in tracked.values()} == {(60, 60)}
    assert tracked["bff-streams"]["customizedMetricSpecification"] == {
        "namespace": "AgentCoreBFF",
        "metricName": "OpenStreams",
        "statistic": "Average",
        "dimensions": [{"name": "Service", "value": f"agentcore-bff-{stack}"}],
    }
    count, filled = tracked["bff-requests"]["customizedMetricSpecification"]["metrics"]
    assert {d["name"]: d["value"] for d in count["metricStat"]["metric"]["dimensions"]} == {
        "LoadBalancer": "app/bff-1234567/50dc6c495c0c9188",
        "TargetGroup": "targetgroup/bff-1234567/73e2d6bc24d8a067",
    }
    assert count["metricStat"]["metric"]["metricName"] == "RequestCountPerTarget"
    # No data where nobody asks would keep every task.
    assert (filled["expression"], filled["returnData"]) == ("FILL(m0, 0)", True)


# The way in -------------------------------------------------------------------------------------


def test_prod__https_with_a_redirect_and_hsts(prod: Plan) -> None:
    secure = prod.one("listener:Listener", "bff-https")
    plain = prod.one("listener:Listener", "bff-http")

    assert (secure["port"], secure["protocol"]) == (443, "HTTPS")
    assert secure["sslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-Res")
    assert secure["routingHttpResponseStrictTransportSecurityHeaderValue"] == "max-age=31536000"
    assert secure["defaultActions"][0]["type"] == "forward"
    assert plain["defaultActions"] == [
        {
            "type": "redirect",
            "redirect": {"protocol": "HTTPS", "port": "443", "statusCode": "HTTP_301"},
        }
    ]


def test_dev__plain_http_without_a_domain(dev: Plan) -> None:
    (listener,) = dev.all("listener:Listener")

    assert (listener["port"], listener["protocol"]) == (80, "HTTP")
    assert listener["defaultActions"][0]["type"] == "forward"
    assert dev.all("acm/certificate:Certificate") == []
    assert dev.outputs["serviceUrl"].startswith("http://")


def test_domain__certificate_proven_and_name_pointed(prod: Plan) -> None:
    assert prod.one("acm/certificate:Certificate")["domainName"] == "chat.example.com"
    assert prod.one("record:Record", "bff-proof-chat.example.com")["type"] == "CNAME"
    alias = prod.one("record:Record", "bff-chat.example.com")
    assert (alias["name"], alias["type"]) == ("chat.example.com", "A")
    listener = prod.one("listener:Listener", "bff-https")
    assert "aws:acm/certificateValidation:CertificateValidation::bff" in listener.depends_on


@BOTH
def test_target_group__as_the_contract_says(planned: Plans, stack: str) -> None:
    group = planned(stack).one("targetGroup:TargetGroup")

    assert (group["port"], group["protocol"], group["targetType"]) == (8000, "HTTP", "ip")
    assert group["stickiness"]["enabled"] is False
    assert group["healthCheck"] == {
        "enabled": True,
        "protocol": "HTTP",
        "path": "/health",
        "matcher": "200",
        "interval": 30,
        "timeout": 5,
        "healthyThreshold": 2,
        "unhealthyThreshold": 3,
    }


@BOTH
def test_balancer__header_hygiene_and_access_log(planned: Plans, stack: str) -> None:
    balancer = planned(stack).one("loadBalancer:LoadBalancer")

    assert balancer["dropInvalidHeaderFields"] is True
    assert balancer["desyncMitigationMode"] == "strictest"
    assert balancer["xffHeaderProcessingMode"] == "append"
    assert balancer["enableDeletionProtection"] is (stack == "prod")
    assert balancer["accessLogs"] == {"bucket": "bucket-bff-access", "enabled": True}
    assert "aws:s3/bucketPolicy:BucketPolicy::bff" in balancer.depends_on


@BOTH
def test_access_log__private_encrypted_and_expiring(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    block = plan.one("bucketPublicAccessBlock:BucketPublicAccessBlock", "bff")
    (expiry,) = plan.one("BucketLifecycleConfiguration", "bff")["rules"]
    grant, denial = json.loads(plan.one("bucketPolicy:BucketPolicy", "bff")["policy"])["Statement"]

    assert all(value is True for key, value in block.inputs.items() if key != "bucket")
    assert plan.one("BucketOwnershipControls", "bff")["rule"] == {
        "objectOwnership": "BucketOwnerEnforced"
    }
    assert "AES256" in json.dumps(
        plan.one("BucketServerSideEncryptionConfiguration", "bff")["rules"]
    )
    assert expiry["expiration"] == {"days": 14}
    assert grant["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert grant["Resource"].endswith(f"/AWSLogs/{ACCOUNT}/*")
    assert (denial["Effect"], denial["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )


def test_firewall__bodies_are_only_counted(dev: Plan, prod: Plan) -> None:
    acl = prod.one("webAcl:WebAcl")
    counted = {
        override["name"]
        for rule in acl["rules"]
        for override in rule["statement"]
        .get("managedRuleGroupStatement", {})
        .get("ruleActionOverrides", [])
        if override["actionToUse"] == {"count": {}}
    }

    assert dev.all("webAcl:WebAcl") == []
    assert {
        *("SizeRestrictions_BODY", "CrossSiteScripting_BODY", "EC2MetaDataSSRF_BODY"),
        *("GenericLFI_BODY", "GenericRFI_BODY", "Log4JRCE_BODY", "JavaDeserializationRCE_BODY"),
    } <= counted
    assert [rule["priority"] for rule in acl["rules"]] == [0, 1, 2, 3]
    rate = acl["rules"][-1]
    assert rate["action"] == {"block": {}}
    assert rate["statement"]["rateBasedStatement"]["aggregateKeyType"] == "IP"
    association = prod.one("webAclAssociation:WebAclAssociation")
    assert association["resourceArn"] == f"arn:aws:lb:us-west-2:{ACCOUNT}:bff"


# Outputs ----------------------------------------------------------------------------------------


@BOTH
def test_outputs__are_the_contracts(planned: Plans, stack: str) -> None:
    outputs = planned(stack).outputs

    # The engine keeps no output that is null: without a domain there is no `customDomain`.
    expected = {
        *(
            "dnsTarget",
            "serviceUrl",
            "loadBalancerDns",
            "clusterArn",
            "serviceArn",
            "repositoryUrl",
        ),
        *("logGroup", "dashboardUrl", "alertsTopicArn", "firstApiKey"),
        *("vpcId", "publicSubnetIds", "privateSubnetIds"),
        *(("customDomain", "filesBucket") if stack == "prod" else ()),
    }
    assert set(outputs) == expected
    assert outputs["logGroup"] == f"/agentcore-bff-{stack}"
    if stack == "prod":
        assert outputs["serviceUrl"] == outputs["customDomain"] == "https://chat.example.com"
