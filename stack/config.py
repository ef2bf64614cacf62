"""One stack's configuration: read, judged, or refused whole.

The only reader of `pulumi.Config`. Everything wrong is told at once, before any resource is
planned, each problem with its key. `Pulumi.yaml` declares neither types nor defaults: the engine
would refuse keys one by one, and its defaults would override prod's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import pulumi

from bff.setting_parsers import Refused, shown
from bff.settings import Settings
from stack import config_rules
from stack.config_parsers import as_the_service_takes
from stack.config_reader import Reader
from stack.environment import judge
from stack.keys import (
    AgentKeys,
    AlarmKeys,
    BalancerKeys,
    CallerKeys,
    DomainKeys,
    ImageKeys,
    NetworkKeys,
    ServiceKeys,
    SharedKeys,
    StorageKeys,
    TaskKeys,
)
from stack.live import Live
from stack.provider import provider_settings

GROUPS = (
    SharedKeys,
    AgentKeys,
    NetworkKeys,
    ImageKeys,
    StorageKeys,
    DomainKeys,
    BalancerKeys,
    TaskKeys,
    CallerKeys,
    ServiceKeys,
    AlarmKeys,
)
"""All that can be set."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What every part shares."""

    stack: str
    region: str
    prod: bool
    log_retention_days: int
    permissions_boundary_arn: str | None
    tags: Mapping[str, str]
    """On everything: the stack's own, and the operator's on top."""
    primary: str | None
    secondary: str | None
    encrypted: frozenset[str] = frozenset()
    """Keys that the operator's file has encrypted."""

    def kept(self, key: str, value: str) -> pulumi.Input[str]:
        """A value of `key`, which previews and the state show only if the operator's file does."""
        return pulumi.Output.secret(value) if key in self.encrypted else value

    @property
    def name(self) -> str:
        """What people type: cluster, service, log group and repository bear it."""
        return f"{pulumi.get_project()}-{self.stack}"


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """One environment, judged."""

    stack: Stack
    provider: Mapping[str, Any]
    """Arguments of the AWS provider."""
    settings: Settings
    """What the service will make of its variables."""
    live: Live
    primary: Live
    """The stack in the other region that this one shares with, empty where there is none."""
    agent: AgentKeys
    network: NetworkKeys
    image: ImageKeys
    storage: StorageKeys
    domain: DomainKeys
    balancer: BalancerKeys
    task: TaskKeys
    callers: CallerKeys
    service: ServiceKeys
    alarms: AlarmKeys

    @property
    def outgoing_ports(self) -> frozenset[int]:
        """Where tasks must get out to, beside AWS and the identity provider on 443."""
        ports = set()
        if self.task.otel and not self.task.otel.xray:
            ports.add(self.task.otel.port)
        if not self.storage.shared_cache and self.settings.redis_url:
            ports.add(urlsplit(self.settings.redis_url).port or 6379)
        return frozenset(ports)

    @property
    def calls_agentcore_here(self) -> bool:
        """Whether an agent, or the memory, is in the stack's own region."""
        regions = {arn.split(":")[3] for arn, _ in self.agent.endpoints}
        return self.storage.memory_id is not None or self.stack.region in regions

    @classmethod
    def load(cls) -> StackConfig:
        """Raises `pulumi.RunError` with every problem if the stack cannot be planned."""
        stack = pulumi.get_stack()
        prod = is_prod(stack)
        read = Reader(prod=prod)
        provider = provider_settings(read)
        region = str(provider.get("region") or Settings().aws_region)
        if not re.fullmatch(r"(?=.{1,26}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", stack) or stack == "local":
            # A cache's name ends at 40, and a repository's has no two hyphens in a row; `local` is
            # the service's word for "made-up keys are fine".
            takes = (
                "1 to 26 lower-case letters, digits and single '-' between them, a letter first, "
                "and not 'local'"
            )
            read.problems.append(f"stack name: got {stack!r}, takes {takes}")
        try:
            _ = as_the_service_takes("AWS_REGION")(region)
        except Refused as refusal:
            read.problems.append(f"aws:region: got {shown(region)}, takes {refusal}")

        shared = read.group(SharedKeys)
        config = cls(
            stack=Stack(
                stack=stack,
                region=region,
                prod=prod,
                log_retention_days=shared.log_retention_days,
                permissions_boundary_arn=shared.permissions_boundary_arn,
                tags={
                    "Project": pulumi.get_project(),
                    "Environment": stack,
                    "ManagedBy": "pulumi",
                    **shared.tags,
                },
                primary=shared.primary,
                secondary=shared.secondary,
            ),
            provider={**provider, "region": region},
            settings=Settings(),
            live=(live := Live.read()),
            primary=Live.read(shared.primary).or_as_known_to(live) if shared.primary else Live(),
            agent=read.group(AgentKeys),
            network=read.group(NetworkKeys),
            image=read.group(ImageKeys),
            storage=read.group(StorageKeys),
            domain=read.group(DomainKeys),
            balancer=read.group(BalancerKeys),
            task=read.group(TaskKeys),
            callers=read.group(CallerKeys),
            service=read.group(ServiceKeys),
            alarms=read.group(AlarmKeys),
        )
        if config.network.vpc_id and not read.has("vpcEndpoints"):
            # Somebody else's network has a way out of its own.
            config = replace(config, network=replace(config.network, vpc_endpoints=False))
        config = replace(config, stack=replace(config.stack, encrypted=frozenset(read.encrypted)))
        config_rules.judge(config, read)
        config = replace(config, settings=judge(config, read))
        config.live.judge(config, read)
        if config.stack.primary:
            config.primary.shared_by(config, read)
        read.refuse_unknown()
        if read.problems:
            raise pulumi.RunError(
                f"{len(read.problems)} problem(s) in the configuration of stack {stack!r} "
                f"(Pulumi.{stack}.yaml, keys in docs/stack.md):\n  " + "\n  ".join(read.problems)
            )
        return config


def is_prod(stack: str) -> bool:
    return stack == "prod" or stack.startswith("prod-")
