"""Conversations in one SQLite file: the history of a laptop or of a single machine.

All statements run in threads, so that a slow disk never holds up the event loop: one writes, one
reads, and no reader waits for a writer. A turn is whole or not there in a write-ahead log, so that
a killed process leaves a whole file; and several processes may share it.
https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TypeVar

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
from bff.history.questions import input_key
from bff.history.sqlite.file import open_file, open_reader, write_nothing
from bff.history.sqlite.rows import (
    BRANCHES_QUERY,
    CLAIM,
    FIND_QUERY,
    SESSIONS_QUERY,
    TURNS_QUERY,
    TURNS_UP_TO_QUERY,
    begin_session,
    delete_session,
    find_session,
    find_sessions,
    forget_turn,
    session_of,
)
from bff.history.sqlite.statements import Run, snapshot
from bff.history.sqlite.turns import add_turns, added_row, turn_of
from bff.history.sqlite.worker import Thread, Worker

T = TypeVar("T")

CLOSE_SECONDS = 3.5
"""How long a shutdown waits for writes in flight."""
MEMORY = ":memory:"

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_sqlite(
    path: str, *, call_timeout_seconds: float = CALL_TIMEOUT_SECONDS
) -> AsyncIterator[SqliteHistory]:
    """Open the file, making it and its directories if need be.

    Leaving waits for what is queued, up to `CLOSE_SECONDS`. Raises `SettingsError` if
    the file cannot be written or is not ours.
    """
    async with AsyncExitStack() as stack:

        async def work(
            name: str, opened: Callable[[str], sqlite3.Connection], *, together: bool
        ) -> Worker:
            thread = Thread(name)
            try:
                connection = await thread.ask(partial(opened, path))
            except BaseException:
                thread.end()
                raise
            worker = Worker(
                thread, connection, together=together, call_timeout_seconds=call_timeout_seconds
            )
            stack.push_async_callback(_close, worker, min(CLOSE_SECONDS, call_timeout_seconds))
            return worker

        writer = await work("sqlite-writer", open_file, together=True)
        # a second connection to what is in memory would be to something else
        alone = path == MEMORY
        reader = writer if alone else await work("sqlite-reader", open_reader, together=False)
        yield SqliteHistory(path, writer, reader)


async def _close(worker: Worker, timeout_seconds: float) -> None:
    if not await worker.close(timeout_seconds):
        _log.error("the history did not finish in time; what was not written is lost")


class SqliteHistory:
    """A `History` in one file."""

    def __init__(self, path: str, writer: Worker, reader: Worker) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader

    def __repr__(self) -> str:
        waiting = self._writer.waiting + self._reader.waiting * (self._reader is not self._writer)
        return f"<SqliteHistory {self._path} {waiting} waiting>"

    async def add(self, owner: str, turn: Turn) -> None:
        await self._writer.join(add_turns, added_row(owner, turn))

    async def session(self, owner: str, session_id: str) -> Session | None:
        return await self._reader.join(find_sessions, (owner, session_id))

    async def find(self, owner: str, points: Sequence[str]) -> tuple[Session, str] | None:
        def work(run: Run) -> tuple[Session, str] | None:
            found = run(FIND_QUERY, owner=owner, points=dumps(list(points))).fetchone()
            session = find_session(run, owner, found[0]) if found else None
            return (session, found[1]) if session else None

        return await self._read(work) if points else None

    async def begin(
        self,
        owner: str,
        session: Session,
        turns: Sequence[Turn] = (),
        *,
        branch_of: str | None = None,
    ) -> None:
        await self._write(lambda run: begin_session(run, owner, session, turns, branch_of))

    async def branches(self, owner: str, name: str) -> Sequence[str]:
        def work(run: Run) -> Sequence[str]:
            return [session_id for (session_id,) in run(BRANCHES_QUERY, owner, name)]

        return await self._read(work)

    async def fork_turns(
        self, owner: str, session_id: str, run_id: str | None
    ) -> Sequence[Turn] | None:
        def work(run: Run) -> Sequence[Turn] | None:
            if run_id is None:
                return None if find_session(run, owner, session_id) is None else ()
            rows = run(
                TURNS_UP_TO_QUERY,
                owner=owner,
                session=session_id,
                run=run_id,
                limit=MAX_FORK_TURNS,
            )
            turns = newest_that_fit(map(turn_of, rows))
            rows.close()
            return turns or None

        return await self._read(work)

    async def claim(
        self, owner: str, session_id: str, run_id: str, input_ids: Sequence[str]
    ) -> bool:
        ids = input_key(input_ids)

        def work(run: Run) -> bool:
            return run(CLAIM, owner=owner, session=session_id, run=run_id, ids=ids).rowcount > 0

        return await self._write(work)

    async def sessions(self, owner: str, *, limit: int, after: str | None = None) -> Page[Session]:
        before = (float("inf"), "") if after is None else read_position(after, float, str)

        def work(run: Run) -> Page[Session]:
            rows = run(SESSIONS_QUERY, owner, *before, limit + 1).fetchall()
            found = [session_of(row) for row in rows[:limit]]
            more = len(rows) > limit
            return Page(
                found, position(found[-1].updated_at, found[-1].session_id) if more else None
            )

        return await self._read(work)

    async def messages(
        self, owner: str, session_id: str, *, limit: int, after: str | None = None
    ) -> tuple[Session, Page[StoredMessage]] | None:
        asked_at, run_id, _ = read_message_position(after)

        def work(run: Run) -> tuple[Session, Page[StoredMessage]] | None:
            with snapshot(run):
                session = find_session(run, owner, session_id)
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

        return await self._read(work)

    async def rename(self, owner: str, session_id: str, title: str) -> Session | None:
        def work(run: Run) -> Session | None:
            run(
                "UPDATE sessions SET title = ? WHERE (owner, session_id) = (?, ?)",
                *(well_formed(title), owner, session_id),
            )
            return find_session(run, owner, session_id)

        return await self._write(work)

    async def delete(self, owner: str, session_id: str) -> bool:
        return await self._write(lambda run: delete_session(run, owner, session_id))

    async def forget(self, owner: str, session_id: str, run_id: str) -> bool:
        return await self._write(lambda run: forget_turn(run, owner, session_id, run_id))

    async def ping(self) -> None:
        await self._read(lambda run: run("SELECT 1 FROM sessions LIMIT 1").close())
        if self._writer.failing:  # a full disk can be read, and may have room again
            await self._write(write_nothing)

    async def _write(self, work: Callable[[Run], T]) -> T:
        return await self._writer.call(work)

    async def _read(self, work: Callable[[Run], T]) -> T:
        return await self._reader.call(work)
