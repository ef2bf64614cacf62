"""JSON values over one line or several: what a stream of JSON lines is made of.

Some agents indent what they write, put commas or record separators between values, or write one
list over many lines. A line that is no JSON is a text.
"""

from __future__ import annotations

from bff.agents.json_values import FrameError, check_size, is_whole, parse, values_in
from bff.agents.lines import Frame

_BETWEEN = " \t\r\n\x1e"
"""What may stand around a value, RFC 7464's record separator among it."""
_MOST_TRIES = 64
"""How often the lines so far are tried for being whole; then the end decides."""


class Rows:
    """Lines to values."""

    __slots__ = ("_open", "_size", "_tries")

    def __init__(self) -> None:
        self._open: list[str] = []
        """Lines of a value that goes on."""
        self._size = 0
        self._tries = 0

    def line(self, line: bytes) -> list[Frame]:
        """The frames that this line completes."""
        whole = line.decode("utf-8", "replace")
        text = whole.strip(_BETWEEN).removesuffix(",")
        if not self._open:
            return self._begin(text, whole.strip(_BETWEEN))
        if self._open[0][0] == "{" and is_whole(text):  # no member of an object looks so
            return [Frame(None, "\n".join(self._take())), *self._begin(text, text)]
        self._open.append(whole)
        self._size += len(line)
        check_size(self._size)
        if text[-1:] in ("}", "]") and self._tries < _MOST_TRIES:
            self._tries += 1
            found = _values("\n".join(self._open))
            if found is not None:
                self._take()
                return found
        return []

    def end(self) -> list[Frame]:
        """What the end of the bytes completes. Raises `FrameError`."""
        if not self._open:
            return []
        found = _values("\n".join(self._take()))
        if found is None:
            raise FrameError("the stream ended inside a line")
        return found

    def _begin(self, text: str, line: str) -> list[Frame]:
        if not text:
            return []
        found = _values(text)
        if found is not None:
            return found
        if text[0] in "{[":
            self._open.append(line)
            self._size = len(line)
            return []
        return [Frame(None, text)]

    def _take(self) -> list[str]:
        taken, self._open, self._tries = self._open, [], 0
        return taken


def _values(text: str) -> list[Frame] | None:
    """The values a text is made of; None where it is none, or not whole."""
    text = text.strip().removesuffix(",")
    value = parse(text)
    if value is not text:
        return [Frame(None, value)]
    if text[:1] not in ("{", "["):
        return None
    row = values_in(text)
    return None if row is None else [Frame(None, each) for each in row]
