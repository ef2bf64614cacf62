"""Files that a client puts into its message: base64, or a `data:` URL (RFC 2397).

All of it is read strictly, before anything is stored: what another parser might read otherwise is
refused. Nothing is ever fetched: an https address is handed on as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit

import pybase64

from bff.errors import Invalid
from bff.files.upload import too_large
from bff.messages import FilePart, is_data_url

MAX_URL_CHARACTERS = 8192

DATA_URL = "must be a data: URL such as data:image/png;base64,iVBORw0KGgo="
PERCENT = "must be percent-encoded behind the comma, and not empty"


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A file's bytes as they came, and what the client says of them."""

    data: bytes = field(repr=False)
    declared: str | None
    filename: str | None = field(repr=False)
    encoded: str | None = field(default=None, repr=False)
    """The data as the base64 it came in, for who needs that."""


def read_part(part: FilePart, *, field: str, max_bytes: int) -> InlineFile | None:
    """The bytes of a part that holds them; None for one that says where they are.

    Raises `Invalid` or `FileTooLarge`, naming `field`.
    """
    if part.data is not None:
        return _read(part.data, part, field=field, max_bytes=max_bytes)
    if part.url is not None and is_data_url(part.url):
        return _read(part.url, part, field=field, max_bytes=max_bytes)
    if part.url is not None:
        check_address(part.url, field)
    return None


def read_base64(text: str, *, field: str, max_bytes: int) -> bytes:
    """The bytes of base64 in the alphabet of RFC 4648, 4, padded or not, without line ends."""
    if len(text) // 4 * 3 > max_bytes + 3:
        raise too_large(max_bytes, field)
    try:
        data = pybase64.b64decode(padded(text), validate=True)
    except ValueError:
        raise Invalid.of(field, "must be base64 (A-Z, a-z, 0-9, + and /), without spaces") from None
    if not data:
        raise Invalid.of(field, "is empty")
    if len(data) > max_bytes:
        raise too_large(max_bytes, field)
    return data


def padded(text: str) -> str:
    """Base64 with the padding that some clients leave out."""
    return text if text.endswith("=") or not len(text) % 4 else text + "=" * (-len(text) % 4)


def percent_decoded(content: str) -> bytes | None:
    """What a `data:` URL without base64 holds; None for what is none, or empty."""
    if not re.fullmatch(r"(?:[!#-$&-;=?-\[\]_a-z~]|%[0-9A-Fa-f]{2})+", content):
        return None
    return unquote_to_bytes(content)


def _read(text: str, part: FilePart, *, field: str, max_bytes: int) -> InlineFile:
    """Base64, or a `data:` URL, whose type is the one that counts."""
    if not is_data_url(text):
        data = read_base64(text, field=field, max_bytes=max_bytes)
        return InlineFile(data, part.mime_type, part.filename, padded(text))
    head, comma, content = text[5:].partition(",")
    found = _DATA_URL.fullmatch(head) if len(head) <= 1024 else None
    if not comma or found is None:
        raise Invalid.of(field, DATA_URL)
    declared = found[1] or part.mime_type or "text/plain"
    if found[2]:
        data = read_base64(content, field=field, max_bytes=max_bytes)
        return InlineFile(data, declared, part.filename, padded(content))
    text_data = percent_decoded(content)
    if text_data is None:
        raise Invalid.of(field, PERCENT)
    if len(text_data) > max_bytes:
        raise too_large(max_bytes, field)
    return InlineFile(text_data, declared, part.filename)


_DATA_URL = re.compile(
    r"([a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*)?"
    r"(?:;[a-z0-9_-]+=(?:[a-z0-9_.+:%'-]+|\"[^\"\\]*\"))*(;base64)?",
    re.IGNORECASE,
)


def check_address(url: str, field: str) -> None:
    """Raise `Invalid` for anything but https: the agent fetches it, and with rights of its own."""
    try:
        parts = urlsplit(url)
        good = parts.scheme.lower() == "https" and bool(parts.hostname) and parts.port != 0
        good = good and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good or len(url) > MAX_URL_CHARACTERS or re.search(r"[\x00-\x20\x7f\\]", url):
        raise Invalid.of(field, "must be an https:// address, without user and password")
