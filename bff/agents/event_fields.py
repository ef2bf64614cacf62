"""Fields of server-sent events, as the standard has them and as servers write them.

Most servers write `data: TEXT`, Spring writes `data:TEXT`, whatever the text begins with.
"""

from __future__ import annotations

import codecs
import re

FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
SILENT = frozenset({b"id", b"retry"})
KNOWN = SILENT | {b"data", b"event"}
LABELLED = re.compile(rb"\s*[A-Za-z_-]{0,20}:|data$")
"""How a line of an event stream begins: with a field's name, or as a comment."""
FIELD_LIKE = re.compile(rb"\s*[A-Za-z_-]{1,20}:")
_FIELD_BEGUN = re.compile(rb"[A-Za-z_-]{0,20}(?:$|:)")
VALUE_STARTS = (b"{", b"[", b'"')
JSON_STARTS = (b"{", b"[", b"\x1e", b'"')


def may_be_field(begun: bytes) -> bool:
    """Whether a first line that has only begun may be one of an event stream, or JSON."""
    if codecs.BOM_UTF8.startswith(begun):
        return True
    begun = begun.removeprefix(codecs.BOM_UTF8).lstrip()
    return begun[:1] in JSON_STARTS or _FIELD_BEGUN.match(begun) is not None


class Spacing:
    """The space behind `data:`, which belongs to a text where the server writes none of its own.

    The standard takes one away, and Spring's tokens would run into one another.
    """

    __slots__ = ("_tight",)

    def __init__(self) -> None:
        self._tight = False

    def text(self, written: bytes, value: bytes) -> bytes:
        """What was meant by a value that is no JSON."""
        if written[:1] != b" ":
            self._tight = self._tight or bool(written)
        elif self._tight and value != b"[DONE]":
            return written
        return value
