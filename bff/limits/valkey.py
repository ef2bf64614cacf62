"""The rate limit, counted once for all tasks by the server's clock, in one round trip.

When the server does not answer in time, a share of the limit takes over: the limit divided by the
tasks that were alive when last seen. All tasks together then admit the limit and no more, so the
limit is never off and never closed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bff.limits import Allowance
from bff.limits.memory import MemoryLimiter
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call, Unreachable, within
from bff.runs.valkey.keys import rate_keys
from bff.runs.valkey.timing import TIMING

MOST_ENTRIES = 1000
"""Kept of one caller; a larger limit counts several requests as one entry."""


class ValkeyLimiter:
    """At most `limit` requests in any window, per caller, over all tasks."""

    def __init__(
        self,
        *,
        lane: Lane,
        limit: int,
        window_seconds: float,
        tasks: Callable[[], int],
        wait_seconds: float = TIMING.limit_seconds,
    ) -> None:
        self._lane = lane
        self._limit = limit
        self._args = (limit, int(window_seconds * 1_000_000), math.ceil(limit / MOST_ENTRIES))
        self._wait_seconds = wait_seconds
        self._tasks = tasks
        self._local = MemoryLimiter(limit=limit, window_seconds=window_seconds)

    def __repr__(self) -> str:
        return f"<ValkeyLimiter {self._limit} a window, {self._tasks()} tasks>"

    async def take(self, caller: str) -> Allowance:
        if (shared := await self._ask(caller, 1)) is not None:
            if shared.allowed:
                await self._local.take(caller)  # so that a share knows what was had before
            return shared
        own = await self._share(caller)
        if own.allowed:
            await self._local.take(caller)
        return own

    async def peek(self, caller: str) -> Allowance:
        return await self._ask(caller, 0) or await self._share(caller)

    async def _ask(self, caller: str, requests: int) -> Allowance | None:
        """What the server says; None if it does not, in time."""
        try:
            reply = self._lane.send(Call(scripts.LIMIT, rate_keys(caller), (*self._args, requests)))
            return self._allowance(*await within(self._wait_seconds, reply))
        except (Unreachable, TimeoutError):
            return None

    def _allowance(self, allowed: int, remaining: int, reset: int, retry: int) -> Allowance:
        return Allowance(
            allowed=bool(allowed),
            limit=self._limit,
            remaining=remaining,
            reset_seconds=reset / 1_000_000,
            retry_after_seconds=retry / 1_000_000,
        )

    async def _share(self, caller: str) -> Allowance:
        """What this task may admit on its own."""
        whole: Any = await self._local.peek(caller)
        share = max(1, self._limit // max(1, self._tasks()))
        used = self._limit - whole.remaining
        return Allowance(
            allowed=used < share,
            limit=self._limit,
            remaining=max(0, share - used),
            reset_seconds=whole.reset_seconds,
            retry_after_seconds=0.0 if used < share else max(1.0, whole.reset_seconds),
        )
