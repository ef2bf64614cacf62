"""The thread that writes log lines.

A service whose log reader stalls must not stall with it: lines wait in a bounded queue, and what
does not fit is dropped and counted.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

try:
    import fcntl
except ImportError:  # on Windows, where there is never more than one worker
    fcntl = None  # type: ignore[assignment]

QUEUE_LINES = 10_000
"""Lines that may wait for a reader that stalls; some 5 MB."""
GATHER_SECONDS = 0.05
"""How long lines after a written one wait for others, to be written together."""
WRITE_LINES = 500
"""Most lines of one write."""
CLOSE_SECONDS = 1.0
"""How long the exit waits for lines to be written."""

Line = str | Callable[[], str]


class LineWriter:
    """Writes lines to a file descriptor from a thread; never blocks who calls `write`.

    A line after quiet is written at once. Those that come soon after it wake nobody and wait for
    each other: a thread that is woken takes more from the event loop, since the two have to agree
    on who has the interpreter, than making a line does.
    """

    def __init__(
        self, descriptor: int, *, queue_lines: int = QUEUE_LINES, lock: str | None = None
    ) -> None:
        """`lock` is a file: processes that have the same one write one after the other."""
        self._descriptor = descriptor
        # opened here: processes that share an open file share its lock as well
        self._shared = None if lock is None else os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        self._most = queue_lines
        self._lines: deque[Line] = deque()
        self._calls: SimpleQueue[None] = SimpleQueue()
        self._called = False
        self._closing = threading.Event()
        self._lost = 0
        self._lock = threading.Lock()
        # A daemon, and on the bare descriptor: a thread that is stuck in a buffered file's lock
        # would make the interpreter abort at exit.
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that were not written."""
        return self._lost

    def write(self, line: Line) -> None:
        """Queue what is to stand on a line of its own, or what makes it once it is written."""
        if len(self._lines) >= self._most:
            self._lose(1)
            return
        self._lines.append(line)
        if not self._called:  # called twice by two threads at once does no harm
            self._called = True
            self._calls.put(None)

    def close(self, timeout_seconds: float = CLOSE_SECONDS) -> None:
        """Write what is queued, as far as that goes in the time."""
        self._closing.set()
        self._calls.put(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._calls.get()
            self._called = False  # before looking: what is added from here on calls again
            self._write_what_waits()
            self._closing.wait(GATHER_SECONDS)
        self._write_what_waits()

    def _write_what_waits(self) -> None:
        while lines := self._take():
            if self._shared is None:
                self._write_all(lines)
                continue
            fcntl.flock(self._shared, fcntl.LOCK_EX)
            try:
                self._write_all(lines)
            finally:
                fcntl.flock(self._shared, fcntl.LOCK_UN)

    def _take(self) -> list[str]:
        """The next lines; made here, so that nobody waits for it."""
        lines: list[str] = []
        while self._lines and len(lines) < WRITE_LINES:
            line = self._lines.popleft()
            try:
                lines.append(line if isinstance(line, str) else line())
            except Exception:
                self._lose(1)
        return lines

    def _write_all(self, lines: list[str]) -> None:
        data = memoryview("".join([f"{line}\n" for line in lines]).encode("utf-8", "replace"))
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # somebody made our standard output non-blocking
                select.select([], [self._descriptor], [], 1.0)
            except OSError:
                self._lose(len(lines))
                return

    def _lose(self, lines: int) -> None:
        with self._lock:
            self._lost += lines
