from __future__ import annotations

import json
from typing import Any

import pytest

from bff.api.strict_json import MAX_VALUES, parse_conversation, parse_json
from bff.errors import BadRequest, Problem


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = {"a": value}
    return value


def refusal(parse: Any, text: str) -> str:
    with pytest.raises(Problem) as caught:
        parse(text)
    return caught.value.errors[0]["message"]


@pytest.mark.parametrize("field", ["tools", "options", "state"])
def test_what_goes_to_the_agent__may_nest_as_schemas_do(field: str) -> None:
    body = {"message": "hi", field: nested(100)}

    assert parse_json(json.dumps(body)).value == body
    assert parse_conversation(json.dumps(body)).value == body
    assert refusal(parse_json, json.dumps({field: nested(130)})) == "nested too deeply"


def test_what_we_read_ourselves__nests_32_deep_at_most() -> None:
    assert parse_json(json.dumps({"metadata": nested(31)}))
    assert refusal(parse_json, json.dumps({"metadata": nested(32)})) == "nested too deeply"
    assert refusal(parse_json, "[" * 33 + "]" * 33) == "nested too deeply"


def test_a_conversation__may_hold_what_an_agent_once_sent() -> None:
    assert parse_conversation(json.dumps({"messages": [nested(250)]}))
    for depth in (257, 5_000, 90_000):
        assert refusal(parse_conversation, "[" * depth + "]" * depth) == "nested too deeply"
    half = parse_conversation('{"messages":[{"content":"\\ud83d"}]}')
    assert half.value == {"messages": [{"content": "\ud83d"}]}


@pytest.mark.parametrize("parse", [parse_json, parse_conversation])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":1,"a":2}', "an object has the same name twice"),
        ('{"m":[{"a":1,"\\u0061":2}]}', "an object has the same name twice"),
        ('{"a":NaN}', "NaN is not JSON"),
        ('{"a":-Infinity}', "-Infinity is not JSON"),
        ('{"a":1e999}', "a number is too large"),
        ('{"a":[-1.5E+400]}', "a number is too large"),
        ('{"a":' + "9" * 5000 + "}", "a number with too many digits"),
        ('{"a":1}{', "not JSON at character 7"),
    ],
)
def test_what_two_readers_could_understand_differently__is_refused_everywhere(
    parse: Any, text: str, message: str
) -> None:
    assert refusal(parse, text) == message


MANY = MAX_VALUES + 1
FLOODS = {
    "numbers": "[" + ",".join(["1"] * MANY) + "]",
    "lists": "[" + ",".join(["[]"] * MANY) + "]",
    "objects": "[" + ",".join(["{}"] * MANY) + "]",
    "names": "{" + ",".join(f'"{n:x}":1' for n in range(MANY)) + "}",
    "texts": '["' + '","'.join(["a"] * MANY) + '"]',
    "texts of signs": json.dumps(['{,[\\,"'] * MANY),
    "messages": '{"messages":[' + ",".join(['{"role":"user"}'] * MANY) + "]}",
}


@pytest.mark.parametrize("parse", [parse_json, parse_conversation])
@pytest.mark.parametrize("name", FLOODS)
def test_more_values_than_a_conversation_has__are_counted_and_not_made(
    parse: Any, name: str
) -> None:
    assert refusal(parse, FLOODS[name]) == f"has more than {MAX_VALUES:,} values"


@pytest.mark.parametrize(
    "text",
    [
        "a,b,{c},[d]: " * 100_000,
        '{"quoted": [1, 2, 3]}, ' * 50_000,
        "back\\slash\\\\, and \\" * 100_000,
        '\\",\\\\",' * 100_000,
    ],
)
def test_signs_within_texts__are_no_values(text: str) -> None:
    body = {"messages": [{"content": text}, {"content": "hi"}]}

    assert parse_conversation(json.dumps(body)).value == body


def test_as_many_values_as_there_may_be__are_read() -> None:
    count = MAX_VALUES - 1  # and the list they are in
    assert len(parse_json("[" + ",".join(["1"] * count) + "]").value) == count
    with pytest.raises(BadRequest):
        parse_json("[" + ",".join(["1"] * (count + 2)) + "]")


def test_text_and_bytes__are_read_alike() -> None:
    assert parse_json(b'{"a":"\xc3\xa9"}') == parse_json(bytearray(b'{"a":"\xc3\xa9"}'))
    assert refusal(parse_json, '"') == "not JSON at character 0"
    with pytest.raises(BadRequest) as caught:
        parse_json(b'"\xff"')
    assert caught.value.errors[0]["message"] == "not UTF-8"


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        (json.dumps("x" * 1_000_000), 1.0, 1.01),
        (json.dumps("x" * 1_000_000 + "\U0001f600"), 4.0, 4.01),  # as an escape
        (json.dumps("x" * 1_000_000 + "\u5b57", ensure_ascii=False), 2.0, 2.01),
        (json.dumps([{}] * 60_000), 10.0, 40.0),
        (json.dumps({"messages": [{"role": "user", "content": "x" * 1000}] * 1000}), 1.0, 1.5),
    ],
    ids=["ASCII", "one emoji", "one ideograph", "nothing but objects", "a conversation"],
)
def test_a_value__is_told_with_the_memory_it_takes(text: str, least: float, most: float) -> None:
    size = parse_conversation(text).size

    assert least <= size / (len(text) if "{" in text else 1_000_000) <= most
