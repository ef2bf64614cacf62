"""A file as it is known, and its id.

The id tells when the file was made, so that the newest come first and what has expired is known
without looking; what comes behind the time nobody can guess.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

FILE_ID = re.compile(r"file-[0-9a-f]{32}")
OWNER = re.compile(r"[0-9a-f]{64}")
"""A principal's digest. Stores make keys and folders of it, so nothing else may come near them."""

MAX_FILES = 10_000
"""Files that one owner may have, …"""
MAX_OWNED_BYTES = 100 * 1024**3
"""… and the bytes of all of them together."""
ADDRESS_SECONDS = 900
"""How long an address to upload to, or to read from, is good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """What is known of a file. `mime_type` is what was found in it; times are since 1970.

    `etag` is that of the bytes it was found in, where who sent them may send others.
    """

    id: str
    filename: str = field(repr=False)
    mime_type: str
    size_bytes: int
    purpose: str
    created_at: float
    expires_at: float
    etag: str | None = None

    @classmethod
    def of(
        cls,
        file_id: str,
        retention_seconds: float,
        *,
        filename: str,
        mime_type: str,
        size_bytes: int,
        purpose: str,
        etag: str | None = None,
    ) -> Self:
        """The file of that id, which tells its times."""
        made = created_at(file_id)
        return cls(
            id=file_id,
            filename=filename,
            mime_type=mime_type,
            size_bytes=size_bytes,
            purpose=purpose,
            created_at=made,
            expires_at=made + retention_seconds,
            etag=etag,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadAddress:
    """Where a client may send one file by itself: a form of these fields, and `file` behind them.

    A `url` that is a path is one of this service. `file` is there once it has been sent.
    """

    file: StoredFile
    url: str
    fields: Mapping[str, str] = field(repr=False)
    expires_at: float


def new_id() -> str:
    return f"file-{int(time.time() * 1000):012x}{secrets.token_hex(10)}"


def session_mark(session_id: str) -> str:
    """The name under which stores note a session: a client's own may be any characters."""
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def content_path(file_id: str) -> str:
    """Where a file's content is, on this service."""
    return f"/v1/files/{file_id}/content"


def file_id_in(url: str, *, own: bool = False) -> str | None:
    """The id in the address of a file's content, here or on any service; `own`: only here."""
    found = _CONTENT_URL.fullmatch(url[:2048])
    return found["id"] if found and not (own and found["origin"]) else None


_CONTENT_URL = re.compile(
    rf"(?P<origin>https?://[^/?#\s]+)?(?:/[^?#\s]*)?/v1/files/(?P<id>{FILE_ID.pattern})/content"
)


def created_at(file_id: str) -> float:
    """When the file of this id was made; raises `ValueError` for what is no id."""
    if not FILE_ID.fullmatch(file_id):
        raise ValueError("not a file's id")
    return int(file_id[5:17], 16) / 1000


def has_expired(file_id: str, retention_seconds: float) -> bool:
    return created_at(file_id) + retention_seconds < time.time()


def record_of(file: StoredFile) -> dict[str, Any]:
    """What stores keep beside the bytes, as JSON. When a file expires is a setting's, not its."""
    return {
        "filename": file.filename,
        "mime_type": file.mime_type,
        "size_bytes": file.size_bytes,
        "purpose": file.purpose,
        **({} if file.etag is None else {"etag": file.etag}),
    }


def file_of(file_id: str, record: Mapping[str, Any], retention_seconds: float) -> StoredFile:
    """The file that `record_of` wrote down."""
    return StoredFile.of(
        file_id,
        retention_seconds,
        filename=record["filename"],
        mime_type=record["mime_type"],
        size_bytes=record["size_bytes"],
        purpose=record["purpose"],
        etag=record.get("etag"),
    )
