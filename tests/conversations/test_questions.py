from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bff.conversations.questions import (
    answering,
    answers_as_text,
    are_same,
    asked_anew,
    digest_of,
    questions_as_text,
    shown_open,
    still_open,
    to_open,
    with_expired,
)
from bff.errors import InputRequired, Invalid, NotWaiting
from bff.events import Input, ToolEnd, ToolUse
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


def test_the_same_answers__have_the_same_digest_in_any_order_and_by_any_protocol() -> None:
    yes, city = Answer("a-1", payload=True), Answer("i-1", payload="Rome")
    digest = digest_of([APPROVAL, CITY], [yes, city])

    assert digest_of([APPROVAL, CITY], [city, yes]) == digest
    # a client that only knows "approved", and one that knows the call and not the question
    assert digest_of([APPROVAL, CITY], [Answer("call-1", approved=True), city]) == digest
    assert are_same(digest, [APPROVAL, CITY], [city, yes])


@pytest.mark.parametrize(
    "given",
    [
        [Answer("a-1", payload={"x": 2}), Answer("i-1", payload="Rome")],
        [Answer("a-1", approved=False), Answer("i-1", payload="Rome")],
        [Answer("a-1", "cancelled"), Answer("i-1", payload="Rome")],
        [Answer("a-1", payload=True)],
        [Answer("other"), Answer("i-1", payload="Rome")],
    ],
)
def test_other_answers__are_not_the_same(given: list[Answer]) -> None:
    digest = digest_of(
        [APPROVAL, CITY], [Answer("a-1", payload=True), Answer("i-1", payload="Rome")]
    )

    assert not are_same(digest, [APPROVAL, CITY], given)
    assert not are_same(None, [APPROVAL, CITY], given)


def test_a_question_whose_time_is_over__is_declined_with_the_others_answers() -> None:
    told = with_expired([Answer("i-1", payload="Rome")], [APPROVAL, CITY])

    assert told == (Answer("a-1", "cancelled"), Answer("i-1", payload="Rome"))


def test_a_question_whose_time_is_over__is_not_shown() -> None:
    over = {"id": "a", "kind": "input", "expires_at": "2020-01-01T00:00:00Z"}
    still: dict[str, Any] = {"id": "b", "kind": "input", "value": 1}

    assert shown_open([over, still], now=1_800_000_000) == [still]


def strands(id: str, call: str, path: str = "a.txt") -> Input:
    value: Any = {"id": f"v1:before_tool_call:{id}:x", "name": "approval", "reason": {"path": path}}
    return Input(
        value["id"], "approval", tool=ToolUse(call, "delete_file", {"path": path}), value=value
    )


@pytest.mark.parametrize(
    ("events", "is_anew"),
    [
        ([strands("c-2", "c-2")], True),
        ([strands("c-1", "c-1")], False),
        ([strands("c-2", "c-2", "b.txt")], False),
        ([ToolEnd("c-1", "delete_file", "done"), strands("c-2", "c-2")], False),
        (
            [Input("other", "approval", tool=ToolUse("c-2", "delete_file", {"path": "a.txt"}))],
            False,
        ),
        ([CITY], False),
        ([], False),
    ],
)
def test_a_question__is_put_anew_by_who_forgot_it(events: list[Any], is_anew: bool) -> None:
    assert asked_anew(events, [strands("c-1", "c-1")]) == is_anew


@pytest.mark.parametrize(
    ("again", "is_anew"),
    [
        (Input("i-2", "input", value="Which city?", first=True), True),
        (Input("i-2", "input", value="Which city?"), False),  # another frame came before it
        (Input("i-1", "input", value="Which city?", first=True), False),  # one node asks twice
        (Input("i-2", "input", value="Which hotel?", first=True), False),
    ],
)
def test_a_graph__begins_anew_with_the_same_question_and_nothing_before_it(
    again: Input, is_anew: bool
) -> None:
    assert asked_anew([again], [CITY]) == is_anew


def test_answers__are_shown_as_text() -> None:
    told = [Answer("a-1", approved=True), Answer("i-1", payload="Rome")]

    assert answers_as_text([APPROVAL, CITY], told) == "Approved\nRome"


@pytest.mark.parametrize(
    ("question", "answer", "text"),
    [
        (APPROVAL, Answer("a-1"), "Approved"),
        (APPROVAL, Answer("a-1", approved=False, reason="Too much"), "Declined: Too much"),
        (APPROVAL, Answer("a-1", "cancelled"), "Declined"),
        (CITY, Answer("i-1", "cancelled"), "Declined"),
        (APPROVAL, Answer("a-1", payload=True), "true"),
        # as AG-UI has it
        (APPROVAL, Answer("a-1", payload={"approved": True}, approved=True), "Approved"),
        (APPROVAL, Answer("a-1", payload={}, approved=False, reason="No"), "Declined: No"),
        (CITY, Answer("i-1", payload={"city": "Rome"}), '{"city":"Rome"}'),
    ],
)
def test_an_answer_without_words__is_shown_in_ours(
    question: Input, answer: Answer, text: str
) -> None:
    assert answers_as_text([question], [answer]) == text


def test_questions__are_told_in_words_where_a_protocol_has_no_place_for_them() -> None:
    assert questions_as_text([APPROVAL, CITY, CALL]) == (
        'May I pay?\npay({"amount":10})\n\nWhich city?'
    )


@pytest.mark.parametrize(
    ("value", "more"),
    [
        ("Which city?", ""),
        ({"question": "Which city?"}, ""),
        (None, ""),
        (
            {"question": "Which city?", "known": ["Rome"]},
            '{"question":"Which city?","known":["Rome"]}',
        ),
        ({"known": "Rome"}, '{"known":"Rome"}'),
    ],
)
def test_what_a_question_says_already__is_not_told_again_as_its_value(
    value: Any, more: str
) -> None:
    question = Input("i-1", "input", "Which city?", value=value)

    assert questions_as_text([question]) == "\n".join(filter(None, ["Which city?", more]))
