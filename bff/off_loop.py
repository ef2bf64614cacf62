"""Where work on large texts is done: in a thread, so that nobody else waits for it.

One thread, one text after the other: more of them would only share the interpreter, and take it
from the event loop more often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

LARGE = 64 * 1024
"""Bytes or characters from which on a thread is worth its while; less takes a millisecond."""

_thread = ThreadPoolExecutor(1, thread_name_prefix="large texts")


async def off_loop(size: int, work: Callable[[], T]) -> T:
    """The result of work on a text of that size: done here if it is small, else in the thread."""
    if size < LARGE:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_thread, work)
