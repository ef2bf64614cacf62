"""What the keys of section 6 make of the plan, one group after the other."""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import Any

import pytest

from bff.settings import HEARTBEAT_SECONDS, Settings
from bff.telemetry.traces import open_tracing
from stack import trace_variables
from stack.environment import OWNED
from tests.stack.planner import ACCOUNT, DIGEST, RUNTIME_ARN, make_plan
from tests.stack.reading import allowed, container, variables
from tests.stack.test_aws_models import report
from tests.stack.test_config import NETWORK, load, problems

OTHER = RUNTIME_ARN.replace("my_agent", "other")
SECRET = f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:secret:team/redis-AbCdEf"
PARAMETER = f"arn:aws:ssm:us-west-2:{ACCOUNT}:parameter/team/keys"
CERTIFICATE = f"arn:aws:acm:us-west-2:{ACCOUNT}:certificate/0f1e2d3c"

# Settings, secrets, agents -----------------------------------------------------------------------

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


def test_opentelemetry__what_is_taken_reaches_the_task() -> None:
    told = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": 0.05}

    plan = make_plan("dev", {"otel": PLAIN, "environment": told, "secrets": {OTEL: SECRET}})

    assert variables(plan)["OTEL_TRACES_SAMPLER_ARG"] == "0.05"
    assert OTEL in {pair["name"] for pair in container(plan)["secrets"]}


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
