"""Who may open a WebSocket: every refusal comes before the upgrade."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.api.conftest import Start
from tests.api.socket_client import ORIGIN, PATH, SECRET, refused, token, upgrade


async def test_a_browser__passes_its_token_as_a_sub_protocol(start: Start) -> None:
    service = await start(JWT_SECRET=SECRET, CORS_ORIGINS=ORIGIN)

    async with upgrade(service, ("chat.v1", f"bearer.{token()}"), ORIGIN) as client:
        protocol, headers = client.socket.protocol, client.socket._response.headers

    assert protocol == "chat.v1"
    assert headers["X-RateLimit-Remaining"] == "99"
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Sec-WebSocket-Extensions" not in headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "https://app.example.com.evil.example",
        "https://app.example.com:8443",
        "http://app.example.com",
        "https://app.example.co",
        "https://APP.example.com",
        "https://app.example.com/",
        "",
    ],
)
async def test_a_foreign_origin__is_refused_before_the_upgrade(start: Start, origin: str) -> None:
    service = await start(JWT_SECRET=SECRET, CORS_ORIGINS=ORIGIN)

    assert await refused(service, ("chat.v1", f"bearer.{token()}"), origin) == 403
    assert await refused(service, headers={"X-API-Key": "alice-key", "Origin": origin}) == 403


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 401),
        ({"protocols": ["chat.v1"]}, 401),
        ({"protocols": ["chat.v1", "bearer."]}, 401),
        ({"protocols": ["chat.v1", "bearer.x.y.z"]}, 401),
        ({"protocols": ["chat.v1", "bearer.TOKEN", "bearer.TOKEN"]}, 401),
        ({"protocols": ["chat.v1", "bearer.TOKEN"], "headers": {"X-API-Key": "alice-key"}}, 401),
        ({"protocols": ["chat.v1", "bearer.TOKEN"], "headers": {"Authorization": "x"}}, 401),
        ({"protocols": ["chat.v1", "bearer.EXPIRED"]}, 401),
        ({"protocols": ["bearer.TOKEN"]}, 400),
        ({"protocols": ["chat.v2", "bearer.TOKEN"]}, 400),
        ({"path": PATH + "?access_token=TOKEN"}, 401),
        ({"path": PATH + "?token=TOKEN", "headers": {"X-API-Key": "alice-key"}}, 400),
    ],
)
async def test_a_handshake__is_refused_and_its_token_is_in_no_log(
    start: Start, caplog: pytest.LogCaptureFixture, options: dict[str, Any], status: int
) -> None:
    caplog.set_level(0)
    service = await start(JWT_SECRET=SECRET)
    good, old = token(), token(seconds=-60)
    text = json.dumps(options).replace("TOKEN", good).replace("EXPIRED", old)

    assert await refused(service, **json.loads(text)) == status
    signatures = (good.rpartition(".")[2], old.rpartition(".")[2])
    mine = [
        record.getMessage() for record in caplog.records if not record.name.startswith("asyncio")
    ]
    assert not any(signature in line for signature in signatures for line in mine)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upgrade": "websocket", "Connection": "Upgrade"},
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "é" * 24},
        {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(b"x" * 16).decode(),
            "Sec-WebSocket-Version": "99",
        },
    ],
)
async def test_a_broken_handshake__is_a_problem_document(
    start: Start, headers: dict[str, str]
) -> None:
    service = await start()

    reply = await service.client.get(PATH, headers=headers)

    assert reply.status == 400
    assert (await reply.json())["code"] == "bad_request"
