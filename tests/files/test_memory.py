"""A short share of `make bench ARGS=uploads`: what uploads side by side cost in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.uploads import ALLOWED_MIB, Load, measure


@pytest.mark.parametrize("store", ["folder", "s3"])
async def test_uploads_side_by_side__are_never_held_whole(store: str, tmp_path: Path) -> None:
    load = Load(files=40, at_once=20, size_bytes=10 * 1024**2)

    cost = await measure(store, load, tmp_path)

    assert cost.growth < ALLOWED_MIB, cost  # all of them at once have 200 MiB
