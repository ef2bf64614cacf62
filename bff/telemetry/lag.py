"""A watchdog on the event loop: what blocks it delays every client at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.1
"""Also how late a stall may be noticed."""
WINDOW_SECONDS = 30.0
"""How long the worst delay stays visible, at least: a scrape or a line must find it."""
STALL_SECONDS = 0.25
WARN_SECONDS = 1.0


class Gauge(Protocol):
    def loop_lag(self, worst_seconds: float, *, stalled: bool) -> None: ...


async def watch_loop(
    gauge: Gauge,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Wake up regularly and report how late that was; never returns."""
    worst = worst_before = 0.0
    window_ends = clock() + WINDOW_SECONDS
    while True:
        due = clock() + INTERVAL_SECONDS
        await sleep(INTERVAL_SECONDS)
        now = clock()
        lag = max(0.0, now - due)
        if now >= window_ends:
            worst_before, worst, window_ends = worst, 0.0, now + WINDOW_SECONDS
        worst = max(worst, lag)
        gauge.loop_lag(max(worst, worst_before), stalled=lag >= STALL_SECONDS)
        if lag >= WARN_SECONDS:
            logger.warning("the event loop was blocked for %.1f s", lag)
