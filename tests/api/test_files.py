"""`/v1/files`, over a real socket: a file's life, how it is served, whose it is."""

from __future__ import annotations

import base64
import io
import json
import os
import time
import zipfile
from pathlib import Path

import aiohttp
import jwt
import pytest

from bff.api import FILES
from bff.events import Done, Event, File, Message
from tests.api.conftest import KEYS, Service, Start
from tests.api.sent_files import PNG, form, kept, post, raw_form, raw_part, send
from tests.fakes.scripted import ScriptedAgent


@pytest.fixture
async def service(start: Start) -> Service:
    return await start(RATE_LIMIT_REQUESTS="100000", FILES_MAX_MB="1")


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
        ("bytes=-9999", 206, "bytes 0-2055/2056"),
        ("bytes=0-", 206, "bytes 0-2055/2056"),
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
