from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.stack.planner import Plan, make_plan


@pytest.fixture(scope="session")
def planned() -> Callable[[str], Plan]:
    """The committed stacks' plans, each made once."""
    made: dict[str, Plan] = {}

    def plan(stack: str) -> Plan:
        if stack not in made:
            made[stack] = make_plan(stack)
        return made[stack]

    return plan


@pytest.fixture(scope="session")
def dev(planned: Callable[[str], Plan]) -> Plan:
    return planned("dev")


@pytest.fixture(scope="session")
def prod(planned: Callable[[str], Plan]) -> Plan:
    return planned("prod")
