from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.events import (
    NAMES,
    Custom,
    Done,
    Event,
    Failed,
    File,
    Gap,
    Input,
    Message,
    Record,
    Source,
    Start,
    Thinking,
    ToolEnd,
    ToolStart,
    ToolUse,
    decode,
    encode,
    forget_texts,
    gap,
    record,
)
from bff.runs.transcript import Transcript

text = st.text(st.characters(exclude_categories=()))  # lone surrogates as well
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
questions = st.builds(
    Input,
    text,
    st.sampled_from(["approval", "input", "tool"]),
    st.none() | text,
    st.none() | st.builds(ToolUse, text, text, json_values),
    json_values,
    json_values,
    st.none() | text,
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Start, text, text),
    st.builds(Message, text),
    st.builds(Thinking, text),
    st.builds(ToolStart, text, text, json_values),
    st.builds(ToolEnd, text, text, text),
    st.builds(lambda id, error: ToolEnd(id, "tool", error=error), text, text),
    st.builds(Source, text, st.none() | text),
    st.builds(File, text, text, st.none(), st.none() | text),
    st.builds(Custom, json_values, st.none() | text),
    questions,
    st.builds(Done, st.sampled_from(["complete", "cancelled"])),
    st.builds(Done, st.just("input_required"), st.none(), st.lists(questions, max_size=2)),
    st.builds(Failed, st.dictionaries(text, json_values, max_size=3)),
    st.builds(Gap, st.integers(1, 9), st.integers(1, 9)),
)


@given(events)
def test_an_event__is_one_line_of_utf8_that_any_parser_takes(event: Event) -> None:
    data = encode(event)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    json.loads(data.encode(), parse_constant=refuse)
    assert len(data.splitlines()) == 1


@given(events)
def test_an_event__is_the_same_after_one_round_trip(event: Event) -> None:
    name, data = NAMES[type(event)], encode(event)
    again = decode(name, data)

    assert type(again) is type(event)
    assert encode(again) == data


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (Message('a"\n\r\0'), r'{"content":"a\"\n\r\u0000"}'),
        (Message("\u2028\u2029\x85"), r'{"content":"\u2028\u2029\u0085"}'),
        (Message("\ud83d\ude00"), '{"content":"\U0001f600"}'),
        (Message("\ud83d"), '{"content":"\ufffd"}'),
        (Custom([math.nan, -math.inf]), '{"value":[null,null]}'),
        (ToolEnd("1", "calc", "345"), '{"id":"1","tool":"calc","result":"345"}'),
        (ToolEnd("1", "calc", error="no"), '{"id":"1","tool":"calc","error":"no"}'),
        (Done(), '{"status":"complete"}'),
        (
            Done("cancelled", {"input_tokens": 1}),
            '{"status":"cancelled","usage":{"input_tokens":1}}',
        ),
    ],
)
def test_encode__as_the_contract_has_it(event: Event, data: str) -> None:
    assert encode(event) == data


def test_decode__refuses_what_is_none_of_ours() -> None:
    with pytest.raises(ValueError, match="unknown event 'delta'"):
        decode("delta", "{}")


def test_a_record__decodes_its_event_only_when_asked() -> None:
    stored = Record(3, "message", '{"content":"hi"}')

    assert stored.event == Message("hi")
    assert stored == record(3, Message("hi"))


def test_a_gap__goes_on_behind_what_is_lost() -> None:
    assert gap(4, 9).id == 9
    assert gap(4, 9).data == '{"from":4,"to":9}'


def test_a_transcript__folds_text_tools_and_usage() -> None:
    transcript = Transcript()
    story: list[Event] = [
        Start("run", "session"),
        Thinking("hm"),
        Message("a \ud83d"),
        ToolStart("t", "calc", {"x": 1}),
        ToolEnd("t", "calc", "1"),
        ToolEnd("u", "late", error="failed"),
        Message("\ude00"),
        Done("complete", {"total_tokens": 3}),
    ]
    for event in story:
        transcript.add(event)

    assert transcript.text == "a \U0001f600"
    assert transcript.tool_calls == [
        {"id": "t", "tool": "calc", "args": {"x": 1}, "result": "1"},
        {"id": "u", "tool": "late", "args": {}, "error": "failed"},
    ]
    assert transcript.usage == {"total_tokens": 3}
    assert transcript.whole


def test_a_transcript__past_its_limit_says_so() -> None:
    transcript = Transcript(limit=10)
    for _ in range(3):
        transcript.add(Message("12345"))

    assert transcript.text == "1234512345"
    assert not transcript.whole


@pytest.mark.parametrize("count", [1, 64, 65, 66, 1000])
def test_a_transcript__is_the_text_however_many_pieces_it_came_in(count: int) -> None:
    transcript = Transcript()
    for number in range(count):
        transcript.add(Message(f"{number} "))

    assert transcript.text == "".join(f"{number} " for number in range(count))


@pytest.mark.parametrize("text", [Message("a \u2028 \U0001f600"), Thinking("<é>")])
def test_a_text_that_was_forgotten__is_read_from_its_json(text: Event) -> None:
    kept = record(2, text)
    forget_texts([kept])

    assert kept.event is not text
    assert kept.event == text


def test_what_is_no_text__is_not_forgotten() -> None:
    asked = Input("i", "approval", first=True)
    kept = record(2, asked)
    forget_texts([kept])

    assert kept.event is asked


def test_a_transcript_with_a_gap__is_not_whole() -> None:
    transcript = Transcript()
    transcript.add(Gap(1, 2))

    assert not transcript.whole
