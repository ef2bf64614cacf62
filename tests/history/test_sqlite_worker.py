"""Calls that wait for the history's thread: together, in their order, each with its own outcome."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bff.errors import Overloaded
from bff.history.sqlite import SqliteHistory, open_sqlite
from bff.history.sqlite.statements import MOST
from bff.history.sqlite.worker import MAX_WAITING, Thread, Worker
from tests.history.turns import ALICE, TURN, approval, at_points, point, session_after, turn


class Gate:
    """Holds the history's thread until it is opened."""

    def __init__(self, thread: Thread) -> None:
        self._open = threading.Event()
        thread.submit(self._open.wait)
        self.open: Callable[[], None] = self._open.set


async def test_a_slow_disk__does_not_hold_up_the_loop_nor_lose_what_was_cancelled(
    tmp_path: Path,
) -> None:
    async with open_sqlite(str(tmp_path / "bff.db")) as history:
        gate = Gate(history._writer.thread)
        task = asyncio.create_task(history.add(ALICE, TURN))
        await asyncio.sleep(0)  # the loop goes on although the thread does not
        assert repr(history).endswith("1 waiting>")

        task.cancel()
        assert await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        gate.open()
        await history.add(
            ALICE, replace(TURN, session_id="later")
        )  # what was asked for comes first

        found = await history.messages(ALICE, "chat", limit=10)
        assert found is not None
        assert len(found[1].items) == 2


async def test_turns_that_end_together__are_one_statement(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "bff.db")) as history:
        said: list[str] = []
        writer = history._writer
        await writer.thread.ask(lambda: writer.connection.set_trace_callback(said.append))
        gate = Gate(writer.thread)
        first = asyncio.create_task(history.add(ALICE, turn(0)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # its batch is with the thread; what comes now is the next

        tasks = [asyncio.create_task(history.add(ALICE, turn(n))) for n in range(1, 20)]
        await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(first, *tasks)

        found = await history.messages(ALICE, "chat", limit=100)
    assert found is not None
    assert len(found[1].items) == 40
    # a statement by itself is a transaction; what its trigger does is told in its words as well
    assert [text.split()[0] for text in dict.fromkeys(said)] == ["INSERT", "INSERT"]


async def together(worker: Worker, calls: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """What the calls give or raise, asked for while the thread is busy: they are one batch."""
    gate = Gate(worker.thread)
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    gate.open()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_turns_that_end_together__are_written_as_one_after_the_other(tmp_path: Path) -> None:
    turns = [
        at_points(1, "a", "b"),
        replace(turn(3), status="failed", inputs=[approval("q")], asked_at=0.1 + 0.2),
        at_points(2, "b", "c"),
        replace(turn(1), message="the same run again", points=(point("d"),)),
        replace(turn(0, session_id="other"), message="é\u2028𝄞", answered_at=1e-300),
        *(turn(n, session_id=f"s{n}") for n in range(MOST)),
    ]

    async def found(name: str, *, one_by_one: bool) -> object:
        async with open_sqlite(str(tmp_path / name)) as history:
            if one_by_one:
                for each in turns:
                    await history.add(ALICE, each)
            else:
                await together(history._writer, [history.add(ALICE, each) for each in turns])
            sessions = await history.sessions(ALICE, limit=100)
            return (
                sessions,
                [await history.messages(ALICE, s.session_id, limit=9) for s in sessions.items],
                [await history.find(ALICE, [point(name)]) for name in "abcd"],
            )

    assert await found("one", one_by_one=False) == await found("two", one_by_one=True)


async def test_a_turn_that_cannot_be_written__takes_none_that_ended_with_it(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "bff.db")) as history:
        bad = replace(turn(1), run_id="half a pair \ud800")
        outcomes = await together(
            history._writer, [history.add(ALICE, each) for each in (turn(0), bad, turn(2))]
        )

        found = await history.messages(ALICE, "chat", limit=10)
    assert found is not None
    assert len(found[1].items) == 4
    assert [type(outcome) for outcome in outcomes] == [type(None), UnicodeEncodeError, type(None)]


async def test_a_full_disk__costs_the_turns_that_do_not_fit(tmp_path: Path) -> None:
    turns = [replace(turn(0, session_id=f"s{n}"), answer="x" * 3000) for n in range(60)]

    async def room(history: SqliteHistory, pages: int) -> None:
        connection = history._writer.connection
        await history._writer.thread.ask(
            lambda: connection.execute(f"PRAGMA max_page_count = {pages}").close()
        )

    async with open_sqlite(str(tmp_path / "bff.db")) as history:
        await room(history, 40)
        outcomes = await together(history._writer, [history.add(ALICE, each) for each in turns])
        await room(history, 4000)
        await history.add(ALICE, TURN)

        found = [await history.messages(ALICE, each.session_id, limit=9) for each in turns]
    written = [outcome is None for outcome in outcomes]
    assert set(written) == {True, False}
    assert all(isinstance(outcome, Overloaded) for outcome in outcomes if outcome)
    assert [each is not None and len(each[1].items) == 2 for each in found] == written


async def test_a_disk_that_takes_nothing__is_told_until_it_does(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "bff.db")) as history:

        async def writable(*, on: bool) -> None:
            connection = history._writer.connection
            await history._writer.thread.ask(
                lambda: connection.execute(f"PRAGMA query_only = {not on}").close()
            )

        await writable(on=False)
        await history.ping()
        with pytest.raises(Overloaded):
            await history.add(ALICE, TURN)
        for _ in range(2):
            with pytest.raises(Overloaded):
                await history.ping()
        await writable(on=True)
        await history.ping()
        await writable(on=False)

        await history.ping()


async def test_calls_of_one_batch__are_done_in_their_order(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "bff.db")) as history:
        outcomes = await together(
            history._writer,
            [
                history.add(ALICE, turn(0)),
                history.delete(ALICE, "chat"),
                history.delete(ALICE, "chat"),
                history.add(ALICE, turn(1)),
            ],
        )

        found = await history.messages(ALICE, "chat", limit=10)
    assert outcomes == [None, True, False, None]
    assert found is not None
    assert [message.content for message in found[1].items] == ["question 1", "answer 1"]


@pytest.mark.parametrize("path", ["bff.db", ":memory:"])
async def test_sessions_that_are_asked_for_together__are_each_its_own(
    tmp_path: Path, path: str
) -> None:
    async with open_sqlite(path if path == ":memory:" else str(tmp_path / path)) as history:
        added = [turn(n, session_id=f"s{n}") for n in range(0, MOST + 5, 2)]
        await asyncio.gather(*(history.add(ALICE, each) for each in added))

        there = {each.session_id: session_after(each) for each in added}
        names = [f"s{n}" for n in range(MOST + 5)]
        found = await together(history._reader, [history.session(ALICE, name) for name in names])

    assert found == [there.get(name) for name in names]


async def test_a_call_that_fails__takes_no_other_with_it(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "bff.db")) as history:
        tasks = [
            asyncio.create_task(history.add(ALICE, turn(1))),
            asyncio.create_task(history._write(lambda run: run("SELECT 1 FROM nothing"))),
            asyncio.create_task(history.add(ALICE, turn(2))),
            asyncio.create_task(history._write(lambda run: run("SELECT ?"))),
        ]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)

        found = await history.messages(ALICE, "chat", limit=10)
    assert found is not None
    assert len(found[1].items) == 4
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        Overloaded,  # the file is not as it should be
        type(None),
        sqlite3.ProgrammingError,  # a mistake of ours
    ]


async def test_a_reader__does_not_wait_for_a_writer(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "bff.db")) as history:
        await history.add(ALICE, TURN)
        gate = Gate(history._writer.thread)
        writing = asyncio.create_task(history.add(ALICE, turn(2)))

        found = await history.messages(ALICE, "chat", limit=10)

        gate.open()
        await writing
    assert found is not None
    assert len(found[1].items) == 2


async def test_closing__waits_for_what_was_begun(tmp_path: Path) -> None:
    path = str(tmp_path / "bff.db")
    async with open_sqlite(path) as history:
        gate = Gate(history._writer.thread)
        tasks = [asyncio.create_task(history.add(ALICE, turn(n))) for n in range(20)]
        await asyncio.sleep(0)
        for task in tasks[:10]:
            task.cancel()
        gate.open()
    await asyncio.gather(*tasks, return_exceptions=True)

    async with open_sqlite(path) as history:
        found = await history.messages(ALICE, "chat", limit=100)
    assert found is not None
    assert len(found[1].items) == 40


async def test_closing__gives_up_on_a_disk_that_hangs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_sqlite(str(tmp_path / "bff.db"), call_timeout_seconds=0.05) as history:
        gate = Gate(history._writer.thread)
        task = asyncio.create_task(history.add(ALICE, TURN))
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await task
    gate.open()

    assert "did not finish in time" in caplog.text


async def test_too_many_calls_waiting__are_overloaded_at_once(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "bff.db")) as history:
        gate = Gate(history._reader.thread)
        tasks = [asyncio.create_task(history.ping()) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)

        with pytest.raises(Overloaded):
            await history.ping()

        gate.open()
        await asyncio.gather(*tasks)
        await history.ping()


async def test_a_call_that_takes_too_long__is_overloaded(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "bff.db"), call_timeout_seconds=0.01) as history:
        gate = Gate(history._reader.thread)
        with pytest.raises(Overloaded):
            await history.ping()
        gate.open()
