"""The variables a task gets, by the names that `bff.settings` reads.

A variable that `Settings.load` does not know or take fails a test, not a deployment.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from bff.settings import DEFAULT_PORT, Settings
from stack.config import StackConfig


def environment(
    config: StackConfig,
    *,
    proxies: pulumi.Input[Sequence[str]],
    host: pulumi.Input[str],
    history: pulumi.Input[str],
    redis_url: pulumi.Input[str] | None,
) -> dict[str, pulumi.Input[str]]:
    """`proxies` are the load balancer's networks, `host` the name it has without a domain."""
    settings = Settings()
    variables: dict[str, pulumi.Input[str] | None] = {
        "HOST": "0.0.0.0",
        "PORT": str(DEFAULT_PORT),
        "ENVIRONMENT": config.stack.stack,
        "SERVICE_NAME": config.stack.name,
        "AWS_REGION": config.stack.region,
        "AGENT_RUNTIME_ARN": config.agent.agent_runtime_arn,
        "AGENT_QUALIFIER": settings.agent_qualifier,
        "HISTORY": history,
        "REDIS_URL": redis_url,
        "DRAIN_TIMEOUT": f"{settings.drain_timeout_seconds:g}",
        "TRUSTED_PROXIES": pulumi.Output.from_input(proxies).apply(",".join),
        # Only by its name; what comes by address is a scan. Health checks are exempt.
        "ALLOWED_HOSTS": config.domain.domain_name or host,
        "CORS_ORIGINS": ",".join(config.callers.cors_origins),
        "JWT_JWKS_URL": config.callers.jwks_url,
        "JWT_ISSUER": config.callers.jwt_issuer,
        "JWT_AUDIENCE": config.callers.jwt_audience,
        "METRICS": "emf",
        "LOG_FORMAT": "json",
    }
    return {name: value for name, value in variables.items() if value is not None and value != ""}
