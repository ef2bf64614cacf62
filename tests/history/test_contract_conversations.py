"""What every history promises of conversations that go on: points, forks, branches."""

import asyncio
from dataclasses import replace

from bff.history import ForkedFrom, History, Turn
from tests.history.conftest import Store
from tests.history.test_contract import all_messages, all_sessions
from tests.history.turns import (
    ALICE,
    BOB,
    approval,
    asking,
    at_points,
    begun,
    found_at,
    open_ids,
    point,
    session_after,
    state,
    turn,
)

# A session


async def test_a_session__is_what_its_turn_made_of_it(history: History) -> None:
    first = replace(
        asking(1, "q2", "q1"), agent="clerk", points=[point("a"), point("b")], continues=None
    )
    await history.add(ALICE, first)

    assert await state(history) == session_after(first)
    assert await all_sessions(history, ALICE) == [session_after(first)]
    found = await history.messages(ALICE, "chat", limit=1)
    assert found is not None
    assert found[0] == session_after(first)


async def test_a_session__of_nobody_or_of_somebody_else_is_none(history: History) -> None:
    await history.add(BOB, turn(1))

    assert await history.session(ALICE, "chat") is None
    assert await history.session(BOB, "other") is None


async def test_a_session__keeps_its_agent_and_moves_on_with_each_turn(history: History) -> None:
    await history.add(ALICE, replace(asking(1, "q1"), agent="clerk", points=[point("a")]))
    await history.add(ALICE, replace(turn(2), agent="other", points=[point("b")]))

    session = await state(history)

    assert (session.agent, session.inputs, session.point) == ("clerk", (), point("b"))
    assert session.last_run_id == turn(2).run_id
    assert session.updated_at == turn(2).answered_at


async def test_a_session__whose_last_turn_has_no_point_stands_nowhere(history: History) -> None:
    await history.add(ALICE, at_points(1, "a"))
    await history.add(ALICE, turn(2))

    assert (await state(history)).point is None


async def test_a_late_turn__of_an_older_run_changes_nothing_newer(history: History) -> None:
    await history.add(ALICE, replace(asking(5, "new"), points=[point("new")]))
    await history.add(ALICE, replace(turn(3), points=[point("old")]))
    await history.add(ALICE, replace(asking(4, "old"), points=[point("older")]))

    session = await state(history)

    assert await open_ids(history) == ["new"]
    assert (session.last_run_id, session.point) == (turn(5).run_id, point("new"))
    assert len(await all_messages(history, ALICE, "chat")) == 6


async def test_the_same_run_again__opens_and_closes_nothing(history: History) -> None:
    await history.add(ALICE, asking(1, "q1"))
    await history.add(ALICE, replace(asking(1, "q1"), inputs=[], points=[point("x")]))
    assert await open_ids(history) == ["q1"]

    assert await history.claim(ALICE, "chat", "answer", ["q1"])
    await history.add(ALICE, asking(1, "q1"))

    assert await open_ids(history) == []
    assert await found_at(history, ALICE, [point("x")]) is None


async def test_a_turn__comes_back_with_its_parts_and_what_it_continues(history: History) -> None:
    parts = [
        {"type": "text", "text": "look: 𝄞\u2028"},
        {"type": "image", "source": {"type": "file", "value": "file_1"}, "filename": "a b.png"},
    ]
    given = [{"type": "source", "url": "https://example.com/?a=b", "title": "é"}]
    await history.add(
        ALICE, replace(turn(1), parts=parts, answer_parts=given, continues="run-000-chat")
    )
    await history.add(ALICE, replace(turn(2), parts=[], answer="", answer_parts=given * 2000))

    asked, answered, plain, many = await all_messages(history, ALICE, "chat")

    assert (list(asked.parts), asked.continues) == (parts, "run-000-chat")
    assert (list(answered.parts), answered.continues) == (given, "run-000-chat")
    assert (list(plain.parts), plain.continues) == ([], None)
    assert list(many.parts) == given * 2000


async def test_questions__may_be_large(history: History) -> None:
    value = {"document": "é" * 300_000, "list": list(range(50_000))}
    big = [{**approval("q1"), "value": value}, approval("q2")]
    await history.add(ALICE, replace(asking(1), inputs=big))

    assert list((await state(history)).inputs) == big
    assert [list(session.inputs) for session in await all_sessions(history, ALICE)] == [big]
    assert await history.claim(ALICE, "chat", "answer", ["q1", "q2"])
    assert (await state(history)).inputs == ()


# Which session has a transcript


async def test_find__knows_a_turn_by_each_of_its_points(history: History) -> None:
    await history.add(ALICE, at_points(1, "a", "a as text"))
    await history.add(ALICE, at_points(2, "b"))
    await history.add(BOB, at_points(3, "c", session_id="bobs"))

    async def find(*names: str) -> tuple[str, str] | None:
        return await found_at(history, ALICE, [point(name) for name in names])

    assert await find("a as text") == ("chat", turn(1).run_id)
    assert await find("b", "a") == ("chat", turn(2).run_id)
    assert await find("x", "a", "b") == ("chat", turn(1).run_id)
    assert await find("c") is None
    assert await find("x") is None
    assert await find() is None


async def test_find__looks_for_many_points(history: History, store_name: str) -> None:
    await history.add(ALICE, at_points(1, "a"))
    await history.add(ALICE, at_points(2, "b", session_id="other"))
    missing = [point(f"missing {n}") for n in range(450)]
    known = [point("a"), point("b")]

    assert await found_at(history, ALICE, [*missing[:30], *known]) == ("chat", turn(1).run_id)
    assert await found_at(history, ALICE, missing) is None
    if "memory" not in store_name:  # each point is a call there, so they are limited
        assert await found_at(history, ALICE, [*missing, *known]) == ("chat", turn(1).run_id)


async def test_find__of_sessions_that_began_alike_prefers_one_that_stands_there(
    history: History,
) -> None:
    for n, session_id in enumerate(("a", "b", "c")):
        await history.add(ALICE, at_points(n, "hi", session_id=session_id))
    found = await found_at(history, ALICE, [point("hi")])
    assert found == ("c", turn(2, session_id="c").run_id), "the newest, where all stand there"

    await history.add(ALICE, at_points(10, "more", session_id="c"))
    found = await found_at(history, ALICE, [point("hi")])
    assert found == ("b", turn(1, session_id="b").run_id)

    await history.add(ALICE, at_points(11, "else", session_id="b"))
    await history.add(ALICE, at_points(12, "other", session_id="a"))
    found = await found_at(history, ALICE, [point("hi")])
    assert found == ("c", turn(2, session_id="c").run_id), "the newest, where none stands there"


async def test_find__never_gives_a_deleted_session_but_another_that_has_the_point(
    history: History,
) -> None:
    await history.add(ALICE, at_points(1, "hi", session_id="a"))
    await history.add(ALICE, at_points(2, "hi", session_id="b"))
    await history.delete(ALICE, "b")
    assert await found_at(history, ALICE, [point("hi")]) == ("a", turn(1, session_id="a").run_id)

    await history.delete(ALICE, "a")
    assert await found_at(history, ALICE, [point("hi")]) is None

    await history.add(ALICE, at_points(3, "new", session_id="a"))
    assert await found_at(history, ALICE, [point("hi")]) is None
    assert await found_at(history, ALICE, [point("new")]) == ("a", turn(3, session_id="a").run_id)


async def test_find__of_two_runs_at_one_point_gives_the_newer_however_they_came(
    history: History,
) -> None:
    await history.add(ALICE, at_points(1, "a"))
    await history.add(ALICE, at_points(3, "a"))
    await history.add(ALICE, at_points(2, "a"))

    assert await found_at(history, ALICE, [point("a")]) == ("chat", turn(3).run_id)


async def test_points__make_no_sessions_and_no_messages(history: History) -> None:
    for n in range(4):
        await history.add(ALICE, at_points(n, *(f"{n}-{m}" for m in range(4))))

    assert [session.session_id for session in await all_sessions(history, ALICE)] == ["chat"]
    assert len(await all_messages(history, ALICE, "chat")) == 8


# Sessions that begin with a transcript


async def test_begin__makes_a_session_that_has_its_turns_and_is_not_told(
    history: History,
) -> None:
    turns = [turn(n) for n in range(3)]
    fork = begun(
        "fork",
        agent="clerk",
        forked_from=ForkedFrom(session_id="chat", run_id=turns[-1].run_id),
        point=point("b"),
    )
    await history.begin(ALICE, fork, [replace(t, points=[point("b")]) for t in turns])

    assert await state(history, "fork") == fork
    assert await all_sessions(history, ALICE) == [fork]
    assert [m.run_id for m in await all_messages(history, ALICE, "fork", limit=2)] == [
        t.run_id for t in turns for _ in range(2)
    ]
    assert await found_at(history, ALICE, [point("b")]) is None


async def test_begin__without_a_turn_is_a_session_without_messages(history: History) -> None:
    fork = begun("fork", forked_from=ForkedFrom(session_id="chat", run_id=None))
    await history.begin(ALICE, fork)

    assert await history.messages(ALICE, "fork", limit=5) is not None
    assert await all_messages(history, ALICE, "fork") == []
    assert await state(history, "fork") == fork
    assert await history.session(BOB, "fork") is None


async def test_begin__of_a_name_that_is_taken_changes_nothing(history: History) -> None:
    await history.add(ALICE, turn(1))
    await history.begin(ALICE, begun("fork"), [turn(2)])
    before = await all_sessions(history, ALICE)

    await history.begin(ALICE, replace(begun("fork"), title="again"), [turn(3)], branch_of="chat")
    await history.begin(ALICE, begun("chat"), [turn(4)])

    assert await all_sessions(history, ALICE) == before
    for name, n in (("chat", 1), ("fork", 2)):
        messages = await all_messages(history, ALICE, name)
        assert [m.run_id for m in messages] == [turn(n).run_id] * 2


async def test_begin__at_once_happens_once(history: History) -> None:
    forks = [replace(begun("fork"), title=f"{n}") for n in range(4)]
    await asyncio.gather(*(history.begin(ALICE, fork, [turn(1)]) for fork in forks))

    session = await state(history, "fork")
    assert session in forks
    assert len(await all_messages(history, ALICE, "fork")) == 2


async def test_a_begun_session__is_told_by_a_turn_that_did_not_fail(history: History) -> None:
    await history.begin(ALICE, begun("fork", point=point("a")), [turn(1)])

    failed = replace(at_points(2, "a", session_id="fork"), status="failed")
    await history.add(ALICE, failed)
    session = await state(history, "fork")
    assert (session.told, session.last_run_id) == (False, failed.run_id)

    for n, status in ((3, "cancelled"), (4, "failed")):
        await history.add(ALICE, replace(turn(n, session_id="fork"), status=status))
        assert (await state(history, "fork")).told


async def test_a_session__whose_first_turn_failed_has_nothing_to_be_told(
    history: History,
) -> None:
    await history.add(ALICE, replace(turn(1), status="failed"))

    assert (await state(history)).told


async def test_a_begun_session__goes_on_with_its_own_turns(history: History) -> None:
    shared = [replace(turn(n), asked_at=turn(n).asked_at + 1e6) for n in range(2)]
    fork = begun("fork", agent="clerk", point=point("shared"))
    await history.begin(ALICE, fork, shared)

    own = replace(at_points(5, "own", session_id="fork"), agent="other", inputs=[approval("q")])
    await history.add(ALICE, own)

    session = await state(history, "fork")
    assert (session.title, session.agent, session.created_at) == ("a fork", "clerk", 50.0)
    assert (session.last_run_id, session.point) == (own.run_id, point("own"))
    assert await open_ids(history, "fork") == ["q"]
    assert session.updated_at == own.answered_at
    assert await found_at(history, ALICE, [point("own")]) == ("fork", own.run_id)


async def test_a_fork__shares_runs_and_lives_by_itself(history: History) -> None:
    for n in range(3):
        await history.add(ALICE, at_points(n, f"{n}"))
    turns = await history.fork_turns(ALICE, "chat", turn(1).run_id)
    assert turns is not None
    await history.begin(ALICE, begun("fork"), turns)
    await history.add(ALICE, at_points(7, "fork", session_id="fork"))

    await history.delete(ALICE, "chat")

    assert [m.content for m in await all_messages(history, ALICE, "fork")] == [
        *(text for n in range(2) for text in (turn(n).message, turn(n).answer)),
        turn(7).message,
        turn(7).answer,
    ]
    assert await found_at(history, ALICE, [point("1")]) is None
    assert await found_at(history, ALICE, [point("fork")]) is not None
    assert await history.delete(ALICE, "fork")
    assert await history.messages(ALICE, "fork", limit=1) is None


async def test_fork_turns__are_the_turns_up_to_a_run(history: History) -> None:
    turns = [
        replace(
            turn(n),
            agent="clerk",
            parts=[{"type": "text", "text": "x"}],
            answer_parts=[{"type": "source", "url": "https://example.com"}],
            tool_calls=[{"id": "1", "tool": "t", "args": {}, "result": "r"}],
            continues="run-0",
        )
        for n in range(4)
    ]
    for n in (2, 0, 3, 1):
        await history.add(ALICE, replace(turns[n], points=[point("a")]))

    async def fork(run_id: str | None) -> list[Turn] | None:
        found = await history.fork_turns(ALICE, "chat", run_id)
        return None if found is None else [comparable(turn) for turn in found]

    assert await fork(turns[2].run_id) == [comparable(turn) for turn in turns[:3]]
    assert await fork(turns[0].run_id) == [comparable(turns[0])]
    assert await fork(None) == []
    assert await fork("run-unknown") is None
    assert await history.fork_turns(BOB, "chat", turns[0].run_id) is None
    assert await history.fork_turns(ALICE, "other", None) is None


def comparable(turn: Turn) -> Turn:
    return replace(
        turn,
        parts=list(turn.parts),
        answer_parts=list(turn.answer_parts),
        tool_calls=list(turn.tool_calls),
        inputs=list(turn.inputs),
        points=[],
    )


async def test_forks_of_forks__have_all_that_came_before(history: History) -> None:
    await history.add(ALICE, turn(0))
    name = "chat"
    for n in range(1, 4):
        turns = await history.fork_turns(ALICE, name, turn(n - 1, session_id=name).run_id)
        assert turns is not None
        fork = begun(f"fork-{n}", forked_from=ForkedFrom(session_id=name, run_id=turns[-1].run_id))
        await history.begin(ALICE, fork, turns)
        name = f"fork-{n}"
        await history.add(ALICE, turn(n, session_id=name))

    turns = await history.fork_turns(ALICE, name, turn(3, session_id=name).run_id)
    assert turns is not None
    assert [t.message for t in turns] == [f"question {n}" for n in range(4)]
    assert await history.fork_turns(ALICE, name, turn(1, session_id="fork-1").run_id) == turns[:2]
    origins = [(await state(history, f"fork-{n}")).forked_from for n in range(1, 4)]
    assert [origin and origin.session_id for origin in origins] == ["chat", "fork-1", "fork-2"]


# Branches that go by another session's name


async def test_a_branch__is_the_newest_begun_under_the_name(history: History) -> None:
    await history.add(ALICE, turn(1))
    await history.begin(ALICE, begun("one"), [turn(1)], branch_of="chat")
    assert (await state(history)).branch == "one"

    await history.begin(ALICE, begun("two"), branch_of="chat")
    await history.begin(ALICE, begun("one"), branch_of="chat")  # again: nothing changes
    await history.begin(ALICE, begun("three"), branch_of="missing")  # nothing is begun
    await history.add(ALICE, turn(9))

    assert (await state(history)).branch == "two"
    assert (await state(history, "one")).branch is None
    assert (await state(history, "two")).branch is None
    assert await history.session(ALICE, "missing") is None
    assert await history.session(ALICE, "three") is None
    assert await history.branches(ALICE, "chat") == ["one", "two"]
    assert await history.branches(ALICE, "one") == []
    assert await history.branches(ALICE, "missing") == []
    assert await history.branches(BOB, "chat") == []


async def test_a_branch__that_is_deleted_leaves_its_place_to_the_newest_left(
    history: History,
) -> None:
    await history.add(ALICE, turn(1))
    for at, name in enumerate(("c", "a", "b", "d")):
        await history.begin(ALICE, begun(name, at=50.0 + at), [turn(0)], branch_of="chat")

    await history.delete(ALICE, "a")
    assert (await state(history)).branch == "d"
    await history.delete(ALICE, "d")
    assert (await state(history)).branch == "b"
    await history.forget(ALICE, "b", turn(0).run_id)  # its only turn
    assert (await state(history)).branch == "c"
    assert await history.branches(ALICE, "chat") == ["c"]
    await history.delete(ALICE, "c")
    assert (await state(history)).branch is None
    await history.begin(ALICE, begun("d"))
    assert (await state(history)).branch is None
    assert await history.branches(ALICE, "chat") == []


async def test_a_branch__is_forgotten_with_the_session_that_it_goes_by(history: History) -> None:
    await history.add(ALICE, turn(1))
    await history.begin(ALICE, begun("one"), branch_of="chat")
    await history.delete(ALICE, "chat")
    assert await history.branches(ALICE, "chat") == ["one"]
    await history.add(ALICE, turn(2))

    assert (await state(history)).branch is None
    assert await history.branches(ALICE, "chat") == ["one"]
    assert await history.delete(ALICE, "one")
    assert (await state(history)).last_run_id == turn(2).run_id


async def test_all_of_it__outlives_a_restart(store: Store) -> None:
    async with store() as history:
        await history.add(ALICE, replace(asking(1, "q1", "q2"), points=[point("a")]))
        await history.begin(ALICE, begun("fork"), [turn(0)], branch_of="chat")
        before = [await history.session(ALICE, name) for name in ("chat", "fork")]
    async with store() as history:
        assert [await history.session(ALICE, name) for name in ("chat", "fork")] == before
        assert await found_at(history, ALICE, [point("a")]) == ("chat", turn(1).run_id)
        assert await open_ids(history) == ["q1", "q2"]
        assert (await state(history)).branch == "fork"
        assert len(await all_messages(history, ALICE, "fork")) == 2
