"""Runs with their events in any order, through the parsers and types of real clients.

No service is asked: what it would send is made by the encoders alone, so there can be many.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import NODE, ROOT
from tests.clients.random_runs import runs

RUNS = 200


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs in every format, a line each with those that answer it."""
    path = tmp_path_factory.mktemp("runs") / "runs.jsonl"
    path.write_text("".join(json.dumps(runs(seed)) + "\n" for seed in range(RUNS)))
    return path


async def printed(*command: str | Path) -> Any:
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=NODE,
    )
    try:
        async with asyncio.timeout(200):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


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
