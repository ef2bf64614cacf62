"""What the service asks of a store of files, and the choice of one.

Everything lies inside one owner (a principal's digest): there is no call that reaches across, and
no table that says whose a file is. A file is written once and never changed; what is known of it
lies beside it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, assert_never

from bff.files.stored import StoredFile, UploadAddress
from bff.files.upload import Upload
from bff.settings import BucketFiles, FolderFiles, Settings, needing

__all__ = ["Files", "StoredFile", "Upload", "UploadAddress", "open_files"]


class Files(Protocol):
    """Files by owner. Unreachable: `Overloaded` is raised, and no call waits long."""

    def upload(self, owner: str, *, field: str = "file") -> AbstractAsyncContextManager[Upload]:
        """A file to write, piece by piece; left unpublished, nothing of it stays.

        `field` is what errors call it.

        Raises `NoRoomForFiles` where the owner has no room for another.
        """
        ...

    async def get(self, owner: str, file_id: str) -> StoredFile | None:
        """What is known of a file; None if the owner has none of that id."""
        ...

    def read(
        self, owner: str, file: StoredFile, first: int = 0, last: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The file's bytes from `first` to `last`, both included, in pieces of 1 MiB at most.

        Raises `NotFound` if the file has gone meanwhile.
        """
        ...

    async def page(
        self, owner: str, *, limit: int, after: str | None = None
    ) -> tuple[Sequence[StoredFile], bool]:
        """The owner's files behind that id, the newest first, and whether there are more."""
        ...

    async def delete(self, owner: str, file_id: str) -> bool:
        """Delete a file; False if the owner has none of that id."""
        ...

    async def presign_upload(
        self, owner: str, *, filename: str, mime_type: str, size_bytes: int, purpose: str
    ) -> UploadAddress:
        """An address that takes one file of exactly this size and type, for 15 minutes."""
        ...

    async def presign_read(self, owner: str, file: StoredFile) -> str | None:
        """An address that anybody can read the file at, for 15 minutes; None: it has none."""
        ...

    def s3_uri(self, owner: str, file: StoredFile) -> str | None:
        """The file's `s3://` address; None where it is not in S3."""
        ...

    async def used_by(self, owner: str, file_ids: Collection[str], session_id: str) -> None:
        """Note that a session uses these files; ids that are none are passed over."""
        ...

    async def forget_session(self, owner: str, session_id: str) -> bool:
        """Delete the files that no other session uses; False if the session used none."""
        ...

    async def ping(self) -> None:
        """Return if the store can be used; raise a `Problem` if not."""
        ...


@asynccontextmanager
async def open_files(settings: Settings) -> AsyncIterator[Files | None]:
    """The store the settings name; None if they name none.

    Raises `SettingsError` if `FILES` names something that cannot be one.
    """
    match settings.files:
        case None:
            yield None
        case FolderFiles(path):
            from bff.files.local import open_folder

            async with open_folder(
                path,
                max_bytes=settings.max_file_bytes,
                retention_seconds=settings.files_retention_seconds,
            ) as folder:
                yield folder
        case BucketFiles(bucket, prefix):
            with needing("FILES", "aws"):
                from bff.files.s3 import open_bucket

            async with open_bucket(
                bucket,
                prefix,
                region=settings.aws_region,
                max_bytes=settings.max_file_bytes,
                retention_seconds=settings.files_retention_seconds,
            ) as bucket_files:
                yield bucket_files
        case never:
            assert_never(never)
