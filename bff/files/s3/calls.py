"""Calls of S3 about one bucket: a client made once, limits on time, failures in our words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from bff.errors import Overloaded
from bff.settings import SettingsError
from bff.tasks import end_tasks

CALL_SECONDS = 5.0
"""The longest that a call without a file's bytes may take."""
CHECK_SECONDS = 1.5
"""How long a start waits to look at the bucket."""
CLOSE_SECONDS = 2.5
POOL = 50
"""Connections; what comes on top waits, within its call's time."""
FORBIDDEN = ("403", "AccessDenied")
MISSING = ("404", "NoSuchKey", "NotFound")
CHANGED = ("PreconditionFailed", "ConditionalRequestConflict")

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_calls(bucket: str, prefix: str, *, region: str) -> AsyncIterator[Calls]:
    """Raises `SettingsError` if there is no such bucket."""
    async with open_client(region) as client:
        calls = Calls(client, bucket)
        await calls.check(prefix, CHECK_SECONDS)
        try:
            yield calls
        finally:
            await calls.close()


@asynccontextmanager
async def open_client(region: str) -> AsyncIterator[Any]:
    config = AioConfig(
        connect_timeout=1.5,
        read_timeout=15,
        max_pool_connections=POOL,
        # every call may be repeated: a key is written with the same bytes, or under a condition
        retries={"mode": "standard", "total_max_attempts": 3},
        request_checksum_calculation="when_required",
        signature_version="s3v4",  # what a key of KMS takes
        s3={"addressing_style": "virtual"},  # else addresses are signed for us-east-1's host
    )
    session = aioboto3.Session(region_name=region)
    async with session.client("s3", config=config) as client:
        yield client


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


class Calls:
    """What the store asks of S3. Any failure is `Overloaded`; the log says which."""

    def __init__(self, client: Any, bucket: str) -> None:
        self.client = client
        self.bucket = bucket
        self._last_calls: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"s3://{self.bucket}"

    async def check(self, prefix: str, seconds: float) -> None:
        """Refuse a bucket that is not there; one that cannot be asked about may still come up."""
        try:
            async with asyncio.timeout(seconds):
                # as the store does later: asking for the bucket itself takes another right
                await self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=1)
        except ClientError as error:
            if code_of(error) == "NoSuchBucket":
                raise SettingsError(
                    "FILES", f"{self!r} (no such bucket)", "a bucket that is there"
                ) from None
            _log.warning("%r could not be looked at: %s", self, code_of(error))
        except (BotoCoreError, aiohttp.ClientError, OSError) as error:
            _log.warning("%r could not be looked at: %s", self, type(error).__name__)

    async def call(self, operation: str, *, seconds: float = CALL_SECONDS, **options: Any) -> Any:
        with self._translating():
            async with asyncio.timeout(seconds):
                return await getattr(self.client, operation)(Bucket=self.bucket, **options)

    async def get(self, key: str, **options: Any) -> tuple[bytes, str] | None:
        """An object's bytes, which are few, and its ETag; None if there is none."""
        with self._translating():
            async with asyncio.timeout(CALL_SECONDS):
                try:
                    answer = await self.client.get_object(Bucket=self.bucket, Key=key, **options)
                except ClientError as error:
                    if await self._missing(key, error):
                        return None
                    raise
                async with answer["Body"] as body:
                    return await body.read(), answer["ETag"]

    async def size(self, key: str) -> int | None:
        """An object's size; None if there is none."""
        with self._translating():
            async with asyncio.timeout(CALL_SECONDS):
                try:
                    answer = await self.client.head_object(Bucket=self.bucket, Key=key)
                except ClientError as error:
                    if await self._missing(key, error):
                        return None
                    raise
        return int(answer["ContentLength"])

    async def _missing(self, key: str, error: ClientError) -> bool:
        """Whether an error says that there is no such object.

        Who may list a prefix only is told 403 of what is not there
        (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html), so the list is asked.
        """
        if code_of(error) not in FORBIDDEN:
            return code_of(error) in MISSING
        found = await self.client.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=1)
        return all(item["Key"] != key for item in found.get("Contents", ()))

    async def stream(
        self, key: str, first: int, last: int, block_bytes: int, *, etag: str | None = None
    ) -> AsyncGenerator[bytes, None]:
        """A range of an object as it comes; nothing if there is none, or none of that ETag."""
        only = {} if etag is None else {"IfMatch": etag}
        with self._translating():
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    answer = await self.client.get_object(
                        Bucket=self.bucket, Key=key, Range=f"bytes={first}-{last}", **only
                    )
            except ClientError as error:
                if code_of(error) in CHANGED or await self._missing(key, error):
                    return
                raise
        body = answer["Body"]
        try:
            while True:
                with self._translating():
                    async with asyncio.timeout(CALL_SECONDS):
                        data = await body.read(block_bytes)
                if not data:
                    return
                yield data
        finally:
            body.close()

    async def keys(
        self, prefix: str, *, after: str = "", at_once: int = 1000
    ) -> AsyncGenerator[tuple[str, int], None]:
        """The keys under a prefix, in order, with their sizes."""
        options: dict[str, Any] = {"StartAfter": after} if after else {}
        while True:
            page = await self.call("list_objects_v2", Prefix=prefix, MaxKeys=at_once, **options)
            for found in page.get("Contents", ()):
                yield found["Key"], found["Size"]
            if not page["IsTruncated"]:
                return
            options = {"ContinuationToken": page["NextContinuationToken"]}

    async def replace(self, key: str, body: bytes, etag: str) -> None:
        """Write an object anew, unless it is no longer what it was."""
        with self._translating():
            async with asyncio.timeout(CALL_SECONDS):
                try:
                    await self.client.put_object(
                        Bucket=self.bucket, Key=key, Body=body, IfMatch=etag
                    )
                except ClientError as error:
                    if code_of(error) not in (*CHANGED, *MISSING):
                        raise

    async def delete(self, *keys: str) -> None:
        objects = [{"Key": key} for key in keys]
        answer = await self.call("delete_objects", Delete={"Objects": objects, "Quiet": True})
        for error in answer.get("Errors", ()):
            _log.error("%r: DeleteObjects was refused: %s", self, error.get("Code"))
            raise Overloaded

    async def finally_do(self, work: Coroutine[Any, Any, None]) -> None:
        """Do a last thing, whether its caller is cancelled or not; it fails in silence."""

        async def quietly() -> None:
            try:
                await work
            except Overloaded:
                _log.warning("%r: something is left to the lifecycle rule", self)

        task = asyncio.create_task(quietly())
        self._last_calls.add(task)
        task.add_done_callback(self._last_calls.discard)
        await asyncio.shield(task)

    async def close(self) -> None:
        if self._last_calls:
            _, late = await asyncio.wait(self._last_calls, timeout=CLOSE_SECONDS)
            await end_tasks(*late)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            _log.error("%r refused %s: %s", self, error.operation_name, code_of(error))
            raise Overloaded from error
        except (
            BotoCoreError,
            aiohttp.ClientError,
            OSError,
        ) as error:  # a timeout too
            _log.error("%r cannot be reached: %s", self, type(error).__name__)
            raise Overloaded from error
