"""Canaries: secrets and messages sent every way there is, looked for wherever they could end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web

from bff.app import create_app
from bff.connections import Runner
from bff.errors import AgentUnavailable
from bff.events import Done, Message
from bff.history import Page, Session
from bff.settings import Settings
from bff.telemetry.logs import open_logs
from tests.api.conftest import Start
from tests.fakes.scripted import ListHistory, ScriptedAgent

CANARY = "canary0d5c"
SECRET = f"{CANARY}-secret-{'s' * 40}"
KEY = f"{CANARY}-key"


def token(**claims: Any) -> str:
    return jwt.encode({"sub": CANARY, "exp": time.time() + 600, **claims}, SECRET, "HS256")


Way = tuple[str, str, dict[str, Any]]


def paths() -> dict[str, Way]:
    """Forty ways for a secret or a message to come along."""
    good, wrong = token(), token(exp=1)
    signature = good.rpartition(".")[2]
    chat = {"message": CANARY}

    def bearer(value: str) -> dict[str, Any]:
        return {"headers": {"Authorization": f"Bearer {value}"}}

    return {
        "a right token": ("GET", "/v1/sessions", bearer(good)),
        "an expired token": ("GET", "/v1/sessions", bearer(wrong)),
        "a cut token": ("GET", "/v1/sessions", bearer(good[:-3])),
        "a token too long": ("GET", "/v1/sessions", bearer(good + signature * 300)),
        "a token as key": ("GET", "/v1/sessions", {"headers": {"X-API-Key": good}}),
        "a right key": ("GET", "/v1/sessions", {"headers": {"X-API-Key": KEY}}),
        "a wrong key": ("GET", "/v1/sessions", {"headers": {"X-API-Key": KEY + "x"}}),
        "a key as bearer": ("GET", "/v1/sessions", bearer(KEY)),
        "a basic password": (
            "GET",
            "/v1/sessions",
            {"headers": {"Authorization": aiohttp.encode_basic_auth("user", CANARY)}},
        ),
        "two credentials": (
            "GET",
            "/v1/sessions",
            {"headers": {"X-API-Key": KEY, "Authorization": f"Bearer {good}"}},
        ),
        "a cookie": ("GET", "/v1/sessions", {"headers": {"Cookie": f"session={CANARY}"}}),
        "a referer": ("GET", "/health", {"headers": {"Referer": f"https://x/?t={CANARY}"}}),
        "a user agent": ("GET", "/health", {"headers": {"User-Agent": CANARY}}),
        "an unknown header": ("GET", "/health", {"headers": {"X-Secret": CANARY}}),
        "a proxy's credential": (
            "GET",
            "/health",
            {"headers": {"Proxy-Authorization": f"Bearer {CANARY}"}},
        ),
        "a request id too long": ("GET", "/health", {"headers": {"X-Request-Id": CANARY * 20}}),
        "a token in the query": ("GET", f"/v1/sessions?access_token={good}", {}),
        "a key in the query": ("GET", f"/v1/sessions?api_key={KEY}", {}),
        "a secret under any name": ("GET", f"/v1/sessions?whatever={CANARY}", {}),
        "a query on an unknown path": ("GET", f"/nothing?x={CANARY}", {}),
        "a message": ("POST", "/v1/chat", {"json": chat, **bearer(good)}),
        "a streamed message": ("POST", "/v1/chat/stream", {"json": chat, **bearer(good)}),
        "a message of nobody": ("POST", "/v1/chat", {"json": chat}),
        "a message with a field too many": (
            "POST",
            "/v1/chat",
            {"json": {**chat, "x": CANARY}, **bearer(good)},
        ),
        "a message that is no text": (
            "POST",
            "/v1/chat",
            {"json": {"message": [CANARY]}, **bearer(good)},
        ),
        "a message too long": (
            "POST",
            "/v1/chat",
            {"json": {"message": CANARY * 4000}, **bearer(good)},
        ),
        "metadata": (
            "POST",
            "/v1/chat",
            {"json": {**chat, "metadata": {"a": CANARY}}, **bearer(good)},
        ),
        "metadata that is no text": (
            "POST",
            "/v1/chat",
            {"json": {**chat, "metadata": {"a": [CANARY]}}, **bearer(good)},
        ),
        "a session that is none": (
            "POST",
            "/v1/chat",
            {"json": {**chat, "session_id": f"../{CANARY}"}, **bearer(good)},
        ),
        "an idempotency key": (
            "POST",
            "/v1/chat",
            {
                "json": chat,
                "headers": {"X-API-Key": KEY, "Idempotency-Key": f"k-{CANARY}"},
            },
        ),
        "a bad idempotency key": (
            "POST",
            "/v1/chat",
            {"json": chat, "headers": {"X-API-Key": KEY, "Idempotency-Key": f"{CANARY} x"}},
        ),
        "not JSON": ("POST", "/v1/chat", {"data": CANARY, **json_as(good)}),
        "JSON cut": ("POST", "/v1/chat", {"data": f'{{"message":"{CANARY}', **json_as(good)}),
        "a name twice": (
            "POST",
            "/v1/chat",
            {"data": f'{{"{CANARY}":1,"{CANARY}":2}}', **json_as(good)},
        ),
        "another media type": ("POST", "/v1/chat", {"data": CANARY, **bearer(good)}),
        "OpenAI's format": (
            "POST",
            "/v1/chat/completions",
            {
                "json": {"model": "m", "messages": [{"role": "user", "content": CANARY}]},
                **bearer(good),
            },
        ),
        "OpenAI's format, wrong": (
            "POST",
            "/v1/chat/completions",
            {"json": {"model": "m", "messages": CANARY}, **bearer(good)},
        ),
        "AI SDK's format, wrong": (
            "POST",
            "/v1/ui/chat",
            {"json": {"id": 1, "messages": [CANARY]}, **bearer(good)},
        ),
        "AG-UI's format, wrong": (
            "POST",
            "/v1/agui",
            {"json": {"threadId": 1, "messages": [CANARY]}, **bearer(good)},
        ),
        "a title": (
            "PATCH",
            "/v1/sessions/s-1",
            {"json": {"title": CANARY}, **bearer(good)},
        ),
        "a cursor": ("GET", f"/v1/sessions?cursor={CANARY}", bearer(good)),
        "on behalf of": (
            "GET",
            "/v1/sessions",
            {"headers": {"X-API-Key": KEY, "X-On-Behalf-Of": f"{CANARY} x"}},
        ),
        "a socket's token": (
            "GET",
            "/v1/ws/chat",
            {"headers": {"Sec-WebSocket-Protocol": f"bearer.{good}"}},
        ),
        "a socket's wrong token": (
            "GET",
            "/v1/ws/chat",
            {"headers": {"Sec-WebSocket-Protocol": f"chat.v1, bearer.{wrong}"}},
        ),
    }


def json_as(credential: str) -> dict[str, Any]:
    return {
        "headers": {"Authorization": f"Bearer {credential}", "Content-Type": "application/json"}
    }


class LeakyError(Exception):
    """What a library raises: with everything it knew in its text."""


AGENTS: dict[str, Callable[[], ScriptedAgent]] = {
    "answers": lambda: ScriptedAgent(([Message("hello"), Done()],)),
    "fails with a secret in its text": lambda: ScriptedAgent(
        (LeakyError(f"arn:aws:bedrock-agentcore:{CANARY} key={SECRET}"),)
    ),
    "fails as it should, for a leaky reason": lambda: ScriptedAgent((unavailable(),)),
}


def unavailable() -> Exception:
    problem = AgentUnavailable(agent_called=True)
    problem.__cause__ = LeakyError(f"could not connect with {SECRET}")
    return problem


def test_the_ways_a_secret_comes__are_at_least_forty() -> None:
    assert len(paths()) >= 40


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_canary__is_in_no_log_and_no_body(start: Start, agent: str, tmp_path: Path) -> None:
    environ = {"JWT_SECRET": SECRET, "API_KEYS": f"svc:{KEY}", "RATE_LIMIT_REQUESTS": "1000"}
    service = await start(AGENTS[agent](), **environ)
    log = tmp_path / "stdout"
    bodies: dict[str, str] = {}
    settings = Settings(log_level="DEBUG", log_format="json")
    with log.open("wb") as stdout, open_logs(settings, descriptor=stdout.fileno()):
        async with aiohttp.ClientSession(service.url) as http:
            for name, (method, path, options) in paths().items():
                async with http.request(method, path, **options) as reply:
                    bodies[name] = await reply.text() + str(dict(reply.headers))

    assert [name for name, body in bodies.items() if CANARY in body] == []
    lines = log.read_text().splitlines()
    assert [line for line in lines if CANARY in line] == []
    assert len([line for line in lines if '"bff.access"' in line]) == len(paths())


@pytest.mark.parametrize(
    "text", ["%0a%0dFAKE", "%1b[31mFAKE", "%22,%22level%22:%22FAKE%22", "%e2%80%a8FAKE", "%00FAKE"]
)
async def test_a_log_line__cannot_be_forged(start: Start, tmp_path: Path, text: str) -> None:
    service = await start()
    log = tmp_path / "stdout"
    settings = Settings(log_level="DEBUG", log_format="json")
    with log.open("wb") as stdout, open_logs(settings, descriptor=stdout.fileno()):
        reply = await service.client.get(f"/v1/sessions/{text}", headers={"User-Agent": text})
        assert reply.status == 404

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    [access] = [line for line in lines if line["logger"] == "bff.access"]
    assert "FAKE" not in str(access)


class LeakyHistory(ListHistory):
    async def sessions(self, owner: str, *, limit: int, after: str | None = None) -> Page[Session]:
        raise LeakyError(f"database at {SECRET}")


async def test_a_broken_part__says_nothing_of_why() -> None:
    settings = Settings.load({"API_KEYS": f"svc:{KEY}"})
    runner = Runner(create_app(settings, agent=ScriptedAgent(), history=LeakyHistory()))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/sessions"
    async with aiohttp.ClientSession() as http, http.get(url, headers={"X-API-Key": KEY}) as reply:
        text = await reply.text()
    await runner.cleanup()

    assert reply.status == 500
    assert json.loads(text)["code"] == "internal"
    assert CANARY not in text
