"""How long a reply of the server is waited for: by the server's time, not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LOOKS = 8
"""In how many steps a server is waited for. A step is at least two turns of the event loop, and a
reply that has come takes about five to be read, whatever else the turns are full of."""


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The work's result, or `TimeoutError`: then the work was cancelled.

    The time passes in looks, and a look counts for as long as it was meant to take, however late
    this process gets round to it. A burst of our own requests keeps replies from being read, and
    must not make a server slow that has answered.
    """
    task = asyncio.current_task()
    assert task is not None
    cancelled = task.cancelling()
    limit = _Limit(task, seconds / LOOKS)
    try:
        return await work
    except asyncio.CancelledError:
        if limit.looks or task.uncancel() > cancelled:
            raise
        raise TimeoutError from None
    finally:
        limit.stop()


class _Limit:
    """Cancels a task when the looks are used up."""

    __slots__ = ("_handle", "_loop", "_step_seconds", "_task", "looks")

    def __init__(self, task: asyncio.Task[Any], step_seconds: float) -> None:
        self.looks = LOOKS
        """That are left."""
        self._task = task
        self._step_seconds = step_seconds
        self._loop = asyncio.get_running_loop()
        self._wait()

    def _wait(self) -> None:
        self._handle: asyncio.Handle = self._loop.call_later(self._step_seconds, self._look)

    def _look(self) -> None:
        self.looks -= 1
        if self.looks:
            self._handle = self._loop.call_soon(self._wait)
        else:
            self._task.cancel()

    def stop(self) -> None:
        self._handle.cancel()
