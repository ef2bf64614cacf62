"""A connection and the only thread that touches it; what waits for it is done together.

A call costs the event loop more in waking the thread, and in taking the interpreter's lock back
from it, than SQLite takes for the statement, and a commit costs more than what it commits. So calls
gather while the thread is busy, and everything that has gathered is one batch: one wake-up, one
transaction, one answer. Nobody waits for a batch to grow but while each turn of the event loop
brings more: an idle thread takes what there is.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from bff.errors import Overloaded
from bff.history.sqlite.statements import MOST, Run, statements_of, transaction

T = TypeVar("T")
Item = TypeVar("Item")

MAX_WAITING = 1000
"""Calls that may wait for the thread; beyond that the disk does not keep up."""

MOST_TURNS = 8
"""How many turns of the loop a batch gathers, as long as each brings more."""

Outcome = tuple[Any, Exception | None]


Joint = Callable[[Run, Sequence[Item]], Sequence[T]]
"""Does the same for several: one statement for at most `MOST` of them, that gives each its own."""


class _Call(NamedTuple):
    future: asyncio.Future[Any]
    do: Joint[Any, Any]
    item: Any


_log = logging.getLogger(__name__)


class Thread:
    """Does one call after the other. What hands a call over is one step of a queue in C: an
    executor's futures and locks take the event loop longer than a short statement takes here."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        # a daemon: a disk that hangs keeps no process from ending
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, call: Callable[[], object]) -> None:
        """Have it done; it raises nothing."""
        self._calls.put(call)

    def ask(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """What the call gives or raises."""
        future: Future[T] = Future()

        def answer() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

        self.submit(answer)
        return asyncio.wrap_future(future)

    def end(self) -> None:
        """Once all that was submitted is done."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


class Worker:
    """Does calls in its thread, in their order. Its own state is the event loop's alone."""

    def __init__(
        self,
        thread: Thread,
        connection: sqlite3.Connection,
        *,
        together: bool,
        call_timeout_seconds: float,
    ) -> None:
        """`together`: a batch is one transaction that writes; else each statement stands alone."""
        self.thread = thread
        self.connection = connection
        self._together = together
        self._call_timeout_seconds = call_timeout_seconds
        self._loop = asyncio.get_running_loop()
        self._gathered: list[_Call] = []
        self._batch: list[_Call] = []
        self._starting = False
        self._turns = self._seen = 0
        self._deadlines: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.failing = False
        """Whether the file could not be used by what was done last."""

    @property
    def waiting(self) -> int:
        """Calls that have not been done."""
        return len(self._gathered) + len(self._batch)

    def call(self, work: Callable[[Run], T]) -> asyncio.Future[T]:
        """What the work gives. It is done, whatever becomes of the caller.

        Together with others it may be done twice, the first time for nothing, since one of them
        failed. Raises `Overloaded`, at once or later, if the file cannot be used.
        """
        return self.join(_each, work)

    def join(self, do: Joint[Item, T], item: Item) -> asyncio.Future[T]:
        """The same of one item; where others of its kind wait beside it, they are one statement."""
        if self.waiting >= MAX_WAITING:
            raise Overloaded()
        future: asyncio.Future[T] = self._loop.create_future()
        self._gathered.append(_Call(future, do, item))
        self._idle.clear()
        self._deadlines.append((self._loop.time() + self._call_timeout_seconds, future))
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadlines[0][0], self._expire)
        if not self._starting and not self._batch:
            self._begin()
        return future

    async def close(self, timeout_seconds: float) -> bool:
        """Wait for what was asked for, then close; false if that took too long."""
        deadline = self._loop.time() + timeout_seconds
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._idle.wait()
        closing = self.thread.ask(self.connection.close)
        self.thread.end()
        await asyncio.wait([closing], timeout=max(0.0, deadline - self._loop.time()))
        for _, future in self._deadlines:
            if not future.done():
                future.set_exception(Overloaded())
        if self._timer is not None:
            self._timer.cancel()
        return closing.done()

    def _begin(self) -> None:
        """Take up a batch, once this turn of the loop is over."""
        self._starting = True
        self._turns, self._seen = 0, len(self._gathered)
        self._loop.call_soon(self._start)

    def _start(self) -> None:
        self._turns += 1
        if len(self._gathered) > self._seen and self._turns < MOST_TURNS:
            self._seen = len(self._gathered)
            self._loop.call_soon(self._start)
            return
        self._starting = False
        self._batch, self._gathered = self._gathered, []
        self.thread.submit(partial(self._do, self._batch))

    def _do(self, calls: Sequence[_Call]) -> None:
        """In the thread."""
        outcomes = self._outcomes(calls)
        with suppress(RuntimeError):  # the loop has ended, and who asked has with it
            self._loop.call_soon_threadsafe(self._done, outcomes)

    def _outcomes(self, calls: Sequence[_Call]) -> Sequence[Outcome]:
        steps = _steps(calls)
        try:
            if not self._together or (len(steps) == 1 and calls[0].do is not _each):
                return _results(statements_of(self.connection), steps)
            with transaction(self.connection) as run:
                return _results(run, steps)
        except Exception as error:
            if len(calls) == 1:
                return [(None, error)]
        # each by itself, so that nobody suffers for another's call
        return [outcome for call in calls for outcome in self._outcomes([call])]

    def _done(self, outcomes: Sequence[Outcome]) -> None:
        batch, self._batch = self._batch, []
        self.failing = False
        for call, (result, error) in zip(batch, outcomes, strict=True):
            if error is not None:
                _log_failure(error)
                error = _as_told(error)
                self.failing = self.failing or isinstance(error, Overloaded)
            if call.future.done():
                continue  # who asked has left, or was told that it takes too long
            if error is None:
                call.future.set_result(result)
            else:
                call.future.set_exception(error)
        while self._deadlines and self._deadlines[0][1].done():
            self._deadlines.popleft()
        if self._gathered:
            self._begin()
        else:
            self._idle.set()

    def _expire(self) -> None:
        """One timer for all calls, set anew only when it rings: none of them is ever late."""
        self._timer = None
        now = self._loop.time()
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][1].done()):
            _, future = self._deadlines.popleft()
            if not future.done():
                future.set_exception(Overloaded())
        if self._deadlines:
            self._timer = self._loop.call_at(self._deadlines[0][0], self._expire)


def _each(run: Run, works: Sequence[Callable[[Run], T]]) -> Sequence[T]:
    return [work(run) for work in works]


def _steps(calls: Sequence[_Call]) -> Sequence[Sequence[_Call]]:
    """Neighbours that are done together, as many as may be."""
    steps: list[list[_Call]] = []
    for call in calls:
        if steps and steps[-1][0].do is call.do and len(steps[-1]) < MOST:
            steps[-1].append(call)
        else:
            steps.append([call])
    return steps


def _results(run: Run, steps: Sequence[Sequence[_Call]]) -> Sequence[Outcome]:
    return [
        (result, None) for step in steps for result in step[0].do(run, [call.item for call in step])
    ]


def _as_told(error: Exception) -> Exception:
    """A file that cannot be used is `Overloaded`; a statement that is wrong is our mistake."""
    if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.ProgrammingError):
        told = Overloaded()
        told.__cause__ = error
        return told
    return error


def _log_failure(error: Exception) -> None:
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    _log.error("the history could not be used: %s", name)
