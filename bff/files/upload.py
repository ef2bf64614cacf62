"""A file on its way into a store: what every store checks of the bytes as they pass.

Nothing is held but the first 64 KiB, from which the type is told. A file is seen by nobody before
`publish`, and of one that is never published nothing stays.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from bff.errors import FileRefused, FileTooLarge, Invalid, NoRoomForFiles
from bff.files.names import clean_name
from bff.files.stored import StoredFile
from bff.files.types import HEAD_BYTES, find_type

MEASURED_SECONDS = 60.0
"""How long it is believed what an owner has; other tasks may add to it meanwhile."""
MEASURED_OWNERS = 10_000


class Writer(Protocol):
    """Where a store puts the bytes of one file, in their order."""

    async def write(self, data: bytes) -> None: ...

    async def finish(self, file: StoredFile) -> None:
        """Make the file visible, whole or not at all."""
        ...

    async def abort(self) -> None:
        """Remove what was written; never fails, and goes on if its caller is cancelled."""
        ...


class Upload:
    """One file being written. `field` names it in errors."""

    def __init__(
        self,
        writer: Writer,
        file_id: str,
        *,
        max_bytes: int,
        room_bytes: int,
        retention_seconds: float,
        field: str,
    ) -> None:
        self._writer = writer
        self._id = file_id
        self._max_bytes = max_bytes
        self._room_bytes = room_bytes
        self._retention_seconds = retention_seconds
        self._field = field
        self._head = bytearray()
        self._svg: bool | None = None
        self._seen = b""
        self.size_bytes = 0
        self.published: StoredFile | None = None

    def __repr__(self) -> str:
        return f"<Upload {self._id} {self.size_bytes} bytes{' published' * bool(self.published)}>"

    async def write(self, data: bytes) -> None:
        """Add to the file.

        Raises `FileTooLarge`, `NoRoomForFiles`, `FileRefused`, or `Overloaded` if the store cannot.
        """
        self.size_bytes += len(data)
        if self.size_bytes > self._max_bytes:
            raise too_large(self._max_bytes, self._field)
        if self.size_bytes > self._room_bytes:
            raise NoRoomForFiles
        rest = data
        if self._svg is None:
            missing = HEAD_BYTES - len(self._head)
            self._head += data[:missing]
            rest = data[missing:]
            if len(self._head) == HEAD_BYTES:
                self._look()
        if self._svg and rest:
            self._refuse_scripts(rest)
        await self._writer.write(data)

    async def publish(
        self, *, filename: str | None, declared: str | None, purpose: str
    ) -> StoredFile:
        """Make the file visible, under the type that was found in it.

        Raises `Invalid` for one without bytes or with a name that cannot be.
        """
        if not self.size_bytes:
            raise Invalid.of(self._field, "is empty")
        if self._svg is None:
            self._look()
        mime_type = find_type(bytes(self._head), declared)
        file = StoredFile.of(
            self._id,
            self._retention_seconds,
            filename=clean_name(filename, mime_type, field=self._field),
            mime_type=mime_type,
            size_bytes=self.size_bytes,
            purpose=purpose,
        )
        await self._writer.finish(file)
        self.published = file
        return file

    def _look(self) -> None:
        head = bytes(self._head)
        self._svg = find_type(head) == "image/svg+xml"
        if self._svg:
            self._refuse_scripts(head)

    def _refuse_scripts(self, data: bytes) -> None:
        """Refuse an image that holds a program, wherever in it; a page may: it is no image."""
        data = self._seen + data
        if _SCRIPTS.search(data):
            message = "is an SVG with scripts or other pages in it; save it without, or as PNG"
            raise FileRefused.of(self._field, message)
        self._seen = data[-_OVERLAP_BYTES:]


_SCRIPTS = re.compile(
    rb"<(?:[a-z_][\w.-]{0,40}:)?(?:script|foreignobject|iframe|handler)[\s>/]"
    rb"|[\s\"'/]on[a-z]{3,30}\s{0,40}=|javascript:|<!entity\s",
    re.IGNORECASE,
)
_OVERLAP_BYTES = 128
"""More than the longest of these, which two pieces may share."""


def too_large(max_bytes: int, field: str = "file") -> FileTooLarge:
    megabytes, rest = divmod(max_bytes, 1024**2)
    limit = f"{max_bytes:,} bytes" if rest else f"{megabytes:,} MB ({max_bytes:,} bytes)"
    message = f"may have at most {limit}"
    return FileTooLarge.of(field, message)


class Quota:
    """What each owner has, measured by the store once a minute and counted on in between."""

    def __init__(
        self,
        measure: Callable[[str], Awaitable[tuple[int, int]]],
        *,
        max_files: int,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._measure = measure
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._clock = clock
        self._owned: OrderedDict[str, tuple[float, int, int]] = OrderedDict()

    async def room_bytes(self, owner: str) -> int:
        """How many bytes the owner may add; raises `NoRoomForFiles` where no file may be added."""
        measured_at, files, size_bytes = self._owned.get(owner, (float("-inf"), 0, 0))
        if self._clock() - measured_at > MEASURED_SECONDS:
            files, size_bytes = await self._measure(owner)
            self._owned[owner] = (self._clock(), files, size_bytes)
            self._owned.move_to_end(owner)
            while len(self._owned) > MEASURED_OWNERS:
                self._owned.popitem(last=False)
        if files >= self._max_files or size_bytes >= self._max_bytes:
            raise NoRoomForFiles
        return self._max_bytes - size_bytes

    def count(self, owner: str, files: int, size_bytes: int) -> None:
        """Files were added, or with negative numbers deleted."""
        if found := self._owned.get(owner):
            self._owned[owner] = (found[0], found[1] + files, found[2] + size_bytes)

    def forget(self, owner: str) -> None:
        """Files were deleted, nobody knows how many: measure anew before the next is added."""
        self._owned.pop(owner, None)


@asynccontextmanager
async def uploading(
    writer: Writer,
    quota: Quota,
    owner: str,
    file_id: str,
    *,
    max_bytes: int,
    retention_seconds: float,
    field: str,
) -> AsyncIterator[Upload]:
    """A file to write; what was not published when this is left is removed, else it is counted.

    Raises `NoRoomForFiles` where the owner has no room for another.
    """
    upload = Upload(
        writer,
        file_id,
        max_bytes=max_bytes,
        room_bytes=await quota.room_bytes(owner),
        retention_seconds=retention_seconds,
        field=field,
    )
    try:
        yield upload
    finally:
        if upload.published is None:
            await writer.abort()
    if upload.published:
        quota.count(owner, 1, upload.size_bytes)
