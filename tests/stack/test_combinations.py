"""Every pair of keys together: taken, or refused in lines that name a key and say what is right."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pytest

from stack.config import GROUPS, StackConfig
from stack.config_reader import keys_of
from tests.stack.engine.test_changes import CHANGES
from tests.stack.planner import ACCOUNT, make_plan

SECRET = f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:secret:team/redis-AbCdEf"

MORE: Mapping[str, Sequence[Any]] = {
    "capacity": ["mixed"],
    "deployment": ["blueGreen", "linear"],
    "environment": [{"AGENT_AUTH": "bearer"}, {"WORKERS": "auto"}, {"AWS_PROFILE": "x"}],
    "natGateways": ["None", "OnePerAz"],
    "otel": ["xray"],
    "secrets": [{"REDIS_URL": SECRET}],
    "sharedCache": [False],
}
"""Other ways than the one that each key is changed in on a live stack."""
VALUES = {key: [value, *MORE.get(key, ())] for key, (_, value) in CHANGES.items()}
KEYS = {key.name for group in GROUPS for _, key in keys_of(group)}
SAYS_WHAT_IS_RIGHT = re.compile(r"\btakes \S|: `pulumi up .* comes? first$")


def refusals(stack: str, config: Mapping[str, Any]) -> list[str]:
    try:
        make_plan(stack, config, program=StackConfig.load)
    except pulumi.RunError as refused:
        return [line.strip() for line in str(refused).splitlines()[1:]]
    return []


@pytest.mark.parametrize("part", range(4))
def test_pairs_of_keys__are_taken_or_refused_by_key_with_what_is_right(part: int) -> None:
    """Each pair once, in one of the ways and on one of the stacks, which take turns."""
    pairs = list(enumerate(itertools.combinations(sorted(VALUES), 2)))[part::4]
    taken = 0
    for place, (first, second) in pairs:
        one, other = VALUES[first], VALUES[second]
        config = {first: one[place % len(one)], second: other[place // 2 % len(other)]}
        lines = refusals(("dev", "prod")[place // 4 % 2], config)
        taken += not lines
        for line in lines:
            key = line.removeprefix("agentcore-bff:").partition(":")[0]
            assert key in KEYS, line
            assert SAYS_WHAT_IS_RIGHT.search(line), line
            assert len(line) < 400, line

    assert len(pairs) > 300
    assert taken > len(pairs) / 4
