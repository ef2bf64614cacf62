from __future__ import annotations

import re
from typing import Any

import pulumi
import pytest
import yaml

from stack.config import GROUPS, StackConfig
from stack.config_reader import keys_of
from tests.stack.planner import DIGEST, REQUIRED, ROOT, RUNTIME_ARN, VPC, make_plan

IMAGE = f"123456789012.dkr.ecr.us-west-2.amazonaws.com/agentcore-bff@{DIGEST}"
NETWORK = {
    "vpcId": VPC,
    "publicSubnetIds": ["subnet-0000000a", "subnet-0000000b"],
    "privateSubnetIds": ["subnet-1111111a", "subnet-1111111b"],
}


def load(stack: str, config: dict[str, Any] | None = None, **options: Any) -> StackConfig:
    """What the program would go by; nothing is planned."""
    loaded: list[StackConfig] = []
    plan = make_plan(stack, config, program=lambda: loaded.append(StackConfig.load()), **options)
    assert plan.resources == []
    return loaded[0]


def problems(stack: str, config: dict[str, Any] | None = None, **options: Any) -> list[str]:
    """What is refused, a line a problem; nothing was planned before."""
    with pytest.raises(pulumi.RunError) as refused:
        make_plan(stack, config, **options)
    first, *lines = str(refused.value).splitlines()
    assert first.startswith(f"{len(lines)} problem"), first
    return [line.strip().removeprefix("agentcore-bff:") for line in lines]


def keys(lines: list[str]) -> set[str]:
    return {line.partition(":")[0] for line in lines}


DEFAULTS: dict[str, tuple[Any, Any]] = {
    "cpu": (256, 512),
    "memory": (512, 1024),
    "minTasks": (1, 2),
    "maxTasks": (1, 10),
    "cpuTarget": (70, 70),
    "requestsPerTarget": (1000, 1000),
    "streamsPerTask": (200, 200),
    "natGateways": ("Single", "OnePerAz"),
    "vpcEndpoints": (False, True),
    "sharedCache": (False, True),
    "logRetentionDays": (14, 14),
    "corsOrigins": ((), ()),
    "waf": (False, True),
    "architecture": ("arm64", "arm64"),
    "publicSubnetIds": ((), ()),
    "privateSubnetIds": ((), ()),
    "deregistrationDelay": (20, 120),
    "deployment": ("rolling", "rolling"),
    "canaryPercent": (10, 10),
    "bakeMinutes": (5, 15),
    "stepPercent": (20, 20),
    "agentQualifier": ("DEFAULT", "DEFAULT"),
    "agents": ({}, {}),
    "environment": ({}, {}),
    "secrets": ({}, {}),
    "tags": ({}, {}),
    "extraDomains": ((), ()),
    "internal": (False, False),
    "ipv6": (False, False),
    "vpcCidr": ("10.0.0.0/16", "10.0.0.0/16"),
    "availabilityZones": (2, 2),
    "protectOpenRuns": (True, True),
    "capacity": ("fargate", "fargate"),
    "schedule": ((), ()),
    "exec": (False, False),
    "files": (False, True),
    "filesRetentionDays": (30, 30),
}
"""The contract's; a key that is not here is unset."""


def test_defaults__are_the_contracts() -> None:
    declared = {key.name: (key.dev, key.prod) for group in GROUPS for _, key in keys_of(group)}

    unset = {name: (None, None) for name in declared} | {"agentRuntimeArn": ("", "")}
    assert declared == unset | DEFAULTS


@pytest.mark.parametrize("stack", ["prod", "prod-eu"])
def test_prod__is_told_by_its_name(stack: str) -> None:
    config = load(stack)

    assert config.stack.prod
    assert config.task.cpu == 512
    assert config.stack.region == "us-west-2"


@pytest.mark.parametrize("stack", ["qa", "production", "preprod"])
def test_other_stacks__follow_dev(stack: str) -> None:
    # The planner takes prod's file for what begins with `prod`; the rules are the name's alone.
    config = load(stack, {"domainName": "chat.example.com", "hostedZoneName": "example.com"})

    assert config.task.cpu == 256
    assert not config.stack.prod


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_committed_file__says_exactly_what_is_missing(stack: str) -> None:
    lines = problems(stack, without=tuple(REQUIRED[stack]))

    assert keys(lines) == set(REQUIRED[stack])
    assert all("missing, takes" in line for line in lines)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_committed_file__names_each_missing_key_in_its_comments(stack: str) -> None:
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text()

    for key in REQUIRED[stack]:
        assert f"pulumi config set {key} " in text


def test_project_file__has_no_types_and_no_defaults() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())

    assert project["name"] == "agentcore-bff"
    assert project["main"] == "stack"
    assert "config" not in project


def test_refusal__names_all_problems_at_once() -> None:
    lines = problems(
        "prod",
        {
            "agentRuntimeArn": "arn:aws:lambda:us-west-2:123456789012:function:x",
            "cpu": 300,
            "minTasks": 4,
            "maxTasks": 3,
            "sharedCache": False,
            "alarmEmail": "nobody",
            "cpuTraget": 60,
            "corsOrigins": ["*"],
            "waf": "perhaps",
        },
        without=("domainName",),
    )

    assert keys(lines) == {
        *("agentRuntimeArn", "cpu", "minTasks", "sharedCache", "alarmEmail", "cpuTraget"),
        *("corsOrigins", "waf", "domainName"),
    }


@pytest.mark.parametrize(
    ("key", "value", "takes"),
    [
        ("agentRuntimeArn", "my_agent", "arn:aws:bedrock-agentcore:REGION"),
        ("agentRuntimeArn", RUNTIME_ARN + "/runtime-endpoint/DEFAULT", "arn:aws"),
        *(
            ("vpcCidr", f"{block}/16", "a private network")
            for block in ("127.0.0.0", "169.254.0.0", "0.0.0.0", "240.0.0.0", "198.18.0.0")
        ),
        ("cpu", 300, "one of 256, 512, 1024"),
        ("cpu", "0.25", "one of 256"),
        ("memory", 3000, "takes 512, 1024, 2048"),
        ("memory", 4096, "with cpu 256, takes 512, 1024, 2048"),
        ("minTasks", 0, "from 1 to 500"),
        ("minTasks", "two", "a whole number"),
        ("maxTasks", -1, "from 1 to 500"),
        ("cpuTarget", 100, "from 10 to 90"),
        ("requestsPerTarget", 0, "from 1"),
        ("streamsPerTask", 0, "from 1"),
        ("natGateways", "one", "None or Single or OnePerAz"),
        ("vpcEndpoints", "yes", "true or false"),
        ("sharedCache", 1, "true or false"),
        ("deployment", "purple", "rolling or blueGreen or linear or canary"),
        ("logRetentionDays", 10, "one of 1, 3, 5, 7, 14"),
        ("alarmEmail", "a@b", "one e-mail address"),
        ("alarmEmail", "a@example.com,b@example.com", "one e-mail address"),
        ("corsOrigins", "https://app.example.com", "a list of strings"),
        ("corsOrigins", ["*"], "exact origins"),
        ("corsOrigins", ["https://app.example.com/"], "exact origins"),
        ("corsOrigins", ["https://a.example.com", "https://a.example.com"], "each value once"),
        ("jwksUrl", "http://idp.example.com/keys", "https://"),
        ("jwksUrl", "https://idp.example.com:8443/keys", "another port than 443"),
        ("jwtIssuer", "with space", "text without spaces"),
        ("architecture", "x86_64", "arm64 or amd64"),
        ("memoryId", "no-memory", "agentcore://MEMORY_ID"),
        ("deregistrationDelay", 3601, "from 0 to 3600"),
        ("image", "agentcore-bff:latest", "@sha256:DIGEST"),
        ("image", f"ghcr.io/Us/bff@{DIGEST}", "a lower-case REPOSITORY@sha256:DIGEST"),
        ("image", f"x.dkr.ecr.us-west-2.amazonaws.com/a@{DIGEST}", "ACCOUNT.dkr.ecr.REGION"),
        ("domainName", "Chat.example.com", "lower-case DNS name"),
        ("domainName", "https://chat.example.com", "lower-case DNS name"),
        ("tags", {"aws:owner": "us"}, "do not begin with aws:"),
        ("tags", {"Team": "R&D"}, "letters, digits, spaces"),
        ("tags", {"Team": "x" * 257}, "up to 256"),
        ("tags", {"x" * 129: "y"}, "up to 128"),
        (
            "otel",
            {"endpoint": "https://x.example.com", "headersSecret": "arn:aws:ssm:x"},
            "the ARN",
        ),
        ("vpcId", "vpc", "a VPC id"),
        ("agentRuntimeARN", RUNTIME_ARN, "unknown; the keys are agentPayload, agentQualifier"),
    ],
)
def test_refusal__bad_value(key: str, value: Any, takes: str) -> None:
    lines = problems("dev", {key: value})

    line = next(line for line in lines if line.startswith(f"{key}: "))
    assert takes in line


@pytest.mark.parametrize(
    ("stack", "config", "key", "why"),
    [
        (
            "dev",
            {"minTasks": 3, "sharedCache": True},
            "minTasks",
            "takes at most 1, which",
        ),
        ("dev", {"maxTasks": 2}, "sharedCache", "got false with maxTasks 2, takes true"),
        ("dev", {"minTasks": 2, "maxTasks": 2}, "sharedCache", "got false with minTasks 2"),
        (
            "dev",
            {**NETWORK, "sharedCache": True, "privateSubnetIds": ["subnet-1111111a"]},
            "privateSubnetIds",
            "got 1, takes two or more",
        ),
        ("prod", {"sharedCache": False}, "sharedCache", "got false with minTasks 2"),
        ("prod", {"domainName": "chat.example.org"}, "domainName", "in zone 'example.com'"),
        ("dev", {"domainName": "chat.example.com"}, "hostedZoneName", "beside domainName"),
        ("dev", {"hostedZoneName": "example.com"}, "domainName", "beside hostedZoneName"),
        ("dev", {"natGateways": "None"}, "vpcEndpoints", "takes true"),
        (
            "prod",
            {"natGateways": "None", "jwksUrl": "https://idp.example.com/keys"},
            "jwksUrl",
            "cannot be reached",
        ),
        (
            "prod",
            {"natGateways": "None", "agentRuntimeArn": RUNTIME_ARN.replace("us-west", "eu-west")},
            "agentRuntimeArn",
            "takes one in us-west-2 without NAT",
        ),
        (
            "prod",
            {"natGateways": "None", "image": f"ghcr.io/us/bff@{DIGEST}"},
            "image",
            "takes one in ECR of us-west-2",
        ),
        (
            "prod",
            {"natGateways": "None", "image": IMAGE.replace("us-west-2", "eu-west-1")},
            "image",
            "takes one in ECR of us-west-2",
        ),
        (
            "dev",
            {key: NETWORK[key] for key in ("vpcId", "privateSubnetIds")},
            "publicSubnetIds",
            "missing beside vpcId and privateSubnetIds",
        ),
        (
            "prod",
            {
                "natGateways": "None",
                "secrets": {"JWT_SECRET": "arn:aws:ssm:eu-west-1:123456789012:parameter/jwt"},
            },
            "secrets",
            "for JWT_SECRET, takes one in us-west-2",
        ),
        ("prod", {"domainName": f"{'x' * 53}.example.com"}, "domainName", "takes at most 64"),
        ("dev", {"tags": {"environment": "qa"}}, "tags", "environment beside Environment"),
        (
            "dev",
            {"tags": {"team": "a"}, "aws:defaultTags": {"tags": {"Team": "b"}}},
            "tags",
            "team beside Team",
        ),
        ("dev", {"tags": {f"t{i}": "x" for i in range(47)}}, "tags", "takes at most 49"),
        ("dev", {**NETWORK, "natGateways": "Single"}, "natGateways", "set beside vpcId"),
        ("dev", {**NETWORK, "publicSubnetIds": ["subnet-0000000a"]}, "publicSubnetIds", "got 1"),
        ("prod", {**NETWORK, "privateSubnetIds": ["subnet-1111111a"]}, "privateSubnetIds", "got 1"),
        (
            "dev",
            {**NETWORK, "privateSubnetIds": NETWORK["publicSubnetIds"]},
            "privateSubnetIds",
            "of publicSubnetIds, takes others",
        ),
    ],
)
def test_refusal__bad_combination(stack: str, config: dict[str, Any], key: str, why: str) -> None:
    lines = problems(stack, config)

    assert keys(lines) == {key}
    assert why in lines[0]


@pytest.mark.parametrize("stack", ["local", "Dev", "a_b", "x" * 27, "prod-", "a--b"])
def test_refusal__stack_name_that_cannot_be_used(stack: str) -> None:
    assert problems(stack) == [
        f"stack name: got {stack!r}, takes 1 to 26 lower-case letters, digits and single '-' "
        "between them, a letter first, and not 'local'"
    ]


def test_refusal__region_that_is_none() -> None:
    assert problems("dev", {"aws:region": "oregon"}) == [
        "aws:region: got 'oregon', takes something like us-west-2"
    ]


def test_alarm_email__prod_without_one_is_warned() -> None:
    assert "alarmEmail is not set" in " ".join(make_plan("prod").warnings)
    assert make_plan("prod", {"alarmEmail": "oncall@example.com"}).warnings == []
    assert make_plan("dev").warnings == []


def test_warnings__of_what_may_be_a_surprise() -> None:
    names = [f"n{place}.example.com" for place in range(100)]
    alarmed = {"alarmEmail": "oncall@example.com"}

    (many,) = make_plan("prod", {**alarmed, "extraDomains": names[:10]}).warnings
    assert many.startswith("extraDomains: 11 names with domainName, and ACM's quota is 10")
    assert make_plan("prod", {**alarmed, "extraDomains": names[:9]}).warnings == []
    (line,) = problems("prod", {"extraDomains": names})
    assert line.startswith("extraDomains: got 100 beside domainName, takes at most 99")
    (long,) = make_plan("dev", {"environment": {"AGENT_TIMEOUT": 7200}}).warnings
    assert long.startswith("environment: AGENT_TIMEOUT is 7200 s, and the load balancer gives up")


@pytest.mark.parametrize(
    ("cpu", "memory"),
    [(256, 2048), (1024, 2048), (4096, 30720), (8192, 61440), (16384, 122880)],
)
def test_fargate_pair__accepted(cpu: int, memory: int) -> None:
    config = load("dev", {"cpu": cpu, "memory": memory})

    assert (config.task.cpu, config.task.memory) == (cpu, memory)


@pytest.mark.parametrize(("cpu", "memory"), [(256, 4096), (1024, 1024), (8192, 18432)])
def test_fargate_pair__refused(cpu: int, memory: int) -> None:
    assert keys(problems("dev", {"cpu": cpu, "memory": memory})) == {"memory"}


def test_existing_network__turns_endpoints_off_unless_asked() -> None:
    assert not load("prod", NETWORK).network.vpc_endpoints
    assert load("prod", {**NETWORK, "vpcEndpoints": True}).network.vpc_endpoints


def test_image__taken_from_any_registry_with_nat() -> None:
    assert load("dev", {"image": IMAGE}).image.image == IMAGE
    assert load("dev", {"image": f"ghcr.io/us/bff@{DIGEST}"}).image.image is not None


def test_keys__documented_each() -> None:
    page = (ROOT / "docs/stack.md").read_text()
    known = problems("dev", {"typo": 1})[0].partition("the keys are ")[2].split(", ")

    assert len(known) > 25
    assert set(known) == set(re.findall(r"^\| `(\w+)` \|", page.partition("## Outputs")[0], re.M))
