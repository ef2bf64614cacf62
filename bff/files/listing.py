"""Lists of files as OpenAI's clients may ask for them: oldest first too, and of one purpose.

A store lists the newest first and knows no purposes, so for anything else all of an owner's files
are looked through, up to a number.
"""

from __future__ import annotations

from collections.abc import Sequence

from bff.errors import Invalid
from bff.files import Files, StoredFile

SEARCHED_FILES = 1000
_PAGE = 100


async def list_files(
    files: Files,
    owner: str,
    *,
    limit: int,
    after: str | None = None,
    oldest_first: bool = False,
    purpose: str | None = None,
) -> tuple[Sequence[StoredFile], bool]:
    """Files behind the one of that id, and whether there are more.

    Raises `Invalid` where the owner has too many to look through.
    """
    if not oldest_first and purpose is None:
        return await files.page(owner, limit=limit, after=after)
    found = await _everything(files, owner, field="order" if purpose is None else "purpose")
    if oldest_first:
        found.reverse()
    wanted = [
        file
        for file in found
        if (purpose is None or file.purpose == purpose)
        and (after is None or (file.id > after if oldest_first else file.id < after))
    ]
    return wanted[:limit], len(wanted) > limit


async def _everything(files: Files, owner: str, *, field: str) -> list[StoredFile]:
    found: list[StoredFile] = []
    more = True
    while more:
        after = found[-1].id if found else None
        page, more = await files.page(owner, limit=_PAGE, after=after)
        found += page
        if len(found) > SEARCHED_FILES or not page:
            break
    if len(found) > SEARCHED_FILES:
        message = f"is taken up to {SEARCHED_FILES:,} files; list them without it"
        raise Invalid.of(field, message)
    return found
