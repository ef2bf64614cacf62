from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.conversations.transcript import (
    Spoken,
    after,
    after_all,
    candidates,
    points,
    points_broken_off,
    root,
    spoken,
    without_reasoning,
)
from bff.messages import ChatMessage, FilePart, Role, TextPart

ROOT = root("agent", None)
TURNS = [Spoken("Hi", "Hello"), Spoken("What is 1 + 1?", "2")]


def message(role: Role, text: str) -> ChatMessage:
    return ChatMessage(role=role, parts=(TextPart(text),))


def test_a_transcript__is_found_where_its_last_turn_left_it() -> None:
    before = after(ROOT, TURNS[0])

    left_at = points(before, "What is 1 + 1?", ["2"])

    assert set(candidates(ROOT, TURNS)) & set(left_at)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Hello there.\n", "Hello there."),
        ("a\n\nb", "a b"),
        ("a\u00a0b", "a b"),
        ("\u00e9", "e\u0301"),
        ("It is 2.", "<think>let me see</think>It is 2."),
        ("It is 2.", '<details type="reasoning" done="true">\nhm\n</details>\nIt is 2.'),
    ],
)
def test_an_answer__is_the_same_however_a_client_keeps_it(ours: str, theirs: str) -> None:
    assert after(ROOT, Spoken("Hi", ours)) == after(ROOT, Spoken("Hi", theirs))


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5), st.text(), st.text())
def test_another_word_anywhere__is_another_transcript(
    turns: list[tuple[str, str]], one: str, other: str
) -> None:
    said = [Spoken(*turn) for turn in turns]
    here = after_all(ROOT, [*said, Spoken("q", "a" + one)])
    there = after_all(ROOT, [*said, Spoken("q" + one, "a")])

    assert (here == there) == (one.split() == [] or not _counts(one))
    assert after_all(ROOT, [Spoken("x" + other, ""), *said]) != after_all(ROOT, said)


def _counts(text: str) -> bool:
    return after(ROOT, Spoken(text, "")) != after(ROOT, Spoken("", ""))


def test_other_people_and_other_agents__have_other_transcripts() -> None:
    roots = [root("a", None), root("b", None), root("a", "jo"), root("a", "bo"), root("ajo", None)]

    assert len(set(roots)) == len(roots)


def test_turns__pass_over_instructions_and_tools() -> None:
    said = [
        message("system", "Be short."),
        message("user", "first"),
        message("user", "second"),
        message("assistant", "Let me see."),
        message("tool", "345"),
        message("assistant", "It is 345."),
        message("user", "Thanks"),
    ]

    assert spoken(said) == [
        Spoken("first\nsecond", "Let me see.\nIt is 345."),
        Spoken("Thanks", ""),
    ]


def test_a_picture_alone__is_a_turn() -> None:
    picture = ChatMessage(role="user", parts=(FilePart("image", url="https://x/y.png"),))

    assert spoken([picture, message("assistant", "A cat.")]) == [Spoken("[image]", "A cat.")]


@pytest.mark.parametrize("kept", ["", "Once upon", "Once upon a time there was"])
def test_an_answer_that_broke_off__is_found_however_much_a_client_kept(kept: str) -> None:
    left_at = points_broken_off(ROOT, "Tell", "Once upon a time")

    assert set(candidates(ROOT, [Spoken("Tell", kept)])) & set(left_at)


def test_a_failed_turn__leaves_the_transcript_where_it_was() -> None:
    before = after_all(ROOT, TURNS)

    assert points_broken_off(before, "Again?", None)[0] == before


def test_an_answer_with_a_question_in_it__is_found_in_both_wordings() -> None:
    left_at = points(ROOT, "Pay", ["Wait.", "Wait.\n\nMay I?"])

    assert after(ROOT, Spoken("Pay", "Wait. May I?")) in left_at
    assert after(ROOT, Spoken("Pay", "Wait.")) == left_at[0]


_TAGS = st.sampled_from(
    [
        *("<think>", "</think>", "<thinking>", "<reasoning>", "</reasoning>", "a", "<", "é", " "),
        *("<details>", "</details>", '<details type="reasoning" done="true">'),
    ]
)


@given(st.lists(_TAGS, max_size=30).map("".join))
def test_reasoning__is_left_out_as_if_each_tag_were_looked_for(text: str) -> None:
    pattern = r"<(think|thinking|reasoning)>.*?</\1>|<details type=\"reasoning\".*?</details>"

    assert without_reasoning(text) == re.sub(pattern, "", text, flags=re.DOTALL)


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 100_000,
        '<details type="reasoning"' * 50_000,
        "<think></reasoning>" * 50_000,
        "<think>a</think><reasoning>" * 50_000,
        "a" + "\u0315\u0300\u05ae\u0316" * 50_000,
        "a" + "\u0316\u0300" * 100_000 + " b",
        ("é" + "\u0300" * 63) * 2_000,
    ],
)
def test_no_text__takes_the_square_of_its_length(text: str) -> None:
    """Each of these once took from minutes to hours, in which nothing else ran."""
    assert after(ROOT, Spoken(text, text)) != after(ROOT, Spoken(text, f"{text}x"))


def test_many_marks__keep_nothing_else_from_being_compared() -> None:
    many = "\u0316\u0300" * 100
    composed, apart = f"café {many} naïve", f"cafe\u0301 {many} nai\u0308ve"

    assert after(ROOT, Spoken(composed, "")) == after(ROOT, Spoken(apart, ""))


_COMPOSED = "äe\u0301\u0327 \u00a0\u3000\x85天\u3099か"


@given(st.text(max_size=200) | st.text(alphabet=_COMPOSED, max_size=200))
def test_a_text__is_compared_in_one_composition_and_without_white_space(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)

    for same in (composed, unicodedata.normalize("NFD", text), f"\u3000{composed} \x85\n"):
        assert after(ROOT, Spoken(same, "")) == after(ROOT, Spoken(text, ""))
