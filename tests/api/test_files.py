"""`/v1/files`, over a real socket: what is taken, refused in which words, and how it is served."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import os
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from bff.api import FILES
from bff.events import Done, Event, File, Message
from tests.api.conftest import KEYS, Service, Start
from tests.fakes.scripted import ScriptedAgent

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
JSON = dict[str, Any]


@pytest.fixture
async def service(start: Start) -> Service:
    return await start(RATE_LIMIT_REQUESTS="100000", FILES_MAX_MB="1")


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


# A file's life


async def test_a_file__is_sent_shown_listed_read_and_deleted(service: Service) -> None:
    file = await send(service, purpose="vision")

    assert set(file) == {
        *("id", "object", "bytes", "created_at", "expires_at"),
        *("filename", "purpose", "mime_type", "status"),
    }
    assert (file["object"], file["bytes"], file["filename"]) == ("file", len(PNG), "a.png")
    assert (file["purpose"], file["status"]) == ("vision", "processed")
    assert file["mime_type"] == "image/png"
    assert file["expires_at"] - file["created_at"] == 30 * 86_400
    path = f"/v1/files/{file['id']}"
    async with service.client.get(path) as reply:
        assert await reply.json() == file
    async with service.client.get("/v1/files") as reply:
        assert await reply.json() == {
            "object": "list",
            "data": [file],
            "first_id": file["id"],
            "last_id": file["id"],
            "has_more": False,
        }
    async with service.client.get(f"{path}/content") as reply:
        assert await reply.read() == PNG
    async with service.client.delete(path) as reply:
        assert await reply.json() == {"id": file["id"], "object": "file", "deleted": True}
    for method, place in (("GET", path), ("GET", f"{path}/content"), ("DELETE", path)):
        async with service.client.request(method, place) as reply:
            assert (reply.status, (await reply.json())["code"]) == (404, "not_found")
    assert await kept(service) == []


async def test_a_list__goes_on_behind_the_last_id(service: Service) -> None:
    made = [(await send(service))["id"] for _ in range(3)]
    newest = sorted(made, reverse=True)

    async with service.client.get("/v1/files?limit=2&order=desc") as reply:
        first = await reply.json()
    async with service.client.get(f"/v1/files?limit=10000&after={first['last_id']}") as reply:
        second = await reply.json()

    assert [file["id"] for file in first["data"]] == newest[:2]
    assert [file["id"] for file in second["data"]] == newest[2:]
    assert (first["has_more"], second["has_more"]) == (True, False)


async def test_a_list__is_of_one_purpose_or_the_oldest_first_where_asked(service: Service) -> None:
    made = [await send(service, purpose=("vision", "any")[n % 2]) for n in range(5)]
    oldest = sorted(file["id"] for file in made)
    vision = {file["id"] for file in made if file["purpose"] == "vision"}

    async def listed(query: str) -> tuple[list[str], bool]:
        async with service.client.get(f"/v1/files?{query}") as reply:
            body = await reply.json()
            return [file["id"] for file in body["data"]], body["has_more"]

    assert await listed("order=asc&limit=2") == (oldest[:2], True)
    assert await listed(f"order=asc&after={oldest[1]}") == (oldest[2:], False)
    assert await listed("purpose=other") == ([], False)
    seen = [id for id in reversed(oldest) if id in vision]
    assert await listed("purpose=vision&limit=2") == (seen[:2], True)
    assert await listed(f"purpose=vision&after={seen[1]}") == (seen[2:], False)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("after=x", "after"),
        ("after=../../x", "after"),
        ("order=up", "order"),
    ],
)
async def test_a_list_asked_for_wrongly__says_what_is_wrong(
    service: Service, query: str, field: str
) -> None:
    async with service.client.get(f"/v1/files?{query}") as reply:
        assert reply.status == 422
        assert (await reply.json())["errors"][0]["field"] == field


@pytest.mark.parametrize("file_id", ["x", "file-", "file-" + "0" * 32, "..%2f..%2fetc", "%00", "é"])
async def test_an_unknown_id__is_not_found(service: Service, file_id: str) -> None:
    for path in (f"/v1/files/{file_id}", f"/v1/files/{file_id}/content"):
        async with service.client.get(path) as reply:
            assert reply.status == 404


async def test_without_a_store__files_are_not_found_and_chats_go_on(start: Start) -> None:
    secret = "s" * 32
    service = await start(
        ENVIRONMENT="test", AGENT_URL="embedded:", JWT_SECRET=secret, FILES="", API_KEYS=""
    )
    service.client.headers.popall("X-API-Key")
    token = _token(secret)
    headers = {"Authorization": f"Bearer {token}"}

    async with service.client.post("/v1/files", data=form(), headers=headers) as reply:
        problem = await reply.json()
    async with service.client.post("/v1/chat", json={"message": "hi"}, headers=headers) as reply:
        assert reply.status == 200
    async with service.client.delete("/v1/sessions/none", headers=headers) as reply:
        assert reply.status == 404
    async with service.client.post("/uploads", data=form()) as reply:
        assert reply.status == 404

    assert problem["code"] == "not_found"
    assert problem["detail"] == "This service keeps no files: FILES is not set."


def _token(secret: str) -> str:
    return jwt.encode({"sub": "alice", "exp": time.time() + 600}, secret, "HS256")


async def test_a_store_that_does_not_answer__is_overloaded(service: Service) -> None:
    file = await send(service)
    break_folder(service.files, file["id"])

    for path in ("/v1/files", f"/v1/files/{file['id']}", f"/v1/files/{file['id']}/content"):
        async with service.client.get(path) as reply:
            assert (reply.status, (await reply.json())["code"]) == (503, "overloaded")
    async with service.client.post("/v1/files", data=form()) as reply:
        assert reply.status == 503
    async with service.client.get("/ready") as reply:
        body = await reply.json()
    assert (reply.status, body["status"]) == (200, "degraded")
    assert body["checks"]["files"]["status"] == "overloaded"


def break_folder(folder: Path, file_id: str) -> None:
    """Put folders where files should be, and a file where a folder should be."""
    [record] = folder.glob(f"*/{file_id}/record.json")
    record.unlink()
    record.mkdir()
    (folder / "incoming").rmdir()
    (folder / "incoming").touch()


# Forms


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ((), "file"),
        ((raw_part(b"any", name=b"purpose", filename=b""),), "file"),
        ((raw_part(filename=b""),), "file"),
        ((raw_part(b""),), "file"),
        ((raw_part(), raw_part()), "file"),
        ((raw_part(name=b"other"),), "other"),
        ((raw_part(name=b"files[]"),), "files[]"),
        ((raw_part(name=b"<script>"),), "body"),
        ((raw_part(name=b""),), "body"),
        ((raw_part(b"1", name=b"expires_after[seconds]", filename=b""),), "expires_after[seconds]"),
        ((raw_part(), raw_part(b"x", name=b"purpose", filename=b"")) * 2, "file"),
        ((raw_part(), raw_part(b"", name=b"purpose", filename=b"")), "purpose"),
        ((raw_part(), raw_part(b"a b", name=b"purpose", filename=b"")), "purpose"),
        ((raw_part(), raw_part(b"\xff", name=b"purpose", filename=b"")), "purpose"),
        ((raw_part(), raw_part(b"x" * 65, name=b"purpose", filename=b"")), "purpose"),
        ((raw_part(), raw_part(b"x" * 20_000, name=b"purpose", filename=b"")), "purpose"),
        ((raw_part(filename="a\u202egnp.exe".encode()),), "file"),
        ((raw_part(filename=b"a\0.png"),), "file"),
        ((raw_part(filename=b"a%0D%0ASet-Cookie: x.png"),), "file"),
    ],
)
async def test_a_form_that_is_not_as_it_should_be__says_what_is_wrong(
    service: Service, parts: tuple[bytes, ...], field: str
) -> None:
    status, problem = await post(service, raw_form(*parts))

    assert (status, problem["code"]) == (422, "invalid")
    assert problem["errors"][0]["field"] == field
    assert await kept(service) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b",
        b"no form",
        b"--c\r\n" + raw_part() + b"\r\n--c--\r\n",
        raw_form(raw_part(), end=b""),
        raw_form(raw_part(), end=b"--b"),
        raw_form(raw_part())[:-300],
        raw_form(b"Content-Disposition: form-data"[:-9] + b"\r\n\r\nx"),
        raw_form(b"\r\nx"),
        raw_form(raw_part(more=b"X-Long: " + b"x" * 5000 + b"\r\n")),
        raw_form(raw_part(more=b"X: y\r\n" * 9)),
        raw_form(*[raw_part(b"x", name=b"purpose", filename=b"")] * 17),
        raw_form(raw_part(filename=b"\xff\xfe.png")),
        raw_form(raw_part(more=b"Content-Length: 5\r\n")),
    ],
)
async def test_a_form_that_is_broken_or_cut__is_a_bad_request_and_leaves_nothing(
    service: Service, body: bytes
) -> None:
    status, problem = await post(service, body)

    assert (status, problem["code"]) in ((400, "bad_request"), (422, "invalid"))
    assert problem["errors"]
    assert await kept(service) == []


@pytest.mark.parametrize(
    "content_type",
    [
        *("application/json", "application/octet-stream", "multipart/form-data", "text/plain"),
        *("multipart/form-data; boundary=", "multipart/mixed; boundary=b", "x"),
        *(f"multipart/form-data; boundary={'b' * 71}", 'multipart/form-data; boundary="b'),
    ],
)
async def test_what_is_no_form__is_an_unsupported_media_type(
    service: Service, content_type: str
) -> None:
    status, problem = await post(service, raw_form(raw_part()), content_type)

    assert (status, problem["code"]) == (415, "unsupported_media_type")
    assert "multipart/form-data" in problem["detail"]


@pytest.mark.parametrize(
    "header",
    [b"Content-Transfer-Encoding: base64", b"Content-Encoding: gzip", b"CONTENT-ENCODING: br"],
)
async def test_an_encoded_part__is_refused_and_never_decoded(
    service: Service, header: bytes
) -> None:
    body = raw_form(raw_part(gzip.compress(bytes(1_000_000)), more=header + b"\r\n"))

    status, problem = await post(service, body)

    assert (status, problem["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "filename"),
    [
        (raw_form(raw_part(filename="日本.png".encode())), "日本.png"),
        (raw_form(raw_part(filename=b"..\\..\\x.png")), "x.png"),
        (raw_form(raw_part(filename=b'a%22b".png'[:-5] + b".png")), "a_b.png"),
        (raw_form(raw_part(filename=b"x" * 300 + b".png")), "x" * 251 + ".png"),
        (raw_form(raw_part(filename=b"nul")), "_nul"),
        (b"preamble\r\n" + raw_form(raw_part()), "a.png"),
        (raw_form(raw_part()) + b"epilogue" * 100, "a.png"),
        (raw_form(raw_part(more=b"Content-Transfer-Encoding: binary\r\n")), "a.png"),
        (
            raw_form(
                b"Content-Disposition: form-data; name=file; filename*=UTF-8''%C3%BC.png\r\n\r\n"
                + PNG
            ),
            "ü.png",
        ),
        (
            raw_form(raw_part(), raw_part(b"any", name=b"purpose", filename=b"")),
            "a.png",
        ),
    ],
)
async def test_forms_as_clients_write_them__are_read(
    service: Service, body: bytes, filename: str
) -> None:
    status, file = await post(service, body)

    assert (status, file["filename"]) == (200, filename)
    async with service.client.get(f"/v1/files/{file['id']}/content") as reply:
        assert await reply.read() == PNG


async def test_a_boundary_anywhere__never_cuts_a_file(service: Service) -> None:
    between = b"\r\n--c\r\n-b\r--b--\n--b\r\n\r\n--"
    body = raw_form(raw_part(PNG + between + PNG))

    async def pieces(size: int) -> AsyncIterator[bytes]:
        for place in range(0, len(body), size):
            yield body[place : place + size]

    for size in (7, 61, 1024):
        status, file = await post(service, pieces(size))
        assert (status, file["bytes"]) == (200, 2 * len(PNG) + len(between))


# Sizes and times


@pytest.mark.parametrize("declared", [True, False])
async def test_a_file_over_the_limit__is_too_large_and_says_the_limit(
    service: Service, declared: bool
) -> None:
    body = raw_form(raw_part(PNG + bytes(1024**2)))

    async def pieces() -> AsyncIterator[bytes]:
        for place in range(0, len(body), 65_536):
            yield body[place : place + 65_536]

    status, problem = await post(service, io.BytesIO(body) if declared else pieces())

    assert (status, problem["code"]) == (413, "too_large")
    assert problem["errors"] == [
        {"field": "file", "message": "may have at most 1 MB (1,048,576 bytes)"}
    ]
    assert "1 MB" in problem["error"]["message"]
    assert await kept(service) == []


async def test_a_file_of_exactly_the_limit__is_taken(service: Service) -> None:
    assert (await send(service, os.urandom(1024**2)))["bytes"] == 1024**2


async def test_a_body_said_to_be_far_too_long__is_refused_unread(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nX-API-Key: alice-key\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 99999999999\r\n\r\n"
    )
    async with asyncio.timeout(5):
        assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_leaves__leaves_nothing(service: Service) -> None:
    body = raw_form(raw_part(os.urandom(900_000)))
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nX-API-Key: alice-key\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n"
        % len(body)
        + body[:500_000]
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert not await reader.read()

    async with asyncio.timeout(5):
        while list((service.files / "incoming").iterdir()):
            await asyncio.sleep(0.01)
    assert await kept(service) == []


async def test_a_body_that_trickles__is_given_up(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    head = (
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nX-API-Key: alice-key\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 900000\r\n\r\n"
    )
    writer.write(head + raw_form(raw_part(), end=b""))
    reply = asyncio.create_task(reader.read())
    async with asyncio.timeout(20):
        while not reply.done() and not writer.transport.is_closing():
            writer.write(b"x")
            await asyncio.wait({reply}, timeout=0.25)
    text = await reply
    writer.close()

    assert text.startswith(b"HTTP/1.1 408 ")
    assert await kept(service) == []


# What is served


def zip_bomb() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(50_000_000))
    return data.getvalue()


SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><circle r='1'/></svg>"
HOSTILE: dict[str, tuple[bytes, str, str]] = {
    "HTML": (b"<html><script>alert(1)</script>", "text/html", "text/html"),
    "HTML said to be a picture": (b"<html><script>", "image/png", "text/html"),
    "HTML said to be a PDF": (b"<script>alert(1)</script>", "application/pdf", "text/html"),
    "SVG": (SVG, "image/svg+xml", "image/svg+xml"),
    "SVG said to be PNG": (SVG, "image/png", "image/svg+xml"),
    "XML": (b"<?xml version='1.0'?><a/>", "text/xml", "application/xml"),
    "XHTML": (
        b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><script/></html>",
        "application/xhtml+xml",
        "application/xhtml+xml",
    ),
    "JavaScript": (b"alert(1)", "text/javascript", "text/javascript"),
    "a program": (b"MZ\x90\0\3\0\0\0" + bytes(99), "image/png", "application/x-msdownload"),
    "a type with a header": (b"\0\1", "image/png\r\nX: y", "application/octet-stream"),
    "a ZIP bomb": (zip_bomb(), "application/zip", "application/zip"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_a_browser_would_run__is_never_served_as_itself(
    service: Service, name: str
) -> None:
    data, declared, found = HOSTILE[name]
    more = b"Content-Type: " + declared.replace("\r\n", " ").encode() + b"\r\n"

    status, file = await post(service, raw_form(raw_part(data, more=more)))

    assert (status, file["mime_type"]) == (200, found)
    async with service.client.get(f"/v1/files/{file['id']}/content") as reply:
        assert await reply.read() == data
        headers = reply.headers
    assert headers["Content-Disposition"].startswith("attachment; ")
    served = "application/zip" if found == "application/zip" else "application/octet-stream"
    assert headers["Content-Type"] == served
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "attack",
    [
        b"<script>alert(1)</script>",
        b"<SCRIPT href='data:,alert(1)'/>",
        b"<svg:script>alert(1)</svg:script>",
        b"<g onload='alert(1)'/>",
        b"<g\nonmouseover = 'alert(1)'/>",
        b"<a href='javascript:alert(1)'>x</a>",
        b"<foreignObject><iframe src='x'/></foreignObject>",
        b"<!ENTITY x 'y'>",
    ],
)
async def test_an_svg_with_a_program_in_it__is_refused_in_words(
    service: Service, attack: bytes
) -> None:
    data = SVG.replace(b"<circle", attack + b"<circle")

    status, problem = await post(service, raw_form(raw_part(data, filename=b"a.svg")))

    assert (status, problem["code"]) == (415, "unsupported_media_type")
    assert "SVG with scripts" in problem["errors"][0]["message"]
    assert await kept(service) == []


@pytest.mark.parametrize(
    ("data", "declared", "served"),
    [
        (PNG, "text/html", "image/png"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "", "application/pdf"),
        (b"ID3\4\0\0\0\0\0\x23" + bytes(40), "audio/mp3", "audio/mpeg"),
    ],
)
async def test_what_a_browser_only_shows__has_its_type_and_is_still_to_be_saved(
    service: Service, data: bytes, declared: str, served: str
) -> None:
    file = await send(service, data, content_type=declared, filename="ü *x*.png")

    async with service.client.get(f"/v1/files/{file['id']}/content") as reply:
        headers = reply.headers
    assert headers["Content-Type"] == served
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"_ _x_.png\"; filename*=UTF-8''%C3%BC%20_x_.png"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ("bytes=0-0", 206, "bytes 0-0/2056"),
        ("bytes=1-3", 206, "bytes 1-3/2056"),
        ("bytes=2000-", 206, "bytes 2000-2055/2056"),
        ("bytes=2000-9999", 206, "bytes 2000-2055/2056"),
        ("bytes=-10", 206, "bytes 2046-2055/2056"),
        ("Bytes= 1-3", 206, "bytes 1-3/2056"),
        ("bytes=-9999", 200, None),
        ("bytes=0-", 200, None),
        ("bytes=5-1", 200, None),
        ("bytes=1-2,4-5", 200, None),
        ("bytes=-", 200, None),
        ("bytes=a-b", 200, None),
        ("items=1-2", 200, None),
        ("bytes=2056-", 416, "bytes */2056"),
        ("bytes=999999999999999999-", 416, "bytes */2056"),
        ("bytes=-0", 416, "bytes */2056"),
    ],
)
async def test_a_range__is_answered_as_rfc_9110_has_it(
    service: Service, asked: str, status: int, said: str | None
) -> None:
    file = await send(service)

    async with service.client.get(
        f"/v1/files/{file['id']}/content", headers={"Range": asked}
    ) as reply:
        body = await reply.read()

    assert (reply.status, reply.headers.get("Content-Range")) == (status, said)
    if status == 206 and said:
        first, last = said.split(" ")[1].split("/")[0].split("-")
        assert body == PNG[int(first) : int(last) + 1]
    elif status == 200:
        assert body == PNG
        assert reply.headers["Accept-Ranges"] == "bytes"
    else:
        assert json.loads(body)["code"] == "bad_request"


@pytest.mark.parametrize("left", [0, 1000])
async def test_content_that_breaks_off__is_never_taken_for_whole(
    service: Service, left: int
) -> None:
    file = await send(service)
    [content] = service.files.glob(f"*/{file['id']}/content")
    content.write_bytes(PNG[:left])

    async with service.client.get(f"/v1/files/{file['id']}/content") as reply:
        if left:
            with pytest.raises(aiohttp.ClientPayloadError):
                await reply.read()
        assert reply.status == (200 if left else 404)


async def test_a_range_of_another_file__is_the_whole_of_this_one(service: Service) -> None:
    file = await send(service)
    path = f"/v1/files/{file['id']}/content"
    async with service.client.get(path) as reply:
        etag = reply.headers["ETag"]

    for given, status in ((etag, 206), ('"other"', 200), ("Fri, 27 Nov 2026 00:00:00 GMT", 200)):
        headers = {"Range": "bytes=0-1", "If-Range": given}
        async with service.client.get(path, headers=headers) as reply:
            assert reply.status == status


async def test_browsers_elsewhere__may_read_name_and_range(start: Start) -> None:
    origin = "https://app.example.com"
    service = await start(CORS_ORIGINS=origin)
    file = await send(service)

    async with service.client.get(
        f"/v1/files/{file['id']}/content", headers={"Origin": origin}
    ) as reply:
        exposed = reply.headers["Access-Control-Expose-Headers"]
        assert reply.headers["Access-Control-Allow-Origin"] == origin
    assert {"Content-Disposition", "Content-Range"} <= set(exposed.split(", "))


# Addresses to upload to


async def address(service: Service, **asked: Any) -> JSON:
    body = {"filename": "b.png", "mime_type": "image/png", "size": len(PNG), **asked}
    async with service.client.post("/v1/files/uploads", json=body) as reply:
        assert reply.status == 200, await reply.text()
        return dict(await reply.json())


async def test_an_address__takes_the_file_without_credentials_once(service: Service) -> None:
    given = await address(service, purpose="vision")
    path = f"/v1/files/{given['id']}"
    async with service.client.get(path) as reply:
        assert reply.status == 404
    assert given["status"] == "pending"
    assert given["url"] == f"{service.url}/uploads"
    assert 0 < given["upload_expires_at"] - given["created_at"] <= 900

    async with aiohttp.ClientSession() as anybody:
        for status in (204, 403):
            data = form(PNG, **given["fields"])
            async with anybody.post(given["url"], data=data) as reply:
                assert reply.status == status

    async with service.client.get(path) as reply:
        file = await reply.json()
    assert file == {name: given[name] for name in file} | {"status": "processed"}
    assert (file["purpose"], file["mime_type"]) == ("vision", "image/png")
    async with service.client.get(path, headers={"X-API-Key": KEYS["bob"]}) as reply:
        assert reply.status == 404


async def test_an_address_by_openais_word__is_the_same(service: Service) -> None:
    body = {"filename": "b.png", "mime_type": "image/png", "bytes": 5}
    async with service.client.post("/v1/files/uploads", json=body) as reply:
        assert (await reply.json())["bytes"] == 5


@pytest.mark.parametrize(
    ("data", "changed", "status", "field"),
    [
        (PNG + b"x", {}, 413, "file"),
        (PNG[:-1], {}, 422, "file"),
        (b"", {}, 422, "file"),
        (PNG, {"signature": "0" * 64}, 401, None),
        (PNG, {"Content-Type": "text/html"}, 403, "policy"),
        (PNG, {"policy": "e30="}, 401, None),
        (PNG, {"acl": "public-read"}, 422, "acl"),
    ],
)
async def test_anything_but_the_file_it_was_made_for__is_refused(
    service: Service, data: bytes, changed: dict[str, str], status: int, field: str | None
) -> None:
    given = await address(service)

    async with aiohttp.request(
        "POST", given["url"], data=form(data, **{**given["fields"], **changed})
    ) as reply:
        problem = await reply.json()

    assert reply.status == status
    assert [error["field"] for error in problem.get("errors", ())] == ([field] if field else [])
    assert await kept(service) == []


async def test_guessing_at_addresses__counts_against_the_address(start: Start) -> None:
    service = await start(RATE_LIMIT_REQUESTS="3")
    fields = {"Content-Type": "a/b", "key": "k", "policy": "p", "signature": "s"}

    statuses = []
    for sent in (form(PNG, **fields), form(PNG, **fields), b"no form", b"", form(PNG, **fields)):
        async with aiohttp.request("POST", f"{service.url}/uploads", data=sent) as reply:
            statuses.append(reply.status)

    assert statuses == [401, 401, 401, 429, 429]


@pytest.mark.parametrize(
    ("asked", "field", "status"),
    [
        ({"size": 0}, "size", 422),
        ({"size": "5"}, "size", 422),
        ({"size": 1024**2 + 1}, "size", 413),
        ({"mime_type": "png"}, "mime_type", 422),
        ({"mime_type": "image/png\r\nX: y"}, "mime_type", 422),
        ({"filename": ""}, "filename", 422),
        ({"filename": "a\u202eb"}, "filename", 422),
        ({"purpose": ""}, "purpose", 422),
        ({"owner": "bob"}, "owner", 422),
    ],
)
async def test_an_address_asked_for_wrongly__says_what_is_wrong(
    service: Service, asked: JSON, field: str, status: int
) -> None:
    body = {"filename": "b.png", "mime_type": "image/png", "size": 5, **asked}
    async with service.client.post("/v1/files/uploads", json=body) as reply:
        problem = await reply.json()

    assert reply.status == status
    assert problem["errors"][0]["field"] == field


async def test_an_address_behind_a_proxy__is_the_one_the_client_sees(start: Start) -> None:
    service = await start(TRUSTED_PROXIES="127.0.0.0/8")
    headers = {"X-Forwarded-Proto": "https", "Host": "chat.example.com"}
    body = {"filename": "b.png", "mime_type": "image/png", "size": 5}

    async with service.client.post("/v1/files/uploads", json=body, headers=headers) as reply:
        assert (await reply.json())["url"] == "https://chat.example.com/uploads"


# Sessions


async def test_a_deleted_session__takes_its_files_along(service: Service) -> None:
    file, other = await send(service), await send(service)
    owner = owner_of(service)
    files = service.app[FILES]
    assert files is not None
    await service.client.post("/v1/chat", json={"message": "hi", "session_id": "s-1"})
    await files.used_by(owner, [file["id"]], "s-1")
    await files.used_by(owner, [other["id"]], "s-2")

    async with service.client.delete("/v1/sessions/s-1") as reply:
        assert reply.status == 204

    assert await kept(service) == [other["id"]]
    async with service.client.delete("/v1/sessions/s-2") as reply:  # what a failure had left
        assert reply.status == 204
    assert await kept(service) == []
    async with service.client.delete("/v1/sessions/s-2") as reply:
        assert reply.status == 404


def owner_of(service: Service) -> str:
    """Alice's digest, as the store has it."""
    [folder] = [path for path in service.files.iterdir() if len(path.name) == 64]
    return folder.name


async def test_ready__names_the_store(service: Service) -> None:
    async with service.client.get("/ready") as reply:
        body = await reply.json()

    assert body["status"] == "ready"
    assert body["checks"]["files"]["status"] == "ok"


async def test_a_large_file_of_the_agents__is_a_link_in_the_run_and_goes_with_the_session(
    start: Start,
) -> None:
    large, small = os.urandom(100_000), b"small"
    events: list[Event] = [
        Message("Here."),
        File("image/png", data=base64.b64encode(PNG + large).decode(), filename="chart.png"),
        File("text/plain", data=base64.b64encode(small).decode()),
    ]
    service = await start(ScriptedAgent((events, [Done()])))

    reply = await service.client.post(
        "/v1/chat/stream", json={"message": "draw", "session_id": "s-1"}
    )
    said = [event for event in await service.read(reply) if event["event"] == "file"]

    link, inline = (json.loads(event["data"]) for event in said)
    assert set(link) == {"url", "mimeType", "filename"}
    assert base64.b64decode(inline["data"]) == small
    async with service.client.get(link["url"]) as reply:
        assert await reply.read() == PNG + large
    async with service.client.get(link["url"], headers={"X-API-Key": KEYS["bob"]}) as reply:
        assert reply.status == 404
    await service.client.delete("/v1/sessions/s-1")
    async with service.client.get(link["url"]) as reply:
        assert reply.status == 404
