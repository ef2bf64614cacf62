"""Files in messages that a client sends: checked, kept, and from then on their ids.

So runs, their logs and the history hold ids and no bytes. `for_agents.py` has the way to an agent,
`made.py` the way of what an agent makes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pybase64

from bff.errors import NotFound, Problem
from bff.files import Files, StoredFile
from bff.files.inline import InlineFile, padded, read_part
from bff.files.stored import FILE_ID, file_id_in
from bff.files.types import HEAD_BYTES, find_type, kind_of, normal_type
from bff.messages import FilePart, Part, TextPart
from bff.off_loop import off_loop

SENT_PURPOSE = "user_data"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeptParts:
    """A message's parts, its files by id, and which of them were stored just now.

    `data` is the base64 of those, for an agent that gets it: nobody has to read them back.
    """

    parts: tuple[Part, ...]
    stored: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict, repr=False)


async def keep_parts(
    files: Files | None,
    owner: str,
    parts: Sequence[Part],
    *,
    session_id: str | None,
    field: str,
    max_bytes: int,
) -> KeptParts:
    """Store what comes inline, look up what comes as an id, and note that the session uses it.

    All parts are checked before any is stored. Type and kind are what was found in the bytes (but
    see `as_declared`). The address of one of the owner's own files is its id; any other stays as it
    is. Without a store, or in no session, so does what is inline. Errors name the part's own field
    or `field.INDEX`.
    Raises `Invalid`, `FileTooLarge`, `FileRefused`, `NoRoomForFiles`, `Overloaded`, and `NotFound`
    for an id of nobody's or of somebody else's.
    """
    fields = fields_of(parts, field)
    parts = [
        await as_own(files, owner, part) if isinstance(part, FilePart) else part for part in parts
    ]

    def read() -> list[InlineFile | None]:
        return [
            read_part(part, field=name, max_bytes=max_bytes) if isinstance(part, FilePart) else None
            for name, part in zip(fields, parts, strict=True)
        ]

    inline = await off_loop(
        sum(len(part.data or part.url or "") for part in _files_in(parts)), read
    )
    known = [
        await look_up(files, owner, part.file_id, name)
        if isinstance(part, FilePart) and part.file_id is not None
        else None
        for name, part in zip(fields, parts, strict=True)
    ]
    kept: list[Part] = []
    stored: list[str] = []
    data: dict[str, str] = {}
    try:
        for name, part, given, file in zip(fields, parts, inline, known, strict=True):
            if given is not None and files is not None and session_id is not None:
                file = await put(files, owner, given, purpose=SENT_PURPOSE, field=name)
                stored.append(file.id)
                data[file.id] = _encoded(given)
            if file is not None:
                found = replace(by_id(file), at=name)
                if given is not None and isinstance(part, FilePart):
                    found = as_declared(given.declared, part, found)
                    found = replace(found, filename=file.filename if part.filename else None)
                kept.append(found)
            elif given is not None and isinstance(part, FilePart):
                kept.append(_found(part, given))
            else:
                kept.append(part)
        if files is not None and session_id is not None and (used := _ids(kept)):
            await files.used_by(owner, used, session_id)
    except BaseException:
        await discard(files, owner, stored)
        raise
    return KeptParts(tuple(kept), tuple(stored), data)


def fields_of(parts: Sequence[Part], field: str) -> list[str]:
    """Where each part stands in the request."""
    return [
        (part.at if isinstance(part, FilePart) else None) or f"{field}.{index}"
        for index, part in enumerate(parts)
    ]


def without_bytes(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts for a log and the history, which are no place for what is inline: its name."""
    return tuple(
        TextPart(f"[{part.filename or part.kind}]")
        if isinstance(part, FilePart) and (part.data is not None or part.is_data_url)
        else part
        for part in parts
    )


async def discard(files: Files | None, owner: str, stored: Sequence[str]) -> None:
    """Delete what `keep_parts` stored for a message that was not taken after all."""
    for file_id in stored:
        try:
            if files is not None:
                await files.delete(owner, file_id)
        except Problem as problem:
            _log.warning("a file of a refused message is left to its retention: %s", problem.code)


async def put(
    files: Files, owner: str, given: InlineFile, *, purpose: str, field: str = "file"
) -> StoredFile:
    """Store bytes that are in memory."""
    async with files.upload(owner, field=field) as upload:
        await upload.write(given.data)
        return await upload.publish(
            filename=given.filename, declared=given.declared, purpose=purpose
        )


async def as_own(files: Files | None, owner: str, part: FilePart) -> FilePart:
    """The part by its id if it is at the address of one of the owner's files."""
    if part.url is None or files is None:
        return part
    file_id = file_id_in(part.url)
    if file_id is None or await files.get(owner, file_id) is None:
        return part
    return replace(part, url=None, file_id=file_id)


async def look_up(files: Files | None, owner: str, file_id: str, field: str) -> StoredFile:
    found = None
    if files is not None and FILE_ID.fullmatch(file_id):
        found = await files.get(owner, file_id)
    if found is None:
        raise NotFound.of(field, "there is no such file")
    return found


def by_id(file: StoredFile) -> FilePart:
    return FilePart(
        kind=kind_of(file.mime_type),
        mime_type=file.mime_type,
        file_id=file.id,
        filename=file.filename,
    )


def as_declared(declared: str | None, part: FilePart, found: FilePart) -> FilePart:
    """What was found in the bytes, for the agent.

    Where a client calls something a picture, sound or film that is none, the agent is told what the
    client says: it is the agent's to judge. The file itself is what was found.
    """
    kind, declared = part.kind, normal_type(declared)
    if kind == "document" or kind == found.kind or kind_of(declared) != kind:
        return found
    return replace(found, kind=kind, mime_type=declared)


def _found(part: FilePart, given: InlineFile) -> FilePart:
    """The part as plain base64 under the type that was found."""
    return _typed(replace(part, data=_encoded(given), url=None), given.data, given.declared)


def by_content(part: FilePart) -> FilePart:
    """A part under the type that the bytes in it tell; as it is if they cannot be read."""
    try:
        head = pybase64.b64decode(padded((part.data or "")[: HEAD_BYTES // 3 * 4]), validate=True)
    except ValueError:  # an agent's own, from before
        return part
    return _typed(part, head, part.mime_type)


def _typed(part: FilePart, data: bytes, declared: str | None) -> FilePart:
    mime_type = find_type(data[:HEAD_BYTES], declared)
    found = replace(part, kind=kind_of(mime_type), mime_type=mime_type)
    return as_declared(declared, part, found)


def _encoded(given: InlineFile) -> str:
    return given.encoded or pybase64.b64encode_as_string(given.data)


def _files_in(parts: Sequence[Part]) -> list[FilePart]:
    return [part for part in parts if isinstance(part, FilePart)]


def _ids(parts: Sequence[Part]) -> list[str]:
    return [part.file_id for part in _files_in(parts) if part.file_id]
