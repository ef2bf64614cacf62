"""The SQLite file: its tables, the marks that say it is ours, and every reason to refuse one."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from bff.history.sqlite.statements import Run, transaction
from bff.history.sqlite.turns import ADDING
from bff.settings import SettingsError, shown

APPLICATION_ID = 0x61634246
"""Marks a file as ours: https://www.sqlite.org/pragma.html#pragma_application_id."""
SCHEMA_VERSION = 2
OPEN_TIMEOUT_SECONDS = 1.5
"""How long another process may keep the file locked at start."""
BUSY_TIMEOUT_SECONDS = 3.0
"""How long a statement waits for another process; less than a call may take."""
CHECKPOINT_PAGES = 4000
"""How long the write-ahead log grows, 16 MB: at each checkpoint writers wait for the disk."""

_SCHEMA = (
    """CREATE TABLE sessions (
        owner TEXT NOT NULL,
        session_id TEXT NOT NULL,
        title TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        agent TEXT NOT NULL,
        inputs TEXT NOT NULL DEFAULT '[]',
        input_ids TEXT,
        claimed_by TEXT,
        forked_session TEXT,
        forked_run TEXT,
        last_run_id TEXT,
        last_asked_at REAL,
        point TEXT,
        branch TEXT,
        branch_of TEXT,
        told INTEGER NOT NULL DEFAULT TRUE,
        PRIMARY KEY (owner, session_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX sessions_by_use ON sessions (owner, updated_at DESC, session_id DESC)",
    """CREATE TABLE turns (
        owner TEXT NOT NULL,
        session_id TEXT NOT NULL,
        run_id TEXT NOT NULL,
        agent TEXT NOT NULL,
        asked_at REAL NOT NULL,
        answered_at REAL NOT NULL,
        status TEXT NOT NULL,
        message TEXT NOT NULL,
        answer TEXT NOT NULL,
        parts TEXT NOT NULL DEFAULT '[]',
        answer_parts TEXT NOT NULL DEFAULT '[]',
        tool_calls TEXT NOT NULL,
        inputs TEXT NOT NULL DEFAULT '[]',
        continues TEXT,
        PRIMARY KEY (owner, session_id, run_id),
        FOREIGN KEY (owner, session_id) REFERENCES sessions
            ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
    )""",
    "CREATE INDEX turns_by_time ON turns (owner, session_id, asked_at, run_id)",
    """CREATE TABLE points (
        owner TEXT NOT NULL,
        point TEXT NOT NULL,
        asked_at REAL NOT NULL,
        session_id TEXT NOT NULL,
        run_id TEXT NOT NULL,
        PRIMARY KEY (owner, point, asked_at, session_id, run_id),
        FOREIGN KEY (owner, session_id) REFERENCES sessions ON DELETE CASCADE
    ) WITHOUT ROWID""",
    "CREATE INDEX points_by_session ON points (owner, session_id)",
)

_BRANCHES = (
    "CREATE INDEX IF NOT EXISTS branches ON sessions (owner, branch_of) WHERE branch_of IS NOT NULL"
)
"""Of few sessions; a file that has no such index yet is given one."""
_FROM_1 = (
    "DROP INDEX sessions_by_use",
    "DROP INDEX turns_by_time",
    "ALTER TABLE turns RENAME TO old_turns",
    "ALTER TABLE sessions RENAME TO old_sessions",
    *_SCHEMA,
    """INSERT INTO sessions (owner, session_id, title, created_at, updated_at, agent)
        SELECT owner, session_id, title, created_at, updated_at, 'agent' FROM old_sessions""",
    """INSERT INTO turns (owner, session_id, run_id, agent, asked_at, answered_at, status, message,
            answer, tool_calls)
        SELECT owner, session_id, run_id, 'agent', asked_at, answered_at, status, message,
            answer, tool_calls FROM old_turns""",
    """UPDATE sessions SET (last_run_id, last_asked_at) = (
        SELECT run_id, asked_at FROM turns
        WHERE (turns.owner, turns.session_id) = (sessions.owner, sessions.session_id)
        ORDER BY asked_at DESC, run_id DESC LIMIT 1)""",
    "DROP TABLE old_turns",
    "DROP TABLE old_sessions",
)
"""Version 1 knew one agent, a run in one session only, and no points."""


def open_file(path: str) -> sqlite3.Connection:
    """A connection to the file, made if need be; raises `SettingsError` if it cannot serve."""
    takes = "sqlite:///PATH of a file of ours, or of none yet, that can be written"
    connection = None
    try:
        _make_private(path)
        connection = sqlite3.connect(path, timeout=OPEN_TIMEOUT_SECONDS, isolation_level=None)
        _prepare(connection)
    except (OSError, sqlite3.Error, _NotOurs) as error:
        if connection is not None:
            connection.close()
        raise SettingsError("HISTORY", f"{shown(path)} ({_reason(error)})", takes) from error
    return connection


def write_nothing(run: Run) -> None:
    """Write what the file says already: that fails as any other write would."""
    run(f"PRAGMA user_version = {SCHEMA_VERSION}").close()


def open_reader(path: str) -> sqlite3.Connection:
    """Another connection to a file that is open, for reading only."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_SECONDS * 1000)}")
    connection.execute("PRAGMA query_only = ON")
    return connection


def _reason(error: Exception) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else str(error)


def _make_private(path: str) -> None:
    """Make the file, readable by its owner only; SQLite's side files take after it."""
    if path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


class _NotOurs(Exception):
    """Another program's file, or one of a later version of this one."""


def _prepare(connection: sqlite3.Connection) -> None:
    with transaction(connection) as run:  # which also proves that the file can be written
        (application_id,) = run("PRAGMA application_id").fetchone()
        (version,) = run("PRAGMA user_version").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        if (application_id, version, tables) == (0, 0, 0):
            statements: Sequence[str] = _SCHEMA
        elif application_id != APPLICATION_ID:
            raise _NotOurs("another program's database")
        elif version == 1:
            statements = _FROM_1
        elif version == SCHEMA_VERSION:
            statements = ()
        else:
            raise _NotOurs(f"schema {version}, and this version knows {SCHEMA_VERSION}")
        for statement in (*statements, _BRANCHES):
            run(statement)
        if statements:
            run(f"PRAGMA application_id = {APPLICATION_ID}")
            run(f"PRAGMA user_version = {SCHEMA_VERSION}")
    _write_ahead(connection)
    # In a write-ahead log NORMAL loses nothing when the process dies; a power cut may cost the
    # last turns, never the file.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_SECONDS * 1000)}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    for statement in ADDING:
        connection.execute(statement)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch the journal; SQLite does not wait by itself while another process does the same."""
    deadline = time.monotonic() + OPEN_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
