"""The names that are served: their certificate, their records, and what fails over to where.

Every record is named after what it serves, so that names can be added, swapped and taken away
without anybody else's record being made anew. The zone may be another account's (`dnsRoleArn`), and
a certificate of one's own needs no zone at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from stack.config import Stack
from stack.keys import DomainKeys
from stack.provider import make_provider


@dataclass(frozen=True, kw_only=True)
class DomainArgs:
    stack: Stack
    keys: DomainKeys
    provider: Mapping[str, Any]
    """The AWS provider's settings, for the account that owns the zone."""
    ipv6: bool


class Domain:
    """Certificate and records of a load balancer, as parts of its component."""

    def __init__(self, name: str, args: DomainArgs, parent: pulumi.Resource) -> None:
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=parent)
        self._in_zone = self._child
        lookup = pulumi.InvokeOptions(parent=parent)
        if role := args.keys.dns_role_arn:
            roles = [*(args.provider.get("assume_roles") or []), {"roleArn": role}]
            provider = make_provider("dns", args.provider, args.stack.tags, assume_roles=roles)
            self._in_zone = pulumi.ResourceOptions(parent=parent, provider=provider)
            lookup = pulumi.InvokeOptions(parent=parent, provider=provider)
        zone = args.keys.hosted_zone_name
        self._zone_id = (
            aws.route53.get_zone_output(name=zone, opts=lookup).zone_id if zone else None
        )
        self.certificate_arn: pulumi.Input[str] = args.keys.certificate_arn or self._certificate(
            *args.keys.names
        )

    def _certificate(self, first: str, *more: str) -> pulumi.Output[str]:
        certificate = aws.acm.Certificate(
            self._name,
            domain_name=first,
            subject_alternative_names=list(more) or None,
            validation_method="DNS",
            opts=self._child,
        )
        proofs = [self._proof(certificate, name) for name in (first, *more)]
        return aws.acm.CertificateValidation(
            self._name,
            certificate_arn=certificate.arn,
            validation_record_fqdns=[proof.fqdn for proof in proofs],
            opts=self._child,
        ).certificate_arn

    def _proof(self, certificate: aws.acm.Certificate, name: str) -> aws.route53.Record:
        def part(field: str) -> pulumi.Output[str]:
            return certificate.domain_validation_options.apply(
                # Their order is nobody's promise.
                lambda options: getattr(
                    next((option for option in options if option.domain_name == name), options[0]),
                    field,
                )
            )

        return aws.route53.Record(
            f"{self._name}-proof-{name}",
            zone_id=self._zone_id,
            name=part("resource_record_name"),
            type=part("resource_record_type"),
            records=[part("resource_record_value")],
            ttl=300,
            allow_overwrite=True,  # the same name always has the same proof
            opts=self._record(
                f"{self._name}-proof",
                name,
                # So another certificate for it changes nothing, whatever a preview cannot know.
                ignore_changes=["name", "type", "records"],
                retain_on_delete=self._shared,
            ),
        )

    @property
    def _shared(self) -> bool:
        """Whether another region's stack has the same records."""
        return bool(self._args.stack.primary or self._args.stack.secondary)

    def point(self, balancer: aws.lb.LoadBalancer) -> list[aws.route53.Record]:
        """Records of all names, none where the zone is not known."""
        if self._zone_id is None:
            return []
        failover = self._failover(balancer)
        return [
            aws.route53.Record(
                f"{self._name}-{name}" + ("-ipv6" if type == "AAAA" else ""),
                zone_id=self._zone_id,
                name=name,
                type=type,
                aliases=[
                    {
                        "name": balancer.dns_name,
                        "zone_id": balancer.zone_id,
                        "evaluate_target_health": bool(failover),
                    }
                ],
                opts=self._record(self._name if type == "A" else None, name),
                **failover,
            )
            for name in self._args.keys.names
            for type in (("A", "AAAA") if self._args.ipv6 else ("A",))
        ]

    def _failover(self, balancer: aws.lb.LoadBalancer) -> dict[str, Any]:
        """https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-configuring.html"""
        if not self._shared:
            return {}
        check = aws.route53.HealthCheck(
            self._name,
            type="HTTPS",
            fqdn=balancer.dns_name,
            port=443,
            # The only path that answers under any name.
            resource_path="/health",
            enable_sni=True,
            request_interval=10,
            failure_threshold=3,
            tags={"Name": self._args.stack.name},
            opts=self._in_zone,
        )
        return {
            "set_identifier": self._args.stack.stack,
            "failover_routing_policies": [
                {"type": "SECONDARY" if self._args.stack.primary else "PRIMARY"}
            ],
            "health_check_id": check.id,
        }

    def _record(
        self,
        once: str | None,
        name: str,
        *,
        ignore_changes: list[str] | None = None,
        retain_on_delete: bool = False,
    ) -> pulumi.ResourceOptions:
        """`once` is what the first name's record was called before there could be several."""
        own = once is not None and name == self._args.keys.domain_name
        return pulumi.ResourceOptions.merge(
            self._in_zone,
            pulumi.ResourceOptions(
                aliases=[pulumi.Alias(name=once)] if own and once else None,
                ignore_changes=ignore_changes,
                retain_on_delete=retain_on_delete or None,
            ),
        )
