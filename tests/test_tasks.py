from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from bff import tasks
from bff.tasks import end_tasks


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.02)


async def stubborn(swallows: int) -> None:
    """As a library that takes the first cancellations for its own time limit."""
    for _ in range(swallows):
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    await asyncio.Event().wait()


async def failing() -> None:
    raise ValueError("nobody asks")


async def test_end_tasks__waits_for_each_however_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    ended = [asyncio.create_task(work) for work in (stubborn(0), stubborn(2), failing())]
    await asyncio.sleep(0)

    await end_tasks(*ended)

    assert [task.done() for task in ended] == [True, True, True]
    assert caplog.records == []


async def test_end_tasks__leaves_what_never_ends_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    task = asyncio.create_task(stubborn(tasks.TIMES), name="stubborn")
    await asyncio.sleep(0)

    await end_tasks(task)

    assert not task.done()
    assert "a task does not end: <Task" in caplog.text
    assert "stubborn" in caplog.text
    await end_tasks(task)
    assert task.cancelled()


async def test_end_tasks__of_none_is_over_at_once() -> None:
    await end_tasks()
