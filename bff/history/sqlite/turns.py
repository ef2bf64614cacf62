"""A turn in the SQLite file: its row, and what writing it changes.

Turns that end together are one statement: an INSERT of many rows into a view, whose trigger does in
SQLite what a turn does to four tables. Each statement more would be two or three fights with the
event loop for the interpreter's lock, as `statements` says. Times are bound as they are, never
passed in JSON: SQLite reads decimals less exactly than Python writes them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from bff.events import JSON, dumps, well_formed
from bff.history import Turn
from bff.history.paging import first_title
from bff.history.questions import input_ids, input_key
from bff.history.sqlite.statements import Run, Value, filled

TURN = (
    "run_id, session_id, agent, message, parts, answer, answer_parts, status, asked_at,"
    " answered_at, tool_calls, inputs, continues"
)

_COLUMNS = (
    *("owner", "session_id", "run_id", "agent", "asked_at", "answered_at", "status", "message"),
    *("answer", "parts", "answer_parts", "tool_calls", "inputs", "continues"),
)
_ADDED = (*_COLUMNS, "title", "input_ids", "point", "points")
"""A turn's row, what it makes of its session, and all its points as JSON."""

_INSERT = f"INSERT INTO turns ({', '.join(_COLUMNS)})"

ADDING = (
    "PRAGMA temp_store = MEMORY",  # a view and its trigger need no file
    f"CREATE TEMP VIEW added_turns AS SELECT {', '.join(f'NULL AS {c}' for c in _ADDED)}",
    f"""CREATE TEMP TRIGGER add_turn INSTEAD OF INSERT ON added_turns
    WHEN NEW.owner IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM turns
        WHERE (owner, session_id, run_id) = (NEW.owner, NEW.session_id, NEW.run_id))
    BEGIN
        {_INSERT} VALUES ({", ".join(f"NEW.{column}" for column in _COLUMNS)});
        INSERT INTO sessions (
            owner, session_id, title, created_at, updated_at, agent,
            inputs, input_ids, last_run_id, last_asked_at, point
        ) VALUES (
            NEW.owner, NEW.session_id, NEW.title, NEW.asked_at, NEW.answered_at, NEW.agent,
            NEW.inputs, NEW.input_ids, NEW.run_id, NEW.asked_at, NEW.point
        ) ON CONFLICT DO UPDATE SET
            updated_at = max(updated_at, excluded.updated_at),
            told = told OR NEW.status <> 'failed';
        UPDATE sessions SET
            inputs = NEW.inputs, input_ids = NEW.input_ids, last_run_id = NEW.run_id,
            last_asked_at = NEW.asked_at, point = NEW.point
        WHERE (owner, session_id) = (NEW.owner, NEW.session_id)
            AND (last_asked_at IS NULL OR last_asked_at <= NEW.asked_at);
        INSERT INTO points
            SELECT NEW.owner, value, NEW.asked_at, NEW.session_id, NEW.run_id
            FROM json_each(NEW.points) WHERE TRUE
            ON CONFLICT DO NOTHING;
    END""",
)
"""What a connection that writes has for itself: the view to add turns to. A turn that is there
already changes nothing; a row without an owner fills up a statement."""


def added_row(owner: str, turn: Turn) -> Sequence[Value]:
    """What `add_turns` takes of a turn."""
    return (
        *_row(owner, turn.session_id, turn),
        first_title(turn.message),
        input_key(input_ids(turn.inputs)),
        turn.points[0] if turn.points else None,
        _listed(turn.points),
    )


def add_turns(run: Run, added: Sequence[Sequence[Value]]) -> Sequence[None]:
    """Write each turn, and what it makes of its session, unless it is there already."""
    rows = filled(added)
    run(_adding(len(rows)), *chain.from_iterable(rows))
    return [None] * len(added)


def insert_turn(run: Run, owner: str, session_id: str, turn: Turn) -> None:
    """Write the turn into a session and change nothing else."""
    row = _row(owner, session_id, turn)
    run(f"{_INSERT} VALUES ({_places(row)}) ON CONFLICT DO NOTHING", *row)


def turn_of(row: Sequence[Any]) -> Turn:
    (
        run,
        session,
        agent,
        message,
        parts,
        answer,
        answer_parts,
        status,
        *times,
        calls,
        inputs,
        of,
    ) = row
    return Turn(
        run_id=run,
        session_id=session,
        agent=agent,
        message=message,
        parts=tuple(json.loads(parts)),
        answer=answer,
        answer_parts=tuple(json.loads(answer_parts)),
        status=status,
        asked_at=times[0],
        answered_at=times[1],
        tool_calls=json.loads(calls),
        inputs=tuple(json.loads(inputs)),
        continues=of,
    )


@lru_cache
def _adding(rows: int) -> str:
    return f"INSERT INTO added_turns VALUES {', '.join([f'({_places(_ADDED)})'] * rows)}"


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _row(owner: str, session_id: str, turn: Turn) -> Sequence[Value]:
    return (
        *(owner, session_id, turn.run_id, turn.agent, turn.asked_at, turn.answered_at),
        *(turn.status, well_formed(turn.message), well_formed(turn.answer)),
        *(_listed(turn.parts), _listed(turn.answer_parts), _listed(turn.tool_calls)),
        *(_listed(turn.inputs), turn.continues),
    )


def _listed(items: Sequence[JSON]) -> str:
    return dumps(list(items)) if items else "[]"
