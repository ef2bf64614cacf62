"""A monthly budget for what bears this stack's tags, told to the alarms' topic.

AWS counts a tag only once it is activated for cost allocation (docs/operations.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from stack.config import Stack


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    stack: Stack
    dollars: int
    topic_arn: pulumi.Output[str]


class Budget(pulumi.ComponentResource):
    """Tells at 80 % spent, and when the month is forecast to go over."""

    def __init__(
        self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Budget", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id
        speakers = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]
        permitted = aws.sns.TopicPolicy(
            name,
            arn=args.topic_arn,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": speakers},
                            "Action": "sns:Publish",
                            "Resource": args.topic_arn,
                            "Condition": {"StringEquals": {"aws:SourceAccount": account}},
                        }
                    ],
                }
            ),
            opts=child,
        )
        kinds: list[tuple[str, int]] = [("ACTUAL", 80), ("FORECASTED", 100)]
        aws.budgets.Budget(
            name,
            name=args.stack.name,  # what AWS's message about it says
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.dollars),
            limit_unit="USD",
            cost_filters=[
                {
                    "name": "TagKeyValue",
                    "values": [f"user:Environment${args.stack.tags['Environment']}"],
                }
            ],
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "threshold": threshold,
                    "threshold_type": "PERCENTAGE",
                    "notification_type": kind,
                    "subscriber_sns_topic_arns": [args.topic_arn],
                }
                for kind, threshold in kinds
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permitted]),
        )
        self.register_outputs({})
