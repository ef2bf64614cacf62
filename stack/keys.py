"""What can be set: every key once, with what it may be and what it is when unset.

The keys come in groups, one for each part that takes them whole, so a key is typed here and where
it is used. docs/stack.md lists them. What does not go together is judged in `config_rules`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from bff.setting_parsers import matching, one_of, whole
from stack.config_parsers import (
    Otel,
    Scheduled,
    agents,
    as_the_service_takes,
    cidr,
    flag,
    list_of,
    map_of,
    number_of,
    otel,
    schedule,
    secret_arn,
    tags,
    texts,
)
from stack.config_reader import key

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
ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?"
    r"/(?P<repository>[a-z0-9._/-]+?)(:[\w.-]{1,128})?@sha256:[0-9a-f]{64}"
)
NatStrategy = Literal["None", "Single", "OnePerAz"]
Architecture = Literal["arm64", "amd64"]
Deployment = Literal["rolling", "blueGreen", "linear", "canary"]
Capacity = Literal["fargate", "spot", "mixed"]

_DOMAIN = r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
_domain = matching(_DOMAIN, "a lower-case DNS name")
_subnets = list_of(matching(r"subnet-[0-9a-f]{8,17}", "a list of subnet ids (subnet-…)"))
_image = matching(
    # No upper case but in a tag, beside which the digest is what counts.
    r"[a-z0-9][a-z0-9._/:-]*(:\w[\w.-]{0,127})?@sha256:[0-9a-f]{64}",
    "a lower-case REPOSITORY@sha256:DIGEST",
)
_role = matching(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", "arn:aws:iam::ACCOUNT:role/NAME")


@dataclass(frozen=True, kw_only=True)
class SharedKeys:
    """What several parts go by."""

    log_retention_days: int = key(number_of(*RETENTION_DAYS), 14)
    permissions_boundary_arn: str | None = key(
        matching(
            r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+", "the ARN of an IAM policy"
        )
    )
    tags: Mapping[str, str] = key(tags, {})
    primary: str | None = key(matching(r"prod(-[a-z0-9-]+)?", "the name of a prod stack"))
    secondary: str | None = key(
        matching(r"prod-[a-z]{2}(-[a-z]+)+-\d", "prod-REGION, such as prod-eu-west-1")
    )


@dataclass(frozen=True, kw_only=True)
class AgentKeys:
    agent_runtime_arn: str = key(as_the_service_takes("AGENT_RUNTIME_ARN"), "")
    agent_qualifier: str = key(as_the_service_takes("AGENT_QUALIFIER"), "DEFAULT")
    agent_payload: str | None = key(as_the_service_takes("AGENT_PAYLOAD"))
    agents: Mapping[str, Mapping[str, object]] = key(agents, {})

    @property
    def endpoints(self) -> list[tuple[str, str]]:
        """Runtimes and the endpoint that is called of each."""
        if not self.agents:
            return [(self.agent_runtime_arn, self.agent_qualifier)]
        return [
            (str(agent["arn"]), str(agent.get("qualifier", "DEFAULT")))
            for agent in self.agents.values()
        ]

    @property
    def partition(self) -> str:
        """AWS's own: `aws`, `aws-cn`, `aws-us-gov`."""
        return self.endpoints[0][0].split(":")[1]


@dataclass(frozen=True, kw_only=True)
class NetworkKeys:
    nat_gateways: NatStrategy = key(one_of(*get_args(NatStrategy)), "Single", "OnePerAz")
    vpc_endpoints: bool = key(flag, False, True)
    vpc_cidr: str = key(cidr, "10.0.0.0/16")
    availability_zones: int = key(whole(2, 4), 2)
    ipv6: bool = key(flag, False)
    internal: bool = key(flag, False)
    vpc_id: str | None = key(matching(r"vpc-[0-9a-f]{8,17}", "a VPC id (vpc-…)"))
    public_subnet_ids: tuple[str, ...] = key(_subnets, ())
    private_subnet_ids: tuple[str, ...] = key(_subnets, ())

    @property
    def without_nat(self) -> bool:
        """Whether what has no endpoint may be out of reach: nobody knows of another's network."""
        return self.nat_gateways == "None" or self.vpc_id is not None


@dataclass(frozen=True, kw_only=True)
class ImageKeys:
    image: str | None = key(_image)
    architecture: Architecture = key(one_of(*get_args(Architecture)), "arm64")


@dataclass(frozen=True, kw_only=True)
class StorageKeys:
    shared_cache: bool = key(flag, False, True)
    memory_id: str | None = key(as_the_service_takes("HISTORY", "agentcore://{}"))
    files: bool = key(flag, False, True)
    files_retention_days: int = key(whole(1, 3650), 30)


@dataclass(frozen=True, kw_only=True)
class DomainKeys:
    domain_name: str | None = key(_domain)
    hosted_zone_name: str | None = key(matching(_DOMAIN, "a lower-case zone"))
    extra_domains: tuple[str, ...] = key(list_of(_domain), ())
    certificate_arn: str | None = key(
        matching(
            r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[\w-]+", "the ARN of a certificate"
        )
    )
    dns_role_arn: str | None = key(_role)

    @property
    def names(self) -> tuple[str, ...]:
        """All that is served, the first one first."""
        return tuple(name for name in (self.domain_name, *self.extra_domains) if name)


@dataclass(frozen=True, kw_only=True)
class BalancerKeys:
    waf: bool = key(flag, False, True)
    deregistration_delay_seconds: int = key(whole(0, 3600), 20, 120, name="deregistrationDelay")


@dataclass(frozen=True, kw_only=True)
class TaskKeys:
    cpu: int = key(number_of(*FARGATE_MEMORY), 256, 512)
    memory: int = key(whole(512, 122_880), 512, 1024)
    environment: Mapping[str, str] = key(map_of(texts(8192)), {})
    secrets: Mapping[str, str] = key(map_of(secret_arn), {})
    protect_open_runs: bool = key(flag, True)
    otel: Otel | None = key(otel)
    collector_image: str | None = key(_image)
    exec: bool = key(flag, False)

    @property
    def has_parameters(self) -> bool:
        """Whether a task's start reads parameters of SSM."""
        headers = self.otel.headers_secret if self.otel else None
        return any(arn.split(":")[2] == "ssm" for arn in (*self.secrets.values(), headers) if arn)


@dataclass(frozen=True, kw_only=True)
class CallerKeys:
    """Who may call, and from where."""

    cors_origins: tuple[str, ...] = key(list_of(as_the_service_takes("CORS_ORIGINS")), ())
    jwks_url: str | None = key(as_the_service_takes("JWT_JWKS_URL"))
    jwt_issuer: str | None = key(as_the_service_takes("JWT_ISSUER"))
    jwt_audience: str | None = key(as_the_service_takes("JWT_AUDIENCE"))


@dataclass(frozen=True, kw_only=True)
class ServiceKeys:
    min_tasks: int = key(whole(1, 500), 1, 2)
    max_tasks: int = key(whole(1, 500), 1, 10)
    cpu_target: int = key(whole(10, 90), 70)
    requests_per_target: int = key(whole(1, 1_000_000), 1000)
    streams_per_task: int = key(whole(1, 10_000), 200)
    capacity: Capacity = key(one_of(*get_args(Capacity)), "fargate")
    schedule: tuple[Scheduled, ...] = key(schedule, ())
    deployment: Deployment = key(one_of(*get_args(Deployment)), "rolling")
    canary_percent: int = key(whole(1, 99), 10)
    bake_minutes: int = key(whole(0, 1440), 5, 15)
    step_percent: int = key(whole(3, 100), 20)

    @property
    def shifts_traffic(self) -> bool:
        """Between two target groups, which ECS does itself."""
        return self.deployment != "rolling"

    @property
    def most_tasks(self) -> int:
        return max(self.max_tasks, *(step.max_tasks for step in self.schedule), 1)


@dataclass(frozen=True, kw_only=True)
class AlarmKeys:
    alarm_email: str | None = key(matching(r"[^@\s,]+@[^@\s,]+\.[^@\s,.]+", "one e-mail address"))
    budget_usd: int | None = key(whole(1, 10_000_000))
