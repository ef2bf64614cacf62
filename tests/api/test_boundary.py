"""What stands between the service and a browser or a proxy: origins, hosts, headers, ids."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from bff.events import Done, Message
from tests.api.conftest import Service, Start
from tests.fakes.scripted import ScriptedAgent

ORIGIN, SECOND = "https://app.example.com", "http://localhost:3000"
EXPOSED = {
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Retry-After",
    "X-Run-Id",
    "X-Session-Id",
    "X-Request-Id",
}
TWINS = [
    "null",
    "https://evil.example",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://app.example.com:443",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://APP.example.com",
    "https://app.example.com/",
    "https://app.example.co",
    "https://app.example.com, https://evil.example",
    "*",
    "",
]
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


# Origins


@pytest.mark.parametrize("origin", [ORIGIN, SECOND])
async def test_a_named_origin__may_read_replies_of_every_kind(start: Start, origin: str) -> None:
    service = await start(CORS_ORIGINS=f"{ORIGIN}, {SECOND}")
    headers = {"Origin": origin}
    stream = await service.client.post("/v1/chat/stream", json={"message": "hi"}, headers=headers)
    replies = [
        stream,
        await service.client.get("/v1/sessions", headers=headers),
        await service.client.get("/v1/nothing", headers=headers),
        await service.client.get("/v1/sessions", headers={**headers, "X-API-Key": "wrong"}),
        await service.client.get("/health", headers=headers),
    ]

    for reply in replies:
        assert reply.headers["Access-Control-Allow-Origin"] == origin
        assert reply.headers["Access-Control-Allow-Credentials"] == "true"
        assert set(reply.headers["Access-Control-Expose-Headers"].split(", ")) >= EXPOSED
        assert reply.headers["Vary"] == "Origin"
        await reply.read()


@pytest.mark.parametrize("origin", TWINS)
async def test_any_other_origin__is_told_nothing(start: Start, origin: str) -> None:
    service = await start(CORS_ORIGINS=ORIGIN)

    reply = await service.client.get("/v1/sessions", headers={"Origin": origin})
    preflight = await service.client.options("/v1/chat", headers={"Origin": origin, **PREFLIGHT})

    assert preflight.status == 403
    for one in (reply, preflight):
        assert not [name for name in one.headers if name.lower().startswith("access-control")]
        assert one.headers["Vary"] == "Origin"


async def test_a_page__may_read_what_its_protocol_sends(start: Start) -> None:
    service = await start(CORS_ORIGINS=ORIGIN)
    said = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
    for path, body, header in (
        ("/v1/ui/chat", {"id": "c", "messages": [said]}, "x-vercel-ai-ui-message-stream"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "hi"}]},
            "x-ratelimit-remaining-requests",
        ),
    ):
        reply = await service.client.post(path, json=body, headers={"Origin": ORIGIN})
        exposed = reply.headers["Access-Control-Expose-Headers"].lower().split(", ")

        assert header in exposed
        assert {name.lower() for name in reply.headers if name.lower().startswith("x-")} <= {
            *exposed,
            "x-content-type-options",
            "x-accel-buffering",
        }
        await reply.read()


@pytest.mark.parametrize("path", ["/v1/chat", "/v1/sessions/s-1", "/v1/nothing", "/health"])
async def test_a_preflight__is_answered_without_credentials(start: Start, path: str) -> None:
    service = await start(CORS_ORIGINS=ORIGIN)
    asked = "authorization,content-type,x-stainless-lang,traceparent,x_of.ours"

    reply = await service.client.options(
        path,
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "DELETE",
            "Access-Control-Request-Headers": asked,
            "X-API-Key": "",
        },
    )

    assert reply.status == 204
    assert reply.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "DELETE" in reply.headers["Access-Control-Allow-Methods"]
    assert reply.headers["Access-Control-Allow-Headers"] == asked
    assert reply.headers["Access-Control-Max-Age"] == "600"


@pytest.mark.parametrize("asked", ["", "*", "a b", "x" * 70, "a;b", ",".join(["x"] * 100)])
async def test_a_preflight_that_asks_for_nonsense__gets_our_own_list(
    start: Start, asked: str
) -> None:
    service = await start(CORS_ORIGINS=ORIGIN)
    headers = {"Origin": ORIGIN, "Access-Control-Request-Headers": asked, **PREFLIGHT}

    reply = await service.client.options("/v1/chat", headers=headers)

    assert reply.headers["Access-Control-Allow-Headers"].startswith("Authorization, Content-Type")


async def test_without_origins__nobody_is_told_anything(start: Start) -> None:
    service = await start()

    reply = await service.client.get("/health", headers={"Origin": ORIGIN})

    assert "Access-Control-Allow-Origin" not in reply.headers


# Hosts


async def raw(service: Service, head: str) -> tuple[int, str]:
    """Status and text of the reply to a request written by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(head.replace("\n", "\r\n").encode() + b"Connection: close\r\n\r\n")
    async with asyncio.timeout(30):
        reply = (await reader.read()).decode()
    writer.close()
    return int(reply.split(" ", 2)[1]), reply


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /v1/models HTTP/1.1\nHost: chat.example.com\n", 401),
        ("GET /v1/models HTTP/1.1\nHost: CHAT.example.com\n", 401),
        ("GET /v1/models HTTP/1.1\nHost: chat.example.com:8443\n", 401),
        ("GET /v1/models HTTP/1.1\nHost: [::1]:8000\n", 401),
        ("GET /v1/models HTTP/1.1\nHost: with.port:81\n", 401),
        ("GET /v1/models HTTP/1.1\nHost: with.port\n", 421),
        ("GET /v1/models HTTP/1.1\nHost: with.port:82\n", 421),
        ("GET /v1/models HTTP/1.1\nHost: evil.example\n", 421),
        ("GET /v1/models HTTP/1.1\nHost: chat.example.com.evil.example\n", 421),
        ("GET /v1/models HTTP/1.1\nHost: evil.example:chat.example.com\n", 421),
        ("GET /v1/models HTTP/1.1\nHost: user@chat.example.com\n", 421),
        ("GET /v1/models HTTP/1.1\nHost: chat.example.com.\n", 421),
        ("GET /v1/models HTTP/1.1\nHost: \n", 421),
        ("GET /v1/models HTTP/1.0\n", 421),
        ("GET /v1/models HTTP/1.1\nHost: chat.example.com\nHost: evil.example\n", 400),
        ("GET /v1/models HTTP/1.1\nHost: evil.example\nX-Forwarded-Host: chat.example.com\n", 421),
        ("GET http://evil.example/v1/models HTTP/1.1\nHost: chat.example.com\n", 421),
        ("GET http://chat.example.com/v1/models HTTP/1.1\nHost: chat.example.com\n", 401),
        ("GET /ready HTTP/1.1\nHost: evil.example\n", 421),
        ("GET /health HTTP/1.1\nHost: evil.example\n", 200),
        ("GET /health HTTP/1.1\nHost: 10.0.0.17:8000\n", 200),
        (
            "OPTIONS /v1/chat HTTP/1.1\nHost: evil.example\nAccess-Control-Request-Method: GET\n",
            421,
        ),
    ],
)
async def test_a_host__is_one_of_ours_or_is_misdirected(
    start: Start, head: str, status: int
) -> None:
    service = await start(ALLOWED_HOSTS="chat.example.com, [::1], with.port:81")

    got, reply = await raw(service, head)

    assert got == status
    assert "evil.example" not in reply


async def test_without_allowed_hosts__any_host_will_do(start: Start) -> None:
    service = await start()

    assert (await raw(service, "GET /health HTTP/1.1\nHost: any.example\n"))[0] == 200
    assert (await raw(service, "GET /v1/models HTTP/1.1\nHost: any.example\n"))[0] == 401


# Request ids


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 64])
async def test_a_sane_request_id__is_kept(start: Start, given: str) -> None:
    service = await start()

    reply = await service.client.get("/v1/nothing", headers={"X-Request-Id": given})

    assert reply.headers["X-Request-Id"] == given
    assert (await reply.json())["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a/b", "é", '"', "{}", "a,b", "\x1b[31m"])
async def test_any_other_request_id__is_replaced(start: Start, given: str) -> None:
    service = await start()

    head = f"GET /v1/models HTTP/1.1\nHost: x\nX-Request-Id: {given}\n"
    _, reply = await raw(service, head)

    [kept] = re.findall(r"(?i)x-request-id: (.*)\r\n", reply)
    assert re.fullmatch(r"[0-9a-f]{32}", kept)


# Headers of every reply

REPLIES: dict[str, dict[str, Any]] = {
    "open": {"path": "/health"},
    "preflight": {
        "method": "OPTIONS",
        "path": "/v1/chat",
        "headers": {"Origin": ORIGIN, **PREFLIGHT},
    },
    "answer": {"method": "POST", "path": "/v1/chat", "json": {"message": "hi"}},
    "stream": {"method": "POST", "path": "/v1/chat/stream", "json": {"message": "hi"}},
    "list": {"path": "/v1/sessions"},
    "empty": {"method": "DELETE", "path": "/v1/sessions/s-1"},
    "unknown": {"path": "/v1/nothing"},
    "unknown outside": {"path": "/nothing"},
    "method": {"method": "PUT", "path": "/v1/chat"},
    "invalid": {"method": "POST", "path": "/v1/chat", "json": {}},
    "not JSON": {"method": "POST", "path": "/v1/chat", "data": b"x"},
    "nobody": {"path": "/v1/sessions", "headers": {"X-API-Key": "wrong"}},
    "token in the query": {"path": "/v1/sessions?access_token=x"},
    "encoded": {"method": "POST", "path": "/v1/chat", "headers": {"Content-Encoding": "gzip"}},
}
AUTHENTICATED = REPLIES.keys() - {"open", "preflight", "unknown outside", "nobody"}


@pytest.mark.parametrize("name", REPLIES)
async def test_a_reply__has_the_headers_it_must(start: Start, name: str) -> None:
    service = await start(CORS_ORIGINS=ORIGIN)
    await (
        await service.client.post("/v1/chat", json={"message": "hi", "session_id": "s-1"})
    ).read()

    options = {"method": "GET", **REPLIES[name]}
    reply = await service.client.request(options.pop("method"), options.pop("path"), **options)
    await reply.read()

    headers = reply.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-Id"])
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in headers or "Python" not in headers["Server"]
    if name in AUTHENTICATED or reply.status >= 400:
        assert headers["Cache-Control"] == "no-store"
    assert ("X-RateLimit-Limit" in headers) == (name in AUTHENTICATED)
    if name in AUTHENTICATED:
        assert headers["X-RateLimit-Limit"] == "100"
        assert headers["X-RateLimit-Remaining"] == "98"
        assert headers["X-RateLimit-Reset"] == "60"
    assert ("WWW-Authenticate" in headers) == (reply.status == 401)
    if reply.status >= 400:
        assert headers["Content-Type"] == "application/problem+json"


# Rate


async def test_the_rate__is_counted_for_what_is_not_free_and_told_every_time(start: Start) -> None:
    gate = asyncio.Event()
    service = await start(ScriptedAgent(([Message("x")], gate, [Done()])), RATE_LIMIT_REQUESTS="3")
    reply = await service.client.post("/v1/chat/stream", json={"message": "hi"})
    run_id = reply.headers["X-Run-Id"]
    reply.close()
    remaining = [reply.headers["X-RateLimit-Remaining"]]
    for method, path in [
        ("GET", f"/v1/runs/{run_id}"),
        ("GET", "/v1/models"),
        ("POST", f"/v1/runs/{run_id}/cancel"),
        ("GET", f"/v1/runs/{run_id}/events"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/models"),
        ("GET", f"/v1/runs/{run_id}"),
    ]:
        reply = await service.client.request(method, path)
        await reply.read()
        remaining.append(reply.headers["X-RateLimit-Remaining"])
    refused = await service.client.get("/v1/models")

    assert remaining == ["2", "2", "1", "1", "1", "0", "0", "0"]
    assert reply.status == 200
    assert refused.status == 429
    assert (await refused.json())["code"] == "rate_limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


async def test_a_good_credential_that_may_not_act_for_others__pays_for_the_request(
    start: Start,
) -> None:
    service = await start(RATE_LIMIT_REQUESTS="3")
    remaining = []
    for user in ("a b", "", "x" * 256, None):
        headers = {} if user is None else {"X-On-Behalf-Of": user}
        async with service.client.get("/v1/models", headers=headers) as reply:
            remaining.append((reply.status, reply.headers["X-RateLimit-Remaining"]))

    assert remaining == [(422, "2"), (422, "1"), (422, "0"), (429, "0")]


# Queries


@pytest.mark.parametrize(
    "name",
    [
        "access_token",
        "Access-Token",
        "token",
        "TOKEN",
        "id_token",
        "jwt",
        "bearer",
        "api_key",
        "apiKey",
        "x-api-key",
        "key",
        "authorization",
        "Authorization",
        "auth",
        "password",
    ],
)
async def test_a_credential_in_a_query__is_refused_even_beside_a_good_one(
    start: Start, name: str
) -> None:
    service = await start()

    for path in ("/v1/sessions", "/health", "/v1/ws/chat"):
        reply = await service.client.get(path, params={name: "canary"})
        assert reply.status == 400
        assert "canary" not in await reply.text()
