"""The events that we write into an AgentCore Memory, made and read; pure.

A turn is one event (several if it is large): the question and the answer as conversational
payloads, which the memory's own strategies understand, what else it has as a blob, the rest as
metadata. Where the agent writes the conversation itself, it is a blob without the answer, in a
session of ours. What a session was begun with is one compressed text in such a session as well: the
agent is given it and must not find it a second time.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bff.events import JSON, dumps, well_formed
from bff.history import Turn

Event = Mapping[str, Any]
"""An event as ListEvents answers it."""

TEXT_CHARACTERS = 9000
"""What one conversational payload takes in the service model that aioboto3 knows; since raised."""
EVENT_ITEMS = 100
EVENT_BYTES = 700_000
"""Less than the 10 MB the service takes: aiohttp warns of a blocked loop over 1 MiB."""

BLOB_CHARACTERS = 90_000
"""Of ASCII, in one blob."""
PLACES_PER_MARK = 5
MAX_PLACES = 20
"""Points of one turn; it has about one a protocol. A value of metadata takes 256 characters, and an
event takes 15 values."""

_METADATA = re.compile(r"[a-zA-Z0-9\s._:/=+@-]{0,256}")


Written = tuple[list[Any], dict[str, Any]]
"""An event's payload and metadata."""


def turn_events(
    turn: Turn, places: Sequence[str] = (), *, conversational: bool = True
) -> list[Written]:
    """The events that hold a turn. Raises `ValueError` for ids that metadata cannot hold.

    `places` are the memory sessions that lead to it by its points: who sweeps has to know them.
    """
    more = {
        name: list(value)
        for name in ("parts", "answer_parts", "inputs")
        if (value := getattr(turn, name))
    }
    calls = list(turn.tool_calls)
    if conversational:
        said = [
            *(_conversational("USER", piece) for piece in _pieces(turn.message)),
            *(_conversational("ASSISTANT", piece) for piece in _pieces(turn.answer)),
        ]
        # as 0.1.0 wrote it, where there is nothing that it did not know
        rest: JSON = {"tool_calls": calls, **more} if more else calls
    else:
        said, rest = [], {"message": turn.message, "tool_calls": calls, **more}
    # an event without an item is none, though a turn may be without a word
    blobs = [{"blob": piece} for piece in _pieces(dumps(rest))] if rest or not said else []
    marks = {
        "run": turn.run_id,
        "session": turn.session_id,
        "status": turn.status,
        "asked": repr(float(turn.asked_at)),
        "answered": repr(float(turn.answered_at)),
    }
    if turn.continues is not None:
        marks["continues"] = turn.continues
    for n, at in enumerate(range(0, min(len(places), MAX_PLACES), PLACES_PER_MARK)):
        marks[f"places{n}"] = " ".join(places[at : at + PLACES_PER_MARK])
    return _numbered([*said, *blobs], marks)


def begin_events(session_id: str, turns: Iterable[Turn], batch: str) -> list[Written]:
    """The events that hold what a session begins with."""
    text = dumps([{**asdict(turn), "points": []} for turn in turns])
    packed = base64.b85encode(zlib.compress(text.encode())).decode()
    pieces = (packed[at : at + BLOB_CHARACTERS] for at in range(0, len(packed), BLOB_CHARACTERS))
    return _numbered([{"blob": piece} for piece in pieces], {"batch": batch, "session": session_id})


def _numbered(items: Sequence[Any], marks: Mapping[str, str]) -> list[Written]:
    """The items in as few events as hold them, each with the marks and its number."""
    payloads: list[list[Any]] = [[]]
    room = EVENT_BYTES
    for item in items:
        size = len(json.dumps(item))
        if payloads[-1] and (size > room or len(payloads[-1]) == EVENT_ITEMS):
            payloads.append([])
            room = EVENT_BYTES
        payloads[-1].append(item)
        room -= size
    return [
        (payload, metadata(**marks, part=f"{number} of {len(payloads)}"))
        for number, payload in enumerate(payloads)
    ]


def metadata(**values: str) -> dict[str, Any]:
    for name, value in values.items():
        if not _METADATA.fullmatch(value):
            raise ValueError(f"{name} is not what event metadata takes")
    return {f"bff.{name}": {"stringValue": value} for name, value in values.items()}


def mark(event: Event, name: str) -> str | None:
    """A value of our own metadata, None in what others wrote."""
    value: str | None = event.get("metadata", {}).get(f"bff.{name}", {}).get("stringValue")
    return value


def lean(event: Event) -> Event:
    """The event without what no reader needs: LangGraph's checkpoints, which grow with each turn.

    A blob of Strands' is a JSON list, one of LangGraph's an object.
    """
    if mark(event, "run") or mark(event, "batch"):
        return event
    kept = [
        item
        for item in event.get("payload", ())
        if "blob" not in item or str(item["blob"]).startswith("[")
    ]
    return {**event, "payload": kept}


def stamp(event: Event) -> int:
    """When it was written, in milliseconds. Ours say so themselves, in case it is rounded."""
    own = mark(event, "stamp")
    return int(own) if own else round(event["eventTimestamp"].timestamp() * 1000)


def order(event: Event) -> tuple[int, int, str]:
    number, _, rest = event["eventId"].partition("#")
    return stamp(event), int(number) if number.isdecimal() else 0, rest


def places_in(event: Event) -> list[str]:
    """The memory sessions that lead to the turn in an event of ours."""
    found = (mark(event, f"places{n}") for n in range(-(-MAX_PLACES // PLACES_PER_MARK)))
    return [place for places in found if places for place in places.split(" ")]


def turns_in(events: Iterable[Event], *, agent: str) -> Iterator[Turn]:
    """Our turns in events that come in their order; one that is not there whole is left out."""
    runs: dict[str, list[Event]] = {}
    for event in events:
        if run_id := mark(event, "run"):
            runs.setdefault(run_id, []).append(event)
    for run_id, parts in runs.items():
        if (items := _whole(parts)) is not None:
            yield _turn(run_id, agent, parts[0], items)


def begun_with(events: Iterable[Event], batch: str) -> list[Turn]:
    """The turns that a session was begun with, by the mark of their events."""
    items = _whole([event for event in events if mark(event, "batch") == batch])
    if not items:
        return []
    packed = "".join(item["blob"] for item in items)
    turns: list[dict[str, Any]] = json.loads(zlib.decompress(base64.b85decode(packed)))
    return [Turn(**fields) for fields in turns]


def _whole(events: Sequence[Event]) -> list[Any] | None:
    """The items of all parts, in order, if all are there; the same part twice counts once."""
    parts: dict[str, Event] = {}
    for event in events:
        parts.setdefault(mark(event, "part") or "", event)
    count = int(next(iter(parts), "").rpartition(" ")[2] or 1)
    names = [f"{n} of {count}" for n in range(count)]
    if any(name not in parts for name in names):
        return None
    return [item for name in names for item in parts[name].get("payload", ())]


def _turn(run_id: str, agent: str, first: Event, items: Sequence[Any]) -> Turn:
    texts: dict[str, list[str]] = {"USER": [], "ASSISTANT": []}
    blobs: list[str] = []
    for item in items:
        match item:
            case {"conversational": {"role": "USER" | "ASSISTANT" as role, "content": content}}:
                texts[role].append(content.get("text", ""))
            case {"blob": str(piece)}:
                blobs.append(piece)
    rest = json.loads("".join(blobs)) if blobs else []
    more: dict[str, Any] = {"tool_calls": rest} if isinstance(rest, list) else rest
    return Turn(
        run_id=run_id,
        session_id=mark(first, "session") or "",
        agent=agent,
        message=more.get("message") or "".join(texts["USER"]),
        parts=tuple(more.get("parts", ())),
        answer="".join(texts["ASSISTANT"]),
        answer_parts=tuple(more.get("answer_parts", ())),
        status=mark(first, "status") or "complete",
        asked_at=float(mark(first, "asked") or 0),
        answered_at=float(mark(first, "answered") or 0),
        tool_calls=more["tool_calls"],
        inputs=tuple(more.get("inputs", ())),
        continues=mark(first, "continues"),
    )


def _pieces(text: str) -> Iterator[str]:
    text = well_formed(text)
    return (text[at : at + TEXT_CHARACTERS] for at in range(0, len(text), TEXT_CHARACTERS))


def _conversational(role: str, text: str) -> dict[str, Any]:
    return {"conversational": {"role": role, "content": {"text": text}}}
