"""Logs: one JSON line a record on standard output.

Nothing private gets in: an exception is logged as its type and where it happened, but its words
only where they cannot be a client's or an agent's, and whatever looks like a credential is struck
out as a last line of defence.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

from bff.errors import Problem
from bff.json_text import dumps
from bff.log_context import current_request, current_run
from bff.settings import Settings
from bff.telemetry.log_writer import LineWriter

LINE_BYTES = 16_000
"""Container runtimes cut lines at 16 KiB, and half a line is no JSON."""
MESSAGE_CHARACTERS = 4_000
EXCEPTION_CHARACTERS = 8_000
ESCAPED_CHARACTERS = 500
"""What is left of each where escapes make a line too long: a character can take 12 bytes."""


class SettledRecord(logging.LogRecord):
    """A record of which nothing will change, and nothing is a client's: it is rendered later, by
    the thread that writes it, and not searched for credentials. It has what all records have, and
    nothing is looked up for it, since every request has one."""

    def __init__(self, logger: str, message: str, request_id: str, fields: dict[str, Any]) -> None:
        self.__dict__.update(_PLAIN)
        self.name = logger
        self.msg = message
        self.created = time.time()
        self.msecs = self.created % 1 * 1000
        self.request_id = request_id
        self.fields = fields


_PLAIN = vars(logging.LogRecord("", logging.INFO, "", 0, "", (), None))


class LineHandler(logging.Handler):
    """Renders a record where it is made, since it may change later, and queues the line."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self.writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if isinstance(record, SettledRecord):
                self.writer.write(partial(self.format, record))
            else:
                self.writer.write(self.format(record))
        except Exception:
            self.handleError(record)


class JsonFormatter(logging.Formatter):
    """One JSON object on one line, in ASCII."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record, SettledRecord):
            return self._settled(record)
        if (document := getattr(record, "document", None)) is not None:
            return _json(document)
        line: dict[str, Any] = {
            "ts": timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": message(record),
            "service": self._service,
        }
        line |= context(record)
        if record.exc_info and record.exc_info[1]:
            line["exception"] = describe(record.exc_info[1])
        text = _json(line)
        if len(text) <= LINE_BYTES:
            return text
        for name in {"message", "exception"} & line.keys():
            line[name] = cut(line[name], ESCAPED_CHARACTERS)
        return _json(line)

    def _settled(self, record: SettledRecord) -> str:
        line = {
            "ts": timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.msg,
            "service": self._service,
            "request_id": record.request_id,
            **record.fields,
        }
        text = dumps(line)  # which takes a tenth of the time, and leaves other letters as they are
        return text if text.isascii() else _json(line)


_json = json.JSONEncoder(separators=(",", ":"), default=repr).encode


class TextFormatter(logging.Formatter):
    """For people at a terminal. A record's first line is never indented, all others are."""

    def format(self, record: logging.LogRecord) -> str:
        if (document := getattr(record, "document", None)) is not None:
            return _json(document)
        clock = timestamp(record.created)[11:23]
        fields = "".join(f"  {name}={value}" for name, value in context(record).items())
        text = f"{clock} {record.levelname:<8} {record.name}  {message(record)}{fields}"
        lines = [text]
        if record.exc_info and record.exc_info[1]:
            lines += describe(record.exc_info[1]).split("\n")
        return "\n    ".join(_visible(line) for line in lines)


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{_to_the_second(whole)}.{milliseconds:03d}Z"


@lru_cache(maxsize=8)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.name == "asyncio":
        # The loop's own reports quote a task's result or exception, and so perhaps a message.
        text = re.split(r"\n| (?:result|exception)=", text, maxsplit=1)[0]
    return cut(redact(text), MESSAGE_CHARACTERS)


def context(record: logging.LogRecord) -> dict[str, Any]:
    """What a record says besides its message: request, run, agent, and the fields given with it."""
    found: dict[str, Any] = {}
    if request_id := getattr(record, "request_id", None) or current_request.get():
        found["request_id"] = request_id
    if run := current_run.get():
        found["run_id"], found["agent"] = run
    for name, value in getattr(record, "fields", {}).items():
        found[name] = redact(value) if isinstance(value, str) else value
    return found


def describe(error: BaseException) -> str:
    """The exception, its causes and where each happened; words only where `_words` finds them."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        kind = type(current)
        name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        frames = [
            f"  {frame.filename}:{frame.lineno} in {frame.name}"
            for frame in traceback.extract_tb(current.__traceback__, limit=-20)
        ]
        words = _words(current)
        parts.append("\n".join([f"{name}: {words}" if words else name, *frames]))
        following = current.__cause__
        if following is None and not current.__suppress_context__:
            following = current.__context__
        if following is None and isinstance(current, BaseExceptionGroup):
            following = current.exceptions[0]
        current = following
    return cut(redact("\ncaused by ".join(parts)), EXCEPTION_CHARACTERS)


def _words(error: BaseException) -> str:
    """What of an exception's text is sure to be the interpreter's, the system's or ours."""
    if isinstance(error, Problem):
        return error.code
    if isinstance(error, OSError) and error.errno is not None:
        return f"[Errno {error.errno}] {error.strerror}"
    if type(error) in (AttributeError, ImportError, ModuleNotFoundError, NameError, TypeError):
        return str(error)
    response = getattr(error, "response", None)  # botocore's ClientError
    if isinstance(response, dict) and isinstance(response.get("Error"), dict):
        return str(response["Error"].get("Code", ""))[:100]
    return ""


_CREDENTIALS = re.compile(
    r"""(?ix)
    \b (?: authorization | x-api-key | api[_-]?key | token | secret | password | cookie ) ["']?
        \s* [:=] \s* ["']? (?: (?: bearer | basic ) \s+ )? (?! \[redacted\] ) [^\s"',;)}\]]+
    | \b bearer \s+ [^\s"',;]+
    | \b ey[A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]{4,} \. [A-Za-z0-9_-]*
    | \b bff_ [A-Za-z0-9_-]{20,}
    | (?<= :// ) [^\s/@"']+ @
    """
)


def redact(text: str) -> str:
    """The text without what looks like a credential. Nothing of ours logs one: this is a net."""
    return _CREDENTIALS.sub("[redacted]", text)


def cut(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    return f"{text[:characters]}… ({len(text) - characters} more characters)"


def _visible(text: str) -> str:
    """The text with control characters and foreign line ends as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


_UNUSED_FACTS = ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks")
"""Facts that `logging` collects for each record by default, and that no line here shows."""

_writers: set[LineWriter] = set()
_dropped_before = 0


def lines_dropped() -> int:
    """Log lines this process has lost so far."""
    return _dropped_before + sum(writer.dropped for writer in _writers)


@contextmanager
def open_logs(
    settings: Settings, *, descriptor: int | None = None, lock: str | None = None
) -> Iterator[None]:
    """Send all of the process's logs to standard output; leaving it puts back what was there.

    `lock` is a file: processes that have the same one write there one after the other.

    `LOG_LEVEL` is for our own loggers. Libraries say nothing below INFO, whatever it is: some would
    print requests with credentials and messages.
    """
    global _dropped_before
    if descriptor is None:
        descriptor = _stdout()
    text = settings.log_format == "text" or (
        settings.log_format == "auto" and os.isatty(descriptor)
    )
    handler = LineHandler(LineWriter(descriptor, lock=lock))
    handler.setFormatter(TextFormatter() if text else JsonFormatter(settings.service_name))
    level = logging.DEBUG if settings.debug else logging.getLevelNamesMapping()[settings.log_level]
    ours, root = logging.getLogger("bff"), logging.getLogger()
    before = root.level, ours.level, list(root.handlers)
    facts = {name: getattr(logging, name) for name in _UNUSED_FACTS if hasattr(logging, name)}
    for name in facts:
        setattr(logging, name, False)
    root.handlers = [handler]
    root.setLevel(max(level, logging.INFO))
    ours.setLevel(level)
    logging.captureWarnings(True)
    _writers.add(handler.writer)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for name, value in facts.items():
            setattr(logging, name, value)
        root_level, our_level, root.handlers = before
        root.setLevel(root_level)
        ours.setLevel(our_level)
        handler.writer.close()
        _writers.discard(handler.writer)
        _dropped_before += handler.writer.dropped


def _stdout() -> int:
    try:
        return sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or replaced by something in memory
        return 1
