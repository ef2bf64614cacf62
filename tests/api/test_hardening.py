"""Attacks on the wire: framing, bodies, what the JSON of a request may do to whoever reads it."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import http_parser

from tests.api.conftest import Service, Start
from tests.api.reading import trickled
from tests.fakes.scripted import ScriptedAgent

BODY = b'{"message":"hi"}'
HEAD = (
    b"POST /v1/chat HTTP/1.1\r\nHost: x\r\nX-API-Key: alice-key\r\n"
    b"Content-Type: application/json\r\n"
)
SMUGGLED = b"GET /health HTTP/1.1\r\nHost: smuggled\r\n\r\n"


def post(*headers: bytes, body: bytes = BODY) -> bytes:
    return HEAD + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


def chunked(body: bytes, *, te: bytes = b"Transfer-Encoding: chunked") -> bytes:
    return post(te, body=body)


LENGTH = b"Content-Length: %d" % len(BODY)
CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)

FRAMING: dict[str, tuple[bytes, set[int]]] = {
    "length and chunks": (post(LENGTH, b"Transfer-Encoding: chunked", body=CHUNK), {400}),
    "chunks and length": (post(b"Transfer-Encoding: chunked", LENGTH, body=CHUNK), {400}),
    "two lengths": (post(LENGTH, b"Content-Length: 5"), {400}),
    "the same length twice": (post(LENGTH, LENGTH), {400}),
    "a list of lengths": (post(LENGTH + b", 16"), {400}),
    "length +5": (post(b"Content-Length: +16"), {400}),
    "length -1": (post(b"Content-Length: -1"), {400}),
    "length 0x5": (post(b"Content-Length: 0x10"), {400}),
    "length 1_6": (post(b"Content-Length: 1_6"), {400}),
    "length in other digits": (post("Content-Length: ١٦".encode()), {400}),
    "length empty": (post(b"Content-Length: "), {400}),
    "length 10^11": (post(b"Content-Length: 100000000000"), {413}),
    "length beyond 64 bits": (post(b"Content-Length: 99999999999999999999999"), {400}),
    "encoding folded": (post(b"Transfer-Encoding:\r\n chunked", body=CHUNK), {400}),
    "encoding with a vertical tab": (chunked(CHUNK, te=b"Transfer-Encoding: \x0bchunked"), {400}),
    "encoding with a space before the colon": (
        chunked(CHUNK, te=b"Transfer-Encoding : chunked"),
        {400},
    ),
    "encoding xchunked": (chunked(CHUNK, te=b"Transfer-Encoding: xchunked"), {400}),
    "encoding chunked, identity": (
        chunked(CHUNK, te=b"Transfer-Encoding: chunked, identity"),
        {400},
    ),
    "encoding chunked twice": (chunked(CHUNK, te=b"Transfer-Encoding: chunked, chunked"), {400}),
    "encoding gzip, chunked": (chunked(CHUNK, te=b"Transfer-Encoding: gzip, chunked"), {400}),
    "lines end with LF": (post(LENGTH).replace(b"\r\n", b"\n"), {400}),
    "lines end with CR": (b"POST /v1/chat HTTP/1.1\rHost: x\r\n\r\n", {400}),
    "NUL in a header": (post(b"X-A: a\0b", LENGTH), {400}),
    "NUL in the path": (b"GET /v1/\0 HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "CR in a header": (post(b"X-A: a\rb", LENGTH), {400}),
    "a header without name": (post(b": a", LENGTH), {400}),
    "a header without colon": (post(b"nonsense", LENGTH), {400}),
    "a space in a name": (post(b"X A: a", LENGTH), {400}),
    "chunk extension with LF": (chunked(b"10;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "chunk size +10": (chunked(b"+10\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "chunk size -1": (chunked(b"-1\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "chunk size 0x10": (chunked(b"0x10\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "chunk size beyond 64 bits": (chunked(b"f" * 17 + b"\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "chunk longer than said": (chunked(b"5\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}),
    "HTTP/9.9": (b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n", {400}),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "no version": (b"GET /health\r\n\r\n", {400}),
    "two hosts": (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    "a line of 10,000": (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "a header of 40,000": (post(b"X-A: " + b"a" * 40_000, LENGTH), {400}),
    "200 headers": (post(*(b"X-%d: a" % n for n in range(200)), LENGTH), {400}),
    "10,000 headers": (post(*(b"X-%d: a" % n for n in range(10_000)), LENGTH), {400}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 60 + b"\r\n\r\n", {400}),
    "CONNECT": (
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        {400, 404, 405},
    ),
    "an expectation that nobody has": (post(b"Expect: 200-ok", LENGTH), {400}),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404}),
    "TRACE": (b"TRACE /v1/chat HTTP/1.1\r\nHost: x\r\nX-API-Key: alice-key\r\n\r\n", {405}),
    "an upgrade to HTTP/2": (
        b"GET /health HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n",
        {200},
    ),
    "a WebSocket over HTTP/1.0": (
        b"GET /v1/ws/chat HTTP/1.0\r\nHost: x\r\nX-API-Key: alice-key\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        {400},
    ),
    "an upgrade with a body": (
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        {400, 401},
    ),
}


async def send(service: Service, data: bytes) -> bytes:
    """All that comes back until the server closes or is silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    reply = b""
    try:
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(30):
            while chunk := await reader.read(65536):
                reply += chunk
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()
    return reply


@pytest.mark.parametrize("name", FRAMING)
async def test_a_framing_attack__gets_one_answer_and_the_connection_ends(
    start: Start, name: str
) -> None:
    data, statuses = FRAMING[name]
    agent = ScriptedAgent()
    service = await start(agent)

    reply = await send(
        service, data + b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )

    assert int(reply.split(b" ", 2)[1]) in statuses, reply[:200]
    if statuses == {400}:
        assert reply.count(b"HTTP/1.") == 1
        assert b"application/problem+json" in reply
    assert agent.calls == []


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/v1/chat", "application/json"), ("/v1/files", "multipart/form-data; boundary=b")],
)
async def test_a_body_that_goes_wrong_on_its_way__is_refused_then(
    start: Start, path: str, content_type: str
) -> None:
    service = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: alice-key\r\nExpect: 100-continue\r\n"
        f"Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    async with asyncio.timeout(30):
        assert b"100" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b'5\r\n{"mes\r\nzz\r\n')
        reply = await reader.read()

    assert reply.startswith(b"HTTP/1.1 400 ")
    assert reply.count(b"HTTP/1.") == 1
    writer.close()


@pytest.mark.parametrize(
    ("path", "head", "status"),
    [
        ("/v1/chat", "Content-Type: application/json\r\nContent-Length: 16", 401),
        ("/v1/chat", "X-API-Key: alice-key\r\nContent-Length: 16", 415),
        (
            "/v1/chat",
            "X-API-Key: alice-key\r\nContent-Type: application/json\r\nContent-Length: 900000000",
            413,
        ),
        (
            "/v1/files",
            "X-API-Key: alice-key\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            "Content-Length: 900000000",
            413,
        ),
        (
            "/v1/chat",
            "X-API-Key: bob-key\r\nContent-Type: application/json\r\nContent-Length: 16",
            429,
        ),
    ],
)
async def test_a_client_that_asks_before_it_sends_a_body__is_refused_without_it(
    start: Start, path: str, head: str, status: int
) -> None:
    service = await start(RATE_LIMIT_REQUESTS="1")
    async with service.client.get("/v1/sessions", headers={"X-API-Key": "bob-key"}) as reply:
        assert reply.status == 200
    asking = f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{head}\r\n\r\n"
    async with raw(service, asking.encode()) as (reader, _), asyncio.timeout(30):
        told = await reader.readuntil(b"\r\n\r\n")

    assert told.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nconnection: close\r\n" in told.lower()  # what follows may be body or request


async def test_a_client_that_asks_before_it_sends_a_body__is_told_to_once(start: Start) -> None:
    service = await start()
    body = b'{"message":"Hi"}'
    asking = (
        "POST /v1/chat HTTP/1.1\r\nHost: x\r\nX-API-Key: alice-key\r\nExpect: 100-continue\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    async with raw(service, asking) as (reader, writer), asyncio.timeout(30):
        for sent in (body, asking + body):  # the second does not wait for the word
            if sent == body:
                assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(sent)
            told = await reader.readuntil(b"\r\n\r\n")
            assert told.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" not in told.lower()
            length = int(told.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert b'"Hello"' in await reader.readexactly(length)


def test_the_parser__is_the_one_written_in_c() -> None:
    assert http_parser.HttpRequestParser is http_parser.HttpRequestParserC


# Bodies


@asynccontextmanager
async def raw(
    service: Service, head: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(head)
    yield reader, writer
    writer.close()


def bomb(encoding: str) -> bytes:
    data = b" " * 50_000_000
    return gzip.compress(data, 1) if encoding == "gzip" else zlib.compress(data, 1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP", "br", "zstd", "gzip, gzip", "x"])
async def test_an_encoded_body__is_refused_unread(start: Start, encoding: str) -> None:
    service = await start()

    reply = await service.client.post(
        "/v1/chat",
        data=bomb(encoding),
        headers={"Content-Encoding": encoding, "Content-Type": "application/json"},
    )

    assert reply.status == 415
    assert (await reply.json())["code"] == "unsupported_media_type"


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"{",
    "null": b"null",
    "a list": b"[]",
    "nested 100,000 deep": b"[" * 100_000,
    "nested 100,000 deep and closed": b'{"message":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "objects nested deep": b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    "40 deep": b'{"message":"hi","metadata":' + b'{"a":' * 40 + b"1" + b"}" * 41,
    "a number of 5,000 digits": b'{"message":' + b"9" * 5000 + b"}",
    "1e999": b'{"message":1e999}',
    "NaN": b'{"message":NaN}',
    "Infinity": b'{"message":-Infinity}',
    "NaN deep inside": b'{"message":"hi","metadata":{"a":NaN}}',
    "a lone surrogate": b'{"message":"\\ud800"}',
    "a lone surrogate in a name": b'{"message":"hi","metadata":{"\\udfff":"a"}}',
    "a lone surrogate in a session": b'{"message":"hi","session_id":"\\ud800"}',
    "NUL in a session": b'{"message":"hi","session_id":"a\\u0000"}',
    "a name twice": b'{"message":"a","message":"b"}',
    "a name twice, escaped": b'{"message":"a","mess\\u0061ge":"b"}',
    "BOM": b'\xef\xbb\xbf{"message":"hi"}',
    "UTF-16": '{"message":"hi"}'.encode("utf-16"),
    "UTF-32": '{"message":"hi"}'.encode("utf-32"),
    "not UTF-8": b'{"message":"\xff"}',
    "UTF-8 surrogates": b'{"message":"\xed\xa0\x80"}',
    "overlong UTF-8": b'{"message":"\xc0\xaf"}',
    "a control character": b'{"message":"a\x01"}',
    "single quotes": b"{'message':'hi'}",
    "a comment": b'{"message":"hi"} // more',
    "two documents": b'{"message":"hi"}{"message":"hi"}',
    "1 MB of {}": b"[" + b"{}," * 80_000 + b"{}]",
    "a role": b'{"message":"hi","role":"system"}',
    "a tenant": b'{"message":"hi","tenant_id":"bob"}',
    "an owner": b'{"message":"hi","owner":"bob"}',
    "metadata that is no object": b'{"message":"hi","metadata":["a"]}',
    "a message that is an object": b'{"message":{"$ne":null}}',
    "a prototype": b'{"message":"hi","__proto__":{}}',
    "a field without a name": b'{"message":"hi","":1}',
}


@pytest.mark.parametrize("path", ["/v1/chat", "/v1/chat/completions", "/v1/ui/chat", "/v1/agui"])
@pytest.mark.parametrize("name", BODIES)
async def test_a_bad_body__is_the_clients_fault(start: Start, name: str, path: str) -> None:
    agent = ScriptedAgent()
    service = await start(agent)

    reply = await service.client.post(
        path, data=BODIES[name], headers={"Content-Type": "application/json"}
    )

    assert reply.status in (400, 422)
    assert json.loads(await reply.text())["code"] in ("bad_request", "invalid")
    assert agent.calls == []


async def test_a_body_of_one_byte_chunks__does_not_stall_the_others(start: Start) -> None:
    service = await start()
    head = HEAD.replace(b"POST /v1/chat", b"PATCH /v1/sessions/s")  # takes 256 KiB
    async with raw(service, head + b"Transfer-Encoding: chunked\r\n\r\n") as (reader, writer):
        writer.write(b"1\r\n \r\n" * 300_000)
        worst = 0.0
        for _ in range(20):
            began = time.thread_time()  # others on this machine are no stall of ours
            assert (await service.client.get("/health")).status == 200
            worst = max(worst, time.thread_time() - began)
        async with asyncio.timeout(30):
            status = (await reader.readline()).split()[1]

    assert status == b"413"
    assert worst < 1


async def test_a_body_that_trickles__is_given_up_after_ten_seconds(start: Start) -> None:
    service = await start()
    async with raw(service, HEAD + b"Content-Length: 1000\r\n\r\n") as (reader, writer):
        text = await trickled(reader, writer, b" ")

    assert text.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in text
