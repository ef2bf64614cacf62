"""Reading a request's body: bounded in size, time and memory, every refusal with its field."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Any, TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, FailFast, ValidationError, model_validator

from bff.api import BODIES, SETTINGS, STATE
from bff.api.awaited_body import ask_for_body
from bff.api.bodies import Body, seconds_for
from bff.api.strict_json import LONE_SURROGATES, Parsed, parse_conversation, parse_json
from bff.errors import (
    BadRequest,
    FieldError,
    Invalid,
    RequestTimeout,
    TooLarge,
    UnsupportedMediaType,
)
from bff.off_loop import off_loop
from bff.settings import MAX_BODY_BYTES

Model = TypeVar("Model", bound=BaseModel)
T = TypeVar("T")

MAX_ERRORS = 20
"""Told of one request; 28,000 unknown fields would hold up everybody while they are listed."""


class Strict(BaseModel):
    """A body of our own protocol: unknown fields are refused, the first twenty of them by name."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _forget_most_unknown_fields(cls, value: Any) -> Any:
        if not isinstance(value, dict) or len(value) <= MAX_ERRORS:
            return value
        known = {name: value[name] for name in cls.model_fields if name in value}
        unknown = (item for item in value.items() if item[0] not in cls.model_fields)
        return {**known, **dict(islice(unknown, MAX_ERRORS))}


class FirstError(FailFast):
    """One error of a list is enough: 80,000 of them would hold up everybody for half a second.

    Hashable, as a union's members have to be.
    """

    __hash__ = object.__hash__


async def read_model(request: web.Request, model: type[Model]) -> Model:
    """The body as a chat request of our own.

    Raises `UnsupportedMediaType`, `TooLarge`, `RequestTimeout`, `Overloaded`, `BadRequest` (not
    JSON) or `Invalid` (wrong fields, each named).
    """
    most_bytes = request.app[SETTINGS].max_request_bytes
    return await _read(request, most_bytes, parse_json, model.model_validate)


async def read_and_decode(
    request: web.Request, model: type[Model], decode: Callable[[Model], T]
) -> T:
    """What `decode` makes of a request that carries a whole conversation.

    It is made in the thread where a large one is read. Raises as `read_model` does.
    """
    return await _read(
        request,
        request.app[SETTINGS].max_request_bytes,
        parse_conversation,
        lambda value: decode(model.model_validate(value)),
    )


async def read_small(request: web.Request, model: type[Model]) -> Model:
    """The body as a request without a message. Raises as `read_model` does."""
    return await _read(request, MAX_BODY_BYTES, parse_json, model.model_validate)


async def _read(
    request: web.Request,
    most_bytes: int,
    parse: Callable[[bytearray], Parsed],
    decode: Callable[[Any], T],
) -> T:
    if request.headers.get(hdrs.CONTENT_TYPE) != "application/json" and not _is_json(request):
        raise UnsupportedMediaType
    length = request.content_length or 0
    if length > most_bytes:
        raise _too_large(most_bytes)
    body = request[STATE].body = Body(request.app[BODIES])
    body.grow(length)
    text = await _received(request, body, most_bytes)

    def read() -> tuple[int, T]:
        parsed = parse(text)
        return parsed.size, decode(parsed.value)

    try:
        size, value = await off_loop(len(text), read)
    except ValidationError as error:
        raise Invalid(errors=field_errors(error)) from None
    body.grow(size)
    return value


def _is_json(request: web.Request) -> bool:
    charset = (request.charset or "utf-8").lower()
    return request.content_type == "application/json" and charset in ("utf-8", "utf8")


async def _received(request: web.Request, body: Body, most_bytes: int) -> bytearray:
    """The whole body, if it comes in time: a large one may take longer, but never trickle."""
    if request.content.is_eof():  # it came with the head, so nothing is waited for
        return _within(bytearray(request.content.read_nowait()), body, most_bytes)
    await ask_for_body(request)
    text = bytearray()
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(began + seconds_for(0)) as limit:
            async for chunk in request.content.iter_any():
                text += chunk
                _within(text, body, most_bytes)
                limit.reschedule(began + seconds_for(len(text)))
    except TimeoutError:
        raise RequestTimeout(headers={"Connection": "close"}) from None
    except web.RequestPayloadError:
        raise BadRequest(headers={"Connection": "close"}) from None
    return text


def _within(text: bytearray, body: Body, most_bytes: int) -> bytearray:
    if len(text) > most_bytes:
        raise _too_large(most_bytes)
    body.grow(len(text))
    return text


def _too_large(most_bytes: int) -> TooLarge:
    return TooLarge.of("body", f"may have at most {most_bytes:,} bytes")


def field_errors(error: ValidationError) -> list[FieldError]:
    """What pydantic found, as our list; never with the value that was sent."""
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    return [
        {
            "field": ".".join(part for part in map(str, item["loc"]) if part[:1] != "~") or "body",
            "message": _MESSAGES.get(item["type"], item["msg"]),
        }
        for item in errors[:MAX_ERRORS]
    ]


_MESSAGES = {
    "extra_forbidden": "unknown field",
    "missing": "required",
    "model_type": "must be an object",
    "string_unicode": LONE_SURROGATES,
}
