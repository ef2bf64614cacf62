"""The way in: load balancer, certificate and name, and the log of who came.

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
from stack.keys import BalancerKeys, DomainKeys

IDLE_TIMEOUT_SECONDS = math.ceil(Settings().agent_blocking_timeout_seconds + 2 * HEARTBEAT_SECONDS)
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
"""TLS 1.3 and 1.2 with forward secrecy: what AWS recommends."""
HSTS = "max-age=31536000"


@dataclass(frozen=True, kw_only=True)
class BalancerArgs:
    stack: Stack
    keys: BalancerKeys
    domain: DomainKeys
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[str]]
    group_id: pulumi.Input[str]


class Balancer(pulumi.ComponentResource):
    """An application load balancer with one target group of tasks."""

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
            internal=False,
            subnets=args.subnet_ids,
            security_groups=[args.group_id],
            idle_timeout=IDLE_TIMEOUT_SECONDS,
            drop_invalid_header_fields=True,
            desync_mitigation_mode="strictest",
            xff_header_processing_mode="append",
            enable_deletion_protection=args.stack.prod,
            access_logs={"bucket": logs.bucket, "enabled": True},
            opts=self._child,
        )
        self.target_group = self._target_group(args)
        self.arn = balancer.arn
        self.dns_name = balancer.dns_name
        self.label = balancer.arn_suffix
        self.target_label = self.target_group.arn_suffix
        self.request_count_label = pulumi.Output.format("{}/{}", self.label, self.target_label)
        domain_name, hosted_zone_name = args.domain.domain_name, args.domain.hosted_zone_name
        if domain_name and hosted_zone_name:
            zone = aws.route53.get_zone_output(
                name=hosted_zone_name, opts=pulumi.InvokeOptions(parent=self)
            ).zone_id
            certificate = self._certificate(domain_name, zone)
            self.listeners = self._https(certificate)
            self._alias(domain_name, zone, balancer)
            self.url = pulumi.Output.from_input(f"https://{domain_name}")
        else:
            self.listeners = [self._listener("http", 80, "HTTP", [self._forward()])]
            self.url = pulumi.Output.format("http://{}", balancer.dns_name)
        self.register_outputs({"url": self.url})

    def _target_group(self, args: BalancerArgs) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            self._name,
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

    def _certificate(
        self, domain_name: str, zone_id: pulumi.Output[str]
    ) -> aws.acm.CertificateValidation:
        certificate = aws.acm.Certificate(
            self._name, domain_name=domain_name, validation_method="DNS", opts=self._child
        )
        proof = certificate.domain_validation_options[0]
        record = aws.route53.Record(
            f"{self._name}-proof",
            zone_id=zone_id,
            name=proof.resource_record_name,
            type=proof.resource_record_type,
            records=[proof.resource_record_value],
            ttl=300,
            allow_overwrite=True,  # the same name always has the same proof
            opts=self._child,
        )
        return aws.acm.CertificateValidation(
            self._name,
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn],
            opts=self._child,
        )

    def _https(self, certificate: aws.acm.CertificateValidation) -> list[aws.lb.Listener]:
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
            certificate_arn=certificate.certificate_arn,
            default_actions=[self._forward()],
            routing_http_response_strict_transport_security_header_value=HSTS,
            routing_http_response_x_content_type_options_header_value="nosniff",
            routing_http_response_server_enabled=False,
            opts=self._child,
        )
        return [secure, self._listener("http", 80, "HTTP", [redirect])]

    def _listener(
        self, name: str, port: int, protocol: str, actions: list[aws.lb.ListenerDefaultActionArgs]
    ) -> aws.lb.Listener:
        return aws.lb.Listener(
            f"{self._name}-{name}",
            load_balancer_arn=self.arn,
            port=port,
            protocol=protocol,
            default_actions=actions,
            routing_http_response_server_enabled=False,
            opts=self._child,
        )

    def _forward(self) -> aws.lb.ListenerDefaultActionArgs:
        return aws.lb.ListenerDefaultActionArgs(
            type="forward", target_group_arn=self.target_group.arn
        )

    def _alias(
        self, domain_name: str, zone_id: pulumi.Output[str], balancer: aws.lb.LoadBalancer
    ) -> None:
        aws.route53.Record(
            self._name,
            zone_id=zone_id,
            name=domain_name,
            type="A",
            aliases=[
                {
                    "name": balancer.dns_name,
                    "zone_id": balancer.zone_id,
                    "evaluate_target_health": False,
                }
            ],
            opts=self._child,
        )
