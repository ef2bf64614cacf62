"""Bytes to lines, and what a reader of them gives: one thing the agent said.

Lines are cut in bytes, never with `str.splitlines`: the SDK writes U+2028 raw.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from bff.agents.json_values import check_size
from bff.events import JSON

TEXT = "text/plain"
"""Name of a frame that is text whatever it looks like."""


class Frame(NamedTuple):
    """One thing the agent said: an event's name, if it had one, and its value."""

    name: str | None
    value: JSON


frame: Callable[[tuple[str | None, JSON]], Frame] = partial(tuple.__new__, Frame)
"""Makes one of a name and a value, in half the time."""


class Frames(Protocol):
    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames this chunk completes. Raises `FrameError`."""
        ...

    def end(self) -> list[Frame]:
        """What the end of the bytes completes. Raises `FrameError`."""
        ...


class Lines:
    """Bytes to lines that end in LF, CRLF or CR, whole wherever the chunks were cut."""

    __slots__ = ("_after_cr", "_partial", "_size")

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._size = 0
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = chunk.split(b"\n")
        if lines and self._partial:
            self._partial.append(lines[0])
            lines[0] = b"".join(self._partial)
            self._partial.clear()
            self._size = 0
        if rest:
            self._partial.append(rest)
            self._size += len(rest)
            check_size(self._size)
        return lines

    def end(self) -> bytes:
        """The last line, if nothing ended it."""
        return b"".join(self._partial)
