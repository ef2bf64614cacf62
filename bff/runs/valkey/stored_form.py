"""How runs and events are written on the server, and read back.

Instances of different versions share a server during a deployment. So what is known of a run is one
JSON object, written and read by the pair of functions here: a reader passes over fields it does not
know and does without those that are missing. An event is its name and its JSON; a name or a status
that this version does not know is passed on as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

from bff.errors import Interrupted
from bff.events import JSON, Record, dumps, record
from bff.runs.log import Run, Status
from bff.runs.request import kept_fields, request_of, said_fields

VERSION = 1
"""Of the object; to be raised when a field changes its meaning, not when one is added."""


def write_meta(run: Run) -> str:
    """What is known of a run from its beginning, but for what was said: that goes with its end."""
    fields = {
        "version": VERSION,
        "run_id": run.run_id,
        "created_at": run.created_at,
        "request": kept_fields(run.request),
    }
    return dumps(fields)


def write_said(run: Run) -> str:
    return said_fields(run.request)


def read_run(
    meta: str, *, said: str, status: str, last_event_id: int, ended_at: float | None
) -> Run:
    """The run of which `write_meta` and, until its end, `write_said` wrote."""
    fields: dict[str, JSON] = json.loads(meta)
    return Run(
        run_id=fields["run_id"],
        request=request_of(fields["request"], said),
        created_at=fields["created_at"],
        status=cast(Status, status),
        last_event_id=last_event_id,
        ended_at=ended_at,
    )


def write_ended(run: Run) -> str:
    """How a run ended that is forgotten, without anything that was said in it."""
    return dumps(
        {
            "meta": write_meta(run.without_words()),
            "status": run.status,
            "last": run.last_event_id,
            "ended": run.ended_at,
        }
    )


def read_ended(text: str) -> Run:
    """What `write_ended` wrote."""
    fields: dict[str, JSON] = json.loads(text)
    return read_run(
        fields["meta"],
        said="",
        status=fields["status"],
        last_event_id=fields["last"],
        ended_at=fields["ended"],
    )


def write_event(item: Record) -> str:
    return f"{item.name} {item.data}"


def read_event(id: int, text: str) -> Record:
    name, _, data = text.partition(" ")
    return Record(id, name, data)


def read_events(first: int, texts: Sequence[str]) -> tuple[Record, ...]:
    return tuple(read_event(id, text) for id, text in enumerate(texts, first))


def interruption(run: Run, id: int) -> Record:
    """The terminal event of a run whose owner is gone. Every instance words it alike."""
    return record(id, run.ended_by(Interrupted(agent_called=True)))
