from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from bff.errors import Invalid
from bff.files import Files, StoredFile
from bff.files.listing import SEARCHED_FILES, list_files


class Many:
    """An owner's files, as many as one likes."""

    def __init__(self, count: int) -> None:
        self.files = [
            StoredFile(
                id=f"file-{number:032x}",
                filename="a",
                mime_type="text/plain",
                size_bytes=1,
                purpose="any",
                created_at=0,
                expires_at=1,
            )
            for number in range(count, 0, -1)
        ]

    async def page(
        self, owner: str, *, limit: int, after: str | None = None
    ) -> tuple[Sequence[StoredFile], bool]:
        left = [file for file in self.files if after is None or file.id < after]
        return left[:limit], len(left) > limit


async def oldest(count: int, **options: Any) -> tuple[list[str], bool]:
    files = cast(Files, Many(count))
    found, more = await list_files(files, "alice", limit=10, oldest_first=True, **options)
    return [file.id for file in found], more


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, SEARCHED_FILES])
async def test_files__are_looked_through_page_by_page(count: int) -> None:
    found, more = await oldest(count)

    assert found == [f"file-{number:032x}" for number in range(1, min(count, 10) + 1)]
    assert more == (count > 10)


@pytest.mark.parametrize(("asked", "field"), [({}, "order"), ({"purpose": "any"}, "purpose")])
async def test_more_files_than_are_looked_through__are_said(
    asked: dict[str, str], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await oldest(SEARCHED_FILES + 1, **asked)

    assert refused.value.errors[0]["field"] == field
