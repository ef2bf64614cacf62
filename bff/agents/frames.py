"""Bytes to frames: where one thing an agent said ends and the next begins.

AgentCore passes through whatever bytes the container wrote: an event stream, one JSON document,
JSON lines or text. This module cuts them into frames and knows nothing of what a frame means. It
is pure, so a test may cut the bytes anywhere. Event streams are read as
https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream says, but
that an event is not lost when the stream ends without its blank line.
"""

from __future__ import annotations

import codecs
import re

from bff.agents import data_stream, event_fields
from bff.agents.event_fields import FIELDS, JSON_STARTS, VALUE_STARTS
from bff.agents.json_lines import Rows
from bff.agents.json_values import (
    FrameError,
    check_size,
    is_cut_off,
    is_whole,
    parse,
    value_in,
    values_in,
)
from bff.agents.lines import TEXT, Frame, Frames, Lines, frame
from bff.agents.plain_text import NoPage, PlainText, Recoded


def open_frames(content_type: str) -> Frames:
    """The reader for a `Content-Type`; one that says nothing useful is judged by first bytes.

    Raises `FrameError` for what no agent answers with, a picture, say.
    """
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if kind.partition("/")[0] in _NO_ANSWER:
        raise FrameError(f"its answer is {kind}")
    reader: Frames
    if kind == "text/event-stream":
        reader = EventStream()
    elif kind in _LINES:
        reader = JsonLines()
    elif kind == "application/json" or kind.endswith("+json"):
        reader = Document()
    else:
        reader = Unlabelled(strings=not kind.startswith("text/"))
        if kind == "text/html":
            reader = NoPage(reader)
    charset = _CHARSET.search(parameters)
    if charset is None or charset[1].lower() in ("utf-8", "utf8", "us-ascii", "ascii"):
        return reader
    try:
        return Recoded(reader, charset[1])
    except LookupError:
        return reader


_LINES = frozenset(
    {
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/stream+json",
        "application/json-seq",
    }
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_NO_ANSWER = frozenset({"image", "audio", "video", "font", "multipart"})


_VALUE_AT = len(b"data: ")
_VALUES = (b"data: {", b"data: [", b'data: "')


class EventStream:
    """Server-sent events."""

    __slots__ = (
        *("_data", "_first", "_lines", "_name", "_other", "_raw", "_size", "_spacing"),
        "_unread",
    )

    def __init__(self) -> None:
        self._other: Frames | None = None
        """The reader of a body that is no event stream, whatever its type said."""
        self._lines = Lines()
        self._data: list[bytes] = []
        self._size = 0
        self._name: str | None = None
        self._first = True
        self._raw = False
        self._spacing = event_fields.Spacing()
        self._unread: list[bytes] | None = []
        """Lines that look like fields nobody knows, until one comes that is known."""

    def feed(self, chunk: bytes) -> list[Frame]:
        if self._other is not None:
            return self._other.feed(chunk)
        frames: list[Frame] = []
        data = self._data
        lines = self._lines.feed(chunk)
        at, end = 0, len(lines)
        while at < end:
            line = lines[at]
            at += 1
            # an event of one line with a value: nearly all of nearly every stream
            if line.startswith(_VALUES) and at < end and not (lines[at] or data or self._first):
                found = value_in(line[_VALUE_AT:])
                if found is not None:
                    frames.append(frame((self._name, found)))
                    self._name = self._unread = None
                    at += 1
                    continue
            self._line(line, frames)
            if other := self._judged():  # by the first line that has anything on it
                return other.feed(b"\n".join([*lines[at - 1 :], b""]) + self._lines.end())
        if self._first and (begun := self._lines.end()) and not event_fields.may_be_field(begun):
            self._other = Unlabelled(strings=True)
            return self._other.feed(begun)
        return frames

    def end(self) -> list[Frame]:
        if self._other is not None:
            return self._other.end()
        frames: list[Frame] = []
        last = self._lines.end()
        if last:
            self._line(last, frames)
            if other := self._judged():
                return other.feed(last) + other.end()
            if self._data and is_cut_off(b"\n".join(self._data)):
                raise FrameError("the stream ended inside an event")
        self._line(b"", frames)
        if self._unread:
            text = b"\n".join(self._unread).decode("utf-8", "replace")
            frames.append(Frame(TEXT, text.rstrip("\n")))
        return frames

    def _judged(self) -> Frames | None:
        return self._other

    def _line(self, line: bytes, frames: list[Frame]) -> None:
        if self._first:
            line = line.removeprefix(codecs.BOM_UTF8)
            if line:
                self._first = False
                if not event_fields.LABELLED.match(line) or data_stream.LINE.match(line):
                    self._other = Unlabelled(strings=True)
                    return
        if not line:
            if self._data:
                self._dispatch(frames)
            self._name = None
            if self._unread:
                self._unread.append(b"")
            return
        field, _, written = line.partition(b":")
        value = written.removeprefix(b" ")
        if not field or field in event_fields.KNOWN:
            self._unread = None
        if field == b"data":
            if value[:1] not in VALUE_STARTS and value != b"[DONE]":
                value = self._spacing.text(written, value)
            if self._data and value[:1] in VALUE_STARTS:
                self._early(frames)
            self._size += len(value) + 1  # lines without anything on them are kept too
            check_size(self._size)
            self._data.append(value)
        elif field == b"event":
            if self._data:
                self._early(frames)
            self._name = value.decode("utf-8", "replace")
        elif field and field not in event_fields.SILENT:
            self._stray(line, field, value, frames)

    def _stray(self, line: bytes, field: bytes, value: bytes, frames: list[Frame]) -> None:
        """A line that is no field of the standard's, but that some agents mean as one.

        They indent fields, write line ends of a text or of JSON as they are, or mix in bare JSON.
        """
        if self._unread is not None:
            self._unread.append(line)
            self._size += len(line) + 1
            check_size(self._size)
        meant = field.strip().lower()
        if meant in (b"data", b"event") and b":" in line:
            self._line(meant + b":" + value, frames)
        elif self._data:
            start = self._data[0].lstrip()[:1]
            open_json = start in VALUE_STARTS and is_cut_off(b"\n".join(self._data))
            if open_json or (start not in VALUE_STARTS and not event_fields.FIELD_LIKE.match(line)):
                self._data.append(line)
                self._size += len(line) + 1
                check_size(self._size)
        elif line[:1] in (b"{", b"["):
            self._data.append(line)
            self._early(frames)
        elif self._raw and not event_fields.FIELD_LIKE.match(line):
            self._data += (b"", b"", line)  # the blank line before it was the text's own

    def _early(self, frames: list[Frame]) -> None:
        """Dispatch a value that is whole though no blank line followed: some agents forget it."""
        text = self._data[0].decode("utf-8", "replace")
        if not self._raw and len(self._data) == 1 and is_whole(text):
            self._dispatch(frames)

    def _dispatch(self, frames: list[Frame]) -> None:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        if (found := value_in(data)) is not None:
            frames.append(Frame(self._name, found))
            return
        text = data.decode("utf-8", "replace")
        value = parse(text)
        if value is text:
            row = values_in(text) if text[:1] in ("{", "[") else None
            if row is not None:
                frames.extend(Frame(self._name, each) for each in row)
                return
            self._raw = True
        elif self._raw and (value is None or isinstance(value, bool)):
            value = text  # among raw text tokens, null and true are words
        frames.append(Frame(self._name, value))


class JsonLines:
    """One JSON value a line, or several in a row, or over several lines."""

    __slots__ = ("_first", "_lines", "_other", "_rows")

    def __init__(self) -> None:
        self._lines = Lines()
        self._rows = Rows()
        self._first = True
        self._other: Frames | None = None

    def feed(self, chunk: bytes) -> list[Frame]:
        if self._other is not None:
            return self._other.feed(chunk)
        lines = self._lines.feed(chunk)
        if self._first and lines:
            self._first = False
            lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
            if lines[0].startswith(FIELDS):
                self._other = EventStream()
                return self._other.feed(b"\n".join([*lines, self._lines.end()]))
        return [frame for line in lines for frame in self._rows.line(line)]

    def end(self) -> list[Frame]:
        if self._other is not None:
            return self._other.end()
        last = self._lines.end()
        if self._first and last.removeprefix(codecs.BOM_UTF8).startswith(FIELDS):
            events = EventStream()
            return events.feed(last) + events.end()
        frames = self._rows.line(last.removeprefix(codecs.BOM_UTF8))
        if last.startswith(b'"') and is_cut_off(last):
            raise FrameError("the stream ended inside a line")
        return frames + self._rows.end()


class Document:
    """One JSON document; several in a row, line by line or not, are accepted too."""

    __slots__ = ("_other", "_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._other: Frames | None = None

    def feed(self, chunk: bytes) -> list[Frame]:
        if self._other is not None:
            return self._other.feed(chunk)
        self._size += len(chunk)
        check_size(self._size)
        self._parts.append(chunk)
        if self._size <= _HEAD_BYTES and b"\n" in chunk:
            start = b"".join(self._parts).removeprefix(codecs.BOM_UTF8).lstrip()
            line, _, rest = start.partition(b"\n")
            if start.startswith(FIELDS):
                self._other = EventStream()
            elif rest.strip() and is_whole(line.decode("utf-8", "replace").strip(" \t\r\n\x1e")):
                self._other = JsonLines()
            if self._other is not None:
                self._parts.clear()
                return self._other.feed(start)
        return []

    def end(self) -> list[Frame]:
        if self._other is not None:
            return self._other.end()
        data = b"".join(self._parts).removeprefix(codecs.BOM_UTF8).strip(b" \t\r\n\x0b\x0c\x1e")
        text = data.decode("utf-8", "replace")
        if not text:
            return []
        value = parse(text)
        if value is not text or text[0] not in '{["':
            if value is text and data.startswith(FIELDS):
                events = EventStream()
                return events.feed(data) + events.end()
            return [Frame(None, value)]
        row = values_in(text)
        if row is not None:
            return [Frame(None, each) for each in row]
        lines = [line.strip() for line in re.split("[\r\n]+", text) if line.strip()]
        values = [parse(line) for line in lines]
        if any(value is line for value, line in zip(values, lines, strict=True)):
            if _PYTHONS.match(text):
                return [Frame(None, text)]  # Python's print of what should have been dumped
            raise FrameError("the body is not the JSON its Content-Type promised")
        return [Frame(None, value) for value in values]


class Unlabelled:
    """Bytes of another or no type: their beginning tells an event stream, JSON or text."""

    __slots__ = ("_looks_json", "_parts", "_reader", "_size", "_strings")

    def __init__(self, *, strings: bool) -> None:
        self._strings = strings
        """Whether a quoted string is JSON; in plain text it is a quotation."""
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
        whole = text.strip()
        value = parse(whole)
        quoted = self._strings and whole[:1] == '"' and value is not whole
        if quoted or isinstance(value, dict | list):
            return [Frame(None, value)]
        row = values_in(text) if text.lstrip("\x1e \t\r\n")[:1] in ("{", "[") else None
        if row is not None:
            return [Frame(None, each) for each in row]
        return [Frame(TEXT, text)] if text else []

    def _so_far(self) -> bytes:
        return b"".join(self._parts)

    def _judge(self, chunk: bytes) -> Frames | None:
        """The reader for what came so far; None while more is needed."""
        if self._looks_json is None:
            head = self._so_far() if self._size <= _HEAD_BYTES else b"".join(self._parts[-2:])
            start = head.removeprefix(codecs.BOM_UTF8).lstrip()
            if start.startswith(FIELDS):
                return EventStream()
            if data_stream.LINE.match(start):
                return data_stream.DataStream()
            if start.startswith(JSON_STARTS if self._strings else JSON_STARTS[:-1]):
                self._looks_json = True
            elif start and not (
                any(field.startswith(start) for field in FIELDS)
                or data_stream.BEGUN.fullmatch(start)
            ):
                return PlainText()
        if self._looks_json and (b"\n" in chunk or b"\r" in chunk):
            line = self._so_far().removeprefix(codecs.BOM_UTF8).lstrip(b"\x1e \t\r\n")
            if is_whole(_LINE.split(line, maxsplit=1)[0].decode("utf-8", "replace").strip()):
                return JsonLines()
            self._looks_json = False  # a document over several lines, or text: the end tells
        return None


_LINE = re.compile(rb"[\r\n]")
_HEAD_BYTES = 1024
_PYTHONS = re.compile(r"[\[({\s]*['{\[(](?:'|[A-Z]\w*\()")
