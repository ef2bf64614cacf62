"""What outlives a task: conversations in DynamoDB, and the cache that tasks share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bff.setting_parsers import MemoryHistory, history
from stack.config import Stack
from stack.keys import StorageKeys
from stack.live import TABLE, Live
from stack.roles import Grant

TABLE_ACTIONS = (
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:DescribeTable",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
MEMORY_ACTIONS_WITHOUT_WRITING = ("bedrock-agentcore:DeleteEvent", "bedrock-agentcore:ListEvents")
"""The agent writes the conversation itself; a deletion is the service's even so."""
MEMORY_ACTIONS = (
    "bedrock-agentcore:CreateEvent",
    "bedrock-agentcore:DeleteEvent",
    "bedrock-agentcore:ListEvents",
)
CACHE_GIGABYTES = 5
CACHE_UNITS_PER_SECOND = 10_000
"""Ceilings: what a runaway may cost, not what is paid for."""


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    stack: Stack
    keys: StorageKeys
    primary: Live
    """The stack whose table this one shares, empty where it shares none."""
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
        self.table: pulumi.Output[str] | None = None
        self.cache: pulumi.Output[str] | None = None
        self.grant: Grant
        if args.keys.memory_id:
            self._memory(args.keys.memory_id, args)
        elif args.stack.primary:
            self._replica(name, args)
        else:
            self._table(name, args.stack)
        self.redis_url = self._cache(name, args) if args.keys.shared_cache else None
        self.register_outputs({})

    def _memory(self, memory_id: str, args: StorageArgs) -> None:
        """AgentCore keeps the conversations; the memory is called in the stack's own account."""
        setting = history(f"agentcore://{memory_id}")
        assert isinstance(setting, MemoryHistory)
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id
        arn = pulumi.Output.format(
            "arn:{}:bedrock-agentcore:{}:{}:memory/{}",
            args.partition,
            args.stack.region,
            account,
            setting.memory_id,
        )
        self.history = pulumi.Output.from_input(f"agentcore://{memory_id}")
        actions = MEMORY_ACTIONS if setting.write else MEMORY_ACTIONS_WITHOUT_WRITING
        self.grant = Grant(actions=actions, resources=(arn,))

    def _table(self, name: str, stack: Stack) -> None:
        """The shape is `python -m bff create-table`'s; a test holds the two together."""
        prod, shared = stack.prod, stack.secondary is not None
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
            # A replica follows the stream; the other region's stack makes it.
            stream_enabled=shared or None,
            stream_view_type="NEW_AND_OLD_IMAGES" if shared else None,
            opts=pulumi.ResourceOptions(
                parent=self, protect=prod, ignore_changes=["replicas"] if shared else None
            ),
        )
        self._granted(table.name, table.arn)

    def _replica(self, name: str, args: StorageArgs) -> None:
        """The primary's table in this region: sessions are in both."""
        arn = args.primary.get(TABLE).get("arn")
        replica = aws.dynamodb.TableReplica(
            name,
            # Not there yet only in a preview, which said so.
            global_table_arn=arn
            or f"arn:aws:dynamodb:-:000000000000:table/of-{args.stack.primary}",
            point_in_time_recovery=True,
            deletion_protection_enabled=True,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        self._granted(replica.arn.apply(lambda own: own.rpartition("/")[2]), replica.arn)

    def _granted(self, name: pulumi.Output[str], arn: pulumi.Output[str]) -> None:
        self.table = name
        self.history = pulumi.Output.format("dynamodb://{}", name)
        self.grant = Grant(
            actions=TABLE_ACTIONS, resources=(arn, pulumi.Output.format("{}/index/*", arn))
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
            # Two zones do; a third one added later would make the cache anew.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["subnetIds"]),
        )
        self.cache = cache.name
        return cache.endpoints.apply(
            lambda ends: f"rediss+cluster://{ends[0].address}:{ends[0].port or 6379}"
        )
