"""What the agent is told of the caller: `AGENT_USER_ID`, `AGENT_AUTH`, `AGENT_HEADERS`."""

from __future__ import annotations

from typing import Any

import pytest

from bff.agents import http
from bff.identity import sign_token
from bff.settings import Settings
from tests.api.conftest import KEYS, Service, Start

SECRET = "s" * 32


def token(sub: str) -> str:
    return sign_token(Settings(jwt_secrets=(SECRET,)), sub, ttl_seconds=60)


KEY = {"X-API-Key": KEYS["bob"]}
BEHALF = {**KEY, "X-On-Behalf-Of": "carol"}
ANSWERED: dict[str, dict[str, Any]] = {
    "/v1/chat": {"message": "Hi"},
    "/v1/chat/stream": {"message": "Hi"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]},
    "/v1/ui/chat": {
        "id": "c",
        "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}],
    },
    "/v1/agui": {
        "messages": [{"id": "m", "role": "user", "content": "Hi"}],
        **{"threadId": "t", "runId": "r", "state": {}, "tools": [], "context": []},
        "forwardedProps": {},
    },
}


async def ask(service: Service, headers: dict[str, str], path: str = "/v1/chat") -> int:
    async with service.client.post(
        service.url + path, json=ANSWERED[path], headers=headers
    ) as reply:
        await reply.read()
        return reply.status


@pytest.fixture
def anyone(start: Start) -> Start:
    """A service whose client sends no credential of its own."""

    async def start_one(**environ: str) -> Service:
        service = await start(JWT_SECRET=SECRET, **environ)
        service.client.headers.popall("X-API-Key")
        return service

    return start_one


@pytest.mark.parametrize("path", ANSWERED)
async def test_on__tells_the_derived_id_of_every_kind_of_caller(anyone: Start, path: str) -> None:
    service = await anyone(AGENT_USER_ID="on")
    for headers in (KEY, BEHALF, {"Authorization": f"Bearer {token('alice')}"}):
        assert await ask(service, headers, path) == 200

    told = [(call.user_id, http.headers(call)[http.USER_HEADER]) for call in service.agent.calls]
    assert told == [(call.actor_id, call.actor_id) for call in service.agent.calls]
    assert len(set(told)) == 3


async def test_off__tells_nobody_whatever_the_client_says(anyone: Start) -> None:
    service = await anyone()

    await ask(service, {**KEY, http.USER_HEADER: "root"})

    assert http.USER_HEADER not in http.headers(service.agent.calls[0])


@pytest.mark.parametrize("sub", ["alice@example.com", "auth0|5f7c", "a" * 1024])
async def test_sub__tells_the_tokens_own(anyone: Start, sub: str) -> None:
    service = await anyone(AGENT_USER_ID="sub")

    await ask(service, {"Authorization": f"Bearer {token(sub)}"})

    assert service.agent.calls[0].user_id == sub


@pytest.mark.parametrize("sub", ["a b", "a\r\nX-Evil: 1", "zo\u00eb", "\0", "a" * 1025])
async def test_a_sub_that_no_header_carries__is_told_as_the_derived_id(
    anyone: Start, sub: str
) -> None:
    service = await anyone(AGENT_USER_ID="sub")

    assert await ask(service, {"Authorization": f"Bearer {token(sub)}"}) == 200
    assert service.agent.calls[0].user_id == service.agent.calls[0].actor_id


async def test_sub__is_the_derived_id_where_there_is_no_token(anyone: Start) -> None:
    service = await anyone(AGENT_USER_ID="sub")
    await ask(service, KEY)
    await ask(service, BEHALF)

    first, second = service.agent.calls
    assert (first.user_id, second.user_id) == (first.actor_id, second.actor_id)


@pytest.mark.parametrize("path", ANSWERED)
async def test_bearer__hands_on_the_callers_token_and_takes_no_key(
    anyone: Start, path: str
) -> None:
    service, mine = await anyone(AGENT_AUTH="bearer"), token("alice")
    for headers in (KEY, BEHALF, {"Authorization": f"Bearer {KEYS['bob']}"}):
        assert await ask(service, headers, path) == 403
    assert service.agent.calls == []

    assert await ask(service, {"Authorization": f"Bearer {mine}"}, path) == 200
    assert service.agent.calls[0].bearer == mine
    assert mine not in repr(service.agent.calls)


async def test_a_key_that_is_refused__leaves_no_session_behind(anyone: Start) -> None:
    service = await anyone(AGENT_AUTH="bearer")
    await ask(service, KEY)

    async with service.client.get("/v1/sessions", headers=KEY) as reply:
        assert (await reply.json())["sessions"] == []


CUSTOM = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Lang"


@pytest.mark.parametrize("path", ANSWERED)
async def test_headers__that_are_named_are_passed_on_and_no_others(
    anyone: Start, path: str
) -> None:
    service = await anyone(AGENT_HEADERS=f"X-Tenant,{CUSTOM}")
    asked = {"x-tenant": "acme", CUSTOM.lower(): "de", "X-Other": "no", "Cookie": "a=b"}

    assert await ask(service, {**KEY, **asked}, path) == 200
    assert service.agent.calls[0].headers == {"X-Tenant": "acme", CUSTOM: "de"}


@pytest.mark.parametrize("value", ["", "x" * 4097, "zo\u00eb"])
async def test_a_header_that_agentcore_would_refuse__is_left_out(anyone: Start, value: str) -> None:
    service = await anyone(AGENT_HEADERS="X-Tenant")

    assert await ask(service, {**KEY, "X-Tenant": value}) == 200
    assert service.agent.calls[0].headers == {}
