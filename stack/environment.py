"""The variables a task gets, by the names that `bff.settings` reads.

What the stack sets itself, what the operator adds (`environment`, `secrets`), and the judgement of
the service's own `Settings` over all of it, before anything is planned.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pulumi

from bff.settings import DEFAULT_PORT, SECRETS, STOP_GRACE_SECONDS, Settings, SettingsError
from stack import trace_variables

if TYPE_CHECKING:
    from stack.config import StackConfig
    from stack.config_reader import Reader

OWNED: Mapping[str, str] = {
    "HOST": "",
    "PORT": "",
    "ENVIRONMENT": "",
    "SERVICE_NAME": "",
    "METRICS": "",
    "LOG_FORMAT": "",
    "TRUSTED_PROXIES": "",
    "DEBUG": "",
    "AWS_REGION": "aws:region",
    "AGENT_RUNTIME_ARN": "agentRuntimeArn",
    "AGENT_URL": "agentRuntimeArn",
    "AGENT_QUALIFIER": "agentQualifier",
    "AGENT_PAYLOAD": "agentPayload",
    "AGENTS": "agents",
    "HISTORY": "memoryId",
    "FILES": "files",
    "FILES_RETENTION": "filesRetentionDays",
    "ALLOWED_HOSTS": "extraDomains",
    "CORS_ORIGINS": "corsOrigins",
    "JWT_JWKS_URL": "jwksUrl",
    "JWT_ISSUER": "jwtIssuer",
    "JWT_AUDIENCE": "jwtAudience",
    "PROTECT_OPEN_RUNS": "protectOpenRuns",
    "ECS_AGENT_URI": "",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "otel",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "otel",
    "OTEL_SERVICE_NAME": "",
}
"""What the stack sets itself, and the key that says it; none where there is nothing to choose."""

LONGEST_STOP_SECONDS = 120
"""Fargate's own, from SIGTERM to SIGKILL."""
SLOW_EXIT_SECONDS = 6
LONGEST_ENVIRONMENT = 56_000
"""Characters as JSON, of the 64 KiB that a task definition may have with all that is in it."""

_GIVEN = {"JWT_SECRET": "x" * 64, "API_KEYS": "first:" + "0" * 64}
_EXAMPLES = {**_GIVEN, "REDIS_URL": "rediss://cache.example.com:6379"}
"""In place of secrets, which nobody sees here."""
_ON_ECS = {"ECS_AGENT_URI": "http://169.254.170.2/api/task"}
"""What a task has beside what its definition says."""


def fixed(config: StackConfig) -> dict[str, str]:
    """What is known before anything is made."""
    agent, otel, storage = config.agent, config.task.otel, config.storage
    one = not agent.agents
    variables = {
        "HOST": "0.0.0.0",
        "PORT": str(DEFAULT_PORT),
        "ENVIRONMENT": config.stack.stack,
        "SERVICE_NAME": config.stack.name,
        "AWS_REGION": config.stack.region,
        "AGENT_RUNTIME_ARN": agent.agent_runtime_arn if one else "",
        "AGENT_QUALIFIER": agent.agent_qualifier if one else "",
        "AGENT_PAYLOAD": agent.agent_payload if one else "",
        "AGENTS": "" if one else json.dumps(agent.agents, separators=(",", ":")),
        "DRAIN_TIMEOUT": f"{Settings().drain_timeout_seconds:g}",
        "CORS_ORIGINS": ",".join(config.callers.cors_origins),
        "JWT_JWKS_URL": config.callers.jwks_url,
        "JWT_ISSUER": config.callers.jwt_issuer,
        "JWT_AUDIENCE": config.callers.jwt_audience,
        "METRICS": "emf",
        "LOG_FORMAT": "json",
        "PROTECT_OPEN_RUNS": "" if config.task.protect_open_runs else "false",
        "OTEL_EXPORTER_OTLP_ENDPOINT": otel.endpoint if otel else "",
        "FILES_RETENTION": f"{storage.files_retention_days}d" if storage.files else "",
    }
    given = {name: value for name, value in variables.items() if value}
    return {**given, **config.task.environment}


def environment(
    config: StackConfig,
    *,
    proxies: pulumi.Input[Sequence[str]],
    host: pulumi.Input[str],
    history: pulumi.Input[str],
    redis_url: pulumi.Input[str] | None,
    files: pulumi.Input[str] | None,
) -> dict[str, pulumi.Input[str]]:
    """`proxies` are the load balancer's networks, `host` the name it has without a domain."""
    made: dict[str, pulumi.Input[str] | None] = {
        "HISTORY": history,
        "REDIS_URL": redis_url,
        "FILES": files,
        "TRUSTED_PROXIES": pulumi.Output.from_input(proxies).apply(",".join),
        # Only by its names; what comes by address is a scan. Health checks are exempt.
        "ALLOWED_HOSTS": ",".join(config.domain.names) or host,
    }
    told = {name: _kept(config, name, value) for name, value in fixed(config).items()}
    return {**told, **{name: value for name, value in made.items() if value is not None}}


def _kept(config: StackConfig, name: str, value: str) -> pulumi.Input[str]:
    own = name in config.task.environment
    return config.stack.kept("environment" if own else OWNED.get(name, ""), value)


def judge(config: StackConfig, read: Reader) -> Settings:
    """What the service would make of it; refuses what it would refuse, each by its key."""
    known = Settings.variables()
    for key, given in (("environment", config.task.environment), ("secrets", config.task.secrets)):
        for name in given:
            if name in OWNED or (name == "REDIS_URL" and config.storage.shared_cache):
                instead = OWNED.get(name, "sharedCache")
                takes = f": takes the key {instead}" if instead else ": takes nothing here"
                read.refuse(key, f"got {name}, which the stack sets itself{takes}")
            elif name.startswith("AWS_"):
                takes = "takes none of AWS's: tasks call it as their own role, in aws:region"
                read.refuse(key, f"got {name}, {takes}")
            elif name not in known and not name.startswith(trace_variables.PREFIX):
                read.refuse(key, f"got {name}, takes a variable of docs/configuration.md")
    trace_variables.judge(config, read, OWNED)
    for name in config.task.environment.keys() & SECRETS:
        read.refuse("environment", f"got {name}, which is secret: takes it in `secrets`")
    for name in config.task.environment.keys() & config.task.secrets.keys():
        read.refuse("secrets", f"got {name}, which `environment` has too: takes one of them")
    environ = fixed(config) | {"HISTORY": "dynamodb://table", **_GIVEN, **_ON_ECS}
    if config.storage.files:
        environ["FILES"] = "s3://files/files"
    if config.storage.shared_cache:
        environ["REDIS_URL"] = _EXAMPLES["REDIS_URL"]
    if environ.get("WORKERS") == "auto":
        environ["WORKERS"] = "2"  # the cores here are not the task's
    environ |= {name: _EXAMPLES[name] for name in config.task.secrets if name in _EXAMPLES}
    _refuse_too_long(config, read)
    settings = _load(config, read, environ)
    if stop_timeout_seconds(settings) > LONGEST_STOP_SECONDS:
        got = f"DRAIN_TIMEOUT {settings.drain_timeout_seconds:g}"
        most = LONGEST_STOP_SECONDS - STOP_GRACE_SECONDS - SLOW_EXIT_SECONDS
        takes = f"at most {most:g}, since Fargate kills a task after {LONGEST_STOP_SECONDS} s"
        read.refuse("environment", f"got {got}, takes {takes}")
    return settings


def _load(config: StackConfig, read: Reader, environ: dict[str, str]) -> Settings:
    """The settings; each that is refused is told and left out, so that all of them are told."""
    while True:
        if not environ.keys() & {"AGENT_RUNTIME_ARN", "AGENTS"}:
            environ["AGENT_URL"] = "embedded:"  # refused already, by a better name
        try:
            return Settings.load(environ)
        except SettingsError as error:
            name = error.variable
            if name not in environ and read.problems:  # for lack of what was left out
                return Settings()
            if name in config.task.environment:
                got = read.shown("environment", error.got)
                read.refuse("environment", f"{name}: got {got}, takes {error.takes}")
            elif (key := OWNED.get(name)) and name != "AWS_REGION":  # refused already
                read.refuse(key, f"got {read.shown(key, error.got)}, takes {error.takes}")
            elif not read.problems:
                raise
            environ.pop(name, None)


def _refuse_too_long(config: StackConfig, read: Reader) -> None:
    """A task definition that ECS would not register."""
    told = fixed(config)
    if sum(len(json.dumps(pair)) for pair in told.items()) <= LONGEST_ENVIRONMENT:
        return
    own = sum(len(value) for value in config.task.environment.values())
    key = "environment" if own > len(told.get("AGENTS", "")) else "agents"
    read.refuse(
        key, f"is more than a task definition holds, takes {LONGEST_ENVIRONMENT:,} characters"
    )


def stop_timeout_seconds(settings: Settings) -> int:
    """From SIGTERM to SIGKILL, with room for a slow exit; `judge` has refused what is too long."""
    return math.ceil(settings.drain_timeout_seconds + STOP_GRACE_SECONDS) + SLOW_EXIT_SECONDS
