"""Text as it comes, and bytes of another charset than UTF-8."""

from __future__ import annotations

import codecs

from bff.agents.json_values import FrameError
from bff.agents.lines import TEXT, Frame, Frames


class Recoded:
    """Bytes of another charset than UTF-8, for a reader that takes this one only."""

    __slots__ = ("_decoder", "_reader")

    def __init__(self, reader: Frames, charset: str) -> None:
        self._reader = reader
        "".encode(charset)  # raises LookupError also for a codec that is no charset
        self._decoder = codecs.getincrementaldecoder(charset)("replace")

    def feed(self, chunk: bytes) -> list[Frame]:
        return self._reader.feed(self._decoder.decode(chunk).encode("utf-8", "replace"))

    def end(self) -> list[Frame]:
        last = self._decoder.decode(b"", True).encode("utf-8", "replace")
        return self._reader.feed(last) + self._reader.end()


class NoPage:
    """What is called HTML and is none: Express and Flask call every string so.

    A page is a proxy's or a framework's, no agent's answer.
    """

    __slots__ = ("_begun", "_reader")

    def __init__(self, reader: Frames) -> None:
        self._reader = reader
        self._begun: bytes | None = b""
        """What came as long as it may still be a page."""

    def feed(self, chunk: bytes) -> list[Frame]:
        if self._begun is not None:
            self._begun += chunk
            start = self._begun.removeprefix(codecs.BOM_UTF8).lstrip().lower()
            if start.startswith(_PAGES):
                raise FrameError("its answer is an HTML page")
            if any(page.startswith(start) for page in _PAGES):
                return []
            chunk, self._begun = self._begun, None
        return self._reader.feed(chunk)

    def end(self) -> list[Frame]:
        begun, self._begun = self._begun, None
        return (self._reader.feed(begun) if begun else []) + self._reader.end()


_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body")


class PlainText:
    """Text as it comes."""

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")

    def feed(self, chunk: bytes) -> list[Frame]:
        text = self._decoder.decode(chunk)
        return [Frame(TEXT, text)] if text else []

    def end(self) -> list[Frame]:
        text = self._decoder.decode(b"", True)
        return [Frame(TEXT, text)] if text else []
