"""What every history promises of a turn that is forgotten: it is gone, and the others stay."""

import asyncio
import os
from dataclasses import replace

from bff.history import History
from tests.history.conftest import Store
from tests.history.test_contract import all_messages, all_sessions
from tests.history.turns import (
    ALICE,
    BOB,
    asking,
    at_points,
    begun,
    found_at,
    open_ids,
    point,
    state,
    turn,
)


async def said(history: History, session_id: str = "chat", owner: str = ALICE) -> list[str]:
    return [message.content for message in await all_messages(history, owner, session_id)]


async def test_a_forgotten_turn__is_gone_and_the_others_stay(history: History) -> None:
    for n, name in ((1, "a"), (2, "b"), (3, "c")):
        await history.add(ALICE, at_points(n, name))
    before = await state(history)

    assert await history.forget(ALICE, "chat", turn(2).run_id)

    assert await said(history) == ["question 1", "answer 1", "question 3", "answer 3"]
    assert await state(history) == before
    assert await all_sessions(history, ALICE) == [before]
    assert await found_at(history, ALICE, [point("b")]) is None
    assert await found_at(history, ALICE, [point("c")]) == ("chat", turn(3).run_id)
    assert await history.fork_turns(ALICE, "chat", turn(2).run_id) is None
    shared = await history.fork_turns(ALICE, "chat", turn(3).run_id)
    assert [each.message for each in shared or ()] == ["question 1", "question 3"]


async def test_forgetting__is_done_once(history: History) -> None:
    await history.add(ALICE, turn(1))
    await history.add(ALICE, turn(2))

    assert await history.forget(ALICE, "chat", turn(1).run_id)
    assert not await history.forget(ALICE, "chat", turn(1).run_id)

    assert await said(history) == ["question 2", "answer 2"]


async def test_forgetting__what_is_not_there_or_somebody_elses_changes_nothing(
    history: History,
) -> None:
    await history.add(BOB, turn(1))
    await history.add(BOB, turn(2))

    assert not await history.forget(ALICE, "chat", turn(1).run_id)
    assert not await history.forget(BOB, "other", turn(1).run_id)
    assert not await history.forget(BOB, "chat", turn(3).run_id)

    assert len(await said(history, owner=BOB)) == 4


async def test_the_only_turn__is_forgotten_with_its_session(history: History) -> None:
    await history.add(ALICE, replace(asking(1, "q"), points=[point("a")]))

    assert await history.forget(ALICE, "chat", turn(1).run_id)

    assert await history.session(ALICE, "chat") is None
    assert await history.messages(ALICE, "chat", limit=10) is None
    assert await all_sessions(history, ALICE) == []
    assert await found_at(history, ALICE, [point("a")]) is None
    assert not await history.forget(ALICE, "chat", turn(1).run_id)


async def test_all_turns__forgotten_one_by_one_are_the_session(history: History) -> None:
    for n in (1, 2, 3):
        await history.add(ALICE, at_points(n, "abc"[n - 1]))

    for n in (3, 1, 2):
        assert await history.forget(ALICE, "chat", turn(n).run_id)

    assert await history.session(ALICE, "chat") is None
    assert await all_sessions(history, ALICE) == []


async def test_the_last_turn__forgotten_leaves_a_session_that_nobody_goes_on_from(
    history: History,
) -> None:
    await history.add(ALICE, at_points(1, "a"))
    await history.add(ALICE, replace(asking(2, "q"), points=[point("b")]))
    before = await state(history)

    assert await history.forget(ALICE, "chat", turn(2).run_id)

    assert await state(history) == replace(before, inputs=(), last_run_id=None)
    assert await all_sessions(history, ALICE) == [replace(before, inputs=(), last_run_id=None)]
    assert not await history.claim(ALICE, "chat", "answer", ["q"])
    assert await found_at(history, ALICE, [point("b"), point("a")]) == ("chat", turn(1).run_id)


async def test_a_session__goes_on_after_its_last_turn_was_forgotten(history: History) -> None:
    await history.add(ALICE, at_points(1, "a"))
    await history.add(ALICE, at_points(2, "b"))
    await history.forget(ALICE, "chat", turn(2).run_id)

    await history.add(ALICE, at_points(3, "c"))

    assert await said(history) == ["question 1", "answer 1", "question 3", "answer 3"]
    assert (await state(history)).last_run_id == turn(3).run_id
    assert (await state(history)).point == point("c")


async def test_questions__of_a_later_turn_stay_open_when_an_earlier_one_is_forgotten(
    history: History,
) -> None:
    await history.add(ALICE, asking(1, "old"))
    await history.add(ALICE, asking(2, "q"))

    await history.forget(ALICE, "chat", turn(1).run_id)

    assert await open_ids(history) == ["q"]
    assert await history.claim(ALICE, "chat", "answer", ["q"])


async def test_a_title__of_a_forgotten_turn_is_made_anew(history: History) -> None:
    await history.add(ALICE, turn(1))
    await history.add(ALICE, turn(2))
    await history.add(ALICE, turn(3))

    await history.forget(ALICE, "chat", turn(1).run_id)

    assert (await state(history)).title == "question 2"
    assert [session.title for session in await all_sessions(history, ALICE)] == ["question 2"]
    await history.forget(ALICE, "chat", turn(2).run_id)
    assert (await state(history)).title == "question 3"
    await history.rename(ALICE, "chat", "mine")
    assert (await state(history)).title == "mine"


async def test_a_title__that_was_set_outlives_the_first_turn(history: History) -> None:
    await history.add(ALICE, turn(1))
    await history.add(ALICE, turn(2))
    await history.rename(ALICE, "chat", "mine")

    await history.forget(ALICE, "chat", turn(1).run_id)

    assert (await state(history)).title == "mine"


async def test_a_forgotten_turn__written_again_stays_forgotten(history: History) -> None:
    await history.add(ALICE, at_points(1, "a"))
    await history.add(ALICE, replace(asking(2, "q"), points=[point("b")]))
    await history.forget(ALICE, "chat", turn(2).run_id)

    await history.add(ALICE, replace(asking(2, "q"), points=[point("b")]))

    assert await said(history) == ["question 1", "answer 1"]
    assert await open_ids(history) == []
    assert await found_at(history, ALICE, [point("b")]) is None


async def test_a_turn_that_a_session_was_begun_with__is_forgotten_there_alone(
    history: History,
) -> None:
    await history.add(ALICE, at_points(1, "a"))
    await history.add(ALICE, at_points(2, "b"))
    shared = await history.fork_turns(ALICE, "chat", turn(2).run_id)
    await history.begin(ALICE, begun("fork"), shared or ())

    assert await history.forget(ALICE, "fork", turn(1).run_id)

    assert await said(history, "fork") == ["question 2", "answer 2"]
    assert len(await said(history)) == 4
    assert await found_at(history, ALICE, [point("a")]) == ("chat", turn(1).run_id)
    assert await history.forget(ALICE, "chat", turn(2).run_id)
    assert await said(history, "fork") == ["question 2", "answer 2"]


async def test_a_turn_at_the_point_of_a_forgotten_one__is_found_there(history: History) -> None:
    await history.add(ALICE, at_points(1, "a", "same"))
    await history.add(ALICE, at_points(2, "b", "same"))
    await history.add(ALICE, at_points(1, "same", session_id="other"))

    await history.forget(ALICE, "other", turn(1, session_id="other").run_id)

    assert await found_at(history, ALICE, [point("same")]) == ("chat", turn(2).run_id)


async def test_a_large_turn__is_forgotten_whole(history: History) -> None:
    await history.add(ALICE, turn(1))
    await history.add(ALICE, replace(turn(2), answer=os.urandom(400_000).hex()))

    assert await history.forget(ALICE, "chat", turn(2).run_id)

    assert await said(history) == ["question 1", "answer 1"]


async def test_turns__forgotten_and_added_at_once_are_each_what_was_asked(
    history: History,
) -> None:
    for n in range(1, 7):
        await history.add(ALICE, at_points(n, f"p{n}"))

    forgotten = await asyncio.gather(
        *(history.forget(ALICE, "chat", turn(n).run_id) for n in (1, 2, 3)),
        *(history.add(ALICE, at_points(n, f"p{n}")) for n in (7, 8)),
    )

    assert forgotten == [True, True, True, None, None]
    assert await said(history) == [
        f"{what} {n}" for n in (4, 5, 6, 7, 8) for what in ("question", "answer")
    ]
    assert (await state(history)).title == "question 4"


async def test_what_was_forgotten__is_so_after_a_restart(store: Store) -> None:
    async with store() as history:
        await history.add(ALICE, at_points(1, "a"))
        await history.add(ALICE, replace(asking(2, "q"), points=[point("b")]))
        await history.forget(ALICE, "chat", turn(2).run_id)
        before = await state(history)

    async with store() as history:
        assert await state(history) == before
        assert await said(history) == ["question 1", "answer 1"]
        assert await found_at(history, ALICE, [point("b")]) is None
        assert not await history.forget(ALICE, "chat", turn(2).run_id)
