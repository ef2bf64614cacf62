"""Frozen classes of our own: what is said of them stays true, and mypy still says it."""

import dataclasses
from dataclasses import fields

import pytest

from bff.events import Message
from bff.frozen import dataclass, replace
from bff.messages import TextPart
from bff.runs.request import RunRequest


def test_a_frozen_class__is_frozen_to_mypy() -> None:
    event = Message("one")

    # an ignore that is not needed any more is an error of mypy's, so this line is the test
    event.content = "two"  # type: ignore[misc]


def test_a_frozen_class__has_its_slots_and_nothing_else() -> None:
    with pytest.raises(AttributeError):
        Message("one").contents = "two"  # type: ignore[attr-defined]


def test_a_frozen_class__is_compared_hashed_and_replaced_by_its_fields() -> None:
    part = TextPart("one")

    assert {part, TextPart("one")} == {part}
    assert replace(part, text="two") == TextPart("two") != part
    assert [field.name for field in fields(part)] == ["text"]


def test_a_frozen_class__is_shown_without_what_is_private() -> None:
    request = RunRequest(
        owner="o", session_id="s", agent_session_id="a", message="private", request_id="r"
    )

    assert "private" not in repr(request)


def test_a_class_that_is_not_frozen__has_no_hash() -> None:
    @dataclass(slots=True)
    class Counted:
        count: int

    with pytest.raises(TypeError):
        hash(Counted(1))


def test_replace__is_that_of_the_standard_library() -> None:
    part = TextPart("one")
    request = RunRequest(
        owner="o", session_id="s", agent_session_id="a", message="one", request_id="r", marks=("m",)
    )

    assert replace(part, text="two") == dataclasses.replace(part, text="two")
    assert replace(request, message="") == dataclasses.replace(request, message="")
    with pytest.raises(TypeError, match="words"):
        replace(part, words="two")  # type: ignore[call-arg]
