"""How many requests a caller may make: the protocol and its in-process edition."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MAX_CALLERS = 50_000
"""Callers remembered at once; past it, who has been silent longest is forgotten."""
SLOTS = 1000
"""A window's time is kept to this part of it, so that no limit costs more memory than this."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a limiter decided, and what the rate-limit headers say."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: float
    """From now until the whole limit is there again."""
    retry_after_seconds: float = 0.0


class Limiter(Protocol):
    """At most `limit` requests in any window, per caller."""

    async def take(self, caller: str) -> Allowance:
        """Count one request of `caller` (a principal's digest or `address:…`); never raises."""
        ...

    async def peek(self, caller: str) -> Allowance:
        """The caller's allowance without counting: for replies that are free."""
        ...


class _Log:
    """One caller's requests inside the window, oldest first, as [slot, how many]."""

    __slots__ = ("slots", "total")

    def __init__(self) -> None:
        self.slots: deque[list[int]] = deque()
        self.total = 0


class LocalLimiter:
    """What `Limiter` asks, in memory: a sliding window that never admits one too many.

    A request counts until the end of its slot has left the window, so the exactness is on the side
    of the limit: at most a thousandth of a window too long, never too short.
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
        self._slot_seconds = window_seconds / SLOTS
        self._max_callers = max_callers
        self._clock = clock
        self._logs: OrderedDict[str, _Log] = OrderedDict()  # the longest silent first

    def __repr__(self) -> str:
        return f"<LocalLimiter {self._limit} a window, {len(self._logs)} callers>"

    async def take(self, caller: str) -> Allowance:
        now = self._clock() / self._slot_seconds
        slot = int(now)
        log = self._logs.get(caller)
        if log is None:
            log = self._logs[caller] = _Log()
            self._forget(slot)
        self._logs.move_to_end(caller)
        self._pass(log, slot)
        allowed = log.total < self._limit
        if allowed:
            if log.slots and log.slots[-1][0] == slot:
                log.slots[-1][1] += 1
            else:
                log.slots.append([slot, 1])
            log.total += 1
        return self._allowance(log, now, allowed=allowed)

    async def peek(self, caller: str) -> Allowance:
        now = self._clock() / self._slot_seconds
        log = self._logs.get(caller) or _Log()
        self._pass(log, int(now))
        return self._allowance(log, now, allowed=log.total < self._limit)

    def _pass(self, log: _Log, slot: int) -> None:
        """Let go of what has left the window."""
        while log.slots and log.slots[0][0] + SLOTS < slot:
            log.total -= log.slots.popleft()[1]

    def _forget(self, slot: int) -> None:
        """Drop callers whose window is over, a few at a time, and more than may be remembered."""
        for _ in range(2):
            caller, log = next(iter(self._logs.items()))
            if len(self._logs) <= self._max_callers and (
                not log.slots or log.slots[-1][0] + SLOTS >= slot
            ):
                return
            del self._logs[caller]

    def _allowance(self, log: _Log, now: float, *, allowed: bool) -> Allowance:
        def until_gone(slot: int) -> float:
            return (slot + SLOTS + 1 - now) * self._slot_seconds

        return Allowance(
            allowed=allowed,
            limit=self._limit,
            remaining=self._limit - log.total,
            reset_seconds=until_gone(log.slots[-1][0]) if log.slots else 0.0,
            retry_after_seconds=0.0 if allowed else until_gone(log.slots[0][0]),
        )
