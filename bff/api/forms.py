"""Reading `multipart/form-data` with one file in it, as it arrives: no more than a piece is held.

https://www.rfc-editor.org/rfc/rfc7578. Fields may stand before the file and behind it (OpenAI's
JavaScript client puts the file first). Nothing is decoded: a part in base64 or gzip is refused.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from bff.api.awaited_body import ask_for_body
from bff.errors import BadRequest, Invalid, NotAForm, RequestTimeout
from bff.files import Upload
from bff.files.upload import too_large
from bff.settings import BODY_BYTES_PER_SECOND, BODY_TIMEOUT_SECONDS

MAX_PARTS = 16
MAX_FIELD_BYTES = 16 * 1024
"""Of all fields that are no file, together."""
OVERHEAD_BYTES = MAX_FIELD_BYTES + MAX_PARTS * 8 * 1024
"""How much longer than its file a body may be."""
PIECE_BYTES = 64 * 1024
"""What is taken from a connection at once. The rest stays where it is: of uploads that wait for
their store, each holds what one system call brought."""

Begin = Callable[[Mapping[str, str]], Awaitable[Upload]]


@dataclass(slots=True)
class Form:
    """What a form held; its file's bytes are in `upload`."""

    fields: dict[str, str] = field(default_factory=dict)
    upload: Upload | None = None
    filename: str | None = None
    declared: str | None = None


async def read_form(
    request: web.Request, begin: Begin, *, takes: Collection[str], max_bytes: int
) -> tuple[Form, Upload]:
    """The form, once it has arrived whole, and its upload: what `begin` returns when the file
    begins, told the fields before it.

    Raises `NotAForm`, `FileTooLarge`, `RequestTimeout`, `BadRequest` for a form that is broken or
    ends early, and `Invalid` for fields that are not as they should be. What `begin` opened stays
    open: it is the caller's.
    """
    boundary = _boundary(request.headers.get("Content-Type", ""))
    if (request.content_length or 0) > max_bytes + OVERHEAD_BYTES:
        raise too_large(max_bytes)
    parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
    form, text = Form(), bytearray()
    name: str | None = None
    try:
        async with aclosing(_events(request, parser, max_bytes + OVERHEAD_BYTES)) as events:
            async for event in events:
                match event:
                    case MultipartSegment():
                        name = _name(event, form, takes)
                        if name == "file":
                            form.filename = _filename(event)
                            form.declared = event.content_type
                            form.upload = await begin(form.fields)
                    case None:
                        if name and name != "file":
                            form.fields[name] = _text(name, text)
                    case _ if name == "file" and form.upload is not None:
                        await form.upload.write(event)
                    case _:
                        text += event
                        if len(text) + sum(map(len, form.fields.values())) > MAX_FIELD_BYTES:
                            raise Invalid.of(name or "body", "is too long")
    except ParserLimitReached:
        raise BadRequest.of("body", "has too many parts, or one with too long a head") from None
    except MultipartError:
        message = "is no whole multipart/form-data in UTF-8, or has parts without end"
        raise BadRequest.of("body", message) from None
    if form.upload is None:
        raise Invalid.of("file", "required")
    return form, form.upload


async def _events(
    request: web.Request, parser: PushMultipartParser, max_bytes: int
) -> AsyncGenerator[Any, None]:
    """What the body holds, as it comes: a part's head, pieces of its bytes, None at its end.

    Waiting for the body is limited; what is done with it in between is not.
    """
    await ask_for_body(request)
    left, size, now = BODY_TIMEOUT_SECONDS, 0, asyncio.get_running_loop().time
    while True:
        began = now()
        try:
            async with asyncio.timeout(left):
                data = await request.content.read(PIECE_BYTES)
        except TimeoutError:
            raise RequestTimeout(headers={"Connection": "close"}) from None
        except web.RequestPayloadError:
            raise BadRequest(headers={"Connection": "close"}) from None
        if not data:
            parser.close()
            return
        size += len(data)
        if size > max_bytes:
            raise too_large(max_bytes - OVERHEAD_BYTES)
        left += len(data) / BODY_BYTES_PER_SECOND - (now() - began)
        for event in parser.parse(data):
            yield event


def _boundary(content_type: str) -> str:
    found = re.fullmatch(
        r"multipart/form-data\s*;\s*(?:charset=[\w-]+\s*;\s*)?"
        r"boundary=(?:\"([ -!#-\[\]-~]{1,70})\"|([!#-'*-.0-:A-Z^-z|~=?/]{1,70}))"
        r"\s*(?:;\s*charset=[\w-]+\s*)?",
        content_type,
        re.IGNORECASE,
    )
    if found is None:
        raise NotAForm
    return found[1] or found[2]


def _name(segment: MultipartSegment, form: Form, takes: Collection[str]) -> str:
    """Which field a part is; raises for one that may not be there, or not so."""
    said = [value for header, value in segment.headerlist if header == "Content-Disposition"]
    if len(said) > 1 or _TWICE.search(_QUOTED.sub('""', said[0])):
        # parsers differ in which of them they take
        raise BadRequest.of("body", "has a part with two names")
    name = segment.name or ""
    if name not in (*takes, "file"):
        # what a client sends is not repeated where it may be anything
        shown = name if re.fullmatch(r"[A-Za-z0-9_.\[\]-]{1,64}", name) else "body"
        raise Invalid.of(shown, f"unknown field; the form takes {', '.join(('file', *takes))}")
    if name in form.fields or (name == "file" and form.upload is not None):
        raise Invalid.of(name, "must be there once")
    for header, value in segment.headerlist:
        encoded = header == "Content-Transfer-Encoding" and value.lower() not in _AS_IT_IS
        if encoded or (header == "Content-Encoding" and value.lower() != "identity"):
            raise NotAForm.of(name, f"{header} is not taken")
    if name == "file" and _filename(segment) is None:
        raise Invalid.of(name, "must be a file: a part with a filename")
    return name


_AS_IT_IS = ("binary", "8bit", "7bit")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_TWICE = re.compile(r";\s*(name|filename)\s*=.*;\s*\1\s*=", re.IGNORECASE)


def _filename(segment: MultipartSegment) -> str | None:
    if segment.filename is not None:
        return str(segment.filename)
    for header, value in segment.headerlist:
        # not for forms (RFC 7578, 4.2), but clients send it for names beyond ASCII
        if header == "Content-Disposition" and (
            found := re.search(r";\s*filename\*\s*=\s*utf-8''([^;\s]+)", value, re.IGNORECASE)
        ):
            return unquote(found[1], errors="replace")
    return None


def _text(name: str, text: bytearray) -> str:
    data = bytes(text)
    text.clear()
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Invalid.of(name, "must be UTF-8") from None
