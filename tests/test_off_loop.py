from __future__ import annotations

import threading

import pytest

from bff.off_loop import LARGE, off_loop


async def test_small_work__is_done_at_once_and_large_work_in_a_thread() -> None:
    here = threading.get_ident()

    assert await off_loop(LARGE - 1, threading.get_ident) == here
    assert await off_loop(LARGE, threading.get_ident) != here


async def test_what_the_work_raises__is_raised() -> None:
    for size in (1, LARGE):
        with pytest.raises(ZeroDivisionError):
            await off_loop(size, lambda: 1 // 0)
