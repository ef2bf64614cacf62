"""Files as clients send them: in a message, a form of aiohttp's, or one written byte by byte."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from tests.api.conftest import KEYS, Service

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
JSON = dict[str, Any]


def form(
    data: bytes = PNG,
    *,
    filename: str = "a.png",
    content_type: str = "image/png",
    **fields: str,
) -> aiohttp.FormData:
    made = aiohttp.FormData(fields, quote_fields=False)
    made.add_field("file", data, filename=filename, content_type=content_type)
    return made


async def send(service: Service, data: bytes = PNG, **options: Any) -> JSON:
    async with service.client.post("/v1/files", data=form(data, **options)) as reply:
        assert reply.status == 200, await reply.text()
        return dict(await reply.json())


async def kept(service: Service) -> list[str]:
    async with service.client.get("/v1/files") as reply:
        return [file["id"] for file in (await reply.json())["data"]]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def ask(
    service: Service, path: str, body: JSON, status: int = 200, user: str = "alice", **headers: str
) -> JSON:
    headers = {"X-API-Key": KEYS[user], "Content-Type": "application/json", **headers}
    data = io.BytesIO(json.dumps(body).encode())
    async with service.client.post(path, data=data, headers=headers) as reply:
        text = await reply.text()
        assert reply.status == status, text
        return dict(await reply.json()) if reply.content_type.endswith("json") else {"text": text}


async def history(service: Service, session_id: str = "s-1") -> list[JSON]:
    """The messages of a session."""
    async with service.client.get(f"/v1/sessions/{session_id}") as reply:
        assert reply.status == 200
        return list((await reply.json())["messages"])


def raw_form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end


def raw_part(
    data: bytes = PNG, *, name: bytes = b"file", filename: bytes = b"a.png", more: bytes = b""
) -> bytes:
    named = b'; filename="' + filename + b'"' if filename else b""
    disposition = b'Content-Disposition: form-data; name="' + name + b'"' + named
    return disposition + b"\r\n" + more + b"\r\n" + data


Body = bytes | io.BytesIO | AsyncIterator[bytes]


async def post(service: Service, body: Body, content_type: str = "") -> tuple[int, JSON]:
    content_type = content_type or "multipart/form-data; boundary=b"
    headers = {"Content-Type": content_type}
    async with service.client.post("/v1/files", data=body, headers=headers) as reply:
        return reply.status, await reply.json()
