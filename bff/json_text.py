"""JSON as the service writes and reads it: what any parser takes, and nothing lost of what came.

orjson does it where it can and where there is one (not with PyPy), several times faster than the
standard library, which does the rest: whatever orjson refuses, and whole numbers that it would
round.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]

JSON = Any
"""What `loads` returns."""


def dumps(value: JSON) -> str:
    """Compact JSON on one line that any parser takes: null for NaN and infinity, valid UTF-8."""
    try:
        text = _dumps_bytes(value).decode()
    except (TypeError, UnicodeDecodeError):
        # too large a number, half a surrogate pair, a key that is no text
        text = _dumps_slowly(value)
    return text if text.isascii() else portable(text)


def dumps_bytes(value: JSON) -> bytes:
    """The same as UTF-8, for what may be megabytes: most such text is base64, and made once."""
    try:
        data = _dumps_bytes(value)
    except TypeError:
        return dumps(value).encode()
    return data if data.isascii() else portable(data.decode("utf-8", "surrogatepass")).encode()


def _dumps_slowly(value: JSON) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"))


def _dumps_bytes_slowly(value: JSON) -> bytes:
    return _dumps_slowly(value).encode("utf-8", "surrogatepass")


def loads(text: str | bytes) -> JSON:
    """The value as `json.loads` gives it, of text or UTF-8; raises what that raises."""
    if isinstance(text, str):
        try:
            text = text.encode()
        except ValueError:  # half a surrogate pair
            return json.loads(text)
    return loads_utf8(text)


def loads_utf8(data: bytes) -> JSON:
    """The same of UTF-8 alone."""
    try:
        if not data.translate(_DIGITS).count(_LONG_NUMBER):  # `in` makes an exception to find out
            return _loads(data)
    except ValueError:  # or what orjson alone refuses: NaN, half a surrogate pair
        pass
    return json.loads(data.decode())


_LONG_NUMBER = b"0" * 19
"""The digits of a whole number that may not fit into 64 bits."""
_DIGITS = bytes(ord("0") if ord("0") <= byte <= ord("9") else byte for byte in range(256))

_dumps_bytes: Callable[[JSON], bytes] = _dumps_bytes_slowly
_loads: Callable[[bytes], JSON] = json.loads
if orjson is not None:
    # nothing of Python between a caller and orjson
    _dumps_bytes = partial(
        orjson.dumps, option=orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
    )
    _loads = orjson.loads


def portable(text: str) -> str:
    """JSON text that survives UTF-8 and readers that split lines as `str.splitlines` does."""
    if text.isascii():
        return text
    text = well_formed(text)
    for character, escape in _LINE_ENDS:
        if character in text:
            text = text.replace(character, escape)
    return text


_LINE_ENDS = (("\u2028", "\\u2028"), ("\u2029", "\\u2029"), ("\x85", "\\u0085"))


def well_formed(text: str) -> str:
    """The text as UTF-8 can carry it: surrogate pairs joined, lone surrogates become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _finite(value: JSON) -> JSON:
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case _:
            return value
