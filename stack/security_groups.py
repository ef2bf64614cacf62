"""Who may talk to whom, each rule by the group at its other end. Only the balancer is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bff.settings import DEFAULT_PORT

ANYWHERE = "0.0.0.0/0"
ANYWHERE_IPV6 = "::/0"
HTTPS = 443
HTTP = 80
CACHE_PORTS = (6379, 6380)
"""A serverless cache's primary and reader ends."""


@dataclass(frozen=True, kw_only=True)
class SecurityGroupsArgs:
    vpc_id: pulumi.Input[str]
    https: bool
    cache: bool
    endpoints: bool
    clients: Sequence[str]
    """Networks that may call; one bears no number in its rule's name."""
    ipv6: bool
    outgoing_ports: frozenset[int]


class SecurityGroups(pulumi.ComponentResource):
    """The security groups' ids: `balancer`, `tasks`, and `cache`, `endpoints` where there are."""

    def __init__(
        self, name: str, args: SecurityGroupsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Groups", name, None, opts)
        self._name = name
        self._vpc_id = args.vpc_id
        self._child = pulumi.ResourceOptions(parent=self)

        self.balancer = self._group(
            "balancer",
            "Load balancer: open to the world"
            if tuple(args.clients) == (ANYWHERE,)
            else "Load balancer: open to private networks",
        )
        self.tasks = self._group("tasks", "Tasks: reached by the load balancer only")
        self.cache: pulumi.Output[str] | None = None
        self.endpoints: pulumi.Output[str] | None = None

        self._clients(args)
        self._allow("balancer", self.balancer, "tasks", self.tasks, DEFAULT_PORT)
        # AWS APIs and the JWKS endpoint have no fixed addresses.
        for port in (HTTPS, *sorted(args.outgoing_ports - {HTTPS})):
            aws.vpc.SecurityGroupEgressRule(
                f"{name}-tasks-out" if port == HTTPS else f"{name}-tasks-out-{port}",
                security_group_id=self.tasks,
                description="AWS and the identity provider" if port == HTTPS else "As configured",
                cidr_ipv4=ANYWHERE,
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                opts=self._child,
            )
        if args.cache:
            self.cache = self._group("cache", "Shared cache: reached by the tasks only")
            self._allow("tasks", self.tasks, "cache", self.cache, *CACHE_PORTS)
        if args.endpoints:
            self.endpoints = self._group("endpoints", "Endpoints of AWS: reached by the tasks only")
            self._allow("tasks", self.tasks, "endpoints", self.endpoints, HTTPS)
        self.register_outputs({})

    def _clients(self, args: SecurityGroupsArgs) -> None:
        for port in (HTTP, HTTPS) if args.https else (HTTP,):
            said = "Clients" if port == HTTPS or not args.https else "Sent on to HTTPS"
            for place, network in enumerate(args.clients):
                part = f"{port}-{place}" if len(args.clients) > 1 else str(port)
                self._open(part, said, port, ipv4=network)
            if args.ipv6:
                self._open(f"{port}-ipv6", said, port, ipv6=ANYWHERE_IPV6)

    def _open(
        self,
        part: str,
        description: str,
        port: int,
        *,
        ipv4: str | None = None,
        ipv6: str | None = None,
    ) -> None:
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-world-{part}",
            security_group_id=self.balancer,
            description=description,
            cidr_ipv4=ipv4,
            cidr_ipv6=ipv6,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            opts=self._child,
        )

    def _group(self, role: str, description: str) -> pulumi.Output[str]:
        return aws.ec2.SecurityGroup(
            f"{self._name}-{role}",
            vpc_id=self._vpc_id,
            description=description,
            tags={"Name": f"{self._name}-{role}"},
            opts=self._child,
        ).id

    def _allow(
        self,
        client: str,
        client_id: pulumi.Input[str],
        server: str,
        server_id: pulumi.Input[str],
        first_port: int,
        last_port: int | None = None,
    ) -> None:
        """Both ends of one permission."""
        name = f"{self._name}-{client}-{server}"
        last = last_port or first_port
        aws.vpc.SecurityGroupEgressRule(
            name,
            security_group_id=client_id,
            description=f"To the {server}",
            referenced_security_group_id=server_id,
            ip_protocol="tcp",
            from_port=first_port,
            to_port=last,
            opts=self._child,
        )
        aws.vpc.SecurityGroupIngressRule(
            name,
            security_group_id=server_id,
            description=f"From the {client}",
            referenced_security_group_id=client_id,
            ip_protocol="tcp",
            from_port=first_port,
            to_port=last,
            opts=self._child,
        )
