"""Files in a folder: the store of a laptop or of a single machine. Several processes may share it.

Disks are slow and block, so every step (`bff/files/folder.py`) is done in a thread of our own; a
caller waits for one a limited time.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from bff.errors import Overloaded
from bff.files.addresses import Addresses, Ticket
from bff.files.folder import Folder, Incoming
from bff.files.stored import (
    MAX_FILES,
    MAX_OWNED_BYTES,
    StoredFile,
    UploadAddress,
    new_id,
)
from bff.files.upload import Quota, Upload, uploading
from bff.settings import SettingsError, shown
from bff.tasks import end_tasks

T = TypeVar("T")
P = ParamSpec("P")

CALL_SECONDS = 5.0
"""The longest that a disk may take for one step."""
THREADS = 8
BLOCK_BYTES = 128 * 1024
"""What is written and read at once: a thread's turn costs more than copying this."""
MAX_PIECES = 256
"""Else a body that trickles would cost more in pieces than in bytes."""
SWEEP_SECONDS = 3600.0

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_folder(
    path: str,
    *,
    max_bytes: int,
    retention_seconds: float,
    max_files: int = MAX_FILES,
    max_owned_bytes: int = MAX_OWNED_BYTES,
    sweep_seconds: float = SWEEP_SECONDS,
) -> AsyncIterator[FolderFiles]:
    """Open the folder, making it if need be; what has expired in it is deleted now and hourly.

    Raises `SettingsError` if it cannot be written.
    """
    folder = Folder(Path(path), retention_seconds)
    try:
        folder.make()
        addresses = Addresses(folder.secret(), retention_seconds)
    except OSError as error:
        got = f"{shown(f'file:///{path}')} ({os.strerror(error.errno or 0)})"
        raise SettingsError("FILES", got, "a folder that can be made and written") from None
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="files")
    disk = _Disk(folder, threads)
    files = FolderFiles(
        folder,
        disk,
        addresses,
        max_bytes=max_bytes,
        retention_seconds=retention_seconds,
        quota=Quota(
            lambda owner: disk.do(folder.measure, owner),
            max_files=max_files,
            max_bytes=max_owned_bytes,
        ),
    )
    sweeping = asyncio.create_task(disk.sweep(sweep_seconds), name="files sweep")
    try:
        yield files
    finally:
        await end_tasks(sweeping)
        await disk.close()


class _Disk:
    """Does blocking work in threads, for a limited time."""

    def __init__(self, folder: Folder, threads: ThreadPoolExecutor) -> None:
        self._folder = folder
        self._threads = threads
        self._last_steps: set[asyncio.Future[None]] = set()

    async def do(self, step: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Raises `Overloaded` if the disk cannot, or not in time; then the step goes on alone."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(
                    self._threads, lambda: step(*args, **options)
                )
        except TimeoutError:
            _log.error("%r: no answer in time", self._folder)
        except OSError as error:
            _log.error("%r: %s", self._folder, os.strerror(error.errno or 0))
        raise Overloaded

    async def finally_do(self, step: Callable[[], None]) -> None:
        """Do a last step, whether its caller is cancelled or not; it fails in silence."""
        doing = asyncio.get_running_loop().run_in_executor(self._threads, step)
        self._last_steps.add(doing)
        doing.add_done_callback(self._last_steps.discard)
        await asyncio.wait({doing}, timeout=CALL_SECONDS)

    async def sweep(self, pause_seconds: float) -> None:
        """Delete what has expired, now and then, for ever."""
        while True:
            try:
                sweeping = asyncio.get_running_loop().run_in_executor(
                    self._threads, self._folder.sweep
                )
                if swept := await sweeping:
                    _log.info("%r: %d files had expired", self._folder, swept)
            except OSError as error:
                _log.error("%r: %s", self._folder, os.strerror(error.errno or 0))
            await asyncio.sleep(pause_seconds)

    async def close(self) -> None:
        if self._last_steps:
            await asyncio.wait(self._last_steps, timeout=CALL_SECONDS / 2)
        self._threads.shutdown(wait=False, cancel_futures=True)


class FolderFiles:
    """`Files` in a folder."""

    def __init__(
        self,
        folder: Folder,
        disk: _Disk,
        addresses: Addresses,
        *,
        max_bytes: int,
        retention_seconds: float,
        quota: Quota,
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._addresses = addresses
        self._max_bytes = max_bytes
        self._retention_seconds = retention_seconds
        self._quota = quota

    def __repr__(self) -> str:
        return f"<FolderFiles {self._folder!r}>"

    def upload(self, owner: str, *, field: str = "file") -> AbstractAsyncContextManager[Upload]:
        return self._uploading(owner, new_id(), self._max_bytes, field)

    def ticket(self, fields: Mapping[str, str]) -> Ticket:
        """What a form that `presign_upload` made allows.

        Raises `Unsigned` or `Forbidden` for any other.
        """
        return self._addresses.ticket(fields)

    def redeem(self, ticket: Ticket) -> AbstractAsyncContextManager[Upload]:
        """Write the file of a ticket, once: the next one to publish it gets `Forbidden`."""
        return self._uploading(ticket.owner, ticket.file.id, ticket.file.size_bytes, "file")

    def _uploading(
        self, owner: str, file_id: str, max_bytes: int, field: str
    ) -> AbstractAsyncContextManager[Upload]:
        return uploading(
            _Writer(self._folder.incoming(owner, file_id), self._disk),
            self._quota,
            owner,
            file_id,
            max_bytes=max_bytes,
            retention_seconds=self._retention_seconds,
            field=field,
        )

    async def get(self, owner: str, file_id: str) -> StoredFile | None:
        return await self._disk.do(self._folder.get, owner, file_id)

    async def read(
        self, owner: str, file: StoredFile, first: int = 0, last: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        left = (file.size_bytes - 1 if last is None else last) - first + 1
        outgoing = self._folder.outgoing(owner, file.id, first)
        try:
            while left and (data := await self._disk.do(outgoing.read, min(BLOCK_BYTES, left))):
                left -= len(data)
                yield data
        finally:
            await self._disk.finally_do(outgoing.close)

    async def page(
        self, owner: str, *, limit: int, after: str | None = None
    ) -> tuple[Sequence[StoredFile], bool]:
        return await self._disk.do(self._folder.page, owner, limit, after)

    async def delete(self, owner: str, file_id: str) -> bool:
        file = await self.get(owner, file_id)
        if file is None or not await self._disk.do(self._folder.delete, owner, file_id):
            return False
        self._quota.count(owner, -1, -file.size_bytes)
        return True

    async def presign_upload(
        self, owner: str, *, filename: str, mime_type: str, size_bytes: int, purpose: str
    ) -> UploadAddress:
        await self._quota.room_bytes(owner)
        file = StoredFile.of(
            new_id(),
            self._retention_seconds,
            filename=filename,
            mime_type=mime_type,
            size_bytes=size_bytes,
            purpose=purpose,
        )
        return self._addresses.address(owner, file)

    async def presign_read(self, owner: str, file: StoredFile) -> str | None:
        return None

    def s3_uri(self, owner: str, file: StoredFile) -> str | None:
        return None

    async def used_by(self, owner: str, file_ids: Collection[str], session_id: str) -> None:
        if file_ids:
            await self._disk.do(self._folder.mark, owner, file_ids, session_id)

    async def forget_session(self, owner: str, session_id: str) -> bool:
        used_any = await self._disk.do(self._folder.forget, owner, session_id)
        self._quota.forget(owner)
        return used_any

    async def ping(self) -> None:
        await self._disk.do(self._folder.check)


class _Writer:
    """A `Writer` that gathers pieces until a thread's turn is worth it; none is copied."""

    def __init__(self, incoming: Incoming, disk: _Disk) -> None:
        self._incoming = incoming
        self._disk = disk
        self._pieces: list[bytes] = []
        self._size_bytes = 0

    async def write(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size_bytes += len(data)
        if self._size_bytes >= BLOCK_BYTES or len(self._pieces) >= MAX_PIECES:
            await self._flush()

    async def finish(self, file: StoredFile) -> None:
        await self._flush()
        await self._disk.do(self._incoming.finish, file)

    async def abort(self) -> None:
        self._pieces.clear()
        await self._disk.finally_do(self._incoming.abort)

    async def _flush(self) -> None:
        pieces, self._pieces, self._size_bytes = self._pieces, [], 0
        if pieces:
            await self._disk.do(self._incoming.write, pieces)
