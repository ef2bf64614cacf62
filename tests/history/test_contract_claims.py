"""What every history promises of questions: who took them, and that it was one."""

import asyncio
from dataclasses import replace

import pytest

from bff.history import History
from tests.history.conftest import Store
from tests.history.test_contract import all_sessions
from tests.history.turns import (
    ALICE,
    BOB,
    asking,
    open_ids,
    state,
    turn,
)


async def test_claim__takes_exactly_the_open_questions(history: History) -> None:
    await history.add(ALICE, asking(1, "q1", "q2"))

    for wrong in ([], ["q1"], ["q2"], ["q1", "q2", "q3"], ["q1", "q1"], ["q1", "q1", "q2"]):
        assert await history.claim(ALICE, "chat", "run", wrong) is False, wrong
    assert await history.claim(BOB, "chat", "run", ["q1", "q2"]) is False
    assert await history.claim(ALICE, "other", "run", ["q1", "q2"]) is False
    assert await open_ids(history) == ["q1", "q2"]

    assert await history.claim(ALICE, "chat", "run", ["q2", "q1"]) is True
    assert await open_ids(history) == []
    assert (await all_sessions(history, ALICE))[0].inputs == ()
    assert await history.claim(ALICE, "chat", "another", ["q1", "q2"]) is False
    assert await history.claim(ALICE, "chat", "run", ["q1", "q2"]) is True
    assert (await state(history)).claimed_by == "run"


async def test_claim__of_a_session_that_asks_nothing_is_refused(history: History) -> None:
    await history.add(ALICE, turn(1))

    assert await history.claim(ALICE, "chat", "run", []) is False
    assert await history.claim(ALICE, "chat", "run", ["q1"]) is False


@pytest.mark.parametrize("ids", [["q"], ["é", "a#b/c", "x" * 300, "\ud83d"]], ids=["one", "odd"])
async def test_claim__at_once_by_several_writers_is_won_by_one(
    store: Store, store_name: str, ids: list[str]
) -> None:
    if store_name == "moto_memory":
        pytest.skip("moto takes every event of one client token; the fake does as AWS says")
    async with store() as one, store() as two:
        await one.add(ALICE, asking(1, *ids))
        histories = [one, two] * 4
        runs = [f"run-{n}" for n in range(8)]

        won = await asyncio.gather(
            *(
                history.claim(ALICE, "chat", run, ids)
                for history, run in zip(histories, runs, strict=True)
            )
        )

        assert won.count(True) == 1
        again = [await two.claim(ALICE, "chat", run, ids) for run in runs]
        assert again == won


async def test_claim__is_remembered_after_a_restart(store: Store) -> None:
    async with store() as history:
        await history.add(ALICE, asking(1, "q"))
    async with store() as history:
        assert await open_ids(history) == ["q"]
        assert await history.claim(ALICE, "chat", "first", ["q"])
    async with store() as history:
        assert await open_ids(history) == []
        assert await history.claim(ALICE, "chat", "first", ["q"]) is True
        assert await history.claim(ALICE, "chat", "second", ["q"]) is False


async def test_a_claim__whose_run_failed_early_is_put_back(history: History) -> None:
    await history.add(ALICE, asking(1, "q1", "q2"))
    assert await history.claim(ALICE, "chat", turn(2).run_id, ["q1", "q2"])

    await history.add(ALICE, replace(asking(2, "q1", "q2"), status="failed"))

    assert await open_ids(history) == ["q1", "q2"]
    assert (await state(history)).claimed_by == turn(2).run_id
    assert await history.claim(ALICE, "chat", "second", ["q1", "q2"]) is True
    assert (await state(history)).claimed_by == "second"
    assert await history.claim(ALICE, "chat", turn(2).run_id, ["q1", "q2"]) is False
    assert await history.claim(ALICE, "chat", "second", ["q1", "q2"]) is True


async def test_a_claim__repeated_later_takes_no_newer_question(history: History) -> None:
    await history.add(ALICE, asking(1, "q1"))
    assert await history.claim(ALICE, "chat", turn(2).run_id, ["q1"])
    await history.add(ALICE, asking(2, "q2"))

    assert await history.claim(ALICE, "chat", turn(2).run_id, ["q1"]) is True
    assert await open_ids(history) == ["q2"]
    assert await history.claim(ALICE, "chat", "third", ["q1"]) is False
    assert await history.claim(ALICE, "chat", "third", ["q2"]) is True


async def test_a_claim__is_not_undone_by_a_late_turn_nor_a_new_title(history: History) -> None:
    await history.add(ALICE, asking(5, "q"))
    assert await history.claim(ALICE, "chat", "run", ["q"])

    await history.add(ALICE, asking(3, "old"))
    await history.rename(ALICE, "chat", "named")

    session = await state(history)
    assert (session.inputs, session.title) == ((), "named")


async def test_a_claim__is_forgotten_with_its_session(history: History) -> None:
    await history.add(ALICE, asking(1, "q"))
    assert await history.claim(ALICE, "chat", "run", ["q"])
    await history.delete(ALICE, "chat")
    assert await history.claim(ALICE, "chat", "run", ["q"]) is False

    await history.add(ALICE, asking(2, "q"))
    assert await history.claim(ALICE, "chat", "another", ["q"]) is True
    assert await history.claim(ALICE, "chat", "run", ["q"]) is False
