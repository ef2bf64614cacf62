"""What the stack is now, and which changes of it are refused.

Some changes AWS refuses half way, others lose data or cut everybody off; a preview that shows them
as one line among many is green. So the program looks at what its last update left, in the engine's
own state, before it plans anything. No call of AWS's is made, and a first deployment has nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi

if TYPE_CHECKING:
    from stack.config import StackConfig
    from stack.config_reader import Reader

MOVE = "docs/operations.md#move-a-live-stack has the way"
SERVICE, RULE = "aws:ecs/service:Service", "aws:lb/listenerRule:ListenerRule"
TABLE, SECRET = "aws:dynamodb/table:Table", "aws:secretsmanager/secret:Secret"
REPLICA, CREDENTIALS = "aws:dynamodb/tableReplica:TableReplica", "bff:stack:Credentials"


@dataclass(frozen=True)
class Live:
    """Outputs of a stack's resources by type and name; empty before its first update."""

    resources: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, stack: str | None = None) -> Live:
        """The state of `stack`, of this one unless named."""
        name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack or pulumi.get_stack()}"
        try:
            # The engine's other look-up breaks on a stack that has never been updated.
            if not _ask("readStackOutputs", name=name):
                return cls()
            found = _ask("readStackResourceOutputs", stackName=name)
        except Exception as error:
            pulumi.log.warn(f"the state of {name} cannot be read ({type(error).__name__})")
            return cls()
        return cls(
            {
                (urn.split("::")[2].rpartition("$")[2], urn.split("::", 3)[3]): entry["outputs"]
                for urn, entry in found.items()
            }
        )

    def get(self, type: str, name: str = "bff") -> Mapping[str, Any]:
        """What one resource's outputs were, empty where there is none."""
        return self.resources.get((type, name), {})

    def has(self, type: str, name: str = "bff") -> bool:
        return (type, name) in self.resources

    @property
    def shifts_traffic(self) -> bool:
        """Whether ECS shifts it between two target groups."""
        strategy = (self.get(SERVICE).get("deploymentConfiguration") or {}).get("strategy")
        return strategy not in (None, "ROLLING")

    @property
    def target_group(self) -> str | None:
        """The ARN of the one that the service's tasks are in."""
        targets = self.get(SERVICE).get("loadBalancers") or [{}]
        arn: str | None = targets[0].get("targetGroupArn")
        return arn

    def shifts_at(self, listener: str) -> bool:
        """Whether the rule whose weights ECS shifts is that listener's."""
        arn = self.get("aws:lb/listener:Listener", listener).get("arn")
        return arn is not None and self.get(RULE).get("listenerArn") == arn

    def or_as_known_to(self, second: Live) -> Live:
        """This stack, the first region's, or what `second` shares of it if its state is gone.

        A region that is lost may take the first stack's state with it; the second goes on.
        """
        table, secrets = second.get(REPLICA), second.get(CREDENTIALS).get("shared")
        if self.has(TABLE) or not table or not secrets:
            return self
        known: dict[tuple[str, str], Mapping[str, Any]] = {
            (SECRET, name): {"arn": arn} for name, arn in secrets.items()
        }
        known[TABLE, "bff"] = {"arn": table["globalTableArn"], "streamEnabled": True}
        return Live(known)

    def judge(self, config: StackConfig, read: Reader) -> None:
        """Refuse what must not happen to what is there."""
        if not self.resources:
            return
        self._region(config, read)
        self._network(config, read)
        self._names(config, read)
        self._data(config, read)
        self._second(config, read)
        self._service(config, read)

    def shared_by(self, config: StackConfig, read: Reader) -> None:
        """Refuse to share what this stack, the first region's, does not have yet.

        Only warned of in a preview, which needs no earlier stack.
        """
        first, table = config.stack.primary, self.get(TABLE)
        if not table.get("arn"):
            said = f"{first} has no table yet: `pulumi up -s {first}` comes first"
        elif not table.get("streamEnabled"):
            said = (
                f"{first} does not share its table yet: `pulumi config set secondary "
                f"{config.stack.stack} -s {first}` and `pulumi up -s {first}` come first"
            )
        else:
            return
        if pulumi.runtime.is_dry_run():
            pulumi.log.warn(f"primary: {said}")
        else:
            read.refuse("primary", said)

    def _region(self, config: StackConfig, read: Reader) -> None:
        arn = str(self.get("aws:ecs/cluster:Cluster").get("arn", ""))
        _, _, _, region, account, *_ = [*arn.split(":"), "", "", "", "", ""]
        if region and region != config.stack.region:
            got = config.stack.region
            read.problems.append(f"aws:region: got {got}, the live stack is in {region}; {MOVE}")
        allowed = config.provider.get("allowed_account_ids")
        if account and isinstance(allowed, list) and account not in allowed:
            read.problems.append(
                f"aws:allowedAccountIds: got {', '.join(allowed)}, the live stack is in {account}"
            )

    def _network(self, config: StackConfig, read: Reader) -> None:
        live = self.get("aws:ec2/securityGroup:SecurityGroup", "bff-tasks").get("vpcId")
        made = self.has("awsx:ec2:Vpc")
        given = config.network.vpc_id
        if live and (given != live if not made else given is not None):
            now = "a network of its own" if made else live
            read.refuse("vpcId", f"got {given or 'none'}, the live stack is in {now}; {MOVE}")
            return
        facts = self.get("bff:stack:Network")
        block = facts.get("cidr") or self.get("aws:ec2/vpc:Vpc").get("cidrBlock")
        if made and block and block != config.network.vpc_cidr:
            got = config.network.vpc_cidr
            read.refuse("vpcCidr", f"got {got}, the live network is {block}; {MOVE}")
        zones = int(facts.get("zones") or 2)
        if made and zones > config.network.availability_zones:
            got = str(config.network.availability_zones)
            read.refuse("availabilityZones", f"got {got}, the live network has {zones}; {MOVE}")
        balancer = self.get("aws:lb/loadBalancer:LoadBalancer")
        if balancer.get("ipAddressType") == "dualstack" and not config.network.ipv6:
            read.refuse(
                "ipv6",
                "got false, and AWS gives a dual-stack load balancer no subnets without IPv6; "
                f"{MOVE}",
            )
        internal = balancer.get("internal")
        if internal is not None and internal != config.network.internal:
            got = str(config.network.internal).lower()
            read.refuse(
                "internal", f"got {got}, which takes another load balancer and its name; {MOVE}"
            )

    def _names(self, config: StackConfig, read: Reader) -> None:
        facts = self.get("bff:stack:Balancer")
        zone, names = facts.get("zone"), config.domain.names
        given = config.domain.hosted_zone_name
        if zone and given != zone and (given or config.stack.prod):
            got = given or "none"
            read.refuse("hostedZoneName", f"got {got}, the live records are in {zone}; {MOVE}")
        url = str(facts.get("url") or "")
        live = url.removeprefix("https://") if url.startswith("https://") else ""
        if config.stack.prod and live and live not in names:
            read.refuse(
                "domainName",
                f"got {config.domain.domain_name}, the live stack serves {live}, which clients "
                f"still call: takes it in extraDomains beside the new name; {MOVE}",
            )

    def _data(self, config: StackConfig, read: Reader) -> None:
        table = self.get(TABLE).get("name")
        if table and config.storage.memory_id:
            read.refuse(
                "memoryId",
                f"set, and the live table {table} with its conversations would go; {MOVE}",
            )
        if self.has(REPLICA) and not config.stack.primary:
            read.refuse(
                "primary",
                "got none, and the live replica of the table with its conversations would go; "
                f"{MOVE}",
            )
        bucket = self.get("aws:s3/bucket:Bucket", "bff-files").get("bucket")
        if bucket and not config.storage.files:
            read.refuse("files", f"got false, and the live bucket {bucket} would go; {MOVE}")

    def _second(self, config: StackConfig, read: Reader) -> None:
        """The second region lives on what the first copies there, and on its record's kind."""
        for copy in self.get(SECRET, "bff-jwt").get("replicas") or ():
            second = f"prod-{copy['region']}"
            if second != config.stack.secondary and Live.read(second).resources:
                got = config.stack.secondary or "none"
                read.refuse(
                    "secondary",
                    f"got {got}, and the copies of the secrets that {second} runs on would go; "
                    f"{MOVE}",
                )

    def _service(self, config: StackConfig, read: Reader) -> None:
        service = self.get(SERVICE)
        if self.shifts_traffic and not config.service.shifts_traffic:
            read.refuse(
                "deployment",
                "got rolling, and the live service may be in the other target group, where nobody "
                "would be served meanwhile; takes blueGreen with bakeMinutes 0",
            )
        launched = service.get("launchType") == "FARGATE" and not service.get(
            "capacityProviderStrategies"
        )
        changed = launched != (config.service.capacity == "fargate")
        if service and changed and config.stack.prod:
            read.refuse(
                "capacity",
                f"got {config.service.capacity}, which deletes the live service and makes another; "
                f"{MOVE}",
            )


def _ask(what: str, **arguments: str) -> Mapping[str, Any]:
    """One of the engine's own look-ups."""
    answer: Any = pulumi.runtime.invoke(f"pulumi:pulumi:{what}", arguments).value
    outputs = (answer or {}).get("outputs")
    return outputs if isinstance(outputs, Mapping) else {}
