"""Where the tasks live: three layers of subnets, one way out, and who may talk to whom.

Public subnets hold the load balancer and NAT, private ones the tasks, isolated ones the cache. Or
an existing VPC is used as it is. docs/decisions/awsx.md says why awsx makes the VPC and nothing
else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_awsx as awsx

from stack.config import Stack
from stack.dual_stack import DualStack, DualStackArgs
from stack.existing_network import ExistingNetwork
from stack.keys import NetworkKeys
from stack.roles import Grant, allow, make_role
from stack.security_groups import ANYWHERE, SecurityGroups, SecurityGroupsArgs
from stack.vpc_endpoints import VpcEndpoints, VpcEndpointsArgs

PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
"""Where clients of an internal load balancer are: this network, its peers, an office."""

# Written out, one block a zone: a computed layout is free to move, and moving replaces subnets.
# In 256ths of the network, of which the first 16 are for public and isolated subnets, and in 16ths.
_PUBLIC = (0, 1, 4, 6)
_ISOLATED = (2, 3, 5, 7)
_PRIVATE = (1, 2, 3, 4)
_DUAL_STACK = (-1, -2, -3, -4)


@dataclass(frozen=True)
class Layout:
    """Blocks of each kind of subnet, one a zone; more zones leave the others where they are."""

    public: tuple[str, ...]
    private: tuple[str, ...]
    isolated: tuple[str, ...]
    dual_stack: tuple[str, ...]

    @classmethod
    def of(cls, cidr: str, zones: int) -> Layout:
        network = ipaddress.IPv4Network(cidr)
        # A load balancer wants at least 32 addresses a subnet.
        small = list(network.subnets(new_prefix=min(network.prefixlen + 8, 27)))
        large = list(network.subnets(prefixlen_diff=4))

        def blocks(of: list[ipaddress.IPv4Network], places: tuple[int, ...]) -> tuple[str, ...]:
            return tuple(str(of[place]) for place in places[:zones])

        return cls(
            public=blocks(small, _PUBLIC),
            private=blocks(large, _PRIVATE),
            isolated=blocks(small, _ISOLATED),
            dual_stack=blocks(small, _DUAL_STACK),
        )


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    stack: Stack
    keys: NetworkKeys
    shared_cache: bool
    https: bool
    outgoing_ports: frozenset[int]
    """Beside 443, what the tasks must reach outside."""
    agentcore: bool
    """Whether an agent or a memory in this region is called."""
    parameters: bool
    """Whether tasks take parameters of SSM at their start."""


class Network(pulumi.ComponentResource):
    """A VPC, made or found, and the security groups in it."""

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Network", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        self.vpc_id: pulumi.Output[str]
        self.public_subnet_ids: pulumi.Output[Sequence[str]]
        self.private_subnet_ids: pulumi.Output[Sequence[str]]
        self.cache_subnet_ids: pulumi.Output[Sequence[str]]
        self.balancer_cidrs: pulumi.Output[Sequence[str]]
        """Where the load balancer's own addresses lie: the proxies to believe."""
        self.balancer_subnet_ids: pulumi.Output[Sequence[str]]
        if args.keys.vpc_id:
            self._find(args.keys.vpc_id, args)
        else:
            self._make(name, args)
        self.groups = SecurityGroups(
            name,
            SecurityGroupsArgs(
                vpc_id=self.vpc_id,
                https=args.https,
                cache=args.shared_cache,
                endpoints=args.keys.vpc_endpoints,
                clients=PRIVATE_RANGES if args.keys.internal else (ANYWHERE,),
                ipv6=args.keys.ipv6,
                outgoing_ports=args.outgoing_ports,
            ),
            self._child,
        )
        self.endpoints: list[pulumi.Resource] = []
        """What tasks that start without them may miss."""
        if self.groups.endpoints:
            interfaces = VpcEndpoints(
                name,
                VpcEndpointsArgs(
                    region=args.stack.region,
                    vpc_id=self.vpc_id,
                    subnet_ids=self.private_subnet_ids,
                    group_id=self.groups.endpoints,
                    agentcore=args.agentcore,
                    parameters=args.parameters and args.keys.without_nat,
                ),
                self._child,
            )
            self.endpoints = interfaces.endpoints
        facts = (
            {}
            if args.keys.vpc_id
            else {"cidr": args.keys.vpc_cidr, "zones": args.keys.availability_zones}
        )
        self.register_outputs({"vpcId": self.vpc_id, **facts})

    def _find(self, vpc_id: str, args: NetworkArgs) -> None:
        keys = args.keys
        lookup = pulumi.InvokeOptions(parent=self)
        network = ExistingNetwork(keys, cache=args.shared_cache, lookup=lookup)
        self.vpc_id = network.public.apply(lambda _: vpc_id)
        self.public_subnet_ids = network.public
        self.private_subnet_ids = network.private
        self.cache_subnet_ids = _cache_subnets(network.private)
        self.balancer_subnet_ids = network.private if keys.internal else network.public
        self.balancer_cidrs = network.balancers

    def _make(self, name: str, args: NetworkArgs) -> None:
        subnet = awsx.ec2.SubnetSpecArgs
        layout = Layout.of(args.keys.vpc_cidr, args.keys.availability_zones)
        kind = awsx.ec2.SubnetType
        vpc = awsx.ec2.Vpc(
            name,
            cidr_block=args.keys.vpc_cidr,
            number_of_availability_zones=args.keys.availability_zones,
            enable_dns_hostnames=True,  # the endpoints' private names need it
            enable_dns_support=True,
            nat_gateways=awsx.ec2.NatGatewayConfigurationArgs(
                strategy=awsx.ec2.NatGatewayStrategy(args.keys.nat_gateways)
            ),
            subnet_strategy=awsx.ec2.SubnetAllocationStrategy.AUTO,
            subnet_specs=[
                subnet(type=kind.PUBLIC, cidr_blocks=layout.public),
                subnet(type=kind.PRIVATE, cidr_blocks=layout.private),
                subnet(type=kind.ISOLATED, cidr_blocks=layout.isolated),
            ],
            # Gateway endpoints are free and keep image layers and history off the NAT.
            vpc_endpoint_strategy=awsx.ec2.VpcEndpointStrategy.AUTO,
            vpc_endpoint_specs=[
                awsx.ec2.VpcEndpointSpecArgs(
                    service_name=f"com.amazonaws.{args.stack.region}.{service}",
                    vpc_endpoint_type="Gateway",
                )
                for service in ("s3", "dynamodb")
            ],
            opts=self._child,
        )
        self.vpc_id = vpc.vpc_id
        self.public_subnet_ids = vpc.public_subnet_ids
        self.private_subnet_ids = vpc.private_subnet_ids
        self.cache_subnet_ids = _cache_subnets(vpc.isolated_subnet_ids)
        inside = args.keys.internal
        self.balancer_subnet_ids = vpc.private_subnet_ids if inside else vpc.public_subnet_ids
        self.balancer_cidrs = pulumi.Output.from_input(
            list(layout.private if inside else layout.public)
        )
        if args.keys.ipv6:
            dual = DualStack(
                name,
                DualStackArgs(
                    vpc_id=vpc.vpc_id, beside=vpc.public_subnet_ids, blocks=layout.dual_stack
                ),
                self._child,
            )
            self.balancer_subnet_ids = dual.subnet_ids
            self.balancer_cidrs = pulumi.Output.from_input(list(layout.dual_stack))
        # The group AWS puts on whatever names none: nothing in, nothing out.
        aws.ec2.DefaultSecurityGroup(name, vpc_id=vpc.vpc_id, opts=self._child)
        self._flow_logs(name, args.stack)

    def _flow_logs(self, name: str, stack: Stack) -> None:
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id
        group = aws.cloudwatch.LogGroup(
            f"{name}-flow", retention_in_days=stack.log_retention_days, opts=self._child
        )
        role = make_role(
            f"{name}-flow",
            "vpc-flow-logs.amazonaws.com",
            "VPC flow logs write their log group",
            stack,
            self._child,
            account=account,
        )
        writing = Grant(
            actions=("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
            resources=(pulumi.Output.format("{}:*", group.arn),),
        )
        policy = allow(f"{name}-flow", role, [writing], self._child)
        aws.ec2.FlowLog(
            name,
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=600,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )


def _cache_subnets(ids: pulumi.Output[Sequence[str]]) -> pulumi.Output[Sequence[str]]:
    """A serverless cache is in three zones at most; tasks of a fourth reach it there."""
    return ids.apply(lambda ids: ids and ids[:3])
