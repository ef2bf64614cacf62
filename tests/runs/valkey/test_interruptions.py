"""A short share of `make bench ARGS=interruptions`, which is minutes long."""

from __future__ import annotations

from benchmarks.interruptions import measure


async def test_cut_clients_and_killed_tasks__lose_nothing_and_touch_nobody_else() -> None:
    figures = await measure(
        interruptions=20, clients=24, repeaters=2, tasks=2, kill_every=0.3, most_seconds=20,
        most_words=30,
    )  # fmt: skip

    print(figures.report(0))
    assert figures.clean, figures
    assert figures.tasks_killed > 0
    assert figures.agent_calls <= figures.begun
