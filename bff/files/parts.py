"""Files in messages: kept when a client sends them, resolved when an agent gets them, and kept
when an agent makes them.

In between, in runs and in the history, a file is its id.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from bff.agent_settings import FilesFor
from bff.errors import FileTooLarge, NotFound, Problem
from bff.events import File
from bff.files import Files, StoredFile
from bff.files.inline import InlineFile, read_base64, read_part
from bff.files.stored import FILE_ID
from bff.files.types import find_type, kind_of
from bff.messages import FileKind, FilePart, Part

MADE_PURPOSE = "assistants_output"
SENT_PURPOSE = "user_data"
MAX_EVENT_CHARACTERS = 64 * 1024
"""The most base64 that an event carries; a run's log is no place for more."""
IN_THREAD_BYTES = 1024 * 1024
"""From when on encoding would hold up everybody else."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeptParts:
    """A message's parts, its files by id, and which of them were stored just now."""

    parts: tuple[Part, ...]
    stored: tuple[str, ...] = ()


async def keep_parts(
    files: Files | None,
    owner: str,
    parts: Sequence[Part],
    *,
    session_id: str,
    field: str,
    max_bytes: int,
) -> KeptParts:
    """Store what comes inline, look up what comes as an id, and note that the session uses it.

    All parts are checked before any is stored. Type and kind are what was found in the bytes. An
    address stays as it is; without a store, so does what is inline. Errors name `field.INDEX`.
    Raises `Invalid`, `FileTooLarge`, `FileRefused`, `NoRoomForFiles`, `Overloaded`, and `NotFound`
    for an id of nobody's or of somebody else's.
    """
    fields = [f"{field}.{index}" for index in range(len(parts))]
    inline = [
        read_part(part, field=name, max_bytes=max_bytes) if isinstance(part, FilePart) else None
        for name, part in zip(fields, parts, strict=True)
    ]
    known = [
        await _look_up(files, owner, part.file_id, name)
        if isinstance(part, FilePart) and part.file_id is not None
        else None
        for name, part in zip(fields, parts, strict=True)
    ]
    kept: list[Part] = []
    stored: list[str] = []
    try:
        for name, part, given, file in zip(fields, parts, inline, known, strict=True):
            if given is not None and files is not None:
                file = await put(files, owner, given, purpose=SENT_PURPOSE, field=name)
                stored.append(file.id)
            if file is not None:
                kept.append(_by_id(file))
            elif given is not None and isinstance(part, FilePart):
                kept.append(_found(part, given))
            else:
                kept.append(part)
        if files is not None and (used := _ids(kept)):
            await files.used_by(owner, used, session_id)
    except BaseException:
        await discard(files, owner, stored)
        raise
    return KeptParts(tuple(kept), tuple(stored))


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


async def _look_up(files: Files | None, owner: str, file_id: str, field: str) -> StoredFile:
    found = None
    if files is not None and FILE_ID.fullmatch(file_id):
        found = await files.get(owner, file_id)
    if found is None:
        raise NotFound.of(field, "there is no such file")
    return found


def _by_id(file: StoredFile) -> FilePart:
    return FilePart(
        kind=kind_of(file.mime_type),
        mime_type=file.mime_type,
        file_id=file.id,
        filename=file.filename,
    )


def _found(part: FilePart, given: InlineFile) -> FilePart:
    """The part as plain base64 under the type that was found."""
    mime_type = find_type(given.data[: 64 * 1024], given.declared)
    data = base64.b64encode(given.data).decode()
    return replace(part, kind=kind_of(mime_type), mime_type=mime_type, data=data, url=None)


def _ids(parts: Sequence[Part]) -> list[str]:
    return [part.file_id for part in parts if isinstance(part, FilePart) and part.file_id]


# What an agent gets


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLimits:
    """What an agent takes inline, in bytes; `payload_bytes` is for all files, encoded."""

    payload_bytes: int = 100_000_000
    image_bytes: int | None = None
    document_bytes: int | None = None

    def of(self, kind: FileKind) -> int | None:
        return {"image": self.image_bytes, "document": self.document_bytes}.get(kind)


AGENTCORE = AgentLimits()
"""https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/bedrock-agentcore-limits.html"""
CONVERSE = AgentLimits(image_bytes=3_932_160, document_bytes=4_718_592)
"""3.75 MB and 4.5 MB: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-
call.html. Of agents that are sent Converse's blocks (`AGENT_PAYLOAD=strands`)."""


async def for_agent(
    files: Files | None,
    owner: str,
    parts: Sequence[Part],
    mode: FilesFor,
    *,
    limits: AgentLimits = AGENTCORE,
    field: str = "message",
) -> tuple[Part, ...]:
    """The parts with each file as the agent takes it: inline, a URL for 15 minutes, or in S3.

    Raises before the agent is called: `FileTooLarge` with the file's name and the limit, and
    `NotFound` for a file that has gone meanwhile.
    """
    found: list[Part] = []
    encoded = 0
    for index, part in enumerate(parts):
        name = f"{field}.{index}"
        if isinstance(part, FilePart) and part.file_id is not None:
            part = await _resolve(files, owner, part, mode, limits, name)
        if isinstance(part, FilePart) and part.data is not None:
            _check(part, len(part.data) // 4 * 3, limits, name)
            encoded += len(part.data)
            if encoded > limits.payload_bytes:
                message = (
                    f"{_named(part)} is one too many: the agent takes files of "
                    f"{limits.payload_bytes // 4 * 3:,} bytes together at most"
                )
                raise FileTooLarge.of(name, message)
        found.append(part)
    return tuple(found)


async def _resolve(
    files: Files | None,
    owner: str,
    part: FilePart,
    mode: FilesFor,
    limits: AgentLimits,
    field: str,
) -> FilePart:
    file = await _look_up(files, owner, part.file_id or "", field)
    assert files is not None
    part = replace(_by_id(file), filename=part.filename or file.filename)
    url = None
    if mode == "url":
        url = await files.presign_read(owner, file)
    elif mode == "s3":
        url = files.s3_uri(owner, file)
    if url is not None:
        return replace(part, file_id=None, url=url)
    _check(part, file.size_bytes, limits, field)  # before it is read
    data = bytearray()
    async with aclosing(files.read(owner, file)) as blocks:
        async for block in blocks:
            data += block
    return replace(part, file_id=None, data=await _encode(data))


async def _encode(data: bytearray) -> str:
    if len(data) < IN_THREAD_BYTES:
        return base64.b64encode(data).decode()
    return await asyncio.to_thread(lambda: base64.b64encode(data).decode())


def _check(part: FilePart, size_bytes: int, limits: AgentLimits, field: str) -> None:
    limit = limits.of(part.kind)
    if limit is not None and size_bytes > limit:
        message = (
            f"{_named(part)} has {size_bytes:,} bytes; the agent takes "
            f"{part.kind}s of {limit:,} bytes at most"
        )
        raise FileTooLarge.of(field, message)


def _named(part: FilePart) -> str:
    return repr(part.filename) if part.filename else f"this {part.kind}"


# What an agent makes


async def keep_made(files: Files | None, owner: str, session_id: str, made: File) -> File:
    """A file of the agent's: what is large and inline goes to the store and becomes a link.

    What cannot be stored stays inline: an answer is worth more than a short event.
    """
    if files is None or made.data is None or len(made.data) <= MAX_EVENT_CHARACTERS:
        return made
    try:
        data = await asyncio.to_thread(_read_made, made.data)
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
        return made
    return File(stored.mime_type, url=content_path(stored.id), filename=stored.filename)


def _read_made(text: str) -> bytes:
    """An agent's base64, which may be wrapped in lines or in the alphabet for URLs."""
    plain = "".join(text.split()).translate(str.maketrans("-_", "+/"))
    return read_base64(plain, field="file", max_bytes=len(plain))


def content_path(file_id: str) -> str:
    """Where a file's content is, on this service."""
    return f"/v1/files/{file_id}/content"
