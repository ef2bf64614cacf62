"""How statements are run: one by one, on one state, or all or nothing.

The sqlite3 module gives the interpreter's lock away around each step of a statement, and taking it
back from a busy event loop costs more than the step: what is done often is one statement for many,
and gives one row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

MOST = 32
"""Most calls that are one statement."""

Value = str | float | None
Run = Callable[..., sqlite3.Cursor]
"""Runs a statement with its values, by place or by name."""


def statements_of(connection: sqlite3.Connection) -> Run:
    def run(statement: str, *values: Value, **named: Value) -> sqlite3.Cursor:
        return connection.execute(statement, named or values)

    return run


@contextmanager
def snapshot(run: Run) -> Iterator[None]:
    """Several statements that read the same state, inside a transaction or outside of any."""
    run("SAVEPOINT snapshot")
    try:
        yield
    finally:
        run("RELEASE snapshot")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[Run]:
    """All or nothing, begun with the lock on writing, since that cannot be waited for later."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield statements_of(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def filled(rows: Sequence[Sequence[Value]]) -> Sequence[Sequence[Value]]:
    """The rows and rows of nothing, up to a power of two: few statements do, and stay prepared."""
    size = 1 << (len(rows) - 1).bit_length()
    return [*rows, *[(None,) * len(rows[0])] * (size - len(rows))]
