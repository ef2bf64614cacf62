"""One timer for all who wait for a time to pass: followers of silent runs, runs of silent agents.

A timer for each of them would be half a KiB, twice an open stream, and nearly none ever goes off:
something is said before, and the time that counts moves on.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

NEVER = float("inf")
"""The deadline of whoever waits for nothing."""
REST_SECONDS = 0.25
"""Between one look at all of them and the next, which is how late the bell may be."""


class Waiter(Protocol):
    """Who waits; may move its own deadline to a later time whenever it likes."""

    deadline: float
    """By the event loop's clock; `NEVER` while nothing is waited for."""

    def ring(self) -> None:
        """The deadline is over; moves it, or it is over again at the next look."""
        ...


class Bell:
    """Rings for those who were added, once their deadlines are over."""

    __slots__ = ("_at", "_timer", "_waiters")

    def __init__(self) -> None:
        self._waiters: set[Waiter] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._at = NEVER

    def __repr__(self) -> str:
        return f"<Bell for {len(self._waiters)}>"

    def add(self, waiter: Waiter) -> None:
        """From now on it may wait; `look_at` says when it does."""
        self._waiters.add(waiter)

    def look_at(self, deadline: float) -> None:
        """Somebody has such a deadline; need not be told of one that is later than the last."""
        if deadline < self._at:
            if self._timer is not None:
                self._timer.cancel()
            self._at = deadline
            self._timer = asyncio.get_running_loop().call_at(deadline, self._ring)

    def discard(self, waiter: Waiter) -> None:
        """It waits no more. The timer stays, so that whoever comes next needs none."""
        self._waiters.discard(waiter)

    def _ring(self) -> None:
        now = asyncio.get_running_loop().time()
        self._timer, self._at = None, NEVER
        for waiter in tuple(self._waiters):
            if waiter.deadline <= now:
                waiter.ring()
        soonest = min((waiter.deadline for waiter in self._waiters), default=self._at)
        if soonest < NEVER:
            self.look_at(max(soonest, now + REST_SECONDS))
