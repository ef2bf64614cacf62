"""One follower's waits for more of a run that is kept in this process.

A follower that stands at the end of the log is a reader who keeps up. Waking its task for every
event costs more than encoding and writing the event does, so it may offer a function that takes
what is added, there and then; it is woken for what that function does not take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bff.events import Record
from bff.runs.bell import NEVER, Bell
from bff.runs.log import Take


class Listener:
    """What one follower waits with; the bell ends its silences."""

    __slots__ = ("_bell", "_loop", "_seconds", "_take", "_waiter", "at", "deadline")

    def __init__(self, bell: Bell, silence_seconds: float, take: Take | None) -> None:
        self._bell = bell
        self._loop = asyncio.get_running_loop()
        self._seconds = silence_seconds
        self._take = take
        self._waiter: asyncio.Future[None] | None = None
        self.deadline = NEVER
        self.at = 0
        """The last record that its follower has."""
        bell.add(self)

    def more(self, at: int) -> asyncio.Future[None]:
        """Done when there is more behind record `at` than was taken, or after the silence.

        Fails as taking it failed.
        """
        self.at = at
        self.deadline = self._loop.time() + self._seconds
        self._bell.look_at(self.deadline)
        self._waiter = self._loop.create_future()
        return self._waiter

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
            self.deadline = self._loop.time() + self._seconds
        else:
            waiter.set_result(None)

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def ring(self) -> None:
        """The silence is over."""
        self.deadline = NEVER
        self.wake()

    def close(self) -> None:
        self._bell.discard(self)
