"""JSON as it comes from outside: strict, bounded, and never in the way of anybody else.

What is refused is what two readers could understand differently (a name twice, NaN, text that is no
Unicode) and what takes long to read for its size: deep nesting, and more values than any
conversation has. Counting them first takes a fraction of the time that making them would.
"""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any, NamedTuple, NoReturn

from bff.errors import BadRequest, Invalid
from bff.off_loop import LARGE

MAX_DEPTH = 32
"""Deepest nesting of what we read ourselves."""
DEEP_FIELDS, MAX_FIELD_DEPTH = ("tools", "options", "state"), 128
"""Fields that go to the agent as they are: a schema nests two or three levels for each of its
own."""
MAX_OLD_DEPTH = 256
"""Of a conversation, most of which was said before and may hold what an agent once sent."""
MAX_VALUES = 125_000
"""In one text: each takes memory and a fraction of a microsecond, however short it is."""

SMALL = 4096
"""Characters up to which the memory is not measured, which takes longer than reading the text."""

LONE_SURROGATES = "must be valid Unicode, without lone surrogates"


class Parsed(NamedTuple):
    """A value, and the bytes of memory that it takes: up to four times those of its text."""

    value: Any
    size: int


def parse_json(body: bytes | bytearray | str) -> Parsed:
    """Strict JSON; raises `BadRequest`, or `Invalid` for text that is no Unicode, saying what is
    wrong."""
    text = _text(body)
    containers = _containers(text)
    parsed = _parsed(text, MAX_FIELD_DEPTH, containers)
    if containers > MAX_DEPTH:
        shallow = parsed.value
        if isinstance(shallow, dict):
            shallow = {name: item for name, item in shallow.items() if name not in DEEP_FIELDS}
        _measured(shallow, MAX_DEPTH)
    if "\\" in text and re.search(r"\\u[dD][89a-fA-F]", text):
        _refuse_lone_surrogates(parsed.value, "")
    return parsed


def parse_conversation(body: bytes | bytearray | str) -> Parsed:
    """JSON that holds a whole conversation. Raises `BadRequest`, saying what is wrong.

    What was said before may hold half a character or be nested deeply: it is the decoder of the
    protocol that judges what is new.
    """
    text = _text(body)
    return _parsed(text, MAX_OLD_DEPTH, _containers(text))


def _text(body: bytes | bytearray | str) -> str:
    if isinstance(body, str):
        return body
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise malformed("not UTF-8") from None


def _parsed(text: str, most_depth: int, containers: int) -> Parsed:
    if _has_more_values(text, MAX_VALUES):
        raise malformed(f"has more than {MAX_VALUES:,} values")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise malformed("nested too deeply") from None
    except _Refused as refusal:
        raise malformed(str(refusal)) from None
    except json.JSONDecodeError as error:
        raise malformed(f"not JSON at character {error.pos}") from None
    except ValueError:
        raise malformed("a number with too many digits") from None
    if len(text) <= SMALL and containers <= most_depth:
        # about the most that it can take: a character is up to four bytes, and a value with its
        # name some 300 besides its text
        return Parsed(value, 4 * len(text) + 300 * (containers + text.count(",") + 1))
    return Parsed(value, _measured(value, most_depth))


def _has_more_values(text: str, most: int) -> bool:
    """Whether a JSON text holds more values than that; each has a sign of its own before it."""
    if len(text) < most or _signs(text) < most:  # those within strings too
        return False
    outside = text.replace("\\\\", "").replace('\\"', "")
    if outside.count('"') > 4 * most:  # each value may have a name
        return True
    return _signs("".join(outside.split('"')[::2])) >= most


def _signs(text: str) -> int:
    return _count(text, ",[{")


def _containers(text: str) -> int:
    """The most containers that a JSON text can have, so also the deepest it can be nested."""
    return _count(text, "[{")


def _count(text: str, signs: str) -> int:
    """How many of these characters there are; a picture's megabytes hold none of them."""
    if len(text) < LARGE:
        return sum(map(text.count, signs))
    return sum(_count_few(text, sign) for sign in signs)


def _count_few(text: str, sign: str) -> int:
    """`text.count(sign)`, in a tenth of its time where there are few."""
    place = -1
    for found in range(_FEW):
        place = text.find(sign, place + 1)
        if place < 0:
            return found
    return _FEW + text.count(sign, place + 1)


_FEW = 1000


def _refuse_lone_surrogates(value: Any, field: str) -> None:
    """Raise `Invalid` for text that UTF-8 cannot carry, in names and values alike."""
    match value:
        case dict():
            for name, item in value.items():
                _refuse_lone_surrogates(name, field)
                _refuse_lone_surrogates(item, f"{field}.{name}" if field else name)
        case list():
            for index, item in enumerate(value):
                _refuse_lone_surrogates(item, f"{field}.{index}" if field else str(index))
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Invalid.of(field or "body", LONE_SURROGATES) from None


class _Refused(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _Refused("an object has the same name twice")
    return value


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise _Refused("a number is too large")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
)


def _measured(value: Any, most_depth: int) -> int:
    """The memory that a value takes, in bytes. Raises `BadRequest` where it is nested deeper."""
    level, depth, size = [value], 0, 0
    while level:
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, dict | list):
                if depth == most_depth:
                    raise malformed("nested too deeply")
                deeper += item.values() if isinstance(item, dict) else item
            # PyPy does not tell, and keeps text as UTF-8, as it came
            size += sys.getsizeof(item, 0)
        level = deeper
        depth += 1
    return size


def malformed(message: str) -> BadRequest:
    return BadRequest.of("body", message)
