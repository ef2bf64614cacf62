"""The service, counting the calls of functions that its threads make: `benchmarks.calls` reads it.

    COUNTS=FILE python -m benchmarks.counted

At SIGUSR1 the number so far is written to the file.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

COUNTED = frozenset({"call", "c_call"})
"""Functions of Python, generators that go on, and functions in C."""


class Counter:
    """Calls of all threads, each in a cell of its own: adding to one of all is no one step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cells: dict[int, list[int]] = {}

    def begin(self) -> None:
        """Count what the running thread does, and every one that is started from now on."""
        threading.setprofile(self._count)
        sys.setprofile(self._count)
        signal.signal(signal.SIGUSR1, self._tell)

    def _count(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in COUNTED:
            self._cells.setdefault(threading.get_ident(), [0])[0] += 1

    def _tell(self, number: int, frame: FrameType | None) -> None:
        written = self._path.with_suffix(".new")
        written.write_text(str(sum(cell[0] for cell in list(self._cells.values()))))
        written.replace(self._path)


if __name__ == "__main__":
    Counter(Path(os.environ["COUNTS"])).begin()
    from bff.__main__ import main

    main()
