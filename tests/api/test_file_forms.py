"""Forms sent to `/v1/files`: what is taken, and what is refused in which words."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
from collections.abc import AsyncIterator

import pytest

from tests.api.conftest import Service, Start
from tests.api.reading import trickled
from tests.api.sent_files import PNG, kept, post, raw_form, raw_part, send


@pytest.fixture
async def service(start: Start) -> Service:
    return await start(RATE_LIMIT_REQUESTS="100000", FILES_MAX_MB="1")


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
        raw_form(raw_part(more=b'content-disposition: form-data; name="purpose"\r\n')),
        raw_form(raw_part(filename=b'a.png"; filename="b.exe')),
        raw_form(raw_part(name=b'file"; NAME ="purpose')),
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


async def test_an_encoded_form__is_told_what_a_form_is(service: Service) -> None:
    headers = {
        "Content-Type": "multipart/form-data; boundary=b",
        "Content-Encoding": "gzip",
    }
    body = gzip.compress(raw_form(raw_part()))

    async with service.client.post("/v1/files", data=body, headers=headers) as reply:
        problem = await reply.json()

    assert reply.status == 415
    assert problem["detail"].startswith("Send multipart/form-data")


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
    async with asyncio.timeout(30):
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

    async with asyncio.timeout(30):
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
    text = await trickled(reader, writer)
    writer.close()

    assert text.startswith(b"HTTP/1.1 408 ")
    assert await kept(service) == []
