"""The rules between keys: what is missing, what does not go together; each refusal by its key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stack.config_reader import Reader, joined
from stack.keys import ECR_IMAGE, FARGATE_MEMORY

if TYPE_CHECKING:
    from stack.config import StackConfig


def judge(config: StackConfig, read: Reader) -> None:
    read.need("agentRuntimeArn", "arn:aws:bedrock-agentcore:REGION:ACCOUNT:runtime/NAME-ID")
    _domain(config, read)
    _network(config, read)
    _tasks(config, read)
    image = config.image.image
    if image and ".dkr.ecr." in image and not ECR_IMAGE.fullmatch(image):
        read.refuse("image", "takes ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:DIGEST")
    jwks_url = config.callers.jwks_url
    if jwks_url and not re.match(r"https://[^/:]+(:443)?(/|\?|$)", jwks_url):
        read.refuse("jwksUrl", "another port than 443, which is all that tasks may reach outside")


def _domain(config: StackConfig, read: Reader) -> None:
    name, zone = config.domain.domain_name, config.domain.hosted_zone_name
    if config.stack.prod:
        read.need("domainName", "the name to serve, such as chat.example.com")
        read.need("hostedZoneName", "the Route 53 zone that the name lies in")
    else:
        read.both_or_none({"domainName": "the name", "hostedZoneName": "its zone"})
    if name and zone and name != zone and not name.endswith(f".{zone}"):
        read.refuse("domainName", f"got {name!r}, takes a name in zone {zone!r}")


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
        elif config.storage.shared_cache and len(private) == 1:
            read.refuse("privateSubnetIds", "got 1 with sharedCache, which takes two or more zones")
        if shared := sorted(set(public) & set(private)):
            read.refuse("privateSubnetIds", f"got {shared[0]}, which is in publicSubnetIds too")
        if read.has("natGateways"):
            read.refuse("natGateways", "set beside vpcId, whose own routes lead out")
    elif network.nat_gateways == "None" and not network.vpc_id:
        _closed_network(config, read)


def _closed_network(config: StackConfig, read: Reader) -> None:
    """Without NAT there is only what has an endpoint in the network."""
    if not config.network.vpc_endpoints:
        read.refuse("vpcEndpoints", "got false with natGateways None, takes true")
    if config.callers.jwks_url:
        read.refuse("jwksUrl", "cannot be reached with natGateways None")
    arn, region = config.agent.agent_runtime_arn, config.stack.region
    if arn and arn.split(":")[3] != region:
        read.refuse("agentRuntimeArn", f"lies outside {region}, out of reach without NAT")
    if config.image.image and not ECR_IMAGE.fullmatch(config.image.image):
        read.refuse("image", "takes an image in ECR with natGateways None")


def _tasks(config: StackConfig, read: Reader) -> None:
    cpu, memory = config.task.cpu, config.task.memory
    if memory not in FARGATE_MEMORY[cpu]:
        takes = joined(FARGATE_MEMORY[cpu])
        read.refuse("memory", f"got {memory} with cpu {cpu}, takes {takes}")
    least, most = config.service.min_tasks, config.service.max_tasks
    if least > most:
        read.refuse("minTasks", f"got {least}, more than maxTasks {most}")
    for key, tasks in (("minTasks", least), ("maxTasks", most)):
        if tasks > 1 and not config.storage.shared_cache:
            read.refuse(
                "sharedCache",
                f"got false with {key} {tasks}, takes true: tasks share runs, locks and limits",
            )
            break
