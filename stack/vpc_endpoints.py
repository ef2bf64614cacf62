"""AWS's interfaces inside the network, so that calls of the agent need not cross the NAT.

They cost more than a NAT at small scale, hence a switch (docs/operations.md has the sums); they
are what makes `natGateways: None` possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

AGENTCORE = "bedrock-agentcore"
PARAMETERS = "ssm"
SERVICES = ("ecr.api", "ecr.dkr", "logs", "secretsmanager")


@dataclass(frozen=True, kw_only=True)
class VpcEndpointsArgs:
    region: str
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Output[Sequence[str]]
    group_id: pulumi.Input[str]
    agentcore: bool
    """Whether an agent or a memory in this region is called."""
    parameters: bool
    """Whether tasks take parameters of SSM, and have no other way to it."""


class VpcEndpoints(pulumi.ComponentResource):
    """One interface endpoint per service in every private subnet."""

    def __init__(
        self, name: str, args: VpcEndpointsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Endpoints", name, None, opts)
        self.endpoints: list[pulumi.Resource] = []
        wanted = {AGENTCORE: args.agentcore, PARAMETERS: args.parameters}
        for service in (*SERVICES, *(name for name, wants in wanted.items() if wants)):
            full = f"com.amazonaws.{args.region}.{service}"
            endpoint = aws.ec2.VpcEndpoint(
                f"{name}-{service}",
                vpc_id=args.vpc_id,
                service_name=full,
                vpc_endpoint_type="Interface",
                subnet_ids=self._supported(full, args.subnet_ids)
                if service == AGENTCORE
                else args.subnet_ids,
                security_group_ids=[args.group_id],
                private_dns_enabled=True,
                tags={"Name": f"{name}-{service}"},
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.endpoints.append(endpoint)
        self.register_outputs({})

    def _supported(
        self, service: str, subnet_ids: pulumi.Output[Sequence[str]]
    ) -> pulumi.Output[list[str]]:
        """AgentCore is not in every zone; a zone without it reaches another zone's endpoint."""
        lookup = pulumi.InvokeOptions(parent=self)
        zones = aws.ec2.get_vpc_endpoint_service_output(
            service_name=service, service_type="Interface", opts=lookup
        ).availability_zones

        def with_zone(ids: Sequence[str]) -> pulumi.Output[Any]:
            subnets = [aws.ec2.get_subnet_output(id=id, opts=lookup) for id in ids]
            return pulumi.Output.all(
                *(
                    pulumi.Output.all(id, s.availability_zone)
                    for id, s in zip(ids, subnets, strict=True)
                )
            )

        def choose(pairs: Sequence[tuple[str, str]], zones: Sequence[str]) -> list[str]:
            chosen = [id for id, zone in pairs if not zones or zone in zones]
            if not chosen:
                raise pulumi.RunError(
                    f"{service} is in none of the private subnets' zones but in "
                    f"{', '.join(zones)}: set vpcEndpoints to false or use other subnets"
                )
            return chosen

        pairs: pulumi.Output[Any] = subnet_ids.apply(with_zone)
        return pulumi.Output.all(pairs, zones).apply(lambda both: choose(both[0], both[1]))
