"""What all requests' bodies take of memory and time, and how much of either there is.

A conversation may be megabytes, so what counts is how many there are at once: past a total the next
one is refused before it is read. A body is open until nobody has what was read of it: a stream's
until the agent begins to answer.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from bff.errors import Overloaded
from bff.settings import BODY_BYTES_PER_SECOND, BODY_TIMEOUT_SECONDS, MAX_BODY_BYTES

TOTAL_BYTES = 256 * 1024 * 1024
"""Of all open bodies, where there is memory enough."""
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container's memory is limited (cgroup 2 and 1)."""


def seconds_for(size: int) -> float:
    """How long so many bytes may take to arrive."""
    return BODY_TIMEOUT_SECONDS + max(0, size - MAX_BODY_BYTES) / BODY_BYTES_PER_SECOND


def total_bytes(memory_bytes: int) -> int:
    """What open bodies may take in so much memory: a quarter of it.

    A run whose agent has not begun to answer has its conversation twice, as it was read and as it
    is sent, and one body more is being read or made at any time.
    """
    return min(TOTAL_BYTES, memory_bytes // 4)


def memory_bytes() -> int:
    """What this process may take at most: the machine's memory, or its container's if less."""
    found = [1 << 62]
    with suppress(ValueError, OSError, AttributeError):  # not on Windows
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _LIMITS:
        with suppress(ValueError, OSError):  # "max", or no such file
            found.append(int(Path(path).read_text()))
    return min(found)


class Body:
    """What one body takes of the total, for as long as anybody has what was read of it."""

    __slots__ = ("_bodies", "_holders", "size")

    def __init__(self, bodies: Bodies) -> None:
        self.size = 0
        self._bodies = bodies
        self._holders = 1

    def grow(self, size: int) -> None:
        """Take so many bytes in all, if that is more than before. Raises `Overloaded`."""
        if size > self.size:
            self._bodies.take(size - self.size)
            self.size = size

    def hold(self) -> None:
        """Somebody else has it as well."""
        self._holders += 1

    def close(self) -> None:
        """One has it no longer; the last one gives back what was taken."""
        self._holders -= 1
        if self._holders == 0:
            self._bodies.take(-self.size)
            self.size = 0


class Bodies:
    """The bodies of one process."""

    def __init__(self, total_bytes: int = TOTAL_BYTES) -> None:
        self.open_bytes = 0
        self._total_bytes = total_bytes

    def __repr__(self) -> str:
        return f"<Bodies {self.open_bytes} of {self._total_bytes} bytes>"

    def take(self, size: int) -> None:
        """Take so many bytes more, or give them back. Raises `Overloaded`."""
        if size > 0 and self.open_bytes + size > self._total_bytes:
            raise Overloaded(retry_after_seconds=1, headers={"Connection": "close"})
        self.open_bytes += size
