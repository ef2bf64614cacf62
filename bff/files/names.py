"""What a file may be called. A name is what people read: no store makes a path of it."""

from __future__ import annotations

import mimetypes
import re
import unicodedata

from bff.errors import Invalid

MAX_NAME_BYTES = 255
"""What file systems take."""
MAX_SUFFIX_BYTES = 20

_MAX_READ = 1000
"""Characters, the last ones: putting marks in order takes the square of their number."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""https://learn.microsoft.com/windows/win32/fileio/naming-a-file"""
_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Make `gpj.exe` look like `exe.jpg`."""
_SUFFIXES = mimetypes.MimeTypes()
"""Python's own table: the module's functions know what the machine's tables add."""


def clean_name(name: str | None, mime_type: str, *, field: str = "file") -> str:
    """The name as it is kept: its last path part, fit for any file system, 255 bytes at most.

    A file without a name is named after its type. Raises `Invalid` for control characters and
    direction marks, which nobody types and which make a name look like another.
    """
    name = unicodedata.normalize("NFC", (name or "")[-_MAX_READ:])
    if _DIRECTIONS.search(name) or any(_is_control(character) for character in name):
        message = "its filename holds control characters, direction marks or half characters"
        raise Invalid.of(field, message)
    name = re.split(r"[/\\]", name)[-1]
    name = re.sub(r'[<>:"|?*]', "_", name).strip().rstrip(". ")
    if not name.strip("."):
        return "file" + (_SUFFIXES.guess_extension(mime_type) or "")
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    return _cut(name)


def _is_control(character: str) -> bool:
    # Cc: controls, Cs: halves of surrogate pairs, Zl and Zp: line and paragraph separators
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _cut(name: str) -> str:
    """At most `MAX_NAME_BYTES` of the name, its suffix kept."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > MAX_SUFFIX_BYTES:
        stem, dot, suffix = name, "", ""
    room = MAX_NAME_BYTES - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + dot + suffix
