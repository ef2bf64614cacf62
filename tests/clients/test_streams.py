"""Runs with their events in any order, through the parsers and types of real clients.

No service is asked: what it would send is made by the encoders alone, so there can be many.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import NODE, ROOT
from tests.clients.random_runs import runs
from tests.clients.running import output_of

RUNS = 200


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs in every format, a line each with those that answer it."""
    path = tmp_path_factory.mktemp("runs") / "runs.jsonl"
    path.write_text("".join(json.dumps(runs(seed)) + "\n" for seed in range(RUNS)))
    return path


async def printed(*command: str | Path) -> Any:
    return json.loads(await output_of(*command, cwd=NODE))


async def test_types_of_openai__take_all_that_is_sent(told: Path) -> None:
    environment = ROOT / ".envs/openai3"
    if not (environment / ".ready").exists():
        pytest.skip("openai 3 is not installed: make test makes openai3")

    script = Path(__file__).with_name("openai_strict.py")
    assert await printed(environment / "bin/python", script, told) == {}


@pytest.mark.npm
async def test_every_client_from_npm__shows_what_was_said_and_leaves_nothing_open(
    told: Path, node: Path
) -> None:
    found = await printed(node, "streams.mjs", told)

    assert len(found) == 16  # clients
    assert not any(found.values()), found
