"""Fast or not, the JSON is the standard library's, made portable, and nothing that came is lost."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.json_text import dumps, dumps_bytes, loads, well_formed

TEXT = st.text(st.characters(exclude_categories=[]))  # half surrogate pairs too
NUMBERS = st.integers() | st.integers(-(2**70), 2**70) | st.floats()
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


def told(value: Any) -> Any:
    """What of a value JSON can tell: no NaN, no half of a pair."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case str():
            return well_formed(value)
        case dict():
            return {well_formed(key): told(item) for key, item in value.items()}
        case list():
            return [told(item) for item in value]
    return value


@given(VALUES)
def test_dumps__tells_all_that_json_can_tell_on_one_portable_line(value: Any) -> None:
    text = dumps(value)

    assert len(text.splitlines()) == 1
    assert json.loads(text.encode().decode()) == told(value)
    assert dumps_bytes(value) == text.encode()


@given(VALUES, st.booleans())
def test_loads__gives_what_the_standard_library_gives(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)

    assert repr(loads(text)) == repr(json.loads(text))
    if ascii_only:
        assert repr(loads(text.encode())) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "18446744073709551616",
        "-9223372036854775809",
        "[1, 123456789012345678901234567890]",
        "1e400",
        "NaN",
        "-Infinity",
        '"\\ud83d"',
        '{"a":1,"a":2}',
        "1.7976931348623157e308",
        "0.1234567890123456789012345",
    ],
)
def test_loads__rounds_and_refuses_nothing_more(text: str) -> None:
    assert repr(loads(text)) == repr(json.loads(text))


@pytest.mark.parametrize("text", ["", "{", "nul", '"\n"', "[1,]", "01", "'a'", "\ufeff{}"])
def test_loads__refuses_what_is_not_json(text: str) -> None:
    with pytest.raises(ValueError):
        loads(text)
    with pytest.raises(ValueError):
        loads(text.encode())
    with pytest.raises(ValueError):
        loads(f'["{text}"]'.encode("utf-16"))


def test_dumps__takes_keys_that_are_no_text_and_depth() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]

    assert dumps({1: True, None: 2**70}) == '{"1":true,"null":1180591620717411303424}'
    assert dumps(deep) == "[" * 300 + "1" + "]" * 300


def test_dumps__refuses_what_is_no_json() -> None:
    for value in (object(), {1, 2}, b"bytes"):
        with pytest.raises(TypeError):
            dumps(value)
