import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.history import ForkedFrom, Session
from bff.history.agentcore.notes import (
    PIECE_CHARACTERS,
    Entry,
    Note,
    begin_note,
    fold,
    note_items,
    note_of,
    turn_note,
)
from tests.history.turns import session_after, turn

QUESTION = {"id": "q", "kind": "approval", "value": {"amount": 10}}


def noted(n: int, *, at: int, **changes: Any) -> Note:
    """The note of the nth turn."""
    return turn_note(replace(turn(n), **changes), at, [])


def claim(run_id: str, of: str, *, at: int) -> Note:
    return Note(kind="claim", session_id="chat", at=at, run_id=run_id, of=of)


def folded(*notes: Note) -> Entry:
    """What they say, in whatever order they come."""
    named = {f"{n:03}": note for n, note in enumerate(notes)}
    entries = []
    for seed in range(6):
        ids = list(named)
        random.Random(seed).shuffle(ids)
        entries.append(fold({id: named[id] for id in ids})["chat"])
    assert all(entry == entries[0] for entry in entries)
    return entries[0]


def test_notes__in_any_order_give_the_same() -> None:
    notes = {
        "1": noted(1, at=1),
        "2": Note(kind="title", session_id="chat", at=2, title="mine"),
        "3": noted(2, at=3),
        "4": replace(noted(3, at=4), session_id="other"),
        "5": Note(kind="clear", session_id="other", at=5),
    }

    forward, backward = fold(notes), fold(dict(reversed(notes.items())))

    assert forward == backward
    assert forward["chat"].session == replace(
        session_after(turn(1)),
        title="mine",
        updated_at=turn(2).answered_at,
        last_run_id=turn(2).run_id,
    )
    assert forward["other"].session is None
    assert forward["other"].cleared_at == 5
    assert forward["other"].superseded == {"4"}


def test_a_note_of_0_1_0__is_still_understood() -> None:
    old = (
        '{"kind":"turn","session_id":"chat","at":7,"title":"hello",'
        '"created_at":10.0,"updated_at":11.0}'
    )
    note = note_of({"payload": [{"blob": old}]})
    assert note is not None

    assert folded(note, replace(note, at=8, title="more", updated_at=21.0)).session == Session(
        session_id="chat", title="hello", created_at=10.0, updated_at=21.0
    )


def test_the_newest_turn__counts_and_the_late_one_does_not() -> None:
    late = noted(1, at=9, inputs=[{**QUESTION, "id": "old"}], points=["old"])
    entry = folded(noted(2, at=1, inputs=[QUESTION], points=["new"]), late)

    assert entry.session is not None
    assert (entry.session.point, entry.session.inputs) == ("new", (QUESTION,))


def test_the_same_run_again__is_the_first_of_its_notes() -> None:
    entry = folded(noted(1, at=1, inputs=[QUESTION]), noted(1, at=2), noted(1, at=3))

    assert entry.asks(["q"])
    assert entry.superseded == {"001", "002"}


def test_a_claim__of_several_goes_to_the_oldest() -> None:
    asked = noted(1, at=1, inputs=[QUESTION])
    of = turn(1).run_id

    entry = folded(asked, claim("b", of, at=7), claim("a", of, at=5), claim("c", of, at=6))

    assert entry.open_inputs == ()
    assert entry.claimed_by == "a"
    assert entry.superseded == {"001", "003"}


def test_a_claim__is_of_the_questions_it_names_and_no_newer_ones() -> None:
    asked, again = noted(1, at=1, inputs=[QUESTION]), noted(2, at=5, inputs=[QUESTION])
    taken = claim("a", turn(1).run_id, at=3)

    entry = folded(asked, taken, again)
    assert entry.asks(["q"])
    assert entry.claimed_by == "a"

    entry = folded(asked, taken, again, claim("b", turn(2).run_id, at=6))
    assert not entry.asks(["q"])
    assert entry.claimed_by == "b"


def test_a_beginning__is_what_its_first_note_says() -> None:
    fork = Session(
        session_id="chat",
        title="a fork",
        created_at=5.0,
        updated_at=6.0,
        agent="clerk",
        forked_from=ForkedFrom(session_id="x", run_id=None),
        point="p",
        told=False,
    )
    begun = begin_note(fork, 1, batch="b1", branch_of="x")
    other = begin_note(replace(fork, title="outrun"), 2, batch="b2", branch_of="y")

    entry = folded(begun, other)
    assert entry.session == fork
    assert entry.begun is not None
    assert (entry.begun.note.batch, entry.branch_of) == ("b1", "x")

    entry = folded(begun, noted(1, at=4, status="failed"))
    assert entry.session == replace(
        fork, point=None, last_run_id=turn(1).run_id, updated_at=turn(1).answered_at
    )
    entry = folded(begun, noted(1, at=4), noted(2, at=5, status="failed"))
    assert entry.session is not None
    assert entry.session.told


def test_a_branch__is_forgotten_only_if_it_is_still_that_one() -> None:
    first, second, gone = (
        Note(kind="branch", session_id="chat", at=2, branch="one"),
        Note(kind="branch", session_id="chat", at=3, branch="two"),
        Note(kind="branch", session_id="chat", at=4, of="one"),
    )

    def branch(*notes: Note) -> str | None:
        session = folded(noted(1, at=1), *notes).session
        assert session is not None
        return session.branch

    assert branch(first, second) == "two"
    assert branch(first, second, gone) == "two"
    assert branch(first, gone) is None
    assert branch(first, second, replace(gone, of="two", branch="one")) == "one"
    assert branch(first, second, replace(gone, of="one", branch="none")) == "two"


def test_what_no_longer_matters__can_go_without_a_change() -> None:
    """Folding what is needed gives what folding all of it gave, whatever happened."""
    rng = random.Random(11)
    for _ in range(300):
        notes = {f"{n:03}": random_note(rng, at=n) for n in range(rng.randrange(2, 25))}
        entry = fold(notes)["chat"]
        needed = notes
        for _ in range(2):
            superseded = fold(needed)["chat"].superseded
            needed = {id: note for id, note in needed.items() if id not in superseded}

            again = fold(needed)["chat"]

            assert again.session == entry.session
            assert again.claimed_by == entry.claimed_by
            assert again.cleared_at == entry.cleared_at
            assert again.branch_of == entry.branch_of


def random_note(rng: random.Random, *, at: int) -> Note:
    n = rng.randrange(6)
    match rng.choice(["turn", "turn", "turn", "title", "claim", "begin", "branch", "clear"]):
        case "turn":
            status = rng.choice(["complete", "failed"])
            inputs = rng.choice([[], [QUESTION]])
            return noted(n, at=at, status=status, inputs=inputs, points=[str(at)])
        case "title":
            return Note(kind="title", session_id="chat", at=at, title=str(at))
        case "claim":
            return claim(f"answer-{at}", turn(n).run_id, at=at)
        case "begin":
            fork = replace(session_after(turn(n)), point="b", title=str(at))
            return begin_note(fork, at, batch=str(at), branch_of=rng.choice([None, "x"]))
        case "branch":
            branch = rng.choice(["one", "two", ""])
            of = rng.choice(["one", "two", ""])
            return Note(kind="branch", session_id="chat", at=at, branch=branch, of=of)
        case _:
            if rng.random() < 0.7:
                return noted(n, at=at)
            return Note(kind="clear", session_id="chat", at=at)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(title=st.text(max_size=90), value=json_values, size=st.sampled_from([1, 500, 3000]))
def test_a_note__comes_back_from_its_event(title: str, value: Any, size: int) -> None:
    inputs = ({"id": "é", "kind": "input", "value": value, "message": "m" * size},) * 3
    note = replace(noted(1, at=1, points=["a"]), title=title, inputs=inputs, places=("p",))

    items = note_items(note)

    assert all(item["blob"].isascii() for item in items)
    back = note_of({"payload": json.loads(json.dumps(items))})
    assert back is not None
    assert replace(back, inputs=tuple(back.inputs), places=tuple(back.places)) == note


def test_a_note__of_large_questions_is_packed_cut_and_left_out_of_the_list() -> None:
    big = random.Random(1).randbytes(400_000).hex()
    note = noted(1, at=1, inputs=[{**QUESTION, "value": big}])

    items = note_items(note)

    assert 1 < len(items) <= 100
    assert max(len(item["blob"]) for item in items) <= PIECE_CHARACTERS
    assert note_of({"payload": items}) == replace(note, inputs=list(note.inputs))
    assert len(note.listed().encode()) < 500
    listed = folded(note.listed())
    assert listed.asks_elsewhere
    assert not folded(note.listed(), claim("r", turn(1).run_id, at=2)).asks_elsewhere


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "7", '"x"', '{"a":1}', '{"kind":"turn"}', "[" * 5000),
        '{"kind":"turn","session_id":"a","at":1,"packed":"x"}',
        '{"kind":"turn","session_id":"a","at":1,"packed":7}',
    ],
)
def test_text__that_is_no_note_is_passed_over(text: str) -> None:
    assert note_of({"payload": [{"blob": text}]}) is None
    assert note_of({"payload": [{"blob": {"kind": "turn"}}]}) is None
    assert note_of({}) is None
