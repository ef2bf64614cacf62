import asyncio
import json
import os
import signal
import sqlite3
import stat
import sys
import textwrap
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bff.errors import Overloaded
from bff.history import Session, Turn
from bff.history.paging import messages_of
from bff.history.sqlite import open_sqlite, rows
from bff.history.sqlite.file import APPLICATION_ID, SCHEMA_VERSION
from bff.history.sqlite.statements import MOST
from bff.settings import SettingsError
from tests.history.turns import ALICE, TURN, found_at, turn

WRITER = textwrap.dedent(
    """
    import asyncio, sys
    from bff.history.sqlite import open_sqlite
    from tests.history.turns import ALICE, turn

    async def write(path, name):
        async with open_sqlite(path) as history:
            for n in range(100_000):
                await history.add(ALICE, turn(n, session_id=name))
                print(n, flush=True)
                if n + 1 == int(sys.argv[3]):
                    return

    asyncio.run(write(*sys.argv[1:3]))
    """
)


async def start_writer(path: Path, name: str, turns: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITER, str(path), name, str(turns)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )


async def refusal(path: Path | str) -> str:
    with pytest.raises(SettingsError, match=r"^HISTORY: got .+, takes .+$") as caught:
        async with open_sqlite(str(path)):
            pass
    assert caught.value.variable == "HISTORY"
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_process_killed_while_it_writes__leaves_every_turn_it_had_confirmed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bff.db"
    process = await start_writer(path, "killed", 100_000)
    assert process.stdout is not None
    for _ in range(50):
        await process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    rest = await process.stdout.read()
    confirmed = 50 + rest.count(b"\n")
    assert await process.wait() == -signal.SIGKILL

    async with open_sqlite(str(path)) as history:
        found = await history.messages(ALICE, "killed", limit=1_000_000)
        assert found is not None
        runs = [message.run_id for message in found[1].items]
        expected = [turn(n, session_id="killed").run_id for n in range(len(runs) // 2)]
        assert runs == [run for run in expected for _ in range(2)]
        assert confirmed <= len(expected) <= confirmed + 1
        await history.add(ALICE, turn(999, session_id="killed"))

    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_a_transaction_cut_off_in_the_middle__leaves_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "bff.db"
    async with open_sqlite(str(path)) as history:
        await history.add(ALICE, TURN)
    script = """
        import os, signal, sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM turns")
        connection.execute("UPDATE sessions SET title = hex(zeroblob(1000000))")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(script), str(path)
    )
    assert await process.wait() == -signal.SIGKILL

    async with open_sqlite(str(path)) as history:
        found = await history.messages(ALICE, "chat", limit=10)

    assert found is not None
    assert found[0].title == TURN.message
    assert [message.content for message in found[1].items] == [TURN.message, TURN.answer]


async def test_several_processes__make_and_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "bff.db"
    names = ["one", "two", "three"]
    processes = [await start_writer(path, name, 20) for name in names]

    for process in processes:
        await process.communicate()
        assert process.returncode == 0

    async with open_sqlite(str(path)) as history:
        for name in names:
            found = await history.messages(ALICE, name, limit=1000)
            assert found is not None
            assert len(found[1].items) == 40


def modes_in(directory: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}


async def test_the_file__is_marked_private_and_write_ahead(tmp_path: Path) -> None:
    path = tmp_path / "bff.db"
    async with open_sqlite(str(path)) as history:
        await history.add(ALICE, TURN)
        modes = modes_in(tmp_path)
    connection = sqlite3.connect(path)
    pragmas = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version", "journal_mode")
    }
    connection.close()

    assert set(modes.values()) == {0o600}
    assert "bff.db-wal" in modes
    assert pragmas == {
        "application_id": APPLICATION_ID,
        "user_version": SCHEMA_VERSION,
        "journal_mode": "wal",
    }


async def test_an_empty_file__becomes_ours(tmp_path: Path) -> None:
    (tmp_path / "bff.db").touch()

    async with open_sqlite(str(tmp_path / "bff.db")) as history:
        await history.add(ALICE, TURN)


async def test_memory__is_a_history_that_ends_with_the_process() -> None:
    async with open_sqlite(":memory:") as history:
        await history.add(ALICE, TURN)
        assert await history.messages(ALICE, "chat", limit=10) is not None


async def test_a_directory__is_refused(tmp_path: Path) -> None:
    assert "directory" in (await refusal(tmp_path)).lower()


async def test_a_path_below_a_file__is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    assert await refusal(tmp_path / "file" / "bff.db")


async def test_a_path_that_cannot_be_made__is_refused() -> None:
    assert await refusal("/proc/bff/bff.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_file_that_cannot_be_written__is_refused(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "bff.db")):
        pass
    (tmp_path / "bff.db").chmod(0o400)

    assert "denied" in (await refusal(tmp_path / "bff.db")).lower()


async def test_a_file_that_is_no_database__is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, " * 100)

    assert "not a database" in await refusal(path)
    assert path.read_text() == "not a database, " * 100


async def test_another_programs_database__is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE sessions (mine)")
    connection.commit()
    connection.close()
    before = path.read_bytes()

    assert "another program" in await refusal(path)
    assert path.read_bytes() == before


async def test_a_later_versions_file__is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bff.db"
    async with open_sqlite(str(path)):
        pass
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()

    assert f"schema {SCHEMA_VERSION + 1}" in await refusal(path)


async def test_a_file_locked_at_start__is_refused(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "bff.db")):
        pass
    other = lock(tmp_path / "bff.db")
    try:
        assert "locked" in await refusal(tmp_path / "bff.db")
    finally:
        other.close()


VERSION_1 = """
CREATE TABLE sessions (
    owner TEXT NOT NULL,
    session_id TEXT NOT NULL,
    title TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    PRIMARY KEY (owner, session_id)
) WITHOUT ROWID;
CREATE INDEX sessions_by_use ON sessions (owner, updated_at DESC, session_id DESC);
CREATE TABLE turns (
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
);
CREATE INDEX turns_by_time ON turns (owner, session_id, asked_at, run_id);
PRAGMA application_id = 1633894982;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""
"""What 0.1.0 made of an empty file."""


def make_version_1(path: Path, *turns: Turn) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    for t in turns:
        connection.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET updated_at = max(updated_at, excluded.updated_at)",
            (ALICE, t.session_id, t.message, t.asked_at, t.answered_at),
        )
        connection.execute(
            "INSERT INTO turns VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(ALICE, t.run_id, t.session_id, t.asked_at, t.answered_at),
                *(t.status, t.message, t.answer, json.dumps(t.tool_calls)),
            ),
        )
    connection.commit()
    connection.close()


def schema(path: Path) -> set[tuple[str, str]]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    found = set(rows.fetchall())
    connection.close()
    return found


async def test_a_file_of_version_1__is_brought_up_to_date_and_keeps_all(tmp_path: Path) -> None:
    path = tmp_path / "bff.db"
    make_version_1(path, replace(TURN, session_id="b"), turn(2), turn(1))

    expected = Session(
        session_id="chat",
        title=turn(2).message,
        created_at=turn(2).asked_at,
        updated_at=turn(2).answered_at,
        last_run_id=turn(2).run_id,
    )
    for _ in range(2):  # the second time there is nothing left to do
        async with open_sqlite(str(path)) as history:
            listed = (await history.sessions(ALICE, limit=9)).items
            assert [session.session_id for session in listed] == ["chat", "b"]
            assert await history.session(ALICE, "chat") == expected
            found = await history.messages(ALICE, "b", limit=9)
            assert found is not None
            assert found[1].items == list(messages_of(replace(TURN, session_id="b")))

    async with open_sqlite(str(path)) as history:
        await history.add(ALICE, replace(turn(0), points=["late"]))
        assert await history.session(ALICE, "chat") == expected
        await history.add(ALICE, replace(turn(5), points=["5"]))
        assert await found_at(history, ALICE, ["5"]) == ("chat", turn(5).run_id)
        shared = await history.fork_turns(ALICE, "chat", turn(1).run_id)
        assert [t.run_id for t in shared or ()] == [turn(0).run_id, turn(1).run_id]
        assert await history.delete(ALICE, "chat")
        assert await found_at(history, ALICE, ["5"]) is None
    async with open_sqlite(str(tmp_path / "new.db")):
        pass
    assert schema(path) == schema(tmp_path / "new.db"), "made anew or brought up to date"


async def test_a_file_of_version_1__opened_by_several_at_once_is_changed_once(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bff.db"
    make_version_1(path, *map(turn, range(200)))

    async with AsyncExitStack() as stack:
        opened = [stack.enter_async_context(open_sqlite(str(path))) for _ in range(4)]
        for history in await asyncio.gather(*opened):
            found = await history.messages(ALICE, "chat", limit=1000)
            assert found is not None
            assert len(found[1].items) == 400


async def test_a_file_of_version_1__whose_change_fails_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "bff.db"
    make_version_1(path, turn(1))
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE points (somebody TEXT)")
    connection.close()
    before = schema(path)

    assert "points" in await refusal(path)

    assert schema(path) == before
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert connection.execute("SELECT run_id FROM turns").fetchall() == [(turn(1).run_id,)]
    connection.close()


CLAIMER = textwrap.dedent(
    """
    import asyncio, sys
    from bff.history.sqlite import open_sqlite
    from tests.history.turns import ALICE

    async def claim(path, run):
        async with open_sqlite(path) as history:
            print(flush=True)
            sys.stdin.readline()
            for n in range(20):
                if await history.claim(ALICE, f"s{n}", run, ["q"]):
                    print(n, flush=True)

    asyncio.run(claim(*sys.argv[1:]))
    """
)


async def test_a_claim__of_several_processes_is_won_by_one(tmp_path: Path) -> None:
    path = tmp_path / "bff.db"
    async with open_sqlite(str(path)) as history:
        for n in range(20):
            asked = replace(turn(n, session_id=f"s{n}"), inputs=[{"id": "q", "kind": "input"}])
            await history.add(ALICE, asked)
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLAIMER, str(path), f"run-{name}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for name in "abc"
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"\n"  # all are ready

    outputs = await asyncio.gather(*(process.communicate(b"\n") for process in processes))

    assert [process.returncode for process in processes] == [0, 0, 0]
    won = sorted(int(n) for out, _ in outputs for n in out.split())
    assert won == list(range(20))


def lock(path: Path) -> sqlite3.Connection:
    """What another process does that does not let go."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


async def test_a_locked_file__is_overloaded_for_writers_and_fine_for_readers(
    tmp_path: Path,
) -> None:
    async with open_sqlite(str(tmp_path / "bff.db")) as history:
        await history.add(ALICE, TURN)
        other = lock(tmp_path / "bff.db")
        try:
            assert await history.messages(ALICE, "chat", limit=10) is not None
            with pytest.raises(Overloaded):
                await history.add(ALICE, turn(2))
        finally:
            other.close()
        await history.add(ALICE, turn(2))

        found = await history.messages(ALICE, "chat", limit=10)
        assert found is not None
        assert len(found[1].items) == 4


async def test_a_damaged_file__is_overloaded_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "bff.db"
    async with open_sqlite(str(path)) as history:
        for n in range(300):
            await history.add(ALICE, turn(n))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))

    async with open_sqlite(str(path)) as history:
        with pytest.raises(Overloaded):
            await history.messages(ALICE, "chat", limit=10)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (rows.SESSIONS_QUERY.replace("?", ":x"), "sessions_by_use"),
        (rows.SESSION_QUERY.replace("?", ":x"), "PRIMARY KEY"),
        (rows.sessions_query(MOST).replace("?", ":x"), f"s{MOST - 1} USING PRIMARY KEY"),
        (rows.TURNS_QUERY, "turns_by_time"),
        (rows.TURNS_UP_TO_QUERY, "turns_by_time"),
        (rows.CLAIM, "PRIMARY KEY"),
        (rows.FIND_QUERY, "PRIMARY KEY"),
        ("DELETE FROM points WHERE (owner, session_id) = (:x, :x)", "points_by_session"),
    ],
    ids=["list", "session", "sessions", "messages", "fork", "claim", "find", "delete"],
)
async def test_a_statement__finds_its_rows_by_an_index(
    tmp_path: Path, statement: str, index: str
) -> None:
    names = ("x", "owner", "session", "run", "points", "ids", "asked_at", "limit")
    async with open_sqlite(str(tmp_path / "bff.db")) as history:
        plan = await history._reader.call(
            lambda run: run(
                "EXPLAIN QUERY PLAN " + statement, **dict.fromkeys(names, "[]")
            ).fetchall()
        )
    steps = [str(step[-1]) for step in plan]

    assert index in " ".join(steps)
    assert not any(
        step.startswith(f"SCAN {t}") for step in steps for t in ("s", "turns", "points")
    ), steps
    assert "points" in statement or not any("TEMP B-TREE" in step for step in steps), steps
