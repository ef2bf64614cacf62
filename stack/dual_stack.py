"""Subnets of the load balancer that have IPv6 addresses too.

awsx makes subnets without IPv6 blocks, so these are plain ones beside its own, in the same zones,
with their own way to the internet gateway. Tasks stay on IPv4: the load balancer speaks it to them,
and all that they call has it. docs/stack.md says why.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class DualStackArgs:
    vpc_id: pulumi.Input[str]
    beside: pulumi.Output[Sequence[str]]
    """Subnets in whose zones these are made."""
    blocks: Sequence[str]


class DualStack(pulumi.ComponentResource):
    """`subnet_ids` are known once their way out is there."""

    def __init__(
        self, name: str, args: DualStackArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:DualStack", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        lookup = pulumi.InvokeOptions(parent=self)
        block = aws.ec2.VpcIpv6CidrBlockAssociation(
            name, vpc_id=args.vpc_id, assign_generated_ipv6_cidr_block=True, opts=child
        )
        gateway = aws.ec2.get_internet_gateway_output(
            filters=[
                aws.ec2.GetInternetGatewayFilterArgs(
                    name="attachment.vpc-id",
                    values=[args.vpc_id],  # type: ignore[list-item]  # an output is fine here
                )
            ],
            opts=lookup,
        ).internet_gateway_id
        table = aws.ec2.RouteTable(
            f"{name}-dual", vpc_id=args.vpc_id, tags={"Name": f"{name}-dual"}, opts=child
        )
        ways = [
            aws.ec2.Route(
                f"{name}-dual-ipv4",
                route_table_id=table.id,
                gateway_id=gateway,
                destination_cidr_block="0.0.0.0/0",
                opts=child,
            ),
            aws.ec2.Route(
                f"{name}-dual-ipv6",
                route_table_id=table.id,
                gateway_id=gateway,
                destination_ipv6_cidr_block="::/0",
                opts=child,
            ),
        ]

        def zone_of(subnets: Sequence[str], place: int) -> pulumi.Output[str]:
            return aws.ec2.get_subnet_output(id=subnets[place], opts=lookup).availability_zone

        ids = []
        for place, cidr in enumerate(args.blocks):
            zone: pulumi.Output[Any] = args.beside.apply(functools.partial(zone_of, place=place))
            part = f"{name}-dual-{place + 1}"
            subnet = aws.ec2.Subnet(
                part,
                vpc_id=args.vpc_id,
                availability_zone=zone,
                cidr_block=cidr,
                ipv6_cidr_block=block.ipv6_cidr_block.apply(
                    functools.partial(_sixty_four, place=place)
                ),
                tags={"Name": part},
                opts=child,
            )
            linked = aws.ec2.RouteTableAssociation(
                part,
                subnet_id=subnet.id,
                route_table_id=table.id,
                opts=pulumi.ResourceOptions(parent=self, depends_on=ways),
            )
            ids.append(linked.subnet_id.apply(str))
        self.subnet_ids: pulumi.Output[Sequence[str]] = pulumi.Output.all(*ids)
        self.register_outputs({})


def _sixty_four(block: str | None, place: int) -> str:
    """One of the 256 networks of the /56 that AWS gives; empty where it says of none."""
    if not block:
        return ""
    subnets = ipaddress.IPv6Network(block).subnets(new_prefix=64)
    return str(next(net for number, net in enumerate(subnets) if number == place))
