"""Conversations in one SQLite file: the history of a laptop or of a single machine.

All statements run in one worker thread, so that a slow disk never holds up the event loop; a turn
is one transaction in a write-ahead log, so that a killed process leaves a whole file; and several
processes may share the file. https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from bff.errors import Overloaded
from bff.events import dumps, well_formed
from bff.history import CALL_TIMEOUT_SECONDS, Page, Session, StoredMessage, Turn
from bff.history.paging import (
    MessagePage,
    first_title,
    messages_of,
    position,
    read_message_position,
    read_position,
)
from bff.settings import SettingsError

T = TypeVar("T")

APPLICATION_ID = 0x61634246
"""Marks a file as ours: https://www.sqlite.org/pragma.html#pragma_application_id."""
SCHEMA_VERSION = 1
OPEN_TIMEOUT_SECONDS = 1.5
"""How long another process may keep the file locked at start."""
BUSY_TIMEOUT_SECONDS = 3.0
"""How long a statement waits for another process; less than a call may take."""
CLOSE_SECONDS = 3.5
"""How long a stop waits for what is still to be written."""
MAX_WAITING = 1000
"""Calls that may wait for the thread; beyond that the disk does not keep up."""

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

SESSIONS_QUERY = (
    "SELECT session_id, title, created_at, updated_at FROM sessions"
    " WHERE owner = ? AND (updated_at, session_id) < (?, ?)"
    " ORDER BY updated_at DESC, session_id DESC LIMIT ?"
)

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_sqlite(
    path: str, *, call_timeout_seconds: float = CALL_TIMEOUT_SECONDS
) -> AsyncIterator[SqliteHistory]:
    """Open the file, making it and its directories if need be.

    Leaving waits for what is queued, up to `CLOSE_SECONDS`. Raises `SettingsError` if
    the file cannot be written or is not ours.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
    try:
        connection = await asyncio.wrap_future(thread.submit(_open, path))
        try:
            yield SqliteHistory(path, connection, thread, call_timeout_seconds)
        finally:
            closing = asyncio.wrap_future(thread.submit(connection.close))
            await asyncio.wait([closing], timeout=min(CLOSE_SECONDS, call_timeout_seconds))
            if not closing.done():
                _log.error("the history did not finish in time; what was not written is lost")
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


class SqliteHistory:
    """A `History` in one file. Only its thread touches the connection."""

    def __init__(
        self,
        path: str,
        connection: sqlite3.Connection,
        thread: ThreadPoolExecutor,
        call_timeout_seconds: float,
    ) -> None:
        self._path = path
        self._call_timeout_seconds = call_timeout_seconds
        self._connection = connection
        self._thread = thread
        self._waiting = 0

    def __repr__(self) -> str:
        return f"<SqliteHistory {self._path} {self._waiting} waiting>"

    async def add(self, owner: str, turn: Turn) -> None:
        def work() -> None:
            with _transaction(self._connection) as run:
                known = run(
                    "SELECT 1 FROM turns WHERE (owner, run_id) = (?, ?)", owner, turn.run_id
                )
                if known.fetchone():
                    return
                run(
                    "INSERT INTO sessions VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET updated_at = max(updated_at, excluded.updated_at)",
                    *(owner, turn.session_id, first_title(turn.message)),
                    *(turn.asked_at, turn.answered_at),
                )
                run(
                    "INSERT INTO turns VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    *(owner, turn.run_id, turn.session_id, turn.asked_at, turn.answered_at),
                    *(turn.status, well_formed(turn.message), well_formed(turn.answer)),
                    dumps(list(turn.tool_calls)),
                )

        await self._call(work)

    async def sessions(self, owner: str, *, limit: int, after: str | None = None) -> Page[Session]:
        before = (float("inf"), "") if after is None else read_position(after, float, str)

        def work() -> Page[Session]:
            rows = self._connection.execute(
                SESSIONS_QUERY,
                (owner, *before, limit + 1),
            ).fetchall()
            found = [Session(*row) for row in rows[:limit]]
            more = len(rows) > limit
            return Page(
                found, position(found[-1].updated_at, found[-1].session_id) if more else None
            )

        return await self._call(work)

    async def messages(
        self, owner: str, session_id: str, *, limit: int, after: str | None = None
    ) -> tuple[Session, Page[StoredMessage]] | None:
        asked_at, run_id, _ = read_message_position(after)

        def work() -> tuple[Session, Page[StoredMessage]] | None:
            with _transaction(self._connection, "DEFERRED") as run:
                session = _session(self._connection, owner, session_id)
                if session is None:
                    return None
                rows = run(
                    "SELECT run_id, session_id, message, answer, status, asked_at, answered_at,"
                    " tool_calls FROM turns"
                    " WHERE (owner, session_id) = (?, ?) AND (asked_at, run_id) >= (?, ?)"
                    " ORDER BY asked_at, run_id",
                    *(owner, session_id, asked_at, run_id),
                )
                page = MessagePage(limit=limit, after=after)
                for turn in map(_turn, rows):
                    if not page.offer(turn.asked_at, turn.run_id, messages_of(turn)):
                        break
                rows.close()
                return session, page.page()

        return await self._call(work)

    async def rename(self, owner: str, session_id: str, title: str) -> Session | None:
        def work() -> Session | None:
            with _transaction(self._connection) as run:
                run(
                    "UPDATE sessions SET title = ? WHERE (owner, session_id) = (?, ?)",
                    *(well_formed(title), owner, session_id),
                )
                return _session(self._connection, owner, session_id)

        return await self._call(work)

    async def delete(self, owner: str, session_id: str) -> bool:
        def work() -> bool:
            with _transaction(self._connection) as run:
                gone = run(
                    "DELETE FROM sessions WHERE (owner, session_id) = (?, ?)", owner, session_id
                )
                return gone.rowcount > 0

        return await self._call(work)

    async def ping(self) -> None:
        await self._call(lambda: self._connection.execute("SELECT 1 FROM sessions LIMIT 1").close())

    async def _call(self, work: Callable[[], T]) -> T:
        """Run in the thread. What was begun goes on there, whatever becomes of the caller."""
        if self._waiting >= MAX_WAITING:
            raise Overloaded()
        self._waiting += 1
        future = self._thread.submit(work)
        future.add_done_callback(_log_failure)
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(self._done)
        try:
            async with asyncio.timeout(self._call_timeout_seconds):
                return await asyncio.shield(waiting)
        except sqlite3.ProgrammingError:
            raise
        except (sqlite3.Error, TimeoutError) as error:
            raise Overloaded() from error

    def _done(self, waiting: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not waiting.cancelled():
            waiting.exception()  # seen, though the caller may have left


def _log_failure(future: Future[T]) -> None:
    if not future.cancelled() and (error := future.exception()):
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        _log.error("the history could not be used: %s", name)


def _turn(row: tuple[Any, ...]) -> Turn:
    *columns, tool_calls = row
    return replace(Turn(*columns), tool_calls=json.loads(tool_calls))


def _session(connection: sqlite3.Connection, owner: str, session_id: str) -> Session | None:
    row = connection.execute(
        "SELECT session_id, title, created_at, updated_at FROM sessions"
        " WHERE (owner, session_id) = (?, ?)",
        (owner, session_id),
    ).fetchone()
    return None if row is None else Session(*row)


@contextmanager
def _transaction(
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


def _open(path: str) -> sqlite3.Connection:
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
    with _transaction(connection) as run:  # which also proves that the file can be written
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
