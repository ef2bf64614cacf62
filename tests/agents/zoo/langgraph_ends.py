"""Answers that end badly or never, for the tests of how the service ends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from container import Zoo
from script import SECRET


def add_ends(zoo: Zoo) -> None:
    endless = 0

    @zoo.served("raising")
    def raising(ask: Any) -> Any:
        raise RuntimeError(SECRET)

    @zoo.served("breaking")
    async def breaking(ask: Any) -> AsyncIterator[str]:
        yield "Before it broke."
        raise RuntimeError(SECRET)

    @zoo.served("nothing")
    def nothing(ask: Any) -> None:
        return None

    @zoo.served("endless")
    async def forever(ask: Any) -> AsyncIterator[str]:
        nonlocal endless
        endless += 1
        try:
            while True:  # the SDK notices that nobody listens when it has something to say
                yield "Before"
                await asyncio.sleep(0.02)
        finally:
            endless -= 1

    @zoo.served("endless-now")
    def now(ask: Any) -> Any:
        return {"result": f"{endless} are endless"}
