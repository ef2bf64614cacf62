from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bff.conversations.questions import (
    answering,
    answers_as_text,
    claim_key,
    questions_as_text,
    still_open,
    to_open,
)
from bff.errors import InputRequired, Invalid, NotWaiting
from bff.events import Input, ToolUse
from bff.messages import Answer, Conversation, user_message

APPROVAL = Input("a-1", "approval", "May I pay?", ToolUse("call-1", "pay", {"amount": 10}))
CITY = Input("i-1", "input", value="Which city?")
CALL = Input("t-1", "tool", tool=ToolUse("call-2", "locate", {}))


def said(text: str = "yes") -> Conversation:
    return Conversation(new=(user_message(text),))


def answers(*given: Answer) -> Conversation:
    return Conversation(answers=given)


@pytest.mark.parametrize("question", [APPROVAL, CITY])
def test_a_message__answers_the_only_open_question(question: Input) -> None:
    found = answering(said("Rome"), [question])

    assert (found.new, found.answers) == ((), (Answer(question.id, payload="Rome"),))


@pytest.mark.parametrize("questions", [[APPROVAL, CITY], [CALL]])
def test_a_message__cannot_answer_several_questions_or_a_tool(questions: list[Input]) -> None:
    with pytest.raises(InputRequired) as caught:
        answering(said(), questions)

    document = caught.value.document(request_id="r", instance="/")
    assert [item["id"] for item in document["inputs"]] == [question.id for question in questions]


def test_a_message__is_one_where_nothing_is_open() -> None:
    assert answering(said(), []) == said()


def test_answers__come_in_the_questions_order_under_their_ids() -> None:
    found = answering(answers(Answer("call-2", payload="x"), Answer("a-1")), [APPROVAL, CALL])

    assert [answer.input_id for answer in found.answers] == ["a-1", "t-1"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([Answer("a-1")], Invalid),
        ([Answer("a-1"), Answer("a-1"), Answer("i-1")], Invalid),
        ([Answer("a-1"), Answer("call-1"), Answer("i-1")], Invalid),
        ([Answer("a-1"), Answer("other")], NotWaiting),
    ],
)
def test_answers__must_name_every_open_question_once(
    given: Sequence[Answer], problem: type[Exception]
) -> None:
    with pytest.raises(problem) as caught:
        answering(answers(*given), [APPROVAL, CITY])

    if isinstance(caught.value, Invalid):
        assert "every open input once" in str(caught.value.errors) or "twice" in str(
            caught.value.errors
        )


def test_left_out_questions__are_listed() -> None:
    with pytest.raises(Invalid) as caught:
        answering(answers(Answer("a-1")), [APPROVAL, CITY, CALL])

    assert "missing: i-1, t-1" in caught.value.errors[0]["message"]


@pytest.mark.parametrize(
    ("expires_at", "is_open"),
    [
        (None, True),
        ("2026-01-01T00:00:00Z", False),
        ("2026-01-01T00:00:00+00:00", False),
        ("2026-01-01T00:00:00", False),
        ("2030-01-01T00:00:00Z", True),
        ("tomorrow", True),
    ],
)
def test_a_question__is_open_until_its_time(expires_at: str | None, is_open: bool) -> None:
    question = Input("i", "input", expires_at=expires_at)

    assert bool(still_open([question], now=1_800_000_000)) == is_open


def test_answers_to_what_is_open__know_a_tool_by_its_call() -> None:
    assert to_open([Answer("call-3"), Answer("call-2")], [CALL]) == (Answer("call-2"),)
    assert to_open([Answer("call-3")], [CALL]) == ()


def test_the_same_answers__have_the_same_key_in_any_order() -> None:
    one, other = Answer("a", payload={"x": 1}), Answer("b", approved=True)

    assert claim_key("s", [one, other]) == claim_key("s", [other, one])


@pytest.mark.parametrize(
    "given",
    [
        [Answer("a", payload={"x": 2}), Answer("b", approved=True)],
        [Answer("a", payload={"x": 1}), Answer("b", approved=False)],
        [Answer("a", payload={"x": 1}), Answer("b", "cancelled")],
    ],
)
def test_other_answers__have_the_same_key_and_another_fingerprint(given: list[Any]) -> None:
    key, fingerprint = claim_key("s", [Answer("a", payload={"x": 1}), Answer("b", approved=True)])
    again, other = claim_key("s", given)

    assert (key == again, fingerprint == other) == (True, False)
    assert claim_key("t", given)[0] != key
    assert " " in key  # no client's key has one


def test_answers__are_shown_as_text() -> None:
    told = [Answer("a-1", approved=True), Answer("i-1", payload="Rome")]

    assert answers_as_text([APPROVAL, CITY], told) == "true\nRome"


def test_questions__are_told_in_words_where_a_protocol_has_no_place_for_them() -> None:
    assert questions_as_text([APPROVAL, CITY, CALL]) == (
        'May I pay?\npay({"amount":10})\n\nWhich city?'
    )
