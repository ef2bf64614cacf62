"""Bytes to frames: where one thing an agent said ends and the next begins.

AgentCore passes through whatever bytes the container wrote: an event stream, one JSON document,
JSON lines or text. This module cuts them into frames and knows nothing of what a frame means. It
is pure, so a test may cut the bytes anywhere. Lines are cut in bytes, never with `str.splitlines`:
the SDK writes U+2028 raw. Event streams are read as
https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream says, but
that an event is not lost when the stream ends without its blank line.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple, Protocol

from bff.json_text import JSON, loads

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""The service's own chunks go up to 10 MB."""
MAX_DEPTH = 100
"""Nesting of one frame's JSON; what comes after us recurses over it."""

TEXT = "text/plain"
"""Name of a frame that is text whatever it looks like."""


class FrameError(Exception):
    """The bytes cannot be an answer; the text is for the operator and quotes none of them."""


class Frame(NamedTuple):
    """One thing the agent said: an event's name, if it had one, and its value."""

    name: str | None
    value: JSON


class Frames(Protocol):
    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames this chunk completes. Raises `FrameError`."""
        ...

    def end(self) -> list[Frame]:
        """What the end of the bytes completes. Raises `FrameError`."""
        ...


def open_frames(content_type: str) -> Frames:
    """The reader for a `Content-Type`; one that says nothing useful is judged by first bytes.

    Raises `FrameError` for what no agent answers with: a proxy's error page, say.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/html" or kind.partition("/")[0] in _NO_ANSWER:
        raise FrameError(f"its answer is {kind}")
    if kind == "text/event-stream":
        return EventStream()
    if kind in ("application/x-ndjson", "application/ndjson", "application/jsonl"):
        return JsonLines()
    if kind == "application/json" or kind.endswith("+json"):
        return Document()
    return Unlabelled()


_NO_ANSWER = frozenset({"image", "audio", "video", "font", "multipart"})


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
        lines = chunk.split(b"\n")
        rest = lines.pop()
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


class EventStream:
    """Server-sent events."""

    __slots__ = ("_data", "_first", "_lines", "_name", "_raw", "_size")

    def __init__(self) -> None:
        self._lines = Lines()
        self._data: list[bytes] = []
        self._size = 0
        self._name: str | None = None
        self._first = True
        self._raw = False

    def feed(self, chunk: bytes) -> list[Frame]:
        frames: list[Frame] = []
        data = self._data
        for line in self._lines.feed(chunk):
            if line.startswith(b"data: {") and not data and not self._first:
                # as nearly every line of nearly every stream; `_line` says what it means
                self._size = len(line) - len(b"data:")
                check_size(self._size)
                data.append(line[len(b"data: ") :])
            else:
                self._line(line, frames)
        return frames

    def end(self) -> list[Frame]:
        frames: list[Frame] = []
        last = self._lines.end()
        if last:
            self._line(last, frames)
            if self._data and _cut_off(b"\n".join(self._data)):
                raise FrameError("the stream ended inside an event")
        self._line(b"", frames)
        return frames

    def _line(self, line: bytes, frames: list[Frame]) -> None:
        if self._first:
            line = line.removeprefix(codecs.BOM_UTF8)
            self._first = False
        if not line:
            if self._data:
                frames.append(self._frame())
            self._name = None
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            if self._data and value[:1] in _VALUE_STARTS:
                self._early(frames)
            self._size += len(value) + 1  # lines without anything on them are kept too
            check_size(self._size)
            self._data.append(value)
        elif field == b"event":
            if self._data:
                self._early(frames)
            self._name = value.decode("utf-8", "replace")

    def _early(self, frames: list[Frame]) -> None:
        """Dispatch a value that is whole though no blank line followed: some agents forget it."""
        text = self._data[0].decode("utf-8", "replace")
        if not self._raw and len(self._data) == 1 and _is_whole(text):
            frames.append(self._frame())

    def _frame(self) -> Frame:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        if (found := _object(data)) is not None:
            return Frame(self._name, found)
        text = data.decode("utf-8", "replace")
        value = parse(text)
        if value is text:
            self._raw = True
        elif self._raw and (value is None or isinstance(value, bool)):
            value = text  # among raw text tokens, null and true are words
        return Frame(self._name, value)


class JsonLines:
    """One JSON value a line."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, chunk: bytes) -> list[Frame]:
        return [_json_line(line) for line in self._lines.feed(chunk) if line.strip()]

    def end(self) -> list[Frame]:
        last = self._lines.end()
        if not last.strip():
            return []
        if _cut_off(last):
            raise FrameError("the stream ended inside a line")
        return [_json_line(last)]


class Document:
    """One JSON document; several on lines of their own are accepted too."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[Frame]:
        self._size += len(chunk)
        check_size(self._size)
        self._parts.append(chunk)
        return []

    def end(self) -> list[Frame]:
        data = b"".join(self._parts).removeprefix(codecs.BOM_UTF8)
        text = data.decode("utf-8", "replace").strip()
        if not text:
            return []
        value = parse(text)
        if value is not text or text[0] not in '{["':
            return [Frame(None, value)]
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        values = [parse(line) for line in lines]
        if any(value is line for value, line in zip(values, lines, strict=True)):
            raise FrameError("the body is not the JSON its Content-Type promised")
        return [Frame(None, value) for value in values]


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


class Unlabelled:
    """Bytes of another or no type: their beginning tells an event stream, JSON or text."""

    __slots__ = ("_looks_json", "_parts", "_reader", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._looks_json: bool | None = None
        self._reader: Frames | None = None

    def feed(self, chunk: bytes) -> list[Frame]:
        if self._reader is None:
            self._parts.append(chunk)
            self._size += len(chunk)
            check_size(self._size)
            self._reader = self._judge(chunk)
            if self._reader is None:
                return []
            chunk = self._so_far()
            self._parts.clear()
        return self._reader.feed(chunk)

    def end(self) -> list[Frame]:
        if self._reader is not None:
            return self._reader.end()
        text = self._so_far().decode("utf-8-sig", "replace")
        value = parse(text.strip())
        if isinstance(value, dict | list):
            return [Frame(None, value)]
        return [Frame(TEXT, text)] if text else []

    def _so_far(self) -> bytes:
        return b"".join(self._parts)

    def _judge(self, chunk: bytes) -> Frames | None:
        """The reader for what came so far; None while more is needed."""
        if self._looks_json is None:
            head = self._so_far() if self._size <= _HEAD_BYTES else b"".join(self._parts[-2:])
            start = head.removeprefix(codecs.BOM_UTF8).lstrip()
            if start.startswith(_FIELDS):
                return EventStream()
            if start.startswith((b"{", b"[")):
                self._looks_json = True
            elif start and not any(field.startswith(start) for field in _FIELDS):
                return PlainText()
        if self._looks_json and b"\n" in chunk:
            line = self._so_far().lstrip().partition(b"\n")[0]
            if isinstance(parse(line.decode("utf-8-sig", "replace").strip()), dict | list):
                return JsonLines()
            self._looks_json = False  # a document over several lines, or text: the end tells
        return None


_HEAD_BYTES = 1024
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


def parse(text: str) -> JSON:
    """The JSON value, or the text itself where it is not JSON.

    A bare number stays text as it was spelled: it is a token of an answer. Raises `FrameError` for
    JSON nested too deep.
    """
    if text[:1] not in _JSON_STARTS:
        return text
    try:
        value = loads(text)
    except ValueError:
        return text
    except RecursionError:
        raise FrameError(f"JSON nested deeper than {MAX_DEPTH}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def _object(data: bytes) -> JSON:
    """What `parse` gives for these bytes, where it is an object and nothing is odd about it."""
    if not data.startswith(b"{") or data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        return None
    try:
        return loads(data)
    except ValueError:
        return None


def _is_whole(text: str) -> bool:
    return text[:1] in '{["' and parse(text) is not text


_VALUE_STARTS = (b"{", b"[", b'"')
_JSON_STARTS = frozenset('{["ntf')


def check_size(size: int) -> None:
    if size > MAX_FRAME_BYTES:
        raise FrameError(f"a frame over {MAX_FRAME_BYTES:,} bytes")


def _check_depth(value: JSON) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[JSON] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return
        level = inner
    raise FrameError(f"JSON nested deeper than {MAX_DEPTH}")


def _json_line(line: bytes) -> Frame:
    return Frame(None, parse(line.decode("utf-8", "replace").strip()))


def _cut_off(data: bytes) -> bool:
    """Whether these last bytes are the beginning of JSON whose rest never came."""
    start = data.lstrip()[:1]
    text = data.decode("utf-8", "replace").strip()
    return start in (b"{", b"[", b'"') and parse(text) is text
