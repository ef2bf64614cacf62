"""One follower's waits for more of a run that is kept in this process.

A follower that stands at the end of the log is a reader who keeps up. Waking its task for every
event costs more than encoding and writing the event does, so it may offer a function that takes
what is added, there and then; it is woken for what that function does not take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bff.events import Record
from bff.runs.log import Take


class Listener:
    """One timer serves many waits: a timer an event would cost more than all else that is done."""

    __slots__ = ("_deadline", "_loop", "_seconds", "_take", "_timer", "_waiter", "at")

    def __init__(self, silence_seconds: float, take: Take | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = silence_seconds
        self._take = take
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.at = 0
        """The last record that its follower has."""

    async def wait(self, at: int) -> None:
        """Return when there is more behind record `at` than was taken, or after the silence.

        Raises what taking it raised.
        """
        self.at = at
        self._deadline = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def offer(self, records: Sequence[Record]) -> None:
        """Give it what was just added, which follows what it has if it waits."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        try:
            taken = self._take is not None and self._take(records)
        except Exception as error:  # the follower's own, and none of the run's that is being added
            waiter.set_exception(error)
            return
        if taken:
            self.at = records[-1].id
            self._deadline = self._loop.time() + self._seconds
        else:
            waiter.set_result(None)

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        else:
            self.wake()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
