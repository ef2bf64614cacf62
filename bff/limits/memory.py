"""The rate limit of one process: a sliding window in plain memory."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from bff.limits import Allowance

MAX_CALLERS = 50_000
"""Callers remembered at once; past it, who has been silent longest is forgotten."""
SLOTS = 1000
"""A window's time is kept to this part of it, so that no limit costs more memory than this."""


class _Log:
    """One caller's requests inside the window, oldest first: [slot, when the last came, count]."""

    __slots__ = ("slots", "total")

    def __init__(self) -> None:
        self.slots: deque[tuple[int, float, int]] = deque()
        self.total = 0

    def add(self, slot: int, now: float) -> None:
        count = self.slots.pop()[2] if self.slots and self.slots[-1][0] == slot else 0
        self.slots.append((slot, now, count + 1))
        self.total += 1

    def forget(self, until: float) -> None:
        while self.slots and self.slots[0][1] <= until:
            self.total -= self.slots.popleft()[2]


class MemoryLimiter:
    """What `Limiter` asks, in memory: a sliding window that never admits one too many.

    Requests of one slot count until the last of them has left the window, so the exactness is on
    the side of the limit: a request counts at most a thousandth of a window too long.
    """

    def __init__(
        self,
        limit: int,
        window_seconds: float,
        *,
        max_callers: int = MAX_CALLERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._window_seconds = window_seconds
        self._max_callers = max_callers
        self._clock = clock
        self._logs: OrderedDict[str, _Log] = OrderedDict()  # the longest silent first

    def __repr__(self) -> str:
        return f"<MemoryLimiter {self._limit} a window, {len(self._logs)} callers>"

    async def take(self, caller: str) -> Allowance:
        now = self._clock()
        log = self._logs.get(caller)
        if log is None:
            log = self._logs[caller] = _Log()
            self._make_room(now)
        self._logs.move_to_end(caller)
        log.forget(now - self._window_seconds)
        allowed = log.total < self._limit
        if allowed:
            log.add(int(now / self._window_seconds * SLOTS), now)
        return self._allowance(log, now, allowed=allowed)

    async def peek(self, caller: str) -> Allowance:
        now = self._clock()
        log = self._logs.get(caller) or _Log()
        log.forget(now - self._window_seconds)
        return self._allowance(log, now, allowed=log.total < self._limit)

    def _make_room(self, now: float) -> None:
        """Drop callers whose window is over, two for each new one, and more than may be kept."""
        for _ in range(2):
            caller, log = next(iter(self._logs.items()))
            over = bool(log.slots) and log.slots[-1][1] <= now - self._window_seconds
            if not over and len(self._logs) <= self._max_callers:
                return
            del self._logs[caller]

    def _allowance(self, log: _Log, now: float, *, allowed: bool) -> Allowance:
        def until_gone(place: int) -> float:
            # to the millisecond, so that a whole window is not rounded up past itself
            return round(log.slots[place][1] + self._window_seconds - now, 3)

        return Allowance(
            allowed=allowed,
            limit=self._limit,
            remaining=self._limit - log.total,
            reset_seconds=until_gone(-1) if log.slots else 0.0,
            retry_after_seconds=0.0 if allowed else until_gone(0),
        )
