"""Where the stack and the service must say the same: time limits, variables, names."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any

import pytest

from bff.settings import (
    DEFAULT_PORT,
    HEARTBEAT_SECONDS,
    IDLE_CONNECTION_SECONDS,
    STOP_GRACE_SECONDS,
    DynamoHistory,
    MemoryHistory,
    Settings,
    SettingsError,
)
from tests.stack.planner import ROOT, RUNTIME_ARN, Plan, make_plan
from tests.stack.reading import BOTH, Plans, container
from tests.stack.test_config import NETWORK

SECRETS = {"JWT_SECRET": "x" * 64, "API_KEYS": "first:" + "0" * 64}
FULL: dict[str, Any] = {
    "corsOrigins": ["https://app.example.com", "https://www.example.com"],
    "jwksUrl": "https://idp.example.com/.well-known/jwks.json",
    "jwtIssuer": "https://idp.example.com/",
    "jwtAudience": "chat",
}


def given(plan: Plan) -> dict[str, str]:
    """The environment as the container has it, secrets in place."""
    only = container(plan)
    names = {secret["name"] for secret in only["secrets"]}
    return {pair["name"]: pair["value"] for pair in only["environment"]} | {
        name: SECRETS[name] for name in names
    }


class _Asked(dict[str, str]):
    """Remembers what was read."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default)


@BOTH
def test_time_limits__each_outlasts_the_one_before(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    settings = Settings.load(given(plan))
    drain = settings.drain_timeout_seconds
    stop = container(plan)["stopTimeout"]
    balancer_idle = plan.one("loadBalancer:LoadBalancer")["idleTimeout"]
    delay = int(plan.one("targetGroup:TargetGroup")["deregistrationDelay"])
    check = container(plan)["healthCheck"]

    # a stream is never idle, a blocking answer is allowed to be, a kept connection outlives both
    assert 3 * HEARTBEAT_SECONDS <= 30
    assert settings.agent_blocking_timeout_seconds > HEARTBEAT_SECONDS
    assert settings.agent_blocking_timeout_seconds < balancer_idle < IDLE_CONNECTION_SECONDS
    assert balancer_idle <= 4000
    # drain and exit come before the kill, which comes no later than Fargate allows
    assert drain + STOP_GRACE_SECONDS < stop <= 120
    # what is cut at the balancer can be resumed: a finished run is kept longer than a stop takes
    assert delay == (120 if stack == "prod" else 20)
    assert delay + stop < settings.run_retention_seconds
    assert check["timeout"] < check["interval"]


@BOTH
def test_environment__is_what_the_service_takes(planned: Plans, stack: str) -> None:
    settings = Settings.load(given(planned(stack)))

    assert (settings.host, settings.port) == ("0.0.0.0", DEFAULT_PORT)
    assert settings.environment == stack
    assert not settings.local
    assert settings.service_name == f"agentcore-bff-{stack}"
    assert settings.agent_runtime_arn == RUNTIME_ARN
    assert (settings.metrics, settings.log_format) == ("emf", "json")
    assert isinstance(settings.history, DynamoHistory)
    assert settings.history.table == "bff-1234567"
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/24", "10.0.1.0/24"]
    assert (settings.redis_url is None) is (stack == "dev")
    assert settings.jwt_secrets
    assert settings.api_keys[0].name == "first"
    assert not settings.playground


@BOTH
@pytest.mark.parametrize("extra", [{}, FULL, {"memoryId": "chats-0123456789"}])
def test_environment__every_variable_is_one_the_service_reads(
    stack: str, extra: dict[str, Any]
) -> None:
    environ = _Asked(given(make_plan(stack, extra)))

    _ = Settings.load(environ)

    assert set(environ) <= environ.names


def test_environment__a_renamed_variable_is_noticed(prod: Plan) -> None:
    environ = given(prod)
    environ["RUNTIME_ARN"] = environ.pop("AGENT_RUNTIME_ARN")

    with pytest.raises(SettingsError, match="AGENT_RUNTIME_ARN"):
        Settings.load(environ)


def test_environment__carries_who_may_call_from_where() -> None:
    settings = Settings.load(given(make_plan("prod", FULL)))

    assert settings.cors_origins == tuple(FULL["corsOrigins"])
    assert settings.jwt_jwks_url == FULL["jwksUrl"]
    assert (settings.jwt_issuer, settings.jwt_audience) == (FULL["jwtIssuer"], FULL["jwtAudience"])
    assert settings.allowed_hosts == ("chat.example.com",)


def test_environment__memory_instead_of_the_table() -> None:
    settings = Settings.load(given(make_plan("dev", {"memoryId": "chats-0123456789"})))

    assert settings.history == MemoryHistory("chats-0123456789")


def test_environment__host_without_a_domain_is_the_balancers(dev: Plan) -> None:
    settings = Settings.load(given(dev))

    assert settings.allowed_hosts == (dev.outputs["loadBalancerDns"].lower(),)


def test_environment__existing_network_trusts_its_public_subnets() -> None:
    settings = Settings.load(given(make_plan("dev", NETWORK)))

    assert [str(net) for net in settings.trusted_proxies] == ["172.31.10.0/24", "172.31.11.0/24"]


def test_secrets__are_not_in_the_plain_environment(prod: Plan) -> None:
    assert {pair["name"] for pair in container(prod)["environment"]}.isdisjoint(SECRETS)


def test_modules__bear_no_name_that_python_or_a_dependency_has() -> None:
    # Pulumi puts stack/ first on sys.path: a module there would be taken for the other.
    ours = {path.stem for path in (ROOT / "stack").glob("*.py")} - {"__main__", "__init__"}
    installed = set(importlib.metadata.packages_distributions())

    assert ours
    assert ours.isdisjoint(sys.stdlib_module_names)
    assert ours.isdisjoint(installed)
