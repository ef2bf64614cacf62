"""What outlives a task: conversations in DynamoDB, and the cache that tasks share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from stack.config import Stack
from stack.keys import StorageKeys

TABLE_ACTIONS = (
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:DescribeTable",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
MEMORY_ACTIONS = (
    "bedrock-agentcore:CreateEvent",
    "bedrock-agentcore:DeleteEvent",
    "bedrock-agentcore:ListEvents",
)
CACHE_GIGABYTES = 5
CACHE_UNITS_PER_SECOND = 10_000
"""Ceilings: what a runaway may cost, not what is paid for."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What the task may do to what."""

    actions: tuple[str, ...]
    resources: tuple[pulumi.Input[str], ...]


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    stack: Stack
    keys: StorageKeys
    partition: str
    """AWS's own: `aws`, `aws-cn`, `aws-us-gov`."""
    cache_subnet_ids: pulumi.Input[Sequence[str]]
    cache_group_id: pulumi.Input[str] | None


class Storage(pulumi.ComponentResource):
    """`history` and `redis_url` are what the service's variables of these names take."""

    def __init__(
        self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Storage", name, None, opts)
        self.history: pulumi.Output[str]
        self.grant: Grant
        if args.keys.memory_id:
            self._memory(args.keys.memory_id, args)
        else:
            self._table(name, args.stack.prod)
        self.redis_url = self._cache(name, args) if args.keys.shared_cache else None
        self.register_outputs({})

    def _memory(self, memory_id: str, args: StorageArgs) -> None:
        """AgentCore keeps the conversations; the memory is called in the stack's own account."""
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id
        arn = pulumi.Output.format(
            "arn:{}:bedrock-agentcore:{}:{}:memory/{}",
            args.partition,
            args.stack.region,
            account,
            memory_id,
        )
        self.history = pulumi.Output.from_input(f"agentcore://{memory_id}")
        self.grant = Grant(actions=MEMORY_ACTIONS, resources=(arn,))

    def _table(self, name: str, prod: bool) -> None:
        """The shape is `python -m bff create-table`'s; a test holds the two together."""
        table = aws.dynamodb.Table(
            name,
            billing_mode="PAY_PER_REQUEST",
            attributes=[{"name": key, "type": "S"} for key in ("pk", "sk", "updated")],
            hash_key="pk",
            range_key="sk",
            local_secondary_indexes=[
                {"name": "recent", "range_key": "updated", "projection_type": "ALL"}
            ],
            ttl={"attribute_name": "expires_at", "enabled": True},
            point_in_time_recovery={"enabled": prod},
            deletion_protection_enabled=prod,
            opts=pulumi.ResourceOptions(parent=self, protect=prod),
        )
        self.history = pulumi.Output.format("dynamodb://{}", table.name)
        self.grant = Grant(
            actions=TABLE_ACTIONS,
            resources=(table.arn, pulumi.Output.format("{}/index/*", table.arn)),
        )

    def _cache(self, name: str, args: StorageArgs) -> pulumi.Output[str]:
        """Reached by the security group alone: an IAM token would expire every 15 minutes."""
        assert args.cache_group_id is not None
        cache = aws.elasticache.ServerlessCache(
            name,
            engine="valkey",
            major_engine_version="8",
            name=args.stack.name,
            description="Runs, limits and locks that tasks share, nothing that cannot be lost",
            subnet_ids=args.cache_subnet_ids,
            security_group_ids=[args.cache_group_id],
            snapshot_retention_limit=0,
            cache_usage_limits={
                "data_storage": {"unit": "GB", "maximum": CACHE_GIGABYTES},
                "ecpu_per_seconds": [{"maximum": CACHE_UNITS_PER_SECOND}],
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        return cache.endpoints.apply(
            lambda ends: f"rediss+cluster://{ends[0].address}:{ends[0].port or 6379}"
        )
