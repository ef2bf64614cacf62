"""Conversations in one SQLite file: the history of a laptop or of a single machine.

All statements run in one worker thread, so that a slow disk never holds up the event loop; a turn
is one transaction in a write-ahead log, so that a killed process leaves a whole file; and several
processes may share the file. https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from bff.errors import Overloaded
from bff.events import dumps, well_formed
from bff.history import (
    CALL_TIMEOUT_SECONDS,
    MAX_FORK_TURNS,
    Page,
    Session,
    StoredMessage,
    Turn,
)
from bff.history.paging import (
    MessagePage,
    messages_of,
    newest_that_fit,
    position,
    read_message_position,
    read_position,
)
from bff.history.sqlite.file import open_file, transaction
from bff.history.sqlite.rows import (
    CLAIM,
    FIND_QUERY,
    SESSION_QUERY,
    SESSIONS_QUERY,
    TURNS_QUERY,
    TURNS_UP_TO_QUERY,
    add_turn,
    begin_session,
    delete_session,
    input_key,
    session_of,
    turn_of,
)

T = TypeVar("T")

CLOSE_SECONDS = 3.5
"""How long a stop waits for what is still to be written."""
MAX_WAITING = 1000
"""Calls that may wait for the thread; beyond that the disk does not keep up."""

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
        connection = await asyncio.wrap_future(thread.submit(open_file, path))
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
            with transaction(self._connection) as run:
                add_turn(run, owner, turn)

        await self._call(work)

    async def session(self, owner: str, session_id: str) -> Session | None:
        return await self._call(lambda: self._session(owner, session_id))

    async def find(self, owner: str, points: Sequence[str]) -> tuple[str, str] | None:
        def work() -> tuple[str, str] | None:
            found: tuple[str, str] | None = self._connection.execute(
                FIND_QUERY, {"owner": owner, "points": dumps(list(points))}
            ).fetchone()
            return found

        return await self._call(work) if points else None

    async def begin(
        self,
        owner: str,
        session: Session,
        turns: Sequence[Turn] = (),
        *,
        branch_of: str | None = None,
    ) -> None:
        def work() -> None:
            with transaction(self._connection) as run:
                begin_session(run, owner, session, turns, branch_of)

        await self._call(work)

    async def fork_turns(
        self, owner: str, session_id: str, run_id: str | None
    ) -> Sequence[Turn] | None:
        def work() -> Sequence[Turn] | None:
            if run_id is None:
                return None if self._session(owner, session_id) is None else ()
            rows = self._connection.execute(
                TURNS_UP_TO_QUERY,
                {"owner": owner, "session": session_id, "run": run_id, "limit": MAX_FORK_TURNS},
            )
            turns = newest_that_fit(map(turn_of, rows))
            rows.close()
            return turns or None

        return await self._call(work)

    async def claim(
        self, owner: str, session_id: str, run_id: str, input_ids: Sequence[str]
    ) -> bool:
        ids = input_key(input_ids)

        def work() -> bool:
            claimed = self._connection.execute(
                CLAIM, {"owner": owner, "session": session_id, "run": run_id, "ids": ids}
            )
            return claimed.rowcount > 0

        return await self._call(work)

    async def sessions(self, owner: str, *, limit: int, after: str | None = None) -> Page[Session]:
        before = (float("inf"), "") if after is None else read_position(after, float, str)

        def work() -> Page[Session]:
            rows = self._connection.execute(
                SESSIONS_QUERY,
                (owner, *before, limit + 1),
            ).fetchall()
            found = [session_of(row) for row in rows[:limit]]
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
            with transaction(self._connection, "DEFERRED") as run:
                session = self._session(owner, session_id)
                if session is None:
                    return None
                rows = run(
                    TURNS_QUERY, owner=owner, session=session_id, asked_at=asked_at, run=run_id
                )
                page = MessagePage(limit=limit, after=after)
                for turn in map(turn_of, rows):
                    if not page.offer(turn.asked_at, turn.run_id, messages_of(turn)):
                        break
                rows.close()
                return session, page.page()

        return await self._call(work)

    async def rename(self, owner: str, session_id: str, title: str) -> Session | None:
        def work() -> Session | None:
            with transaction(self._connection) as run:
                run(
                    "UPDATE sessions SET title = ? WHERE (owner, session_id) = (?, ?)",
                    *(well_formed(title), owner, session_id),
                )
                return self._session(owner, session_id)

        return await self._call(work)

    async def delete(self, owner: str, session_id: str) -> bool:
        def work() -> bool:
            with transaction(self._connection) as run:
                return delete_session(run, owner, session_id)

        return await self._call(work)

    async def ping(self) -> None:
        await self._call(lambda: self._connection.execute("SELECT 1 FROM sessions LIMIT 1").close())

    def _session(self, owner: str, session_id: str) -> Session | None:
        """In the thread."""
        row = self._connection.execute(SESSION_QUERY, (owner, session_id)).fetchone()
        return None if row is None else session_of(row)

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
