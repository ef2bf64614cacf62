"""The whole plan of dev and prod, to be read as a diff when it changes.

`UPDATE_GOLDEN=1 python -m pytest tests/stack/test_golden.py` writes the files anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stack.planner import Plan

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_plan__is_the_reviewed_one(planned: Callable[[str], Plan], stack: str) -> None:
    file = GOLDEN / f"{stack}.json"
    text = json.dumps(_document(planned(stack)), indent=1, sort_keys=True) + "\n"

    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    assert text == file.read_text(), (
        "the plan changed: UPDATE_GOLDEN=1 python -m pytest tests/stack/test_golden.py, "
        "then read the diff"
    )


def _document(plan: Plan) -> dict[str, Any]:
    """Resources by what they are, documents in them opened, options where there are any."""
    resources = {}
    for resource in plan.resources:
        options = {
            "protect": resource.protect,
            "ignoreChanges": list(resource.ignore_changes),
            "secret": sorted(resource.secret),
        }
        resources[resource.key] = {
            "parent": resource.parent.rpartition("pulumi:pulumi:Stack::")[2],
            **{key: value for key, value in options.items() if value},
            **({"inputs": _opened(resource.inputs)} if resource.inputs else {}),
        }
    assert len(resources) == len(plan.resources), "two resources of one type and name"
    return {"resources": resources, "outputs": plan.outputs}


def _opened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _opened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_opened(item) for item in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return _opened(json.loads(value))
        except ValueError:
            return value
    return value
