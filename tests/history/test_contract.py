"""What every history promises, asked of every history."""

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.history import History, Page, Session, StoredMessage
from bff.history.paging import first_title
from tests.history.turns import ALICE, BOB, TURN, session_after, turn


async def all_sessions(history: History, owner: str, *, limit: int = 100) -> list[Session]:
    items: list[Session] = []
    after = None
    for _ in range(200):
        page = await history.sessions(owner, limit=limit, after=after)
        assert len(page.items) <= limit
        items.extend(page.items)
        if page.next is None:
            return items
        assert page.items, "an empty page that is not the last would keep a client asking"
        after = page.next
    raise AssertionError("paging does not end")


async def all_messages(
    history: History, owner: str, session_id: str, *, limit: int = 100
) -> list[StoredMessage]:
    items: list[StoredMessage] = []
    after = None
    for _ in range(1000):
        found = await history.messages(owner, session_id, limit=limit, after=after)
        assert found is not None
        page = found[1]
        assert len(page.items) <= limit
        items.extend(page.items)
        if page.next is None:
            return items
        assert page.items
        after = page.next
    raise AssertionError("paging does not end")


async def test_add__makes_a_session_with_both_messages(history: History) -> None:
    await history.add(ALICE, TURN)

    (listed,) = await all_sessions(history, ALICE)
    found = await history.messages(ALICE, "chat", limit=10)
    assert found is not None
    assert listed == found[0] == session_after(TURN)
    assert found[1] == Page(
        [
            StoredMessage("user", "What is 15 * 23?", "run-1", TURN.asked_at),
            StoredMessage(
                "assistant", "345.", "run-1", TURN.answered_at, "complete", TURN.tool_calls
            ),
        ]
    )


async def test_add__the_same_run_again_changes_nothing(history: History) -> None:
    await history.add(ALICE, TURN)
    await history.add(ALICE, TURN)
    await history.add(ALICE, replace(TURN, answer="another", status="cancelled"))

    assert [m.content for m in await all_messages(history, ALICE, "chat")] == [
        "What is 15 * 23?",
        "345.",
    ]
    assert len(await all_sessions(history, ALICE)) == 1


async def test_add__the_same_run_at_once_is_kept_once(history: History) -> None:
    await asyncio.gather(*(history.add(ALICE, TURN) for _ in range(5)))

    assert len(await all_messages(history, ALICE, "chat")) == 2
    assert len(await all_sessions(history, ALICE)) == 1


async def test_add__the_same_run_id_of_two_owners_is_two_runs(history: History) -> None:
    await history.add(ALICE, TURN)
    await history.add(BOB, replace(TURN, answer="Bob's"))

    assert (await all_messages(history, ALICE, "chat"))[1].content == "345."
    assert (await all_messages(history, BOB, "chat"))[1].content == "Bob's"


async def test_add__at_once_in_many_sessions_loses_none(history: History) -> None:
    turns = [turn(n, session_id=f"chat-{n % 6}") for n in range(18)]

    for wave in range(0, 18, 6):  # a session has one run at a time
        await asyncio.gather(*(history.add(ALICE, t) for t in turns[wave : wave + 6]))

    sessions = await all_sessions(history, ALICE)
    assert {s.session_id for s in sessions} == {f"chat-{n}" for n in range(6)}
    kept = [m.run_id for s in sessions for m in await all_messages(history, ALICE, s.session_id)]
    assert sorted(kept) == sorted(2 * [t.run_id for t in turns])


async def test_add__an_older_turn_moves_nothing_back(history: History) -> None:
    await history.add(ALICE, turn(9))
    await history.add(ALICE, turn(3))

    (session,) = await all_sessions(history, ALICE)
    assert session.updated_at == turn(9).answered_at
    assert [m.run_id for m in await all_messages(history, ALICE, "chat")] == [
        turn(3).run_id,
        turn(3).run_id,
        turn(9).run_id,
        turn(9).run_id,
    ]


TEXTS = [
    "",
    " \n\t ",
    "zero\0byte",
    "line\u2028separator \x85 \r\n",
    "👩‍👩‍👧 é \uffff 𝄞",
    '{"looks": "like json"}',
    "x" * 100_000,
    "𝄞" * 100_000,
]


async def test_text__comes_back_as_it_was(history: History) -> None:
    for n, text in enumerate(TEXTS):
        await history.add(ALICE, replace(turn(n), message=text or "x", answer=text))

    messages = await all_messages(history, ALICE, "chat")

    assert [m.content for m in messages] == [t for text in TEXTS for t in (text or "x", text)]


async def test_text__half_a_surrogate_pair_does_no_harm(history: History) -> None:
    await history.add(ALICE, replace(TURN, message="a\ud83d", answer="\ude00b"))

    assert [m.content for m in await all_messages(history, ALICE, "chat")] == ["a\ufffd", "\ufffdb"]


async def test_text__an_answer_of_two_million_characters_is_whole(history: History) -> None:
    answer = random.Random(7).randbytes(1_000_000).hex()
    await history.add(ALICE, replace(TURN, answer=answer))
    await history.add(ALICE, turn(2))

    messages = await all_messages(history, ALICE, "chat")

    assert messages[1].content == answer
    assert [m.run_id for m in messages[2:]] == [turn(2).run_id] * 2


async def test_tool_calls__come_back_as_they_were(history: History) -> None:
    calls: list[dict[str, Any]] = [
        {"id": "1", "tool": "calculator", "args": {"a": [1, 2.5, None, True, "é𝄞"]}, "result": "3"},
        {"id": "2", "tool": "search", "args": "raw", "error": "it broke"},
        {"id": "3", "tool": "big", "args": {}, "result": "r" * 150_000},
        {"id": "4", "tool": "open", "args": {"number": 12345678901234567890, "small": 1e-9}},
    ]
    await history.add(ALICE, replace(TURN, tool_calls=calls))

    assert (await all_messages(history, ALICE, "chat"))[1].tool_calls == calls


async def test_status__is_kept_even_without_an_answer(history: History) -> None:
    statuses = ["complete", "cancelled", "failed", "interrupted"]
    for n, status in enumerate(statuses):
        await history.add(ALICE, replace(turn(n), answer="", status=status))

    messages = await all_messages(history, ALICE, "chat")

    assert [m.status for m in messages if m.role == "user"] == [None] * 4
    assert [m.status for m in messages if m.role == "assistant"] == statuses
    assert {m.content for m in messages if m.role == "assistant"} == {""}


async def test_sessions__are_last_used_first(history: History) -> None:
    for n, session_id in enumerate(["a", "b", "c", "a"]):
        await history.add(ALICE, turn(n, session_id=session_id))

    sessions = await all_sessions(history, ALICE)

    assert [s.session_id for s in sessions] == ["a", "c", "b"]
    assert sessions[0].title == turn(0).message
    assert sessions[0].created_at == turn(0).asked_at
    assert sessions[0].updated_at == turn(3).answered_at


async def test_sessions__every_page_size_gives_the_same_list(history: History) -> None:
    for n in range(7):  # three of them at the same moment
        await history.add(ALICE, replace(turn(n, session_id=f"s{n}"), answered_at=float(n // 3)))
    await history.add(BOB, turn(99))

    for limit in (1, 2, 3, 100):
        sessions = await all_sessions(history, ALICE, limit=limit)
        assert [s.session_id for s in sessions] == ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]


async def test_sessions__paging_over_what_changes_repeats_and_loses_nothing_else(
    history: History,
) -> None:
    for n in range(6):
        await history.add(ALICE, turn(n, session_id=f"s{n}"))
    first = await history.sessions(ALICE, limit=2)

    await history.add(ALICE, turn(50, session_id="s0"))
    await history.delete(ALICE, "s4")
    rest = await history.sessions(ALICE, limit=10, after=first.next)

    assert [s.session_id for s in first.items] == ["s5", "s4"]
    assert [s.session_id for s in rest.items] == ["s3", "s2", "s1"]
    assert rest.next is None


async def test_messages__every_page_size_gives_the_same_list(history: History) -> None:
    for n in (2, 0, 1, 3):
        await history.add(ALICE, turn(n))

    for limit in (1, 2, 3, 7, 100):
        messages = await all_messages(history, ALICE, "chat", limit=limit)
        assert [(m.role, m.run_id) for m in messages] == [
            (role, turn(n).run_id) for n in range(4) for role in ("user", "assistant")
        ]


async def test_messages__a_page_goes_on_with_what_came_since(history: History) -> None:
    await history.add(ALICE, turn(1))
    found = await history.messages(ALICE, "chat", limit=1)
    assert found is not None
    assert found[1].next is not None

    await history.add(ALICE, turn(2))
    rest = await history.messages(ALICE, "chat", limit=10, after=found[1].next)

    assert rest is not None
    assert [m.content for m in rest[1].items] == [
        turn(1).answer,
        turn(2).message,
        turn(2).answer,
    ]


async def test_an_unknown_session__is_none_everywhere(history: History) -> None:
    await history.add(BOB, TURN)

    assert await history.sessions(ALICE, limit=10) == Page([])
    assert await history.messages(ALICE, "chat", limit=10) is None
    assert await history.rename(ALICE, "chat", "mine") is None
    assert await history.delete(ALICE, "chat") is False
    assert [s.title for s in await all_sessions(history, BOB)] == [TURN.message]


async def test_a_position__of_another_owner_opens_nothing_of_theirs(history: History) -> None:
    for n in range(4):
        await history.add(BOB, turn(n, session_id=f"bob-{n}"))
        await history.add(BOB, turn(10 + n))
        await history.add(ALICE, turn(n, session_id=f"alice-{n}"))
        await history.add(ALICE, turn(20 + n))
    foreign = (await history.sessions(BOB, limit=1)).next
    found = await history.messages(BOB, "chat", limit=1)
    assert found is not None

    sessions = await history.sessions(ALICE, limit=10, after=foreign)
    messages = await history.messages(ALICE, "chat", limit=10, after=found[1].next)

    assert not [s for s in sessions.items if s.session_id.startswith("bob")]
    assert messages is not None
    assert {m.run_id for m in messages[1].items} <= {turn(20 + n).run_id for n in range(4)}


JUNK = [
    "",
    "x",
    "null",
    "[]",
    "{}",
    "[1]",
    "[1,2]",
    '[NaN,"a"]',
    '[Infinity,"a",1]',
    '[1.0,"a\\u0000"]',
    '["a",1.0]',
    "[1.0,null]",
    '[1.0,"run",-1]',
    '[1.0,"run",true]',
    "[" * 100_000,
    '[1.0,"%s"]' % ("a" * 5000),
    "\ud800",
    "' OR 1=1 --",
]


async def test_a_position__that_is_junk_is_refused(history: History) -> None:
    await history.add(ALICE, TURN)

    for junk in JUNK:
        with pytest.raises(ValueError):
            await history.sessions(ALICE, limit=10, after=junk)
        with pytest.raises(ValueError):
            await history.messages(ALICE, "chat", limit=10, after=junk)


async def test_rename__stays_on_later_turns_and_keeps_the_order(history: History) -> None:
    await history.add(ALICE, turn(1, session_id="a"))
    await history.add(ALICE, turn(2, session_id="b"))

    renamed = await history.rename(ALICE, "a", "Mine: 𝄞 \n and more")
    await history.add(ALICE, replace(turn(0, session_id="a"), message="late and older"))

    expected = replace(session_after(turn(1, session_id="a")), title="Mine: 𝄞 \n and more")
    assert renamed == expected
    assert [s.title for s in await all_sessions(history, ALICE)] == [
        turn(2).message,
        "Mine: 𝄞 \n and more",
    ]


async def test_rename__the_last_title_stays(history: History) -> None:
    await history.add(ALICE, TURN)

    for title in ("one", "two", "three"):
        await history.rename(ALICE, "chat", title)

    assert [s.title for s in await all_sessions(history, ALICE)] == ["three"]


async def test_delete__hides_the_session_at_once_and_no_other(history: History) -> None:
    for n in range(3):
        await history.add(ALICE, turn(n, session_id=f"s{n}"))
    await history.add(BOB, turn(1, session_id="s1"))

    assert await history.delete(ALICE, "s1") is True

    assert [s.session_id for s in await all_sessions(history, ALICE)] == ["s2", "s0"]
    assert await history.messages(ALICE, "s1", limit=10) is None
    assert await history.rename(ALICE, "s1", "back") is None
    assert await history.delete(ALICE, "s1") is False
    assert len(await all_messages(history, BOB, "s1")) == 2


async def test_delete__the_name_used_again_is_a_new_session(history: History) -> None:
    await history.add(ALICE, turn(1))
    await history.rename(ALICE, "chat", "the old one")
    await history.delete(ALICE, "chat")

    await history.add(ALICE, turn(5))

    assert await all_sessions(history, ALICE) == [session_after(turn(5))]
    assert [m.run_id for m in await all_messages(history, ALICE, "chat")] == [turn(5).run_id] * 2


async def test_delete__again_and_again_starts_anew_each_time(history: History) -> None:
    for n in range(4):
        await history.add(ALICE, turn(n))
        assert [m.run_id for m in await all_messages(history, ALICE, "chat")] == [
            turn(n).run_id
        ] * 2
        assert await history.delete(ALICE, "chat") is True
    assert await all_sessions(history, ALICE) == []


async def test_a_cancelled_caller__leaves_a_whole_turn_or_none(history: History) -> None:
    for n in range(8):
        task = asyncio.create_task(history.add(ALICE, turn(n, session_id=f"s{n}")))
        for _ in range(n):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await history.add(ALICE, turn(20))  # a later call comes after whatever went on

    for session in await all_sessions(history, ALICE):
        assert len(await all_messages(history, ALICE, session.session_id)) == 2


async def test_ping__of_a_history_that_can_be_used(history: History) -> None:
    await history.ping()


async def test_repr__says_what_it_is_and_shows_no_conversation(history: History) -> None:
    await history.add(ALICE, TURN)

    assert repr(history).startswith(f"<{type(history).__name__} ")
    assert TURN.message not in repr(history)


@pytest.mark.parametrize(
    ("message", "title"),
    [
        ("short", "short"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 80),
        ("two\nlines", "two\nlines"),
        ("𝄞" * 100, "𝄞" * 80),
        ("x" * 79 + "e\u0301" + "y", "x" * 79),
        ("x" * 79 + "👍🏽", "x" * 79),
        ("x" * 78 + "👩\u200d👧", "x" * 78),
        ("e" + "\u0301" * 100, "e" + "\u0301" * 79),
    ],
)
def test_a_title__is_the_first_80_characters_with_no_letter_cut(message: str, title: str) -> None:
    assert first_title(message) == title


@given(st.text(max_size=300))
def test_a_title__is_a_beginning_of_the_message(message: str) -> None:
    title = first_title(message)

    assert message.startswith(title)
    assert len(title) <= 80
    assert title == message or len(title) > 0
