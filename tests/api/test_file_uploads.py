"""`/v1/files/uploads` and `/uploads`: addresses to send a file to without credentials."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.api.conftest import KEYS, Service, Start
from tests.api.sent_files import JSON, PNG, form, kept


@pytest.fixture
async def service(start: Start) -> Service:
    return await start(RATE_LIMIT_REQUESTS="100000", FILES_MAX_MB="1")


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
