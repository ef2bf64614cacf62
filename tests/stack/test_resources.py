"""What is planned, feature by feature, options included; the network and the service have files
of their own."""

from __future__ import annotations

import json
import re
import runpy
import sys

import pytest

from bff.history.dynamodb.items import INDEX, TABLE, TTL_ATTRIBUTE
from tests.stack.planner import ACCOUNT, DIGEST, ROOT, RUNTIME_ARN, SECRET, Plan, make_plan
from tests.stack.reading import BOTH, Plans, allowed, container, variables

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
    # What people read in a mail's subject or on a pager, where several stacks may call.
    alarms = [named.pop(key) for key in list(named) if "MetricAlarm" in key]
    assert alarms
    assert all(name.startswith(f"{ours}-") for name in alarms)
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
@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("bff-task", "ecs-tasks.amazonaws.com"),
        ("bff-execution", "ecs-tasks.amazonaws.com"),
        ("bff-flow", "vpc-flow-logs.amazonaws.com"),
    ],
)
def test_roles__assumed_on_behalf_of_this_account_only(
    planned: Plans, stack: str, name: str, service: str
) -> None:
    role = planned(stack).one("iam/role:Role", name)
    (statement,) = json.loads(role["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": service}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_secrets__reach_the_container_by_reference(prod: Plan) -> None:
    assert {s["name"]: s["valueFrom"] for s in container(prod)["secrets"]} == {
        "API_KEYS": f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:bff-keys",
        "JWT_SECRET": f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:bff-jwt",
    }


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
