from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.stack.engine import binary
from tests.stack.engine.engine import Engine, LiveStack, open_engine
from tests.stack.planner import REQUIRED

Deploy = Callable[..., LiveStack]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Shared by all tests of a file, whose stacks have names of their own."""
    if binary.find() is None:
        pytest.skip(binary.SKIPPED)
    with tempfile.TemporaryDirectory(prefix="e") as folder, open_engine(Path(folder)) as engine:
        yield engine


@pytest.fixture(scope="module")
def deploy(engine: Engine) -> Deploy:
    """A live stack: made new, with what it must be given and `config` on top, and applied."""

    def deploy(name: str, config: Mapping[str, Any] | None = None) -> LiveStack:
        kind = "prod" if name.startswith("prod") else "dev"
        stack = engine.stack(name, {"aws:region": "us-west-2", **REQUIRED[kind], **(config or {})})
        outcome = stack.up()
        assert outcome.ok, outcome.text
        return stack

    return deploy
