"""Files in an S3 bucket, under keys that `bff/files/s3/keys.py` tells.

What is sent goes on to S3 as it comes, in a multipart upload from 5 MiB on; a file whose upload
breaks off is aborted. Its record is written last, and is what makes it a file. S3 deletes by the
bucket's lifecycle rule, at midnight and later; what has expired is not found from that second on.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

from bff.errors import NotFound
from bff.files.s3.calls import Calls, open_calls
from bff.files.s3.keys import Keys
from bff.files.s3.slots import Slots
from bff.files.s3.writer import S3Writer
from bff.files.stored import (
    ADDRESS_SECONDS,
    MAX_FILES,
    MAX_OWNED_BYTES,
    StoredFile,
    UploadAddress,
    file_of,
    has_expired,
    new_id,
    record_of,
)
from bff.files.types import HEAD_BYTES, find_type
from bff.files.upload import Quota, Upload, uploading

T = TypeVar("T")

PARTS_HELD = 4
"""Parts of 5 MiB in memory, of all uploads together."""
AT_ONCE = 16
"""Calls that one request makes side by side."""
BLOCK_BYTES = 256 * 1024


@asynccontextmanager
async def open_bucket(
    bucket: str,
    prefix: str,
    *,
    region: str,
    max_bytes: int,
    retention_seconds: float,
    max_files: int = MAX_FILES,
    max_owned_bytes: int = MAX_OWNED_BYTES,
) -> AsyncIterator[BucketFiles]:
    """Raises `SettingsError` if there is no such bucket."""
    async with open_calls(bucket, prefix, region=region) as calls:

        async def measure(owner: str) -> tuple[int, int]:
            files = size_bytes = 0
            async for _, size in calls.keys(Keys(prefix, owner).contents):
                files, size_bytes = files + 1, size_bytes + size
            return files, size_bytes

        yield BucketFiles(
            calls,
            prefix,
            max_bytes=max_bytes,
            retention_seconds=retention_seconds,
            quota=Quota(measure, max_files=max_files, max_bytes=max_owned_bytes),
        )


class BucketFiles:
    """`Files` in a bucket."""

    def __init__(
        self,
        calls: Calls,
        prefix: str,
        *,
        max_bytes: int,
        retention_seconds: float,
        quota: Quota,
    ) -> None:
        self._calls = calls
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._retention_seconds = retention_seconds
        self._quota = quota
        self._slots = Slots(PARTS_HELD)

    def __repr__(self) -> str:
        return f"<BucketFiles {self._calls!r}/{self._prefix}>"

    def upload(self, owner: str, *, field: str = "file") -> AbstractAsyncContextManager[Upload]:
        file_id = new_id()
        return uploading(
            S3Writer(self._calls, self._keys(owner), file_id, self._slots.slot(owner)),
            self._quota,
            owner,
            file_id,
            max_bytes=self._max_bytes,
            retention_seconds=self._retention_seconds,
            field=field,
        )

    async def get(self, owner: str, file_id: str) -> StoredFile | None:
        keys = self._keys(owner)
        if has_expired(file_id, self._retention_seconds):
            return None
        if not (found := await self._calls.get(keys.record(file_id))):
            return None
        record = json.loads(found[0])
        if record.get("awaited"):
            return await self._arrived(keys, file_id, record, etag=found[1])
        return file_of(file_id, record, self._retention_seconds)

    async def read(
        self, owner: str, file: StoredFile, first: int = 0, last: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        last = file.size_bytes - 1 if last is None else last
        missing, key = True, self._keys(owner).content(file.id)
        async with aclosing(
            self._calls.stream(key, first, last, BLOCK_BYTES, etag=file.etag)
        ) as blocks:
            async for block in blocks:
                missing = False
                yield block
        if missing:
            raise NotFound

    async def page(
        self, owner: str, *, limit: int, after: str | None = None
    ) -> tuple[Sequence[StoredFile], bool]:
        keys, found = self._keys(owner), list[StoredFile]()
        names = self._calls.keys(
            keys.records, after=keys.record(after) if after else "", at_once=min(limit + 1, 1000)
        )
        async with aclosing(names):
            ids: list[str] = []
            async for name, _ in names:
                ids.append(keys.file_of(name))
                if len(ids) > limit - len(found):
                    found += await self._present(owner, ids)
                    ids = []
                    if len(found) > limit:
                        return found[:limit], True
            found += await self._present(owner, ids)
        return found[:limit], len(found) > limit

    async def delete(self, owner: str, file_id: str) -> bool:
        if await self.get(owner, file_id) is None:
            return False
        await self._remove(self._keys(owner), file_id)
        self._quota.forget(owner)  # S3 does not say which of two that delete it at once did
        return True

    async def presign_upload(
        self, owner: str, *, filename: str, mime_type: str, size_bytes: int, purpose: str
    ) -> UploadAddress:
        await self._quota.room_bytes(owner)
        keys, file_id = self._keys(owner), new_id()
        file = StoredFile.of(
            file_id,
            self._retention_seconds,
            filename=filename,
            mime_type=mime_type,
            size_bytes=size_bytes,
            purpose=purpose,
        )
        body = json.dumps({**record_of(file), "awaited": True}).encode()
        await self._calls.call("put_object", Key=keys.record(file_id), Body=body)
        form = await self._calls.client.generate_presigned_post(
            Bucket=self._calls.bucket,
            Key=keys.content(file_id),
            Fields={"Content-Type": mime_type},
            Conditions=[
                {"Content-Type": mime_type},
                ["content-length-range", size_bytes, size_bytes],
            ],
            ExpiresIn=ADDRESS_SECONDS,
        )
        return UploadAddress(
            file=file,
            url=form["url"],
            fields=form["fields"],
            expires_at=file.created_at + ADDRESS_SECONDS,
        )

    async def presign_read(self, owner: str, file: StoredFile) -> str | None:
        name = quote(file.filename, safe="")
        return str(
            await self._calls.client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._calls.bucket,
                    "Key": self._keys(owner).content(file.id),
                    "ResponseContentType": file.mime_type,
                    "ResponseContentDisposition": f"attachment; filename*=UTF-8''{name}",
                },
                ExpiresIn=ADDRESS_SECONDS,
            )
        )

    def s3_uri(self, owner: str, file: StoredFile) -> str | None:
        return f"{self._calls!r}/{self._keys(owner).content(file.id)}"

    async def used_by(self, owner: str, file_ids: Collection[str], session_id: str) -> None:
        keys = self._keys(owner)
        marks = (mark for file_id in file_ids for mark in keys.marks(file_id, session_id))
        await _at_once(self._calls.call("put_object", Key=mark, Body=b"") for mark in marks)

    async def forget_session(self, owner: str, session_id: str) -> bool:
        keys = self._keys(owner)
        session = keys.session(session_id)
        names = [name async for name, _ in self._calls.keys(session)]
        ids = [f"file-{name.removeprefix(session)}" for name in names]
        await _at_once(self._forget(keys, file_id, session_id) for file_id in ids)
        self._quota.forget(owner)
        return bool(ids)

    async def ping(self) -> None:
        await self._calls.call("list_objects_v2", Prefix=self._prefix, MaxKeys=1)

    async def _present(self, owner: str, file_ids: Sequence[str]) -> list[StoredFile]:
        """Those of the files that can be read: not the awaited, nor what has expired."""
        found = await _at_once(self.get(owner, file_id) for file_id in file_ids)
        return [file for file in found if file is not None]

    async def _arrived(
        self, keys: Keys, file_id: str, record: dict[str, Any], *, etag: str
    ) -> StoredFile | None:
        """A file that its client sends by itself, once it is there; then its type is found.

        The form is good for more than once: what comes later is another file, and this one gone.
        """
        content = keys.content(file_id)
        size_bytes = await self._calls.size(content)
        if not size_bytes:
            return None
        head = await self._calls.get(content, Range=f"bytes=0-{HEAD_BYTES - 1}")
        if head is None:
            return None
        mime_type = find_type(head[0], record["mime_type"])
        record = {**record, "size_bytes": size_bytes, "mime_type": mime_type, "etag": head[1]}
        file = file_of(file_id, record, self._retention_seconds)
        await self._calls.replace(keys.record(file_id), json.dumps(record_of(file)).encode(), etag)
        return file

    async def _forget(self, keys: Keys, file_id: str, session_id: str) -> None:
        use, mark = keys.marks(file_id, session_id)
        await self._calls.delete(use)
        async with aclosing(self._calls.keys(keys.uses(file_id), at_once=1)) as uses:
            used = await anext(uses, None)
        if used is None:
            await self._remove(keys, file_id)
        await self._calls.delete(mark)  # last: what breaks off before is begun again

    async def _remove(self, keys: Keys, file_id: str) -> None:
        await self._calls.delete(keys.record(file_id))
        await self._calls.delete(keys.content(file_id))

    def _keys(self, owner: str) -> Keys:
        return Keys(self._prefix, owner)


async def _at_once(calls: Iterable[Awaitable[T]]) -> list[T]:
    """What the calls return; not too many of them are under way at a time."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[T]) -> T:
        async with turns:
            return await call

    return await asyncio.gather(*(one(call) for call in calls))
