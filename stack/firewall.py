"""The web application firewall: known bad addresses and requests, and floods.

People write about attacks, paste code and long texts into a chat. So whatever judges the body only
counts: the service itself refuses a body over 256 KiB, and nothing in it is run.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from stack.config import Stack

REQUESTS_PER_FIVE_MINUTES = 6000
"""From one address; an office behind one address is many people, and the service has limits of its
own per caller."""

# Name of the managed group -> its rules that only count.
# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
MANAGED: dict[str, tuple[str, ...]] = {
    "AWSManagedRulesAmazonIpReputationList": (),
    "AWSManagedRulesCommonRuleSet": (
        "SizeRestrictions_BODY",  # 8 KiB; the contract allows 256
        "CrossSiteScripting_BODY",
        "EC2MetaDataSSRF_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "NoUserAgent_HEADER",  # programs need not say who they are
    ),
    "AWSManagedRulesKnownBadInputsRuleSet": (
        "JavaDeserializationRCE_BODY",
        "Log4JRCE_BODY",
        "ReactJSRCE_BODY",
    ),
}


@dataclass(frozen=True, kw_only=True)
class FirewallArgs:
    stack: Stack
    balancer_arn: pulumi.Input[str]


class Firewall(pulumi.ComponentResource):
    """A web ACL in front of the load balancer."""

    def __init__(
        self, name: str, args: FirewallArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Firewall", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        acl = aws.wafv2.WebAcl(
            name,
            scope="REGIONAL",
            description="Known bad requests and floods, bodies are only counted",
            default_action={"allow": {}},
            rules=[
                *(
                    self._managed(place, group, counted)
                    for place, (group, counted) in enumerate(MANAGED.items())
                ),
                self._rate(len(MANAGED)),
            ],
            visibility_config=self._visible(args.stack.name),
            opts=child,
        )
        aws.wafv2.WebAclAssociation(
            name, web_acl_arn=acl.arn, resource_arn=args.balancer_arn, opts=child
        )
        self.metric_name = args.stack.name
        """What the dimension WebACL of its metrics is: two stacks of an account have one each."""
        self.register_outputs({})

    def _managed(
        self, priority: int, group: str, counted: tuple[str, ...]
    ) -> aws.wafv2.WebAclRuleArgsDict:
        return {
            "name": group,
            "priority": priority,
            "override_action": {"none": {}},
            "statement": {
                "managed_rule_group_statement": {
                    "vendor_name": "AWS",
                    "name": group,
                    "rule_action_overrides": [
                        {"name": rule, "action_to_use": {"count": {}}} for rule in counted
                    ],
                }
            },
            "visibility_config": self._visible(group),
        }

    def _rate(self, priority: int) -> aws.wafv2.WebAclRuleArgsDict:
        return {
            "name": "rate",
            "priority": priority,
            "action": {"block": {}},
            "statement": {
                "rate_based_statement": {
                    "limit": REQUESTS_PER_FIVE_MINUTES,
                    "aggregate_key_type": "IP",
                    "evaluation_window_sec": 300,
                }
            },
            "visibility_config": self._visible("rate"),
        }

    def _visible(self, metric: str) -> aws.wafv2.WebAclVisibilityConfigArgsDict:
        return {
            "cloudwatch_metrics_enabled": True,
            "sampled_requests_enabled": True,
            "metric_name": metric,
        }
