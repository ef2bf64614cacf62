"""The rate limit, counted once for all instances by the server's clock, in one round trip.

When the server does not answer in time, a share of the limit takes over: the limit divided by the
instances that were alive when last seen, and no more than the server's last word left. What is
admitted on that share is told to the server with the caller's next request, so the limit is never
off, never closed, and the same before and after.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bff.limits import Allowance
from bff.limits.memory import MAX_CALLERS, MemoryLimiter
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call, Unreachable
from bff.runs.valkey.keys import rate_keys

MOST_ENTRIES = 1000
"""Kept of one caller; a larger limit counts several requests as one entry."""


@dataclass(slots=True)
class _Known:
    """What is between a caller, the server and this instance."""

    left: int
    """Of the limit, by the server's last word."""
    until: float = 0.0
    """How long that word holds: then the whole limit is there again."""
    owed: int = 0
    """Admitted here, and not yet told to the server. A call that was given up may be counted there
    all the same: what is admitted is then less than the limit, never more."""
    owed_until: float = 0.0


class ValkeyLimiter:
    """At most `limit` requests in any window, per caller, over all instances."""

    def __init__(
        self,
        *,
        lane: Lane,
        limit: int,
        window_seconds: float,
        instances: Callable[[], int],
        max_callers: int = MAX_CALLERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lane = lane
        self._limit = limit
        self._window_seconds = window_seconds
        self._args = (limit, int(window_seconds * 1_000_000), math.ceil(limit / MOST_ENTRIES))
        self._instances = instances
        self._max_callers = max_callers
        self._clock = clock
        self._local = MemoryLimiter(
            limit=limit, window_seconds=window_seconds, max_callers=max_callers, clock=clock
        )
        self._known: OrderedDict[str, _Known] = OrderedDict()  # the longest silent first

    def __repr__(self) -> str:
        return f"<ValkeyLimiter {self._limit} a window, {self._instances()} instances>"

    async def take(self, caller: str) -> Allowance:
        if (shared := await self._ask(caller, 1)) is not None:
            if shared.allowed:
                await self._local.take(caller)  # so that a share knows what was had before
            return shared
        own = await self._share(caller)
        if not own.allowed:
            return own
        await self._local.take(caller)
        known = self._of(caller)
        known.owed += 1
        known.owed_until = self._clock() + self._window_seconds
        return replace(own, remaining=own.remaining - 1)

    async def peek(self, caller: str) -> Allowance:
        return await self._ask(caller, 0) or await self._share(caller)

    async def _ask(self, caller: str, requests: int) -> Allowance | None:
        """What the server says; None if it does not."""
        known = self._of(caller)
        owed = known.owed if known.owed_until > self._clock() else 0
        known.owed = 0  # one call is enough to tell
        call = Call(scripts.LIMIT, rate_keys(caller), (*self._args, requests, owed))
        try:
            reply = self._lane.send(call)
        except Unreachable:
            known.owed += owed
            return None
        try:
            allowed, left, reset, retry = await (asyncio.shield(reply) if owed else reply)
        except Unreachable:
            known.owed += owed
            return None
        except asyncio.CancelledError:
            if owed:  # whoever asked has left: what it brought is told all the same
                reply.add_done_callback(partial(_not_told, known, owed))
            raise
        known.left = left
        known.until = self._clock() + reset / 1_000_000
        return Allowance(
            allowed=bool(allowed),
            limit=self._limit,
            remaining=left,
            reset_seconds=reset / 1_000_000,
            retry_after_seconds=retry / 1_000_000,
        )

    def _of(self, caller: str) -> _Known:
        known = self._known.get(caller)
        if known is None:
            known = self._known[caller] = _Known(left=self._limit)
            if len(self._known) > self._max_callers:
                self._known.popitem(last=False)
        self._known.move_to_end(caller)
        return known

    async def _share(self, caller: str) -> Allowance:
        """What this instance may admit on its own."""
        whole = await self._local.peek(caller)
        instances = max(1, self._instances())
        left = max(1, self._limit // instances) - (self._limit - whole.remaining)
        known = self._of(caller)
        reset = whole.reset_seconds
        if known.until > self._clock():
            left = min(left, known.left // instances - known.owed)
            reset = max(reset, known.until - self._clock())
        return Allowance(
            allowed=left > 0,
            limit=self._limit,
            remaining=max(0, left),
            reset_seconds=reset,
            retry_after_seconds=0.0 if left > 0 else max(1.0, reset),
        )


def _not_told(known: _Known, owed: int, reply: asyncio.Future[Any]) -> None:
    if reply.cancelled() or reply.exception():
        known.owed += owed
