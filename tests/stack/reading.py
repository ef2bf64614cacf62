"""What the tests of a plan read out of it, and the stacks they read it of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.stack.planner import Plan

Plans = Callable[[str], Plan]
BOTH = pytest.mark.parametrize("stack", ["dev", "prod"])


def allowed(plan: Plan, role: str) -> dict[str, list[str]]:
    """Actions of a role by what they may be done to."""
    statements = json.loads(plan.one("rolePolicy:RolePolicy", role)["policy"])["Statement"]
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    return {
        resource if isinstance(resource := statement["Resource"], str) else " ".join(resource): (
            statement["Action"]
        )
        for statement in statements
    }


def container(plan: Plan) -> dict[str, Any]:
    (only,) = json.loads(plan.one("taskDefinition:TaskDefinition")["containerDefinitions"])
    assert isinstance(only, dict)
    return only


def variables(plan: Plan) -> dict[str, str]:
    return {pair["name"]: pair["value"] for pair in container(plan)["environment"]}
