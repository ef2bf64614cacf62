"""Reading a request's body: bounded in size and time, strict JSON, every refusal with its field."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from bff.errors import (
    BadRequest,
    FieldError,
    Invalid,
    RequestTimeout,
    TooLarge,
    UnsupportedMediaType,
)
from bff.settings import BODY_TIMEOUT_SECONDS, MAX_BODY_BYTES

Model = TypeVar("Model", bound=BaseModel)

MAX_DEPTH = 32
"""Deepest nesting of a body; ours have at most three levels, foreign formats about ten."""


async def read_model(request: web.Request, model: type[Model]) -> Model:
    """The body as one of our request models.

    Raises `UnsupportedMediaType`, `TooLarge`, `RequestTimeout`, `BadRequest` (not JSON) or
    `Invalid` (wrong fields, each named).
    """
    try:
        return model.model_validate(await read_json(request))
    except ValidationError as error:
        raise Invalid(errors=field_errors(error)) from None


async def read_conversation(request: web.Request, model: type[Model]) -> Model:
    """The body as a request that carries a whole conversation.

    What was said before may hold half a character or be nested deeply: it is the decoder of the
    protocol that judges what is new. Raises as `read_model` does.
    """
    try:
        return model.model_validate(await read_json(request, parse=parse_conversation))
    except ValidationError as error:
        raise Invalid(errors=field_errors(error)) from None


def parse_conversation(body: bytes | str) -> Any:
    """JSON as its clients write it. Raises `BadRequest`, saying what is wrong."""
    try:
        text = body.decode() if isinstance(body, bytes) else body
        return json.loads(text, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise _malformed("not UTF-8") from None
    except RecursionError:
        raise _malformed("nested too deeply") from None
    except _Refused as refusal:
        raise _malformed(str(refusal)) from None
    except json.JSONDecodeError as error:
        raise _malformed(f"not JSON at character {error.pos}") from None
    except ValueError:
        raise _malformed("a number with too many digits") from None


async def read_json(request: web.Request, parse: Callable[[bytes], Any] | None = None) -> Any:
    """The body as strict JSON: UTF-8, no duplicate names, no NaN, nested 32 deep at most."""
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() not in (
        "utf-8",
        "utf8",
    ):
        raise UnsupportedMediaType
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise TooLarge
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
            body = await request.read()
    except TimeoutError:
        raise RequestTimeout(headers={"Connection": "close"}) from None
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge from None
    return (parse or parse_json)(body)


def parse_json(body: bytes | str) -> Any:
    """Strict JSON; raises `BadRequest`, or `Invalid` for text that is no Unicode, saying what is
    wrong."""
    try:
        text = body.decode() if isinstance(body, bytes) else body
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise _malformed("not UTF-8") from None
    except RecursionError:
        raise _malformed("nested too deeply") from None
    except _Refused as refusal:
        raise _malformed(str(refusal)) from None
    except json.JSONDecodeError as error:
        raise _malformed(f"not JSON at character {error.pos}") from None
    except ValueError:
        raise _malformed("a number with too many digits") from None
    if _depth(value) > MAX_DEPTH:
        raise _malformed("nested too deeply")
    if re.search(r"\\u[dD][89a-fA-F]", text):
        _refuse_lone_surrogates(value, "")
    return value


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
                message = _MESSAGES["string_unicode"]
                raise Invalid(errors=[{"field": field or "body", "message": message}]) from None


def field_errors(error: ValidationError) -> list[FieldError]:
    """What pydantic found, as our list; never with the value that was sent."""
    return [
        {
            "field": ".".join(part for part in map(str, item["loc"]) if part[0] != "~") or "body",
            "message": _MESSAGES.get(item["type"], item["msg"]),
        }
        for item in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    ]


_MESSAGES = {
    "extra_forbidden": "unknown field",
    "missing": "required",
    "model_type": "must be an object",
    "string_unicode": "must be valid Unicode, without lone surrogates",
}


class _Refused(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _Refused("an object has the same name twice")
    return value


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not JSON")


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [
            item
            for outer in level
            for item in (
                outer.values()
                if isinstance(outer, dict)
                else outer
                if isinstance(outer, list)
                else ()
            )
            if isinstance(item, dict | list)
        ]
    return depth


def _malformed(message: str) -> BadRequest:
    return BadRequest(errors=[{"field": "body", "message": message}])
