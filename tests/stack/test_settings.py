"""What tasks are told and may call: settings, secrets, agents."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from bff.settings import HEARTBEAT_SECONDS, Settings
from stack import trace_variables
from stack.environment import OWNED
from tests.stack.planner import ACCOUNT, DIGEST, RUNTIME_ARN, make_plan
from tests.stack.reading import allowed, container, variables
from tests.stack.test_config import NETWORK, load, problems

OTHER = RUNTIME_ARN.replace("my_agent", "other")
SECRET = f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:secret:team/redis-AbCdEf"
PARAMETER = f"arn:aws:ssm:us-west-2:{ACCOUNT}:parameter/team/keys"
CERTIFICATE = f"arn:aws:acm:us-west-2:{ACCOUNT}:certificate/0f1e2d3c"

VALUES: dict[str, str] = {
    "AGENT_AUTH": "bearer",
    "AGENT_CANCEL": "stop-session",
    "AGENT_FILES": "s3",
    "AGENT_HEADERS": "X-Tenant",
    "AGENT_HISTORY": "off",
    "AGENT_IDLE_TIMEOUT": "300",
    "AGENT_TIMEOUT": "1800",
    "AGENT_USER_ID": "on",
    "DRAIN_TIMEOUT": "60",
    "LOG_LEVEL": "WARNING",
    "MAX_STREAMS_PER_USER": "20",
    "METRICS_ALLOW": "10.0.0.0/8",
    "PLAYGROUND": "true",
    "RATE_LIMIT_REQUESTS": "500",
    "RATE_LIMIT_WINDOW": "30",
    "RUN_RETENTION": "1800",
    "SESSION_HEADERS": "X-Session-Id",
    "FILES_MAX_MB": "50",
    "MAX_REQUEST_MB": "16",
    "WORKERS": "1",
}
"""One good value of every setting that an operator chooses by `environment`."""


@pytest.mark.parametrize("name", sorted(Settings.variables() - OWNED.keys()))
def test_every_setting__can_be_deployed(name: str) -> None:
    if name in ("JWT_SECRET", "API_KEYS", "REDIS_URL"):
        plan = make_plan("dev", {"secrets": {name: SECRET}})
        told = {pair["name"]: pair["valueFrom"] for pair in container(plan)["secrets"]}
        assert told[name] == SECRET
    else:
        files = name == "AGENT_FILES"  # takes a bucket
        plan = make_plan("dev", {"environment": {name: VALUES[name]}, "files": files})
        assert variables(plan)[name] == VALUES[name]


@pytest.mark.parametrize("name", sorted(OWNED))
def test_what_the_stack_sets__is_refused_by_name(name: str) -> None:
    (line,) = [
        line
        for line in problems("dev", {"environment": {name: "x"}})
        if line.startswith("environment: ") and "the stack sets itself" in line
    ]

    assert name in line
    assert OWNED[name] in line


def _in_china(arn: str) -> str:
    return arn.replace("arn:aws:", "arn:aws-cn:").replace("us-west-2", "cn-north-1")


OTEL = "OTEL_EXPORTER_OTLP_HEADERS"
PLAIN: dict[str, Any] = {"endpoint": "https://otel.example.com"}
HEADERS = {"endpoint": "https://otel.example.com", "headersSecret": SECRET}
CHINA = _in_china(RUNTIME_ARN)


@pytest.mark.parametrize(
    ("config", "key", "why"),
    [
        ({"environment": {"RATE_LIMIT_REQUESTS": 0}}, "environment", "takes a whole number"),
        ({"environment": {"DRAIN_TIMEOUT": 200}}, "environment", "takes at most 110"),
        ({"environment": {"RATE_LIMITS": 5}}, "environment", "RATE_LIMITS"),
        ({"environment": {"JWT_SECRET": "x" * 40}}, "environment", "takes it in `secrets`"),
        ({"environment": ["A=b"]}, "environment", "takes a map"),
        ({"secrets": {"JWT_SECRET": "plain"}}, "secrets", "the ARN of a secret"),
        ({"secrets": {"HISTORY": SECRET}}, "secrets", "takes the key memoryId"),
        ({"otel": HEADERS, "environment": {OTEL: "a=b"}}, "environment", "beside headersSecret"),
        ({"otel": HEADERS, "secrets": {OTEL: SECRET}}, "secrets", "beside headersSecret"),
        *(
            ({"otel": PLAIN, "environment": {name: value}}, "environment", why)
            for name, value, why in (
                ("OTEL_PROPAGATORS", "b3", "does nothing here: takes those"),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "does nothing here"),
                ("OTEL_TRACES_SAMPLER", "half", "takes always_on or always_off"),
                ("OTEL_TRACES_SAMPLER_ARG", 7, "a share from 0 to 1"),
                ("OTEL_BSP_SCHEDULE_DELAY", 0, "a whole number from 1"),
                ("OTEL_BSP_MAX_QUEUE_SIZE", 10, "BATCH_SIZE 512, takes no more than the queue"),
                ("OTEL_SPAN_LINK_COUNT_LIMIT", -1, "a whole number"),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "br", "none or gzip or deflate"),
                ("OTEL_RESOURCE_ATTRIBUTES", "prod", "NAME=VALUE"),
            )
        ),
        ({"environment": {OTEL: "a=b"}}, "environment", "without otel"),
        ({"secrets": {OTEL: SECRET}}, "secrets", "without otel"),
        ({"otel": "xray", "environment": {OTEL: "a=b"}}, "environment", "with otel xray"),
        ({"environment": {"AWS_PROFILE": "team"}}, "environment", "as their own role"),
        ({"secrets": {"AWS_ACCESS_KEY_ID": SECRET}}, "secrets", "as their own role"),
        ({"collectorImage": f"public.ecr.aws/x@{DIGEST}"}, "collectorImage", "without otel xray"),
        ({"otel": "xray", "collectorImage": "x:v1"}, "collectorImage", "REPOSITORY@sha256:DIGEST"),
        (
            {"otel": "xray", "collectorImage": f"x.dkr.ecr.eu-west-1.amazonaws.com/a@{DIGEST}"},
            "collectorImage",
            "ACCOUNT.dkr.ecr.REGION",
        ),
        ({"agentRuntimeArn": CHINA}, "agentRuntimeArn", "takes arn:aws:…"),
        ({"aws:region": "us-gov-west-1"}, "agentRuntimeArn", "takes arn:aws-us-gov:…"),
        ({"secrets": {"JWT_SECRET": _in_china(SECRET)}}, "secrets", "takes arn:aws:…"),
        ({"otel": {**HEADERS, "headersSecret": _in_china(SECRET)}}, "otel", "takes arn:aws:…"),
        (
            {"permissionsBoundaryArn": "arn:aws-cn:iam::123456789012:policy/x"},
            "permissionsBoundaryArn",
            "takes arn:aws:…",
        ),
        ({"agentPayload": "soap"}, "agentPayload", "takes"),
        ({"agents": {"one": {"url": "http://x"}}}, "agents", "has no arn"),
        ({"agents": {"one": {"arn": "x"}}}, "agents", "arn:aws:bedrock-agentcore"),
        ({"agents": {"one": {"arn": OTHER}}}, "agentRuntimeArn", "set beside agents"),
    ],
)
def test_settings__refused_as_the_service_would(config: dict[str, Any], key: str, why: str) -> None:
    lines = problems("dev", config)

    assert any(line.startswith(f"{key}: ") and why in line for line in lines), lines


def test_settings__refused_all_at_once() -> None:
    lines = problems(
        "dev",
        {
            "environment": {"RATE_LIMIT_REQUESTS": 0, "LOG_LEVEL": "loud", "DRAIN_TIMEOUT": "soon"},
            "jwtIssuer": "with space",
        },
    )

    for name in ("RATE_LIMIT_REQUESTS", "LOG_LEVEL", "DRAIN_TIMEOUT"):
        assert any(line.startswith(f"environment: {name}: got") for line in lines), lines
    assert any(line.startswith("jwtIssuer: ") for line in lines)


def test_settings__longer_than_a_task_definition_are_refused() -> None:
    names = [name for name in trace_variables.READ if name.endswith(("HEADERS", "ATTRIBUTES"))]
    names += [name for name in trace_variables.READ if name.endswith(("CERTIFICATE", "KEY"))]
    long = {name: "/a=" + "x" * 8000 for name in names[:8]}
    payload = {"query": "$message", "instructions": "x" * 60_000}

    assert problems("dev", {"environment": long, "otel": PLAIN}) == [
        "environment: is more than a task definition holds, takes 56,000 characters"
    ]
    (line,) = problems(
        "dev", {"agents": {"one": {"arn": RUNTIME_ARN, "payload": payload}}}, without=ONE
    )
    assert line.startswith("agents: is more than")


def test_settings__encrypted_in_the_file_are_not_shown_by_the_state() -> None:
    config: dict[str, Any] = {
        "environment": {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=private"},
        "alarmEmail": "private@example.com",
        "jwtAudience": "private",
    }

    for key in config:
        plan = make_plan("dev", {**config, "otel": PLAIN}, encrypted=[key])
        of = "topicSubscription:" if key == "alarmEmail" else "taskDefinition:"
        (resource,) = (r for r in plan.resources if of in r.type)
        assert ("endpoint" if key == "alarmEmail" else "containerDefinitions") in resource.secret
    plain = make_plan("dev", {**config, "otel": PLAIN})
    assert "containerDefinitions" not in plain.one("taskDefinition:TaskDefinition").secret
    (line,) = problems("dev", {"cpu": "private"}, encrypted=["cpu"])
    assert line.startswith("cpu: got a secret, takes")
    for name in ("LOG_LEVEL", "OTEL_TRACES_SAMPLER"):
        told = {"environment": {name: "private"}, "otel": PLAIN}
        (line,) = problems("dev", told, encrypted=["environment"])
        assert line.startswith(f"environment: {name}: got a secret, takes")


ONE = ("agentRuntimeArn",)
ALONE = {"protectOpenRuns": False}
WITH_FILES: dict[str, Any] = {"agents": {"one": {"arn": RUNTIME_ARN, "files": "url"}}}


@pytest.mark.parametrize(
    ("stack", "config", "refused"),
    [
        ("prod", {"environment": {"WORKERS": 2}, **ALONE}, None),
        ("prod", {"environment": {"WORKERS": "auto"}, **ALONE}, None),
        ("prod", {"environment": {"WORKERS": 2}}, "environment: WORKERS: got 2 processes, takes 1"),
        ("dev", {"environment": {"WORKERS": 2}, **ALONE}, "environment: WORKERS: got 2 processes"),
        ("dev", {"environment": {"WORKERS": "auto"}, **ALONE}, "environment: WORKERS: got 2"),
        ("prod", WITH_FILES, None),
        ("dev", WITH_FILES, "agents: got files 'url', takes files inline"),
    ],
)
def test_settings__judged_beside_what_the_task_will_have(
    stack: str, config: dict[str, Any], refused: str | None
) -> None:
    """The cache's and the bucket's addresses, which are not known yet, and what ECS itself sets."""
    without = ("agentRuntimeArn",) if "agents" in config else ()
    if refused is None:
        _ = load(stack, config, without=without)
        return

    (line,) = problems(stack, config, without=without)
    assert line.startswith(refused)


def test_time_limits__follow_the_services_own() -> None:
    plan = make_plan("dev", {"environment": {"AGENT_TIMEOUT": "1800", "DRAIN_TIMEOUT": "30"}})

    assert plan.one("loadBalancer:LoadBalancer")["idleTimeout"] == 1800 + 2 * HEARTBEAT_SECONDS
    assert container(plan)["stopTimeout"] == 40


def test_secrets__are_granted_to_the_execution_role_alone() -> None:
    plan = make_plan("dev", {"secrets": {"REDIS_URL": f"{SECRET}:url::", "API_KEYS": PARAMETER}})

    granted = allowed(plan, "bff-execution")
    assert any(SECRET in resources.split() for resources in granted)
    assert granted[PARAMETER] == ["ssm:GetParameters"]
    assert granted[f"arn:aws:kms:us-west-2:{ACCOUNT}:key/*"] == ["kms:Decrypt"]
    assert SECRET not in json.dumps(allowed(plan, "bff-task"))
    assert any(
        rule["fromPort"] == 6379 and rule.inputs.get("cidrIpv4") == "0.0.0.0/0"
        for rule in plan.all("EgressRule:SecurityGroupEgressRule")
    )


def test_secrets__an_arn_without_its_last_six_characters_is_granted_with_any() -> None:
    plan = make_plan("dev", {"secrets": {"JWT_SECRET": SECRET.removesuffix("-AbCdEf")}})

    (granted,) = (arns.split() for arns in allowed(plan, "bff-execution") if "team/redis" in arns)
    assert f"{SECRET.removesuffix('AbCdEf')}??????" in granted


def test_secrets__parameters_have_an_endpoint_where_there_is_no_other_way() -> None:
    def services(config: dict[str, Any]) -> set[str]:
        plan = make_plan("prod", config)
        return {end["serviceName"] for end in plan.all("vpcEndpoint:VpcEndpoint")}

    secrets = {"secrets": {"API_KEYS": PARAMETER}}
    headers = {"otel": {**HEADERS, "headersSecret": PARAMETER}}

    assert "com.amazonaws.us-west-2.ssm" in services({**secrets, "natGateways": "None"})
    assert "com.amazonaws.us-west-2.ssm" in services({**secrets, **NETWORK, "vpcEndpoints": True})
    assert "com.amazonaws.us-west-2.ssm" in services({**headers, **NETWORK, "vpcEndpoints": True})
    assert "com.amazonaws.us-west-2.ssm" not in services(secrets)


def test_secrets__a_redis_of_ones_own_is_shared() -> None:
    config = load("dev", {"secrets": {"REDIS_URL": SECRET}, "maxTasks": 4})

    assert config.service.max_tasks == 4


def test_agents__each_is_granted_by_itself() -> None:
    agents = {"one": {"arn": RUNTIME_ARN}, "two": {"arn": OTHER, "qualifier": "live"}}

    plan = make_plan("dev", {"agents": agents}, without=("agentRuntimeArn",))

    granted = allowed(plan, "bff-task")
    (invoked,) = (arns for arns in granted if ":runtime/" in arns)
    assert invoked.split() == [
        *(RUNTIME_ARN, f"{RUNTIME_ARN}/runtime-endpoint/DEFAULT"),
        *(OTHER, f"{OTHER}/runtime-endpoint/live"),
    ]
    told = variables(plan)
    assert json.loads(told["AGENTS"]) == agents
    assert not {"AGENT_RUNTIME_ARN", "AGENT_QUALIFIER", "AGENT_PAYLOAD"} & told.keys()


@pytest.mark.parametrize("number", [32, 45])
def test_agents__as_many_as_one_role_may_call(number: int) -> None:
    """IAM counts a role's policies without their spaces, 10,240 characters together."""
    arn = RUNTIME_ARN.replace("my_agent", "an_agent_with_a_longer_name_{:02}")
    config = {
        "agents": {f"agent-{place}": {"arn": arn.format(place)} for place in range(number)},
        "environment": {"AGENT_USER_ID": "on"},
        **{"files": True, "exec": True, "otel": "xray"},
    }
    if number > 40:
        (line,) = problems("dev", config, without=("agentRuntimeArn",))
        assert line.startswith("agents: got 45, takes fewer: their ARNs")
        return

    plan = make_plan("dev", config, without=("agentRuntimeArn",))

    policy = plan.one("rolePolicy:RolePolicy", "bff-task")["policy"]
    assert len(re.sub(r"\s", "", policy)) < 10_240


def test_agent__qualifier_feeds_the_grant_and_the_task() -> None:
    plan = make_plan("dev", {"agentQualifier": "live", "agentPayload": {"q": "$message"}})

    assert f"{RUNTIME_ARN} {RUNTIME_ARN}/runtime-endpoint/live" in allowed(plan, "bff-task")
    assert variables(plan)["AGENT_QUALIFIER"] == "live"
    assert json.loads(variables(plan)["AGENT_PAYLOAD"]) == {"q": "$message"}


CALL = ("InvokeAgentRuntime", "StopRuntimeSession")


@pytest.mark.parametrize(
    ("told", "actions"),
    [
        ({}, [*CALL]),
        ({"AGENT_USER_ID": "on"}, sorted([*CALL, "InvokeAgentRuntimeForUser"])),
        ({"AGENT_AUTH": "bearer"}, []),
    ],
)
def test_agent__may_be_called_as_the_settings_say(told: dict[str, str], actions: list[str]) -> None:
    plan = make_plan("dev", {"environment": told})

    granted = [act for arns, acts in allowed(plan, "bff-task").items() for act in acts]
    mine = [action.partition(":")[2] for action in granted if "bedrock-agentcore" in action]
    assert mine == actions


def test_memory__that_the_agent_writes_itself() -> None:
    plan = make_plan("dev", {"memoryId": "chats-0123456789?write=false"})

    memory = f"arn:aws:bedrock-agentcore:us-west-2:{ACCOUNT}:memory/chats-0123456789"
    assert "bedrock-agentcore:CreateEvent" not in allowed(plan, "bff-task")[memory]
    assert variables(plan)["HISTORY"] == "agentcore://chats-0123456789?write=false"


def test_opentelemetry__what_is_taken_reaches_the_task() -> None:
    told = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": 0.05}

    plan = make_plan("dev", {"otel": PLAIN, "environment": told, "secrets": {OTEL: SECRET}})

    assert variables(plan)["OTEL_TRACES_SAMPLER_ARG"] == "0.05"
    assert OTEL in {pair["name"] for pair in container(plan)["secrets"]}
