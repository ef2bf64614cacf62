"""The table of replacements says of no type what the type does not have."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stack.engine.replacement import ALL, FORCES, forced
from tests.stack.engine.shapes import shape


@pytest.mark.parametrize("token", FORCES)
def test_row__names_inputs_of_its_type(token: str) -> None:
    known = shape(token)
    assert known is not None
    assert FORCES[token] - {ALL} <= known.inputs.keys()


SPOT, MIXED = [{"capacityProvider": "FARGATE_SPOT"}], [{"capacityProvider": "FARGATE"}]


@pytest.mark.parametrize(
    ("old", "new", "inputs", "replaced"),
    [
        (SPOT, MIXED, {"forceNewDeployment": True}, False),
        (SPOT, MIXED, {}, True),
        (None, SPOT, {"forceNewDeployment": True}, True),
        (SPOT, None, {}, True),
    ],
    ids=["with a new deployment", "without one", "where none was", "taken away"],
)
def test_capacity_strategy__is_changed_in_place_only_by_a_new_deployment(
    old: Any, new: Any, inputs: dict[str, Any], replaced: bool
) -> None:
    found = forced("aws:ecs/service:Service", {"capacityProviderStrategies": (old, new)}, inputs)

    assert found == (["capacityProviderStrategies"] if replaced else [])
