from __future__ import annotations

import pytest

from tests.stack.engine.conftest import Deploy
from tests.stack.engine.engine import Engine, LiveStack
from tests.stack.planner import REQUIRED

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


@BOTH
def test_state_and_previews__hold_no_secret_in_plain_text(
    engine: Engine, live: dict[str, LiveStack], kind: str
) -> None:
    stack = live[kind]
    states = {resource["urn"].split("::", 2)[2]: resource for resource in stack.state()}
    secrets = [
        str(resource["outputs"]["secretString"]["plaintext"]).strip('"')
        for urn, resource in states.items()
        if "SecretVersion" in urn
    ]
    key = stack.outputs()["firstApiKey"]

    kept = engine.run("stack", "export", "--stack", stack.name).stdout
    shown = stack.preview({"cpu": 1024, "memory": 2048}).text

    assert len(secrets) == 2
    for secret in (*secrets, *(text.partition(":")[2] for text in secrets), key):
        assert not secret or secret not in kept + shown


def test_dev__is_destroyed_whole(engine: Engine, deploy: Deploy) -> None:
    stack = deploy("dev-gone")
    engine.cloud.fill()

    outcome = stack.destroy()

    assert outcome.ok, outcome.text
    assert stack.state() == []
