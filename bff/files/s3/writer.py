"""One file on its way into S3: held in parts of 5 MiB, sent as each is full."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

from bff.errors import Overloaded
from bff.files.s3.calls import Calls
from bff.files.s3.keys import Keys
from bff.files.s3.slots import Part, Slot
from bff.files.stored import StoredFile, record_of

SMALL_BYTES = 16 * 1024
"""What an upload may hold without a slot: small files wait for nobody."""
PART_SECONDS = 60.0
"""The longest that sending a part may take, …"""
SLOT_SECONDS = 60.0
"""… and waiting for the slot to hold one."""


class S3Writer:
    """A `Writer` into a bucket."""

    def __init__(self, calls: Calls, keys: Keys, file_id: str, slot: Slot) -> None:
        self._calls = calls
        self._key = keys.content(file_id)
        self._record = keys.record(file_id)
        self._slot = slot
        self._small = bytearray()
        self._begun: asyncio.Task[Any] | None = None
        self._sending: asyncio.Task[Any] | None = None
        self._sent: list[dict[str, Any]] = []
        self._finishing = False

    async def write(self, data: bytes) -> None:
        if self._slot.part is None and len(self._small) + len(data) <= SMALL_BYTES:
            self._small += data
            return
        left = memoryview(data)
        while left:
            part = await self._part()
            left = part.add(left)
            if part.full:
                await self._send_part(part)

    async def finish(self, file: StoredFile) -> None:
        self._finishing = True
        part = self._slot.part
        if self._begun is None:
            body = io.BytesIO(self._small) if part is None else part
            size = body.seek(0, io.SEEK_END)
            body.seek(0)
            await self._send("put_object", Key=self._key, Body=body, ContentLength=size)
        else:
            if part is not None:
                await self._send_part(part)
            await self._calls.call(
                "complete_multipart_upload",
                seconds=PART_SECONDS,
                Key=self._key,
                UploadId=await self._upload_id(),
                MultipartUpload={"Parts": self._sent},
            )
            self._begun = None
        self._slot.give_back()
        record = json.dumps(record_of(file)).encode()
        await self._calls.call("put_object", Key=self._record, Body=record)

    async def abort(self) -> None:
        await self._calls.finally_do(self._remove())

    async def _remove(self) -> None:
        try:
            if self._sending is not None:  # the part may not be another's while it is being sent
                self._sending.cancel()
                await asyncio.wait({self._sending})
        finally:
            self._slot.give_back()
        if self._begun is not None:
            upload_id = await self._upload_id()
            await self._calls.call("abort_multipart_upload", Key=self._key, UploadId=upload_id)
        if self._finishing:
            await self._calls.delete(self._record, self._key)

    async def _part(self) -> Part:
        try:
            async with asyncio.timeout(SLOT_SECONDS):
                part = await self._slot.take()
        except TimeoutError:
            raise Overloaded(retry_after_seconds=5) from None
        if self._small:
            part.add(memoryview(self._small))
            self._small = bytearray()
        return part

    async def _send_part(self, part: Part) -> None:
        number = len(self._sent) + 1
        part.seek(0)
        sent = await self._send(
            "upload_part",
            Key=self._key,
            UploadId=await self._upload_id(),
            PartNumber=number,
            Body=part,
            ContentLength=part.size_bytes,
        )
        self._sent.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._slot.give_back()

    async def _send(self, operation: str, **options: Any) -> Any:
        """A call that reads the part, as a task: who leaves may have to wait for its end."""
        call = self._calls.call(operation, seconds=PART_SECONDS, **options)
        self._sending = asyncio.create_task(call)
        return await self._sending

    async def _upload_id(self) -> str:
        """Begin the multipart upload, once: a task, so that what is begun can be aborted though
        whoever waited for it is gone."""
        if self._begun is None:
            begin = self._calls.call("create_multipart_upload", Key=self._key)
            self._begun = asyncio.create_task(begin)
        return str((await asyncio.shield(self._begun))["UploadId"])
