"""The way in: load balancer, listeners, target groups, and the log of who came.

Its time limits come from the service's own: a stream says something every heartbeat, a blocking
answer nothing until it is whole, and a kept connection must outlive the balancer's patience.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bff.settings import DEFAULT_PORT, HEARTBEAT_SECONDS, Settings
from stack.access_logs import AccessLogs, AccessLogsArgs
from stack.config import Stack
from stack.config_rules import LONGEST_IDLE_SECONDS
from stack.domain import Domain, DomainArgs
from stack.keys import BalancerKeys
from stack.live import Live

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
"""TLS 1.3 and 1.2 with forward secrecy: what AWS recommends."""
HSTS = "max-age=31536000"


@dataclass(frozen=True, kw_only=True)
class BalancerArgs:
    stack: Stack
    keys: BalancerKeys
    domain: DomainArgs
    settings: Settings
    live: Live
    shifts_traffic: bool
    """Between two target groups, so that there are two."""
    internal: bool
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[str]]
    group_id: pulumi.Input[str]


class Balancer(pulumi.ComponentResource):
    """An application load balancer with a target group of tasks, two where traffic is shifted."""

    def __init__(
        self, name: str, args: BalancerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Balancer", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        logs = AccessLogs(name, AccessLogsArgs(stack=args.stack), self._child)
        balancer = aws.lb.LoadBalancer(
            name,
            load_balancer_type="application",
            internal=args.internal,
            ip_address_type="dualstack" if args.domain.ipv6 else None,
            subnets=args.subnet_ids,
            security_groups=[args.group_id],
            idle_timeout=idle_timeout_seconds(args.settings),
            drop_invalid_header_fields=True,
            # Not `strictest`: that refuses a GET with `Content-Length: 0`, as Spring's WebClient
            # sends it, and a header that is empty or not ASCII. The service's own parser is strict.
            desync_mitigation_mode="defensive",
            xff_header_processing_mode="append",
            enable_deletion_protection=args.stack.prod,
            access_logs={"bucket": logs.bucket, "enabled": True},
            opts=self._child,
        )
        self.target_group = self._target_group(name, args)
        self.green = self._target_group(f"{name}-green", args) if args.shifts_traffic else None
        self.arn = balancer.arn
        self.dns_name = balancer.dns_name
        self.label = balancer.arn_suffix
        self.target_labels = [
            group.arn_suffix for group in (self.target_group, self.green) if group is not None
        ]
        self.rule: aws.lb.ListenerRule | None = None
        """The one whose weights ECS shifts."""
        self.records: list[aws.route53.Record] = []
        if args.domain.keys.domain_name:
            domain = Domain(name, args.domain, self)
            self.records = domain.point(balancer)
            self.listeners = self._https(domain.certificate_arn)
            self.url = pulumi.Output.from_input(f"https://{args.domain.keys.domain_name}")
        else:
            self.listeners = [self._listener("http", 80, "HTTP", [self._forward()])]
            self.url = pulumi.Output.format("http://{}", balancer.dns_name)
        self.rule_stays = False
        """Whether ECS shifts the weights of that very rule already."""
        if self.green is not None:
            front = f"{name}-https" if args.domain.keys.domain_name else f"{name}-http"
            self.rule_stays = args.live.shifts_traffic and args.live.shifts_at(front)
            self.rule = self._shifting_rule(self.listeners[0], self.green, args.live)
        self.register_outputs({"url": self.url, "zone": args.domain.keys.hosted_zone_name})

    def _target_group(self, name: str, args: BalancerArgs) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            name,
            vpc_id=args.vpc_id,
            port=DEFAULT_PORT,
            protocol="HTTP",
            target_type="ip",
            deregistration_delay=args.keys.deregistration_delay_seconds,
            # Streams last: the task with the fewest open ones is the idle one.
            load_balancing_algorithm_type="least_outstanding_requests",
            stickiness={"enabled": False, "type": "lb_cookie"},
            health_check={
                "enabled": True,
                "protocol": "HTTP",
                "path": "/health",
                "matcher": "200",
                "interval": 30,
                "timeout": 5,
                "healthy_threshold": 2,
                "unhealthy_threshold": 3,
            },
            opts=self._child,
        )

    def _https(self, certificate_arn: pulumi.Input[str]) -> list[aws.lb.Listener]:
        redirect = aws.lb.ListenerDefaultActionArgs(
            type="redirect",
            redirect=aws.lb.ListenerDefaultActionRedirectArgs(
                protocol="HTTPS", port="443", status_code="HTTP_301"
            ),
        )
        secure = aws.lb.Listener(
            f"{self._name}-https",
            load_balancer_arn=self.arn,
            port=443,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=certificate_arn,
            default_actions=[self._forward()],
            routing_http_response_strict_transport_security_header_value=HSTS,
            routing_http_response_x_content_type_options_header_value="nosniff",
            routing_http_response_server_enabled=False,
            opts=self._child,
        )
        # Nobody is sent on to HTTPS before it answers: a certificate may take half an hour.
        there: list[pulumi.Resource] = [secure, *self.records]
        return [secure, self._listener("http", 80, "HTTP", [redirect], there)]

    def _listener(
        self,
        name: str,
        port: int,
        protocol: str,
        actions: list[aws.lb.ListenerDefaultActionArgs],
        after: Sequence[pulumi.Resource] = (),
    ) -> aws.lb.Listener:
        return aws.lb.Listener(
            f"{self._name}-{name}",
            load_balancer_arn=self.arn,
            port=port,
            protocol=protocol,
            default_actions=actions,
            routing_http_response_server_enabled=False,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _forward(self) -> aws.lb.ListenerDefaultActionArgs:
        return aws.lb.ListenerDefaultActionArgs(
            type="forward", target_group_arn=self.target_group.arn
        )

    def _shifting_rule(
        self, listener: aws.lb.Listener, green: aws.lb.TargetGroup, live: Live
    ) -> aws.lb.ListenerRule:
        """In front of another listener than before it begins with the group that is in use."""
        moves = live.shifts_traffic and not self.rule_stays
        in_use: pulumi.Input[bool] = (
            green.arn.apply(lambda arn: arn == live.target_group) if moves else False
        )
        shares = pulumi.Output.from_input(in_use).apply(lambda it: (0, 100) if it else (100, 0))
        return aws.lb.ListenerRule(
            self._name,
            listener_arn=listener.arn,
            priority=1,
            conditions=[{"path_pattern": {"values": ["/*"]}}],
            actions=[
                {
                    "type": "forward",
                    "forward": {
                        "target_groups": [
                            {"arn": self.target_group.arn, "weight": shares[0]},
                            {"arn": green.arn, "weight": shares[1]},
                        ]
                    },
                }
            ],
            # ECS moves the weights with every deployment: they are its own.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=None if moves else ["actions"]),
        )


def idle_timeout_seconds(settings: Settings) -> int:
    """A blocking answer says nothing until it is whole."""
    return min(
        LONGEST_IDLE_SECONDS,
        math.ceil(settings.agent_blocking_timeout_seconds + 2 * HEARTBEAT_SECONDS),
    )
