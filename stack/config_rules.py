"""The rules between keys: what is missing, what does not go together; each refusal by its key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stack.config_parsers import joined
from stack.config_reader import Reader
from stack.keys import ECR_IMAGE, FARGATE_MEMORY

if TYPE_CHECKING:
    from stack.config import StackConfig


MOST_GRANTED = 7_000
"""Characters of ARNs. A role's policies are 10,240 together; the rest is their frame, the table's
and the bucket's. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
LONGEST_COMMON_NAME = 64
MOST_NAMES, USUAL_NAMES = 100, 10
"""Of a certificate: at most, and unless the account's quota was raised.
https://docs.aws.amazon.com/acm/latest/userguide/acm-limits.html"""
LONGEST_IDLE_SECONDS = 4_000
"""A load balancer's, and so the longest blocking answer."""
OUT_OF_REACH = "cannot be reached with natGateways None, takes Single or OnePerAz there"
MOST_TAGS = 49
"""AWS's 50 without `Name`, which some parts have."""


def judge(config: StackConfig, read: Reader) -> None:
    _agents(config, read)
    _domain(config, read)
    _tags(config, read)
    _network(config, read)
    _tasks(config, read)
    _regions(config, read)
    _partition(config, read)
    collector = config.task.collector_image
    for key, image in (("image", config.image.image), ("collectorImage", collector)):
        if image and ".dkr.ecr." in image and not ECR_IMAGE.fullmatch(image):
            takes = "ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:DIGEST"
            read.refuse(key, f"got {image}, takes {takes}")
    if collector and not (config.task.otel and config.task.otel.xray):
        read.refuse("collectorImage", "set without otel xray, takes it: only that has a collector")
    jwks_url = config.callers.jwks_url
    if jwks_url and not re.match(r"https://[^/:]+(:443)?(/|\?|$)", jwks_url):
        got = f"got another port than 443 in {jwks_url}"
        read.refuse("jwksUrl", f"{got}, takes 443, which is all that tasks may reach outside")
    if config.storage.memory_id and config.stack.primary:
        read.refuse("memoryId", "set beside primary, whose table is shared: takes one of them")
    if read.has("filesRetentionDays") and not config.storage.files:
        read.refuse("filesRetentionDays", "set without files, takes files true")


def warnings(config: StackConfig) -> list[str]:
    """What may be meant so, and may be a surprise."""
    found = []
    if config.stack.prod and config.alarms.alarm_email is None:
        found.append(
            "alarmEmail is not set: no alarm reaches a person unless something else "
            "subscribes to the topic of the output alertsTopicArn"
        )
    names = len(config.domain.names)
    if names > USUAL_NAMES and not config.domain.certificate_arn:
        found.append(
            f"extraDomains: {names} names with domainName, and ACM's quota is {USUAL_NAMES} names "
            "a certificate unless it was raised in this account and region"
        )
    longest = config.settings.agent_blocking_timeout_seconds
    if longest >= LONGEST_IDLE_SECONDS:
        found.append(
            f"environment: AGENT_TIMEOUT is {longest:g} s, and the load balancer gives up a "
            f"blocking answer after {LONGEST_IDLE_SECONDS} s; streams go on"
        )
    return found


def _agents(config: StackConfig, read: Reader) -> None:
    granted = sum(
        len(part) for arn, name in set(config.agent.endpoints) for part in (arn, arn, name)
    )
    if granted > MOST_GRANTED:
        read.refuse(
            "agents",
            f"got {len(config.agent.agents)}, takes fewer: their ARNs are more than IAM lets one "
            "role have",
        )
    if not config.agent.agents:
        if not read.has("agents"):
            read.need("agentRuntimeArn", "arn:aws:bedrock-agentcore:REGION:ACCOUNT:runtime/NAME-ID")
        return
    for key in ("agentRuntimeArn", "agentQualifier", "agentPayload"):
        if read.has(key):
            read.refuse(key, "set beside agents, each of which says its own: takes one of them")


def _partition(config: StackConfig, read: Reader) -> None:
    """IAM takes no ARN of another of AWS's partitions, and nothing is called across them."""
    region = config.stack.region
    own = "aws"
    for begin, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-iso", "")):
        if region.startswith(begin):
            own = partition  # there are several isolated ones, and nobody here knows all of them
    agents = "agents" if config.agent.agents else "agentRuntimeArn"
    given: dict[str, list[str | None]] = {
        agents: [arn for arn, _ in config.agent.endpoints],
        "secrets": list(config.task.secrets.values()),
        "otel": [config.task.otel.headers_secret if config.task.otel else None],
        "permissionsBoundaryArn": [config.stack.permissions_boundary_arn],
        "certificateArn": [config.domain.certificate_arn],
        "dnsRoleArn": [config.domain.dns_role_arn],
    }
    for key, arns in given.items():
        for arn in filter(None, arns):
            if own and arn.split(":")[1] != own:
                read.refuse(key, f"got {arn}, takes arn:{own}:…, as the stack is in {region}")


def _domain(config: StackConfig, read: Reader) -> None:
    domain, prod = config.domain, config.stack.prod
    own = domain.certificate_arn
    if prod:
        read.need("domainName", "the name to serve, such as chat.example.com")
    if own:
        if not domain.domain_name and not prod:
            read.refuse("domainName", "missing beside certificateArn, takes the name")
        if own.split(":")[3] != config.stack.region:
            read.refuse("certificateArn", f"takes a certificate in {config.stack.region}")
    elif prod:
        read.need("hostedZoneName", "the Route 53 zone that the name lies in (or certificateArn)")
    else:
        read.both_or_none({"domainName": "the name", "hostedZoneName": "its zone"})
    first = domain.domain_name or ""
    if len(first) > LONGEST_COMMON_NAME and not own:
        read.refuse(
            "domainName",
            f"got {len(first)} characters, takes at most {LONGEST_COMMON_NAME}, which is all that "
            "a certificate's first name may have; longer ones go into extraDomains",
        )
    zone = domain.hosted_zone_name
    for key, names in (
        ("domainName", [domain.domain_name]),
        ("extraDomains", list(domain.extra_domains)),
    ):
        for name in filter(None, names):
            if zone and name != zone and not name.endswith(f".{zone}"):
                read.refuse(key, f"got {name!r}, takes a name in zone {zone!r}")
    if len(domain.names) > MOST_NAMES and not own:
        got = f"got {len(domain.extra_domains)} beside domainName"
        read.refuse("extraDomains", f"{got}, takes at most {MOST_NAMES - 1}: a certificate's names")
    if domain.extra_domains and not domain.domain_name:
        read.refuse("extraDomains", "set without domainName, takes that too")
    if domain.domain_name in domain.extra_domains:
        read.refuse("extraDomains", f"got {domain.domain_name}, which is domainName, takes others")
    if domain.dns_role_arn and not zone:
        read.refuse("dnsRoleArn", "set without hostedZoneName, takes that too")


def _tags(config: StackConfig, read: Reader) -> None:
    """All that every resource bears: the stack's own, the operator's and the provider's."""
    provider = config.provider.get("default_tags")
    defaults = provider.get("tags") if isinstance(provider, dict) else None
    names = {*config.stack.tags, *(defaults if isinstance(defaults, dict) else ())}
    seen: dict[str, str] = {}
    for name in sorted(names):
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
        if other := seen.get(name.lower()):
            read.refuse("tags", f"got {name} beside {other}, which are one tag to IAM: takes one")
        seen[name.lower()] = name
    if len(names) > MOST_TAGS:
        read.refuse("tags", f"got {len(names)} with the stack's own, takes at most {MOST_TAGS}")


def _network(config: StackConfig, read: Reader) -> None:
    network = config.network
    existing = read.both_or_none(
        {
            "vpcId": "a VPC id",
            "publicSubnetIds": "two or more subnets for the load balancer",
            "privateSubnetIds": "subnets for the tasks",
        }
    )
    if existing:
        public, private = network.public_subnet_ids, network.private_subnet_ids
        if len(public) == 1:
            read.refuse("publicSubnetIds", "got 1, takes two or more, in different zones")
        if config.stack.prod and len(private) == 1:
            read.refuse("privateSubnetIds", "got 1, takes two or more in prod, in different zones")
        elif (config.storage.shared_cache or network.internal) and len(private) == 1:
            read.refuse("privateSubnetIds", "got 1, takes two or more, in different zones")
        if shared := sorted(set(public) & set(private)):
            read.refuse("privateSubnetIds", f"got {shared[0]} of publicSubnetIds, takes others")
        for key in ("natGateways", "vpcCidr", "availabilityZones"):
            if read.has(key):
                read.refuse(key, "set beside vpcId, which has its own: takes one of them")
    elif network.nat_gateways == "None" and not network.vpc_id:
        _closed_network(config, read)
    if network.ipv6 and network.internal:
        read.refuse("ipv6", "set beside internal, whose subnets have no way in: takes one of them")


def _closed_network(config: StackConfig, read: Reader) -> None:
    """Without NAT there is only what has an endpoint in the network."""
    region = config.stack.region
    if not config.network.vpc_endpoints:
        read.refuse("vpcEndpoints", "got false with natGateways None, takes true")
    if config.callers.jwks_url:
        read.refuse("jwksUrl", OUT_OF_REACH)
    key = "agents" if config.agent.agents else "agentRuntimeArn"
    for arn, _ in config.agent.endpoints:
        if arn and arn.split(":")[3] != region:
            read.refuse(key, f"got {arn}, takes one in {region} without NAT")
    for name, arn in config.task.secrets.items():
        if arn.split(":")[3] != region:
            read.refuse("secrets", f"got {arn} for {name}, takes one in {region} without NAT")
    if image := config.image.image:
        found = ECR_IMAGE.fullmatch(image)
        if found is None or found["region"] != region:
            read.refuse("image", f"got {image}, takes one in ECR of {region} with natGateways None")
    if config.task.otel:
        read.refuse("otel", OUT_OF_REACH)
    if config.task.exec:
        read.refuse("exec", OUT_OF_REACH)


def _tasks(config: StackConfig, read: Reader) -> None:
    cpu, memory, service = config.task.cpu, config.task.memory, config.service
    if memory not in FARGATE_MEMORY[cpu]:
        takes = joined(FARGATE_MEMORY[cpu])
        read.refuse("memory", f"got {memory} with cpu {cpu}, takes {takes}")
    least, most = service.min_tasks, service.max_tasks
    if least > most:
        read.refuse("minTasks", f"got {least}, takes at most {most}, which is maxTasks")
    scheduled = max((step.max_tasks for step in service.schedule), default=0)
    if not config.storage.shared_cache and "REDIS_URL" not in {
        *config.task.environment,
        *config.task.secrets,
    }:
        for key, tasks in (("minTasks", least), ("maxTasks", most), ("schedule", scheduled)):
            if tasks > 1:
                read.refuse(
                    "sharedCache",
                    f"got false with {key} {tasks}, takes true: tasks share runs, locks and limits",
                )
                break
    if config.stack.prod and service.capacity == "spot":
        read.refuse("capacity", "got spot in prod, takes fargate, or mixed with an on-demand base")
    for key, deployments in {
        "canaryPercent": ("canary",),
        "stepPercent": ("linear",),
        "bakeMinutes": ("blueGreen", "linear", "canary"),
    }.items():
        if read.has(key) and service.deployment not in deployments:
            takes = " or ".join(deployments)
            read.refuse(key, f"set with deployment {service.deployment}, takes {takes}")


def _regions(config: StackConfig, read: Reader) -> None:
    """One environment in two regions: each has a stack, and they share the name and the table."""
    stack = config.stack
    for key, other in (("primary", stack.primary), ("secondary", stack.secondary)):
        if other is None:
            continue
        if not stack.prod or other == stack.stack:
            read.refuse(key, f"got {other} on stack {stack.stack}, takes another prod stack")
        if not config.domain.hosted_zone_name:
            read.refuse(key, "set without hostedZoneName, takes it for the health-checked records")
        if config.network.internal:
            read.refuse(key, "set beside internal, which Route 53 cannot check: takes one of them")
        if config.storage.memory_id and key == "secondary":
            read.refuse(key, "set beside memoryId, which is in one region: takes one of them")
    if stack.primary and stack.secondary:
        read.refuse("secondary", "set beside primary, takes one of them")
    if stack.primary and stack.stack != f"prod-{stack.region}":
        read.refuse(
            "primary",
            f"set on stack {stack.stack}, takes one named prod-{stack.region} after its region",
        )
    if stack.secondary == f"prod-{stack.region}":
        read.refuse("secondary", f"got {stack.secondary}, takes another region than this one")
