"""The end of tasks: whoever starts some ends them, and does not wait for ever."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 0.7
"""After which a task is cancelled again: a library may have caught a cancellation meant for us."""
TIMES = 3
"""In all about two seconds: a stopping service has five for everything."""


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they are over, however they end; about two seconds at most.

    What is not over by then is told in the log and left behind.
    """
    left = {task for task in tasks if not task.done()}
    for _ in range(TIMES):
        if not left:
            break
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    for task in tasks:
        if task in left:
            logger.error("a task does not end: %r", task)
        elif not task.cancelled():
            task.exception()  # nobody asks for it any more
