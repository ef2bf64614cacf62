"""The AI SDK's first data stream: a letter, a colon and JSON on each line (`0:"Hi"`).

Servers of AI SDK 3 and 4 answer so, as `text/plain`. Its parts become those of the stream that came
after it, which the dialects know. https://v4.ai-sdk.dev/docs/ai-sdk-ui/stream-protocol.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from bff.agents.json_values import parse
from bff.agents.lines import Frame, Lines
from bff.events import JSON

LINE = re.compile(rb"[0-9a-k]:[\"{\[]")
"""How the first line of such a stream begins."""
BEGUN = re.compile(rb"[0-9a-k]:?")
"""What may be the beginning of that."""


class DataStream:
    """The stream's lines as frames."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, chunk: bytes) -> list[Frame]:
        return [_frame(line) for line in self._lines.feed(chunk) if line.strip()]

    def end(self) -> list[Frame]:
        last = self._lines.end()
        return [_frame(last)] if last.strip() else []


def _frame(line: bytes) -> Frame:
    return Frame(None, part_of(line.decode("utf-8", "replace")))


def part_of(line: str) -> JSON:
    """The part that a line is; None for one that says nothing."""
    code, _, text = line.partition(":")
    value = parse(text.strip())
    make = _PARTS.get(code)
    if make is None or value is text:
        return None
    return make(value)


def _fields(kind: str) -> Callable[[JSON], JSON]:
    return lambda value: {"type": kind, **value} if isinstance(value, dict) else None


_PARTS: Mapping[str, Callable[[JSON], JSON]] = {
    "0": lambda text: {"type": "text-delta", "delta": text},
    "2": lambda data: {"type": "data-stream", "data": data},
    "3": lambda text: {"type": "error", "errorText": text},
    "8": lambda data: {"type": "data-annotations", "data": data},
    "9": _fields("tool-call"),
    "a": _fields("tool-result"),
    "b": _fields("tool-call-input-streaming-start"),
    "c": _fields("tool-call-delta"),
    "d": _fields("finish"),
    "g": lambda text: {"type": "reasoning-delta", "delta": text},
    "h": _fields("source-url"),
    "k": _fields("file"),
}
