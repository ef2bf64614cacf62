"""`/v1/files`: a principal's files, as OpenAI's clients send and read them.

https://platform.openai.com/docs/api-reference/files. What somebody sent may be made to harm whoever
opens it, so content is always handed out to be saved, and what a browser would run without its
type. Pages show pictures and play sound all the same: from what they fetched.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Annotated, Any
from urllib.parse import quote

from aiohttp import web
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from bff.api import FILES, LIMITER, PRINCIPAL, SETTINGS, TELEMETRY
from bff.api.addresses import parse_address
from bff.api.body import read_small
from bff.api.forms import read_form
from bff.api.middleware import client
from bff.api.query import limit_of, oldest_first, one
from bff.errors import (
    Forbidden,
    Invalid,
    NoFilesKept,
    NotAForm,
    NotFound,
    Problem,
    RangeNotSatisfiable,
    RateLimited,
    Unsigned,
)
from bff.events import dumps
from bff.files import Files, StoredFile, Upload, listing
from bff.files.addresses import FIELDS
from bff.files.local import FolderFiles
from bff.files.names import clean_name
from bff.files.stored import FILE_ID
from bff.files.types import normal_type, served_as
from bff.files.upload import too_large
from bff.settings import WRITE_TIMEOUT_SECONDS

logger = logging.getLogger(__name__)

FILES_PER_PAGE = 100
MAX_ASKED = 10_000
"""What OpenAI's clients may ask for; a page holds `FILES_PER_PAGE` at most."""
PURPOSE = "user_data"
MAX_PURPOSE_CHARACTERS = 64
PURPOSE_PATTERN = rf"^[!-~]{{1,{MAX_PURPOSE_CHARACTERS}}}$"


class UploadRequest(BaseModel):
    """A file that a client is going to send by itself."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    filename: Annotated[str, Field(min_length=1, max_length=1024)]
    mime_type: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9!#$&^_.+-]{1,127}$")
    ]
    size: Annotated[
        int,
        Field(ge=1, le=2**53, validation_alias=AliasChoices("size", "bytes"), description="Bytes."),
    ]
    purpose: Annotated[str, Field(pattern=PURPOSE_PATTERN)] = PURPOSE


async def create_file(request: web.Request) -> web.StreamResponse:
    """Keep a file: a form with `file`, and `purpose` if you like.

    What it is, is told from its first bytes: `mime_type` of the answer.
    """
    files, owner = _files(request), request[PRINCIPAL].id
    async with AsyncExitStack() as stack:

        async def begin(fields: Mapping[str, str]) -> Upload:
            return await stack.enter_async_context(files.upload(owner))

        form, upload = await read_form(
            request, begin, takes=("purpose",), max_bytes=_max_bytes(request)
        )
        purpose = form.fields.get("purpose", PURPOSE)
        if not re.fullmatch(PURPOSE_PATTERN, purpose):
            raise Invalid.of("purpose", f"must be 1 to {MAX_PURPOSE_CHARACTERS} visible characters")
        file = await upload.publish(filename=form.filename, declared=form.declared, purpose=purpose)
    request.app[TELEMETRY].file_stored(file.size_bytes)
    return web.json_response(file_body(file), dumps=dumps)


async def list_files(request: web.Request) -> web.StreamResponse:
    """The caller's files, the newest first unless asked otherwise."""
    limit = limit_of(one(request, "limit"), default=FILES_PER_PAGE, most=MAX_ASKED)
    after, order = one(request, "after"), one(request, "order")
    if after is not None and not FILE_ID.fullmatch(after):
        raise Invalid.of("after", "must be the id of a file")
    ascending = oldest_first(order)
    found, more = await listing.list_files(
        _files(request),
        request[PRINCIPAL].id,
        limit=min(limit, FILES_PER_PAGE),
        after=after,
        oldest_first=ascending,
        purpose=one(request, "purpose"),
    )
    body = {
        "object": "list",
        "data": [file_body(file) for file in found],
        "first_id": found[0].id if found else None,
        "last_id": found[-1].id if found else None,
        "has_more": more,
    }
    return web.json_response(body, dumps=dumps)


async def show_file(request: web.Request) -> web.StreamResponse:
    """What is known of a file."""
    return web.json_response(file_body(await _find(request)), dumps=dumps)


async def delete_file(request: web.Request) -> web.StreamResponse:
    """Delete a file."""
    file_id = _file_id(request)
    if not await _files(request).delete(request[PRINCIPAL].id, file_id):
        raise NotFound
    return web.json_response({"id": file_id, "object": "file", "deleted": True})


async def download_file(request: web.Request) -> web.StreamResponse:
    """A file's bytes, or those of one `Range`."""
    file = await _find(request)
    asked = _range(request, file)
    first, last = asked or (0, file.size_bytes - 1)
    response = web.StreamResponse(status=206 if asked else 200, headers=_content_headers(file))
    if asked:
        response.headers["Content-Range"] = f"bytes {first}-{last}/{file.size_bytes}"
    left = response.content_length = last - first + 1
    blocks = _files(request).read(request[PRINCIPAL].id, file, first, last)
    async with aclosing(blocks):
        block = await anext(blocks, b"")  # what can fail does it before the headers
        if not block:
            raise NotFound  # deleted in this moment
        await response.prepare(request)
        try:
            while block:
                async with asyncio.timeout(WRITE_TIMEOUT_SECONDS):
                    await response.write(block)
                request.app[TELEMETRY].file_served(len(block))
                left -= len(block)
                block = await anext(blocks, b"")
        except TimeoutError:
            request.app[TELEMETRY].slow_client_cut()
        except Problem as problem:
            logger.warning("a file broke off while it was read: %s", problem.code)
    if left and request.transport:  # too late for an answer: the client is to see that it is cut
        request.transport.abort()
    return response


async def create_upload(request: web.Request) -> web.StreamResponse:
    """An address to send one file to without passing it through a server of your own.

    Send a form of `fields`, and `file` behind them, to `url` within 15 minutes; no credentials. The
    file is there, under `id`, once that is answered.
    """
    files, asked = _files(request), await read_small(request, UploadRequest)
    if asked.size > (limit := _max_bytes(request)):
        raise too_large(limit, "size")
    mime_type = normal_type(asked.mime_type)
    address = await files.presign_upload(
        request[PRINCIPAL].id,
        filename=clean_name(asked.filename, mime_type, field="filename"),
        mime_type=mime_type,
        size_bytes=asked.size,
        purpose=asked.purpose,
    )
    own = address.url.startswith("/")
    body = {
        **file_body(address.file),
        "status": "pending",
        "method": "POST",
        "url": f"{_origin(request)}{address.url}" if own else address.url,
        "fields": dict(address.fields),
        "upload_expires_at": int(address.expires_at),
    }
    return web.json_response(body, dumps=dumps)


async def receive_upload(request: web.Request) -> web.StreamResponse:
    """Where the forms of `POST /v1/files/uploads` are sent if files are kept in a folder.

    The form's signature is the credential; it is good once.
    """
    files = request.app[FILES]
    if not isinstance(files, FolderFiles):
        raise NotFound
    async with AsyncExitStack() as stack:
        begun: list[StoredFile] = []

        async def begin(fields: Mapping[str, str]) -> Upload:
            try:
                ticket = files.ticket(fields)
            except (Forbidden, Unsigned):
                await _count_against_address(request)
                raise
            begun.append(ticket.file)
            return await stack.enter_async_context(files.redeem(ticket))

        try:
            _, upload = await read_form(request, begin, takes=FIELDS, max_bytes=_max_bytes(request))
        except NotAForm:
            await _count_against_address(request)
            raise Unsigned from None
        [promised] = begun
        if upload.size_bytes != promised.size_bytes:
            raise Invalid.of("file", f"must have exactly {promised.size_bytes:,} bytes")
        await upload.publish(
            filename=promised.filename, declared=promised.mime_type, purpose=promised.purpose
        )
    request.app[TELEMETRY].file_stored(upload.size_bytes)
    return web.Response(status=204)


async def _count_against_address(request: web.Request) -> None:
    """Who shows no credential that is good is limited by address. Raises `RateLimited`."""
    allowance = await request.app[LIMITER].take(client(request).limited_as)
    if not allowance.allowed:
        raise RateLimited(retry_after_seconds=allowance.retry_after_seconds)


def file_body(file: StoredFile) -> dict[str, Any]:
    """A file as OpenAI's clients know it, with its type."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": int(file.created_at),
        "expires_at": int(file.expires_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "mime_type": file.mime_type,
        "status": "processed",
    }


def _content_headers(file: StoredFile) -> dict[str, str]:
    plain = re.sub(r"[^ !#-\[\]-~]", "_", file.filename)
    named = f"filename=\"{plain}\"; filename*=UTF-8''{quote(file.filename, safe='')}"
    return {
        "Content-Type": served_as(file.mime_type),
        "Content-Disposition": f"attachment; {named}",
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        "Accept-Ranges": "bytes",
        "ETag": f'"{file.id}"',
    }


def _range(request: web.Request, file: StoredFile) -> tuple[int, int] | None:
    """The first and the last byte asked for; None where the header is none that we take.

    Raises `RangeNotSatisfiable`. https://www.rfc-editor.org/rfc/rfc9110#section-14.2
    """
    most = file.size_bytes - 1
    if request.headers.get("If-Range", f'"{file.id}"') != f'"{file.id}"':
        return None
    asked = request.headers.get("Range", "")
    found = re.fullmatch(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})", asked, re.IGNORECASE)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:  # the last so many
        first, last = max(0, file.size_bytes - int(found[2])), most
    else:
        first, last = int(found[1]), min(int(found[2] or most), most)
        if found[2] and int(found[2]) < first:
            return None  # no range at all
    if first > most:
        raise RangeNotSatisfiable(headers={"Content-Range": f"bytes */{file.size_bytes}"})
    return first, last


def _files(request: web.Request) -> Files:
    files = request.app[FILES]
    if files is None:
        raise NoFilesKept
    return files


async def _find(request: web.Request) -> StoredFile:
    file = await _files(request).get(request[PRINCIPAL].id, _file_id(request))
    if file is None:
        raise NotFound
    return file


def _file_id(request: web.Request) -> str:
    file_id = request.match_info["file_id"]
    if not FILE_ID.fullmatch(file_id):
        raise NotFound
    return file_id


def _max_bytes(request: web.Request) -> int:
    return request.app[SETTINGS].max_file_bytes


def _origin(request: web.Request) -> str:
    """Where the client sees this service."""
    peer, scheme = parse_address(request.remote or ""), request.scheme
    trusted = request.app[SETTINGS].trusted_proxies
    if peer and any(peer in network for network in trusted):
        forwarded = request.headers.get("X-Forwarded-Proto", "").lower()
        scheme = forwarded if forwarded in ("http", "https") else scheme
    return f"{scheme}://{request.host}"
