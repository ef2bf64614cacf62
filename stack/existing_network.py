"""An existing network, judged by what AWS says of its subnets before anything is made in it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from stack.keys import NetworkKeys

PUBLIC, PRIVATE = "publicSubnetIds", "privateSubnetIds"
SMALLEST_BALANCER_SUBNET = 27
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#subnets-load-balancer"""


class ExistingNetwork:
    """`public` and `private` are known once nothing is wrong with them, and so is `balancers`:
    the blocks of those that the load balancer is in."""

    def __init__(self, keys: NetworkKeys, *, cache: bool, lookup: pulumi.InvokeOptions) -> None:
        self._keys = keys
        self._balancer = PRIVATE if keys.internal else PUBLIC
        self._one_a_zone = {self._balancer}
        if cache or keys.vpc_endpoints:
            self._one_a_zone.add(PRIVATE)
        given = {PUBLIC: keys.public_subnet_ids, PRIVATE: keys.private_subnet_ids}
        found = {
            key: pulumi.Output.all(*(aws.ec2.get_subnet_output(id=id, opts=lookup) for id in ids))
            for key, ids in given.items()
        }
        vpc: pulumi.Output[Any] = pulumi.Output.from_input(None)
        if keys.vpc_endpoints:
            vpc = aws.ec2.get_vpc_output(id=keys.vpc_id, opts=lookup)
        judged: pulumi.Output[dict[str, Any]] = pulumi.Output.all(**found, vpc=vpc).apply(
            self._judge
        )
        self.public: pulumi.Output[Sequence[str]] = judged.apply(lambda _: list(given[PUBLIC]))
        self.private: pulumi.Output[Sequence[str]] = judged.apply(lambda _: list(given[PRIVATE]))
        self.balancers: pulumi.Output[Sequence[str]] = judged.apply(
            lambda found: [subnet.cidr_block for subnet in found[self._balancer]]
        )

    def _judge(self, found: dict[str, Any]) -> dict[str, Any]:
        """Raises `pulumi.RunError` with all that AWS would refuse half way."""
        problems = [
            f"{pulumi.get_project()}:{key}: {problem}"
            for key in (PUBLIC, PRIVATE)
            for problem in self._problems(key, found[key])
        ]
        vpc = found["vpc"]
        if vpc and not (vpc.enable_dns_support and vpc.enable_dns_hostnames):
            problems.append(
                f"{pulumi.get_project()}:vpcEndpoints: got true in {vpc.id}, takes a VPC with its "
                "attributes enableDnsSupport and enableDnsHostnames on"
            )
        if problems:
            raise pulumi.RunError(
                f"{len(problems)} problem(s) with the existing network (keys in docs/stack.md):\n  "
                + "\n  ".join(problems)
            )
        return found

    def _problems(self, key: str, subnets: Sequence[Any]) -> list[str]:
        vpc = self._keys.vpc_id
        problems = [
            f"{subnet.id} is in {subnet.vpc_id}, takes subnets of vpcId {vpc}"
            for subnet in subnets
            if subnet.vpc_id != vpc
        ]
        seen: dict[str, str] = {}
        for subnet in subnets if key in self._one_a_zone else ():
            if other := seen.get(subnet.availability_zone):
                zone = subnet.availability_zone
                problems.append(f"{other} and {subnet.id} are both in {zone}, takes one a zone")
            seen[subnet.availability_zone] = subnet.id
        if key != self._balancer:
            return problems
        for subnet in subnets:
            if ipaddress.ip_network(subnet.cidr_block).prefixlen > SMALLEST_BALANCER_SUBNET:
                takes = f"takes /{SMALLEST_BALANCER_SUBNET} or larger for the load balancer"
                problems.append(f"{subnet.id} is {subnet.cidr_block}, {takes}")
            if self._keys.ipv6 and not subnet.ipv6_cidr_block:
                takes = "takes subnets that have one, or no ipv6"
                problems.append(f"{subnet.id} has no IPv6 block, {takes}")
        return problems
