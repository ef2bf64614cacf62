"""The only reader of `pulumi.Config`: what can be set, what it is when unset, what is refused.

Everything wrong is told at once, before any resource is planned, each with its key. docs/stack.md
lists the keys. `Pulumi.yaml` declares neither types nor defaults: the engine would refuse keys one
by one, and its defaults would override prod's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

import pulumi

from bff.settings import Settings
from stack.reading import (
    Reader,
    Refused,
    as_the_service_takes,
    both_or_none,
    flag,
    list_of,
    matching,
    number_of,
    one_of,
    whole,
)

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
FARGATE_MEMORY: dict[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
DOMAIN = r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?"
    r"/(?P<repository>[a-z0-9._/-]+?)(:[\w.-]{1,128})?@sha256:[0-9a-f]{64}"
)
NatStrategy = Literal["None", "Single", "OnePerAz"]
Architecture = Literal["arm64", "amd64"]
_ARN = "arn:aws:bedrock-agentcore:REGION:ACCOUNT:runtime/NAME-ID"
_NETWORK = ("vpcId", "publicSubnetIds", "privateSubnetIds")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingNetwork:
    vpc_id: str
    public_subnet_ids: tuple[str, ...]
    private_subnet_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackConfig:
    """One environment, judged; attributes bear the keys' names."""

    stack: str
    region: str
    profile: str | None
    agent_runtime_arn: str
    domain_name: str | None
    hosted_zone_name: str | None
    image: str | None
    cpu: int
    memory: int
    min_tasks: int
    max_tasks: int
    cpu_target: int
    requests_per_target: int
    streams_per_task: int
    nat_gateways: NatStrategy
    vpc_endpoints: bool
    shared_cache: bool
    deployment: str
    log_retention_days: int
    alarm_email: str | None
    cors_origins: tuple[str, ...]
    jwks_url: str | None
    jwt_issuer: str | None
    jwt_audience: str | None
    waf: bool
    architecture: Architecture
    memory_id: str | None
    existing_network: ExistingNetwork | None
    deregistration_delay_seconds: int

    @property
    def prod(self) -> bool:
        return is_prod(self.stack)

    @property
    def name(self) -> str:
        """What people type: cluster, service, log group and repository bear it."""
        return f"{pulumi.get_project()}-{self.stack}"

    @classmethod
    def load(cls) -> StackConfig:
        """Raises `pulumi.RunError` with every problem if the stack cannot be planned."""
        stack = pulumi.get_stack()
        prod = is_prod(stack)
        read, provider = Reader(), pulumi.Config("aws")
        region = provider.get("region") or Settings().aws_region
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,25}", stack) or stack == "local":
            # A cache's name ends at 40; `local` is the service's word for "made-up keys are fine".
            takes = "1 to 26 lower-case letters, digits and '-', a letter first, and not 'local'"
            read.problems.append(f"stack name: got {stack!r}, takes {takes}")
        try:
            _ = as_the_service_takes("AWS_REGION")(region)
        except Refused as refusal:
            read.problems.append(f"aws:region: got {region!r}, takes {refusal}")

        read.need("agentRuntimeArn", _ARN)
        if prod:
            read.need("domainName", "the name to serve, such as chat.example.com")
            read.need("hostedZoneName", "the Route 53 zone that the name lies in")
        else:
            both_or_none(read, ("domainName", "hostedZoneName"), ("the name", "its zone"))
        network = _existing_network(read, prod)
        config = cls(
            stack=stack,
            region=region,
            profile=provider.get("profile"),
            agent_runtime_arn=read(
                "agentRuntimeArn", as_the_service_takes("AGENT_RUNTIME_ARN"), ""
            ),
            domain_name=read("domainName", matching(DOMAIN, "a lower-case DNS name"), None),
            hosted_zone_name=read("hostedZoneName", matching(DOMAIN, "a lower-case zone"), None),
            image=read(
                "image",
                matching(r"[\w][\w./:-]*@sha256:[0-9a-f]{64}", "REPOSITORY@sha256:DIGEST, no tag"),
                None,
            ),
            cpu=read("cpu", number_of(*FARGATE_MEMORY), 512 if prod else 256),
            memory=read("memory", whole(512, 122_880), 1024 if prod else 512),
            min_tasks=read("minTasks", whole(1, 500), 2 if prod else 1),
            max_tasks=read("maxTasks", whole(1, 500), 10 if prod else 2),
            cpu_target=read("cpuTarget", whole(10, 90), 70),
            requests_per_target=read("requestsPerTarget", whole(1, 1_000_000), 1000),
            streams_per_task=read("streamsPerTask", whole(1, 10_000), 200),
            nat_gateways=read(
                "natGateways", one_of(*get_args(NatStrategy)), "OnePerAz" if prod else "Single"
            ),
            vpc_endpoints=read("vpcEndpoints", flag, prod and network is None),
            shared_cache=read("sharedCache", flag, prod),
            deployment=read("deployment", one_of("rolling"), "rolling"),
            log_retention_days=read("logRetentionDays", number_of(*RETENTION_DAYS), 14),
            alarm_email=read(
                "alarmEmail", matching(r"[^@\s,]+@[^@\s,]+\.[^@\s,.]+", "one e-mail address"), None
            ),
            cors_origins=read("corsOrigins", list_of(as_the_service_takes("CORS_ORIGINS")), ()),
            jwks_url=read("jwksUrl", as_the_service_takes("JWT_JWKS_URL"), None),
            jwt_issuer=read("jwtIssuer", as_the_service_takes("JWT_ISSUER"), None),
            jwt_audience=read("jwtAudience", as_the_service_takes("JWT_AUDIENCE"), None),
            waf=read("waf", flag, prod),
            architecture=read("architecture", one_of(*get_args(Architecture)), "arm64"),
            memory_id=read("memoryId", as_the_service_takes("HISTORY", "agentcore://{}"), None),
            existing_network=network,
            deregistration_delay_seconds=read(
                "deregistrationDelay", whole(0, 3600), 120 if prod else 20
            ),
        )
        _refuse_combinations(config, read)
        read.refuse_unknown()
        if read.problems:
            raise pulumi.RunError(
                f"{len(read.problems)} problem(s) in the configuration of stack {stack!r} "
                f"(Pulumi.{stack}.yaml, keys in docs/stack.md):\n  " + "\n  ".join(read.problems)
            )
        return config


def is_prod(stack: str) -> bool:
    return stack == "prod" or stack.startswith("prod-")


def _existing_network(read: Reader, prod: bool) -> ExistingNetwork | None:
    subnets = list_of(matching(r"subnet-[0-9a-f]{8,17}", "a list of subnet ids (subnet-…)"))
    vpc_id = read("vpcId", matching(r"vpc-[0-9a-f]{8,17}", "a VPC id (vpc-…)"), "")
    public: tuple[str, ...] = read("publicSubnetIds", subnets, ())
    private: tuple[str, ...] = read("privateSubnetIds", subnets, ())
    takes = ("a VPC id", "two or more subnets for the load balancer", "subnets for the tasks")
    if not both_or_none(read, _NETWORK, takes):
        return None
    if len(public) == 1:
        read.refuse("publicSubnetIds", "got 1, takes two or more, in different zones")
    if prod and len(private) == 1:
        read.refuse("privateSubnetIds", "got 1, takes two or more in prod, in different zones")
    if shared := sorted(set(public) & set(private)):
        read.refuse("privateSubnetIds", f"got {shared[0]}, which is in publicSubnetIds too")
    if read.has("natGateways"):
        read.refuse("natGateways", "set beside vpcId, whose own routes lead out")
    return ExistingNetwork(vpc_id=vpc_id, public_subnet_ids=public, private_subnet_ids=private)


def _refuse_combinations(config: StackConfig, read: Reader) -> None:
    fitting = FARGATE_MEMORY[config.cpu]
    if config.memory not in fitting:
        steps = ", ".join(
            map(str, fitting if len(fitting) <= 8 else (*fitting[:3], "…", fitting[-1]))
        )
        read.refuse("memory", f"got {config.memory} with cpu {config.cpu}, takes {steps}")
    if config.min_tasks > config.max_tasks:
        read.refuse("minTasks", f"got {config.min_tasks}, more than maxTasks {config.max_tasks}")
    if config.min_tasks > 1 and not config.shared_cache:
        read.refuse(
            "sharedCache",
            f"got false with minTasks {config.min_tasks}, takes true: tasks share runs and limits",
        )
    if config.domain_name and config.hosted_zone_name:
        zone = config.hosted_zone_name
        if config.domain_name != zone and not config.domain_name.endswith(f".{zone}"):
            read.refuse("domainName", f"got {config.domain_name!r}, takes a name in zone {zone!r}")
    if config.jwks_url and not re.match(r"https://[^/:]+(:443)?(/|\?|$)", config.jwks_url):
        read.refuse("jwksUrl", "another port than 443, which is all that tasks may reach outside")
    if config.image and ".dkr.ecr." in config.image and not ECR_IMAGE.fullmatch(config.image):
        read.refuse("image", "takes ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:DIGEST")
    if config.existing_network is None and config.nat_gateways == "None":
        _refuse_closed_network(config, read)


def _refuse_closed_network(config: StackConfig, read: Reader) -> None:
    """Without NAT there is only what has an endpoint in the network."""
    if not config.vpc_endpoints:
        read.refuse("vpcEndpoints", "got false with natGateways None, takes true")
    if config.jwks_url:
        read.refuse("jwksUrl", "cannot be reached with natGateways None")
    if config.agent_runtime_arn and config.agent_runtime_arn.split(":")[3] != config.region:
        region = config.region
        read.refuse("agentRuntimeArn", f"lies outside {region}, out of reach without NAT")
    if config.image and not ECR_IMAGE.fullmatch(config.image):
        read.refuse("image", "takes an image in ECR with natGateways None")
