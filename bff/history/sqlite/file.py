"""The SQLite file: its tables, the marks that say it is ours, and every reason to refuse one."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bff.settings import SettingsError

APPLICATION_ID = 0x61634246
"""Marks a file as ours: https://www.sqlite.org/pragma.html#pragma_application_id."""
SCHEMA_VERSION = 1
OPEN_TIMEOUT_SECONDS = 1.5
"""How long another process may keep the file locked at start."""
BUSY_TIMEOUT_SECONDS = 3.0
"""How long a statement waits for another process; less than a call may take."""

_SCHEMA = (
    """CREATE TABLE sessions (
        owner TEXT NOT NULL,
        session_id TEXT NOT NULL,
        title TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        PRIMARY KEY (owner, session_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX sessions_by_use ON sessions (owner, updated_at DESC, session_id DESC)",
    """CREATE TABLE turns (
        owner TEXT NOT NULL,
        run_id TEXT NOT NULL,
        session_id TEXT NOT NULL,
        asked_at REAL NOT NULL,
        answered_at REAL NOT NULL,
        status TEXT NOT NULL,
        message TEXT NOT NULL,
        answer TEXT NOT NULL,
        tool_calls TEXT NOT NULL,
        PRIMARY KEY (owner, run_id),
        FOREIGN KEY (owner, session_id) REFERENCES sessions ON DELETE CASCADE
    )""",
    "CREATE INDEX turns_by_time ON turns (owner, session_id, asked_at, run_id)",
)


@contextmanager
def transaction(
    connection: sqlite3.Connection, kind: str = "IMMEDIATE"
) -> Iterator[Callable[..., sqlite3.Cursor]]:
    """All or nothing; IMMEDIATE takes the lock first, since a lock cannot be waited for later."""

    def run(statement: str, *values: str | float) -> sqlite3.Cursor:
        return connection.execute(statement, values)

    connection.execute(f"BEGIN {kind}")
    try:
        yield run
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


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
        raise SettingsError("HISTORY", f"{path!r} ({_reason(error)})", takes) from error
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
            for statement in _SCHEMA:
                run(statement)
            run(f"PRAGMA application_id = {APPLICATION_ID}")
            run(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif application_id != APPLICATION_ID:
            raise _NotOurs("another program's database")
        elif version != SCHEMA_VERSION:
            raise _NotOurs(f"schema {version}, and this version knows {SCHEMA_VERSION}")
    _write_ahead(connection)
    # In a write-ahead log NORMAL loses nothing when the process dies; a power cut may cost the
    # last turns, never the file.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_SECONDS * 1000)}")


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
