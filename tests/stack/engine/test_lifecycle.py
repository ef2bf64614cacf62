from __future__ import annotations

import pytest

from tests.stack.engine.conftest import Deploy
from tests.stack.engine.engine import Engine, LiveStack
from tests.stack.planner import REQUIRED

pytestmark = pytest.mark.timeout(900)

BOTH = pytest.mark.parametrize("kind", ["dev", "prod"])


@pytest.fixture(scope="module")
def live(deploy: Deploy) -> dict[str, LiveStack]:
    return {kind: deploy(kind) for kind in ("dev", "prod")}


@BOTH
def test_first_preview__needs_nothing_but_the_configuration(engine: Engine, kind: str) -> None:
    stack = engine.stack(f"{kind}-unseen", {"aws:region": "us-west-2", **REQUIRED[kind]})

    outcome = stack.preview()

    assert outcome.ok, outcome.text
    assert outcome.changes.keys() == {"create"}


@BOTH
def test_second_preview__is_empty(live: dict[str, LiveStack], kind: str) -> None:
    outcome = live[kind].preview()

    assert outcome.ok, outcome.text
    assert outcome.changes == {}


@BOTH
def test_refresh__finds_no_drift_and_leaves_nothing_to_do(
    live: dict[str, LiveStack], kind: str
) -> None:
    refreshed = live[kind].refresh()
    after = live[kind].preview()

    assert refreshed.ok, refreshed.text
    assert (refreshed.changes, after.changes) == ({}, {})


def test_dev__is_destroyed_whole(engine: Engine, deploy: Deploy) -> None:
    stack = deploy("dev-gone")
    engine.cloud.fill()

    outcome = stack.destroy()

    assert outcome.ok, outcome.text
    assert stack.state() == []
