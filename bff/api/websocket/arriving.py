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

SMALL_SECONDS = 24.0
"""How long a small frame may take: as long as a client may be silent. Any byte of it counts as a
sign of life, so that one now and then would keep a socket open that answers no ping."""
CONTROL_BYTES = 6
"""A client's control frame has so many besides what it carries, which are 125 at most."""


class Arriving:
    """What has come of one socket's next message, in one frame or several."""

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
        now = self._now()
        if not self._size:
            self._began = now
        self._size += size
        if not self._refused:
            seconds = SMALL_SECONDS
            try:
                if self._size >= LARGE:
                    if self.body is None:
                        self.body, self._began = Body(self._bodies), now
                    self.body.grow(self._size)
                    seconds = seconds_for(self._size)
                if not self.handling and now > self._began + seconds:
                    raise RequestTimeout
            except (Overloaded, RequestTimeout) as problem:
                self._refused = True
                self.handled()
                self._refuse(problem)
        return not self._refused

    def control_handled(self, size: int) -> None:
        """A ping or pong that carried so many bytes has come, maybe in the middle of a message."""
        self.handling = False
        self._size = max(0, self._size - size - CONTROL_BYTES)

    def handled(self) -> None:
        """The message is of no more use, whole or not."""
        self.handling = False
        self._size = 0
        if self.body is not None:
            self.body.close()
            self.body = None


class Masks:
    """Whether a client masks its frames, as it must and as aiohttp does not check:
    https://www.rfc-editor.org/rfc/rfc6455#section-5.1."""

    __slots__ = ("_begun", "_left", "broken")

    def __init__(self) -> None:
        self.broken = False
        """A frame was not masked: what follows is not looked at."""
        self._begun = b""
        """The beginning of a frame whose length is not known yet."""
        self._left = 0
        """Bytes of the last frame that are still to come."""

    def hold(self, data: bytes) -> bool:
        """Look at the next bytes; false if one of the frames that begin in them is not masked."""
        if self._begun:
            data, self._begun = self._begun + data, b""
        at, end = self._left, len(data)
        self._left = 0
        while at < end and not self.broken:
            if end - at >= 2:
                length = data[at + 1] & 127
                self.broken = data[at + 1] < 128
                more = 8 if length == 127 else 2 if length == 126 else 0
                begin = at + 2 + more
                if begin <= end:
                    at = begin + 4 + (int.from_bytes(data[at + 2 : begin]) if more else length)
                    continue
            self._begun = data[at:]
            return not self.broken
        self._left = at - end
        return not self.broken


@runtime_checkable
class Connection(Protocol):
    """A connection that tells of what arrives before it is read as frames."""

    def upgraded(self, arriving: Callable[[bytes], bool]) -> bool:
        """Tell this of all that arrives; true if nothing has arrived that it was not told of."""
        ...
