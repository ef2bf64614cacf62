"""How many requests a caller may make: the protocol. Each edition of it is one file."""

from __future__ import annotations

from typing import Protocol

from bff.frozen import dataclass


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
