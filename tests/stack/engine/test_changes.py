"""Every key changed alone on a live stack: what the engine would create, update, replace or delete.

`UPDATE_GOLDEN=1 python -m pytest tests/stack/engine/test_changes.py` writes golden/changes.json.
An entry that makes something anew which must not be lost, or that is in use, says under `why` why
that is right; without a reason it fails.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stack.config import GROUPS
from stack.config_reader import keys_of
from tests.stack.engine.conftest import Deploy
from tests.stack.engine.engine import LiveStack
from tests.stack.planner import DIGEST, RUNTIME_ARN
from tests.stack.test_config import IMAGE, NETWORK

GOLDEN = Path(__file__).parent / "golden" / "changes.json"

OTHER = RUNTIME_ARN.replace("my_agent", "other")
SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:shared/jwt-AbCdEf"
CERTIFICATE = "arn:aws:acm:us-west-2:123456789012:certificate/0f1e2d3c"

CHANGES: dict[str, tuple[str, Any]] = {
    "agentPayload": ("prod", "strands"),
    "agentQualifier": ("prod", "canary"),
    "agentRuntimeArn": ("prod", OTHER),
    "agents": ("prod", {"one": {"arn": RUNTIME_ARN}, "two": {"arn": OTHER, "qualifier": "live"}}),
    "alarmEmail": ("prod", "oncall@example.com"),
    "architecture": ("prod", "amd64"),
    "availabilityZones": ("prod", 3),
    "bakeMinutes": ("dev-canary", 30),
    "budgetUsd": ("prod", 300),
    "canaryPercent": ("dev-canary", 25),
    "capacity": ("dev", "spot"),
    "certificateArn": ("prod", CERTIFICATE),
    "collectorImage": ("dev", f"public.ecr.aws/adot/collector@{DIGEST}"),
    "corsOrigins": ("prod", ["https://app.example.com"]),
    "cpu": ("dev", 512),
    "cpuTarget": ("prod", 50),
    "deployment": ("prod", "canary"),
    "deregistrationDelay": ("prod", 60),
    "dnsRoleArn": ("dev-named", "arn:aws:iam::210987654321:role/dns"),
    "domainName": ("prod", "api.example.com"),
    "environment": ("prod", {"RATE_LIMIT_REQUESTS": 500, "AGENT_TIMEOUT": "1800"}),
    "exec": ("dev", True),
    "extraDomains": ("prod", ["api.example.com"]),
    "files": ("dev", True),
    "filesRetentionDays": ("dev-canary", 7),
    "hostedZoneName": ("dev", "example.com"),
    "image": ("prod", IMAGE),
    "internal": ("prod", True),
    "ipv6": ("prod", True),
    "jwksUrl": ("prod", "https://idp.example.com/keys"),
    "jwtAudience": ("prod", "chat"),
    "jwtIssuer": ("prod", "https://idp.example.com/"),
    "logRetentionDays": ("prod", 30),
    "maxTasks": ("prod", 20),
    "memory": ("dev", 1024),
    "memoryId": ("dev", "chats-0123456789"),
    "minTasks": ("prod", 3),
    "natGateways": ("prod", "Single"),
    "otel": ("dev", {"endpoint": "http://collector.example.com:4318"}),
    "permissionsBoundaryArn": ("prod", "arn:aws:iam::123456789012:policy/boundary"),
    "primary": ("prod", "prod-us-west-2"),
    "privateSubnetIds": ("dev-network", ["subnet-2222222a", "subnet-2222222b"]),
    "protectOpenRuns": ("prod", False),
    "publicSubnetIds": ("dev-network", ["subnet-3333333a", "subnet-3333333b"]),
    "requestsPerTarget": ("prod", 500),
    "schedule": (
        "prod",
        [{"cron": "0 7 * * 1-5", "timezone": "Europe/Berlin", "minTasks": 4, "maxTasks": 20}],
    ),
    "secondary": ("prod", "prod-eu-west-1"),
    "secrets": ("prod", {"JWT_SECRET": SECRET}),
    "sharedCache": ("dev", True),
    "stepPercent": ("dev-linear", 50),
    "streamsPerTask": ("prod", 100),
    "tags": ("prod", {"Team": "platform"}),
    "vpcCidr": ("prod", "10.64.0.0/16"),
    "vpcEndpoints": ("dev", True),
    "vpcId": ("dev-network", "vpc-0fedcba9876543210"),
    "waf": ("prod", False),
}
"""The live stack that each key is changed on, and what it is changed to."""

BESIDE: dict[str, dict[str, Any]] = {
    "cpu": {"memory": 1024},
    "collectorImage": {"otel": "xray"},
    "hostedZoneName": {"domainName": "qa.example.com"},
    "agents": {"agentRuntimeArn": None},
}
"""What cannot be left out beside a key."""

MUST_STAY = (
    *("dynamodb/table:Table", "elasticache/serverlessCache:ServerlessCache"),
    *("secretsmanager/secret:Secret", "secretsmanager/secretVersion:SecretVersion"),
    *("ecr/repository:Repository", "lb/loadBalancer:LoadBalancer", "lb/targetGroup:TargetGroup"),
    *("ecs/service:Service", "ecs/cluster:Cluster", "s3/bucket:Bucket", "route53/record:Record"),
    *("ec2/vpc:Vpc", "ec2/subnet:Subnet", "ec2/securityGroup:SecurityGroup"),
    *("randomPassword:RandomPassword", "logs/logGroup:LogGroup"),
)
"""Types that hold data, are in use, or are addressed from outside."""


BASES: dict[str, dict[str, Any]] = {
    "dev": {},
    "dev-named": {"domainName": "dev.example.com", "hostedZoneName": "example.com"},
    "dev-network": NETWORK,
    "dev-canary": {"deployment": "canary", "files": True},
    "dev-linear": {"deployment": "linear"},
    "prod": {},
}


@pytest.fixture(scope="module")
def live(deploy: Deploy) -> Callable[[str], LiveStack]:
    """One live stack of each base."""
    return functools.cache(lambda base: deploy(base, BASES[base]))


def test_every_key__is_changed_alone() -> None:
    assert set(CHANGES) == {key.name for group in GROUPS for _, key in keys_of(group)}


@pytest.mark.parametrize("key", CHANGES)
def test_key__changes_what_the_reviewed_list_says(
    live: Callable[[str], LiveStack], key: str
) -> None:
    base, value = CHANGES[key]

    outcome = live(base).preview({key: value, **BESIDE.get(key, {})})

    found = outcome.changes if outcome.ok else {"refused": outcome.said}
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    reviewed = dict(golden.get(key, {}))
    why = reviewed.pop("why", "")
    if os.environ.get("UPDATE_GOLDEN"):
        golden[key] = found | ({"why": why} if why else {})
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
        reviewed = found
    assert found == reviewed, "the list changed: see this module's docstring, then read the diff"
    lost = [
        step
        for step in outcome.replaced + outcome.deleted
        if step.partition("::")[0].endswith(MUST_STAY)
    ]
    assert bool(lost) == bool(why), lost or f"nothing is lost, and yet it says: {why}"
