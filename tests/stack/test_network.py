"""The network that is planned: subnets, gateways, security groups, endpoints."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from stack.network import Layout
from tests.stack.planner import ANSWERS, RUNTIME_ARN, Plan, make_plan
from tests.stack.reading import BOTH, Plans, allowed
from tests.stack.test_config import NETWORK, problems

SUBNET = "aws:ec2/getSubnet:getSubnet"


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


@pytest.mark.parametrize("memory", [{}, {"memoryId": "chats-0123456789"}])
def test_agentcore_endpoint__only_where_something_of_it_is_called(memory: dict[str, Any]) -> None:
    """In a region without AgentCore there is no such service to look up, either."""
    elsewhere = {"agentRuntimeArn": RUNTIME_ARN.replace("us-west-2", "us-east-1")}

    plan = make_plan("prod", {**elsewhere, **memory})

    made = {endpoint.name for endpoint in plan.all("vpcEndpoint:VpcEndpoint")}
    assert ("bff-bedrock-agentcore" in made) is bool(memory)
    looked_up = "aws:ec2/getVpcEndpointService:getVpcEndpointService" in plan.looked_up
    assert looked_up is bool(memory)


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


def test_existing_network__keys_of_a_new_one_are_refused() -> None:
    lines = problems("dev", {**NETWORK, "vpcCidr": "10.1.0.0/16", "availabilityZones": 3})

    assert {line.partition(":")[0] for line in lines} == {"vpcCidr", "availabilityZones"}


TWICE = ["subnet-1111111a", "subnet-5555555a"]


@pytest.mark.parametrize(
    ("config", "answer", "refused"),
    [
        ({}, {}, None),
        (
            {"publicSubnetIds": ["subnet-0000000a", "subnet-4444444a"]},
            {},
            "publicSubnetIds: subnet-0000000a and subnet-4444444a are both in us-west-2a",
        ),
        ({"privateSubnetIds": TWICE}, {}, None),
        ({"privateSubnetIds": TWICE, "sharedCache": True}, {}, "privateSubnetIds: subnet-1111111a"),
        ({"privateSubnetIds": TWICE, "vpcEndpoints": True}, {}, "takes one a zone"),
        ({"privateSubnetIds": TWICE, "internal": True}, {}, "takes one a zone"),
        ({}, {"vpcId": "vpc-1"}, "subnet-1111111a is in vpc-1, takes subnets of vpcId vpc-0123456"),
        ({}, {"cidrBlock": "10.0.0.0/28"}, "/27 or larger"),
        ({"ipv6": True}, {}, "publicSubnetIds: subnet-0000000b has no IPv6 block"),
        ({"ipv6": True}, {"ipv6CidrBlock": "2600:1f14:aaa:bb00::/64"}, None),
    ],
)
@pytest.mark.parametrize("preview", [True, False])
def test_existing_network__what_aws_would_refuse_half_way(
    config: dict[str, Any], answer: dict[str, Any], refused: str | None, preview: bool
) -> None:
    """Its subnets are looked up, in a preview too: one a zone where AWS takes one, and so on."""

    def subnet(args: Mapping[str, Any]) -> dict[str, Any]:
        return {**ANSWERS[SUBNET](args), **answer}

    def plan() -> Plan:
        return make_plan("dev", {**NETWORK, **config}, answers={SUBNET: subnet}, preview=preview)

    if refused is None:
        assert plan().warnings == []
        return
    with pytest.raises(pulumi.RunError, match="with the existing network") as raised:
        plan()
    assert refused in str(raised.value)


def test_existing_network__endpoints_take_its_names() -> None:
    vpc = {"id": NETWORK["vpcId"], "enableDnsSupport": True, "enableDnsHostnames": False}
    answers = {"aws:ec2/getVpc:getVpc": vpc}

    with pytest.raises(pulumi.RunError, match="vpcEndpoints: got true in vpc-0123456789abcdef0"):
        make_plan("dev", {**NETWORK, "vpcEndpoints": True}, answers=answers, preview=True)
    assert make_plan("dev", NETWORK, answers=answers).warnings == []
