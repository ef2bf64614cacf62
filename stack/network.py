"""Where the tasks live: three layers of subnets, one way out, and who may talk to whom.

Public subnets hold the load balancer and NAT, private ones the tasks, isolated ones the cache. Or
an existing VPC is used as it is. docs/decisions/awsx.md says why awsx makes the VPC and nothing
else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_awsx as awsx

from stack.config import Stack
from stack.keys import NetworkKeys
from stack.security_groups import SecurityGroups, SecurityGroupsArgs
from stack.vpc_endpoints import VpcEndpoints, VpcEndpointsArgs

VPC_CIDR = "10.0.0.0/16"
ZONES = 2
# Written out, one block a zone: a computed layout is free to move, and moving replaces subnets.
PUBLIC_CIDRS = ("10.0.0.0/24", "10.0.1.0/24")
ISOLATED_CIDRS = ("10.0.2.0/24", "10.0.3.0/24")
PRIVATE_CIDRS = ("10.0.16.0/20", "10.0.32.0/20")


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    stack: Stack
    keys: NetworkKeys
    shared_cache: bool
    https: bool


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
        if args.keys.vpc_id:
            self._find(args.keys.vpc_id, args.keys)
        else:
            self._make(name, args)
        self.groups = SecurityGroups(
            name,
            SecurityGroupsArgs(
                vpc_id=self.vpc_id,
                https=args.https,
                cache=args.shared_cache,
                endpoints=args.keys.vpc_endpoints,
            ),
            self._child,
        )
        if self.groups.endpoints:
            VpcEndpoints(
                name,
                VpcEndpointsArgs(
                    region=args.stack.region,
                    vpc_id=self.vpc_id,
                    subnet_ids=self.private_subnet_ids,
                    group_id=self.groups.endpoints,
                ),
                self._child,
            )
        self.register_outputs({"vpcId": self.vpc_id})

    def _find(self, vpc_id: str, keys: NetworkKeys) -> None:
        lookup = pulumi.InvokeOptions(parent=self)
        self.vpc_id = pulumi.Output.from_input(vpc_id)
        self.public_subnet_ids = pulumi.Output.from_input(list(keys.public_subnet_ids))
        self.private_subnet_ids = pulumi.Output.from_input(list(keys.private_subnet_ids))
        self.cache_subnet_ids = self.private_subnet_ids
        self.balancer_cidrs = pulumi.Output.all(
            *(
                aws.ec2.get_subnet_output(id=subnet, opts=lookup).cidr_block
                for subnet in keys.public_subnet_ids
            )
        )

    def _make(self, name: str, args: NetworkArgs) -> None:
        subnet = awsx.ec2.SubnetSpecArgs
        kind = awsx.ec2.SubnetType
        vpc = awsx.ec2.Vpc(
            name,
            cidr_block=VPC_CIDR,
            number_of_availability_zones=ZONES,
            enable_dns_hostnames=True,  # the endpoints' private names need it
            enable_dns_support=True,
            nat_gateways=awsx.ec2.NatGatewayConfigurationArgs(
                strategy=awsx.ec2.NatGatewayStrategy(args.keys.nat_gateways)
            ),
            subnet_strategy=awsx.ec2.SubnetAllocationStrategy.AUTO,
            subnet_specs=[
                subnet(type=kind.PUBLIC, cidr_blocks=PUBLIC_CIDRS),
                subnet(type=kind.PRIVATE, cidr_blocks=PRIVATE_CIDRS),
                subnet(type=kind.ISOLATED, cidr_blocks=ISOLATED_CIDRS),
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
        self.cache_subnet_ids = vpc.isolated_subnet_ids
        self.balancer_cidrs = pulumi.Output.from_input(list(PUBLIC_CIDRS))
        # The group AWS puts on whatever names none: nothing in, nothing out.
        aws.ec2.DefaultSecurityGroup(name, vpc_id=vpc.vpc_id, opts=self._child)
        self._flow_logs(name, args.stack.log_retention_days)

    def _flow_logs(self, name: str, retention_days: int) -> None:
        group = aws.cloudwatch.LogGroup(
            f"{name}-flow", retention_in_days=retention_days, opts=self._child
        )
        role = aws.iam.Role(
            f"{name}-flow",
            description="VPC flow logs write their log group",
            assume_role_policy=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": "sts:AssumeRole",
                            "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
                        }
                    ],
                }
            ),
            opts=self._child,
        )
        policy = aws.iam.RolePolicy(
            f"{name}-flow",
            role=role.id,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": [
                                "logs:CreateLogStream",
                                "logs:DescribeLogStreams",
                                "logs:PutLogEvents",
                            ],
                            "Resource": pulumi.Output.format("{}:*", group.arn),
                        }
                    ],
                }
            ),
            opts=self._child,
        )
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
