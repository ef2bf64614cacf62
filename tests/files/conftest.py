"""Stores of files, each with a real place behind it."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bff.files import Files, StoredFile
from bff.files.local import FolderFiles, open_folder
from bff.files.s3 import BucketFiles, open_bucket

MAX_BYTES = 12 * 1024**2
RETENTION_SECONDS = 86_400.0
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20


def owner(name: str) -> str:
    """A principal's digest, or what looks like one."""
    return hashlib.sha256(name.encode()).hexdigest()


ALICE, BOB = owner("alice"), owner("bob")

Remains = Callable[[], Awaitable[list[str]]]
Reopen = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new" / "files"


@pytest.fixture
def reopen_folder(folder: Path) -> Reopen:
    """Open the folder, with other limits if need be."""

    def reopen(**limits: Any) -> AbstractAsyncContextManager[FolderFiles]:
        options = {"max_bytes": MAX_BYTES, "retention_seconds": RETENTION_SECONDS, **limits}
        return open_folder(str(folder), **options)

    return reopen


@dataclass(frozen=True)
class Bucket:
    """A bucket of moto's, looked at from outside: it takes requests without a signature."""

    server: str
    name: str

    async def ask(self, method: str, place: str = "", data: bytes | None = None) -> str:
        url = f"{self.server}/{self.name}{place}"
        async with aiohttp.request(method, url, data=data) as reply:
            assert reply.status < 300, await reply.text()
            return await reply.text()

    async def keys(self) -> list[str]:
        """Its keys, and those that a multipart upload is open for."""
        found = await self.ask("GET", "?list-type=2") + await self.ask("GET", "?uploads")
        return re.findall("<Key>(.*?)</Key>", found)


@pytest.fixture
async def bucket(aws: str, aws_environ: None, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws)
    bucket = Bucket(aws, f"files-{uuid.uuid4().hex}")
    await bucket.ask("PUT")
    return bucket


@pytest.fixture
def reopen_bucket(bucket: Bucket) -> Reopen:
    """Open the bucket, with other limits if need be."""

    def reopen(**limits: Any) -> AbstractAsyncContextManager[BucketFiles]:
        options = {"max_bytes": MAX_BYTES, "retention_seconds": RETENTION_SECONDS, **limits}
        return open_bucket(bucket.name, "chat/", region="us-west-2", **options)

    return reopen


@pytest.fixture(params=["folder", "bucket"])
def reopen(request: pytest.FixtureRequest) -> Reopen:
    """Open one kind of store or the other."""
    found: Reopen = request.getfixturevalue(f"reopen_{request.param}")
    return found


@pytest.fixture
def remains(request: pytest.FixtureRequest) -> Remains:
    """What lies in the store, of whatever kind it is: names of files, or keys."""
    kind = request.node.callspec.params["reopen"]
    if kind == "bucket":
        keys: Remains = request.getfixturevalue("bucket").keys
        return keys
    folder: Path = request.getfixturevalue("folder")

    async def names() -> list[str]:
        return contents_of(folder)

    return names


def names_in(folder: Path) -> list[str]:
    """All that lies in a folder, folders too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def contents_of(folder: Path) -> list[str]:
    """The files of a store's folder, whatever they are, but for its key."""
    found = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != "addresses.key")


@pytest.fixture
async def files(reopen: Reopen) -> AsyncIterator[Files]:
    async with reopen() as opened:
        yield opened


async def put(
    files: Files,
    who: str,
    data: bytes,
    *,
    filename: str | None = "a.png",
    declared: str | None = None,
    purpose: str = "user_data",
    piece: int = 100_000,
) -> StoredFile:
    """Store a file, piece by piece."""
    async with files.upload(who) as upload:
        for place in range(0, len(data), piece):
            await upload.write(data[place : place + piece])
        return await upload.publish(filename=filename, declared=declared, purpose=purpose)


async def content(files: Files, who: str, file: StoredFile, *places: int) -> bytes:
    return b"".join([block async for block in files.read(who, file, *places)])


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def stored(files: Files, who: str = ALICE) -> list[str]:
    """The ids of all that somebody has."""
    found, more = await files.page(who, limit=100)
    assert not more
    return [file.id for file in found]


@pytest.fixture
async def folder_files(reopen_folder: Reopen) -> AsyncIterator[Files]:
    async with reopen_folder() as opened:
        yield opened
