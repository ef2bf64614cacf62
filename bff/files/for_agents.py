"""Files on their way to an agent: `AGENT_FILES` says in which form it gets them.

What it cannot take is told before it is called, by the file's name. What was said before is no
reason to refuse anything: of an earlier file that is gone or too large, only the name is told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import pybase64

from bff.agent_settings import FilesFor
from bff.errors import FileTooLarge, Problem
from bff.files import Files
from bff.files.inline import check_address
from bff.files.parts import (
    as_declared,
    as_own,
    by_content,
    by_id,
    fields_of,
    look_up,
    without_bytes,
)
from bff.messages import ChatMessage, FilePart, Part, TextPart
from bff.off_loop import off_loop

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLimits:
    """What an agent takes inline, in bytes; `payload_bytes` is for all files, encoded."""

    payload_bytes: int = 100_000_000
    image_bytes: int | None = None
    document_bytes: int | None = None

    def of(self, part: FilePart) -> int | None:
        if part.kind == "document" and part.mime_type in _READ_WHOLE:
            return None
        return {"image": self.image_bytes, "document": self.document_bytes}.get(part.kind)


_READ_WHOLE = frozenset(
    {
        "application/pdf",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    }
)
"""Documents that today's models on Bedrock take of any size: a PDF Claude from 4 on and Nova, a
DOCX Nova. Which model an agent has nobody tells us, so only what none takes is refused."""


AGENTCORE = AgentLimits()
"""https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/bedrock-agentcore-limits.html"""
CONVERSE = AgentLimits(image_bytes=3_932_160, document_bytes=4_718_592)
"""3.75 MB and 4.5 MB: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-api-
restrictions.html and Converse's reference. Of agents that are sent its blocks
(`AGENT_PAYLOAD=strands`)."""


class ForAgent:
    """The files of one call of an agent, counted together."""

    def __init__(
        self,
        files: Files | None,
        owner: str,
        mode: FilesFor,
        *,
        limits: AgentLimits = AGENTCORE,
        take: Callable[[int], None] = lambda characters: None,
        known: Mapping[str, str] | None = None,
    ) -> None:
        """`take` is asked for the memory of what is read and may raise `Overloaded`.

        `known` is the base64 of files that are in memory anyway, by id.
        """
        self._files = files
        self._owner = owner
        self._mode = mode
        self._limits = limits
        self._take = take
        self._known = known or {}
        self._characters = 0

    async def new(self, parts: Sequence[Part], *, field: str = "message") -> tuple[Part, ...]:
        """A new message's parts, each file as the agent takes it.

        Raises `FileTooLarge` with the file's name and the limit, `NotFound` for a file that has
        gone meanwhile, and `Overloaded`.
        """
        return tuple(
            [
                await self._given(part, name)
                for name, part in zip(fields_of(parts, field), parts, strict=True)
            ]
        )

    async def earlier(self, messages: Iterable[ChatMessage]) -> tuple[ChatMessage, ...]:
        """What was said before; where not all of it fits, the newest files."""
        given: list[ChatMessage] = []
        for message in reversed(list(messages)):
            if message.files:
                parts = tuple([await self._given_again(part) for part in message.parts])
                message = replace(message, parts=parts)
            given.append(message)
        return tuple(reversed(given))

    async def _given_again(self, part: Part) -> Part:
        try:
            return await self._given(part, "messages")
        except Problem as problem:
            _log.info("an agent is not given an earlier file: %s", problem.code)
        if isinstance(part, FilePart):
            part = replace(part, file_id=None, url=None, data="")
        [named] = without_bytes([part])
        return named

    async def _given(self, part: Part, field: str) -> Part:
        if isinstance(part, TextPart):
            return part
        part = await as_own(self._files, self._owner, part)
        if part.file_id is not None:
            part = await self._resolved(part, field)
        elif part.data is not None:
            part = by_content(part)
            self._count(part, len(part.data or "") // 4 * 3, field)
        elif part.url is not None:
            check_address(part.url, field)
        return part

    async def _resolved(self, part: FilePart, field: str) -> FilePart:
        assert part.file_id is not None
        files, owner = self._files, self._owner
        if self._mode == "inline" and part.file_id in self._known:
            data = self._known[part.file_id]
            self._count(part, len(data) // 4 * 3, field)
            return replace(part, file_id=None, data=data)
        file = await look_up(files, owner, part.file_id, field)
        assert files is not None
        found = as_declared(part.mime_type, part, by_id(file))
        part = replace(found, filename=part.filename or file.filename)
        url = None
        if self._mode == "url":
            url = await files.presign_read(owner, file)
        elif self._mode == "s3":
            url = files.s3_uri(owner, file)
        if url is not None:
            return replace(part, file_id=None, url=url)
        self._count(part, file.size_bytes, field)  # before it is read
        self._take((file.size_bytes + 2) // 3 * 4)
        read = bytearray()
        async with aclosing(files.read(owner, file)) as blocks:
            async for block in blocks:
                read += block
        data = await off_loop(len(read), lambda: pybase64.b64encode_as_string(read))
        return replace(part, file_id=None, data=data)

    def _count(self, part: FilePart, size_bytes: int, field: str) -> None:
        limit, payload = self._limits.of(part), self._limits.payload_bytes
        if limit is not None and size_bytes > limit:
            message = (
                f"{named(part)} has {size_bytes:,} bytes; the agent takes "
                f"{part.kind}s of {limit:,} bytes at most"
            )
            raise FileTooLarge.of(field, message)
        characters = (size_bytes + 2) // 3 * 4
        if self._characters + characters > payload:
            message = (
                f"{named(part)} is one too many: the agent takes files of "
                f"{payload // 4 * 3:,} bytes together at most"
            )
            raise FileTooLarge.of(field, message)
        self._characters += characters


def named(part: FilePart) -> str:
    """A file as an error calls it."""
    return repr(part.filename) if part.filename else f"this {part.kind}"
