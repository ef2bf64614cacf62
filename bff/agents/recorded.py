"""An agent's recorded answer, and what we make of it: `python -m bff decode FILE`.

For whoever writes an agent and wants to know why an answer looks as it does, and for reports: the
bytes are decoded just as they would be live, and everything that comes of them is printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bff.agents.dialects.decoder import Decoder
from bff.events import record

_TYPES = {
    ".sse": "text/event-stream",
    ".json": "application/json",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".txt": "text/plain",
}


def content_type_of(file: str) -> str:
    """The type that a file's name suggests; the first bytes decide for any other."""
    return _TYPES.get(Path(file).suffix.lower(), "application/octet-stream")


def described(data: bytes, content_type: str) -> Iterator[str]:
    """A line an event, then which dialects were recognised, then how it failed if it did."""
    decoder = Decoder(content_type)
    events = decoder.feed(data) + decoder.end()
    for number, event in enumerate(events, 2):  # 1 is `start`, which is the service's own
        told = record(number, event)
        yield f"{told.id} {told.name} {told.data}"
    yield f"recognised: {', '.join(decoder.dialects) or 'nothing'}"
    if decoder.failure:
        yield f"failed: {decoder.failure}"
