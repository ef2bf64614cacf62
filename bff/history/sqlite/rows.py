"""What lies in the rows of the SQLite file, and the statements that read and write them.

A session's row has all that a next request asks for, so that looking costs one statement. Its open
questions stand there twice: as they are, and their ids in one comparable text, on which a claim is
one conditional write.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any

from bff.events import well_formed
from bff.history import ForkedFrom, Session, Turn
from bff.history.paging import first_title
from bff.history.sqlite.statements import Run, filled
from bff.history.sqlite.turns import TURN, insert_turn

_SESSION = (
    "session_id, title, created_at, updated_at, agent, inputs, forked_session, forked_run,"
    " last_run_id, point, branch, told, claimed_by"
)

SESSION_QUERY = f"SELECT {_SESSION} FROM sessions WHERE (owner, session_id) = (?, ?)"
_SESSION_COLUMNS = _SESSION.count(",") + 1
SESSIONS_QUERY = (
    f"SELECT {_SESSION} FROM sessions"
    " WHERE owner = ? AND (updated_at, session_id) < (?, ?)"
    " ORDER BY updated_at DESC, session_id DESC LIMIT ?"
)
_KEPT = "status <> 'forgotten'"
"""Of a forgotten turn its row is left, without content, so that it is not written again."""
TURNS_QUERY = (
    f"SELECT {TURN} FROM turns"
    " WHERE (owner, session_id) = (:owner, :session) AND (asked_at, run_id) >= (:asked_at, :run)"
    f" AND {_KEPT} ORDER BY asked_at, run_id"
)
TURNS_UP_TO_QUERY = (
    f"SELECT {TURN} FROM turns"
    " WHERE (owner, session_id) = (:owner, :session) AND (asked_at, run_id) <= ("
    "  SELECT asked_at, run_id FROM turns"
    f"  WHERE (owner, session_id, run_id) = (:owner, :session, :run) AND {_KEPT})"
    f" AND {_KEPT} ORDER BY asked_at DESC, run_id DESC LIMIT :limit"
)
FIND_QUERY = """
SELECT found.session_id, found.run_id FROM (
    SELECT * FROM points WHERE owner = :owner AND point = (
        SELECT value FROM json_each(:points)
        WHERE EXISTS (SELECT 1 FROM points WHERE owner = :owner AND point = value)
        ORDER BY key LIMIT 1)
    ORDER BY asked_at DESC LIMIT 100) AS found
JOIN sessions ON (sessions.owner, sessions.session_id) = (found.owner, found.session_id)
ORDER BY found.run_id = sessions.last_run_id DESC, found.asked_at DESC LIMIT 1"""
"""Of many sessions that began alike, the hundred that got there last are looked at."""
BRANCHES_QUERY = """
SELECT session_id FROM sessions WHERE (owner, branch_of) = (?, ?)
ORDER BY created_at, session_id"""
CLAIM = """
UPDATE sessions SET
    claimed_by = :run,
    inputs = CASE WHEN input_ids = :ids THEN '[]' ELSE inputs END,
    input_ids = CASE WHEN input_ids = :ids THEN NULL ELSE input_ids END
WHERE (owner, session_id) = (:owner, :session) AND (input_ids = :ids OR claimed_by = :run)"""

_BEGIN_SESSION = """
INSERT INTO sessions (
    owner, session_id, title, created_at, updated_at, agent,
    forked_session, forked_run, point, branch_of, told
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, FALSE)
ON CONFLICT DO NOTHING"""
_NAME_BRANCH = "UPDATE sessions SET branch = ? WHERE (owner, session_id) = (?, ?)"
_FORGET_BRANCH = """
UPDATE sessions AS named SET branch = (
    SELECT session_id FROM sessions
    WHERE owner = :owner AND branch_of = named.session_id AND session_id <> :session
    ORDER BY created_at DESC, session_id DESC LIMIT 1)
WHERE owner = :owner AND branch = :session AND session_id = (
    SELECT branch_of FROM sessions WHERE (owner, session_id) = (:owner, :session))"""

_MESSAGE_OF = f"""
SELECT message FROM turns
WHERE (owner, session_id, run_id) = (:owner, :session, :run) AND {_KEPT}"""
_OLDEST_OTHER_MESSAGE = f"""
SELECT message FROM turns
WHERE (owner, session_id) = (:owner, :session) AND run_id <> :run AND {_KEPT}
ORDER BY asked_at, run_id LIMIT 1"""
_FORGET_TURN = """
UPDATE turns SET
    status = 'forgotten', message = '', answer = '', continues = NULL,
    parts = '[]', answer_parts = '[]', tool_calls = '[]', inputs = '[]'
WHERE (owner, session_id, run_id) = (:owner, :session, :run)"""
_FORGET_POINTS = """
DELETE FROM points WHERE (owner, session_id, run_id) = (:owner, :session, :run)"""
_FORGET_IN_SESSION = """
UPDATE sessions SET
    title = CASE WHEN title = :was THEN :title ELSE title END,
    inputs = CASE WHEN last_run_id = :run THEN '[]' ELSE inputs END,
    input_ids = CASE WHEN last_run_id = :run THEN NULL ELSE input_ids END,
    last_run_id = CASE WHEN last_run_id = :run THEN NULL ELSE last_run_id END
WHERE (owner, session_id) = (:owner, :session)"""


@lru_cache
def sessions_query(number: int) -> str:
    names = [f"s{n}" for n in range(number)]
    columns = [f"{name}.{column}" for name in names for column in _SESSION.split(", ")]
    return f"SELECT {', '.join(columns)} FROM (SELECT 1)" + "".join(
        f" LEFT JOIN sessions AS {s} ON ({s}.owner, {s}.session_id) = (?, ?)" for s in names
    )


def find_session(run: Run, owner: str, session_id: str) -> Session | None:
    row = run(SESSION_QUERY, owner, session_id).fetchone()
    return None if row is None else session_of(row)


def find_sessions(run: Run, wanted: Sequence[tuple[str, str]]) -> Sequence[Session | None]:
    """The session of each owner and id, all in one row: each row more is a step more."""
    if len(wanted) == 1:
        return [find_session(run, *wanted[0])]
    rows = filled(wanted)
    found = iter(run(sessions_query(len(rows)), *chain.from_iterable(rows)).fetchone())
    columns = [tuple(islice(found, _SESSION_COLUMNS)) for _ in wanted]
    return [None if row[0] is None else session_of(row) for row in columns]


def begin_session(
    run: Run, owner: str, session: Session, turns: Iterable[Turn], branch_of: str | None
) -> None:
    fork = session.forked_from
    if branch_of is not None and not run(SESSION_QUERY, owner, branch_of).fetchone():
        return  # it was deleted meanwhile
    made = run(
        _BEGIN_SESSION,
        *(owner, session.session_id, well_formed(session.title)),
        *(session.created_at, session.updated_at, session.agent),
        *(fork and fork.session_id, fork and fork.run_id, session.point, branch_of),
    )
    if not made.rowcount:
        return
    for turn in turns:
        insert_turn(run, owner, session.session_id, turn)
    if branch_of is not None:
        run(_NAME_BRANCH, session.session_id, owner, branch_of)


def delete_session(run: Run, owner: str, session_id: str) -> bool:
    """Delete it with its turns and points, which its row takes along."""
    run(_FORGET_BRANCH, owner=owner, session=session_id)
    gone = run("DELETE FROM sessions WHERE (owner, session_id) = (?, ?)", owner, session_id)
    return gone.rowcount > 0


def forget_turn(run: Run, owner: str, session_id: str, run_id: str) -> bool:
    """Remove one turn; the session goes with its only one."""
    which = {"owner": owner, "session": session_id, "run": run_id}
    forgotten = run(_MESSAGE_OF, **which).fetchone()
    if forgotten is None:
        return False
    oldest = run(_OLDEST_OTHER_MESSAGE, **which).fetchone()
    if oldest is None:
        return delete_session(run, owner, session_id)
    run(_FORGET_TURN, **which)
    run(_FORGET_POINTS, **which)
    was, title = first_title(forgotten[0]), first_title(oldest[0])
    run(_FORGET_IN_SESSION, **which, was=was, title=title)
    return True


def session_of(row: Sequence[Any]) -> Session:
    (
        id,
        title,
        created_at,
        updated_at,
        agent,
        inputs,
        forked,
        at_run,
        last,
        point,
        branch,
        told,
        claimed_by,
    ) = row
    return Session(
        session_id=id,
        title=title,
        created_at=created_at,
        updated_at=updated_at,
        agent=agent,
        inputs=tuple(json.loads(inputs)),
        claimed_by=claimed_by,
        forked_from=None if forked is None else ForkedFrom(session_id=forked, run_id=at_run),
        last_run_id=last,
        point=point,
        branch=branch,
        told=bool(told),
    )
