"""JSON in what an agent sent: a value, several in a row, or text that only looks like it.

Everything is bounded: size, and nesting, since what comes after us recurses over it.
"""

from __future__ import annotations

import json

from bff.json_text import JSON, loads, loads_utf8

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""The service's own chunks go up to 10 MB."""
MAX_DEPTH = 100
"""Nesting of one frame's JSON; what comes after us recurses over it."""


class FrameError(Exception):
    """The bytes cannot be an answer; the text is for the operator and quotes none of them."""


def parse(text: str) -> JSON:
    """The JSON value, or the text itself where it is not JSON.

    A bare number stays text as it was spelled: it is a token of an answer. Raises `FrameError` for
    JSON nested too deep.
    """
    if text[:1] not in _JSON_STARTS:
        return text
    try:
        value = loads(text)
    except ValueError:
        return text
    except RecursionError:
        raise FrameError(f"JSON nested deeper than {MAX_DEPTH}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def value_in(data: bytes) -> JSON:
    """What `parse` gives for these bytes, where that is an object, a list or a text, and nothing is
    odd about it; else None."""
    if data[:1] not in _STARTS:
        return None
    size = len(data)
    # each level has two bytes at least, so that a short text cannot be deep
    if size > 2 * MAX_DEPTH and data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        return None
    if size > MAX_FRAME_BYTES:
        check_size(size)
    try:
        return loads_utf8(data)
    except ValueError:
        return None


_STARTS = (b"{", b"[", b'"')


def values_in(text: str) -> list[JSON] | None:
    """The JSON objects and lists that stand in a row in a text; None where it has anything else.

    A comma, RFC 7464's record separator or another event's `data:` may stand between them.
    """
    found: list[JSON] = []
    at, end = 0, len(text)
    while at < end:
        if text[at] in " \t\r\n,\x1e":
            at += 1
            continue
        if found and text.startswith("data:", at):
            at += 5  # events without a line end between them
            continue
        if text[at] not in "{[":
            return None
        try:
            value, at = _DECODER.raw_decode(text, at)
        except ValueError:
            return None
        except RecursionError:
            raise FrameError(f"JSON nested deeper than {MAX_DEPTH}") from None
        found.append(value)
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(found)
    return found or None


_DECODER = json.JSONDecoder()


def is_whole(text: str) -> bool:
    return text[:1] in '{["' and parse(text) is not text


_OPENING = frozenset('{["')
_JSON_STARTS = frozenset('{["ntf')


def check_size(size: int) -> None:
    if size > MAX_FRAME_BYTES:
        raise FrameError(f"a frame over {MAX_FRAME_BYTES:,} bytes")


def _check_depth(value: JSON) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[JSON] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return
        level = inner
    raise FrameError(f"JSON nested deeper than {MAX_DEPTH}")


def is_cut_off(data: bytes) -> bool:
    """Whether these last bytes are the beginning of JSON whose rest never came."""
    text = data.decode("utf-8", "replace").strip()
    if text[:1] not in _OPENING or text == "[DONE]":
        return False
    return parse(text) is text and (text[0] == '"' or values_in(text) is None)
