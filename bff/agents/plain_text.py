"""Text as it comes, and bytes of another charset than UTF-8."""

from __future__ import annotations

import codecs

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
