"""A frame that is still arriving: it counts as an open body does, in memory and in time.

aiohttp keeps what has come of a frame until it is whole, so only the connection sees it before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from bff.api.bodies import Bodies, Body, seconds_for
from bff.errors import Overloaded, Problem, RequestTimeout
from bff.off_loop import LARGE


class Arriving:
    """What has come of one socket's next frame. Small ones are not looked at any closer."""

    __slots__ = ("_began", "_bodies", "_now", "_refuse", "_refused", "_size", "body", "handling")

    def __init__(
        self,
        bodies: Bodies,
        refuse: Callable[[Problem], None],
        *,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.body: Body | None = None
        """What a large frame takes of the memory for all."""
        self.handling = False
        """The last frame is being handled; the next one may have to wait for that."""
        self._bodies = bodies
        self._refuse = refuse
        self._refused = False
        self._now = now or asyncio.get_running_loop().time
        self._began = 0.0
        self._size = 0

    def received(self, size: int) -> bool:
        """Count what has come; false if it is not to be kept."""
        self._size += size
        if self._size >= LARGE and not self._refused:
            if self.body is None:
                self.body, self._began = Body(self._bodies), self._now()
            try:
                self.body.grow(self._size)
                if not self.handling and self._now() > self._began + seconds_for(self._size):
                    raise RequestTimeout
            except (Overloaded, RequestTimeout) as problem:
                self._refused = True
                self.handled()
                self._refuse(problem)
        return not self._refused

    def handled(self) -> None:
        """The frame is of no more use, whole or not."""
        self.handling = False
        self._size = 0
        if self.body is not None:
            self.body.close()
            self.body = None


@runtime_checkable
class Connection(Protocol):
    """A connection that says what arrives before it is read as frames."""

    def upgraded(self, arriving: Callable[[int], bool]) -> None: ...
