"""Files that an agent makes: what is large goes to the store and out as a link.

In the history there are only ids, wherever there is a store: the small ones follow when the turn is
written.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bff.errors import Problem
from bff.events import JSON, File
from bff.files import Files, StoredFile
from bff.files.inline import InlineFile, read_base64
from bff.files.parts import put
from bff.files.stored import content_path, file_id_in
from bff.off_loop import off_loop

MADE_PURPOSE = "assistants_output"
MAX_EVENT_CHARACTERS = 64 * 1024
"""The most base64 that an event carries; a run's log is no place for more."""

_log = logging.getLogger(__name__)


async def keep_made(files: Files | None, owner: str, session_id: str, made: File) -> File:
    """A file of the agent's: what is large and inline goes to the store and becomes a link.

    What cannot be stored stays inline: an answer is worth more than a short event.
    """
    if files is None or made.data is None or len(made.data) <= MAX_EVENT_CHARACTERS:
        return made
    stored = await _store(files, owner, session_id, made)
    if stored is None:
        return made
    return File(stored.mime_type, url=content_path(stored.id), filename=stored.filename)


async def keep_answer(
    files: Files | None, owner: str, session_id: str, parts: Sequence[Mapping[str, JSON]]
) -> list[Mapping[str, JSON]]:
    """An answer's parts for the history: files by id, as far as a store takes them."""
    return [await _part_by_id(files, owner, session_id, part) for part in parts]


async def _part_by_id(
    files: Files | None, owner: str, session_id: str, part: Mapping[str, JSON]
) -> Mapping[str, JSON]:
    match part.get("source"):
        case {"type": "url", "value": str(url)} if file_id := file_id_in(url, own=True):
            pass
        case {"type": "data", "value": str(data), "mimeType": str(mime_type)} if files is not None:
            made = File(mime_type, data=data, filename=part.get("filename"))
            stored = await _store(files, owner, session_id, made)
            if stored is None:
                return part
            file_id = stored.id
        case _:
            return part
    source = {**part["source"], "type": "file", "value": file_id}
    return {**part, "source": source}


async def _store(files: Files, owner: str, session_id: str, made: File) -> StoredFile | None:
    """None for what the store does not take."""
    text = made.data
    assert text is not None
    try:
        data = await off_loop(len(text), lambda: _read_made(text))
        given = InlineFile(data, made.mime_type, made.filename)
        try:
            stored = await put(files, owner, given, purpose=MADE_PURPOSE)
        except Problem as problem:
            if made.filename is None or problem.code != "invalid":
                raise
            stored = await put(files, owner, replace(given, filename=None), purpose=MADE_PURPOSE)
        await files.used_by(owner, [stored.id], session_id)
    except Problem as problem:
        _log.warning("a file of the agent's stays inline: %s", problem.code)
        return None
    return stored


def _read_made(text: str) -> bytes:
    """An agent's base64, which may be wrapped in lines or in the alphabet for URLs."""
    plain = "".join(text.split()).translate(str.maketrans("-_", "+/"))
    return read_base64(plain, field="file", max_bytes=len(plain))
