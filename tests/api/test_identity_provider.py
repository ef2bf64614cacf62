"""The service behind a real identity provider's address: keys fetched, exchanged, out of reach."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.api.conftest import Service, Start
from tests.identity.test_tokens import AUDIENCE, EC, ISSUER, RSA, jwk

OTHER = ec.generate_private_key(ec.SECP256R1())
SECRET = "s" * 40


class Provider:
    """Serves keys, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.keys: list[dict[str, Any]] = [
            jwk(RSA.public_key(), kid="r1"),
            jwk(EC.public_key(), kid="e1"),
        ]
        self.runner = web.AppRunner(self._app())
        self.port = 0

    def _app(self) -> web.Application:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.asked += 1
            return web.json_response({"keys": self.keys})

        app = web.Application()
        app.router.add_get("/jwks.json", answer)
        return app

    async def begin(self) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.port = self.runner.addresses[0][1]

    @property
    def environ(self) -> dict[str, str]:
        return {
            "JWT_JWKS_URL": f"http://127.0.0.1:{self.port}/jwks.json",
            "JWT_ISSUER": ISSUER,
            "JWT_AUDIENCE": AUDIENCE,
        }


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    one = Provider()
    await one.begin()
    yield one
    await one.runner.cleanup()


def token(key: Any, kid: str, **claims: Any) -> str:
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    made = {"sub": "alice", "exp": time.time() + 60, "iss": ISSUER, "aud": AUDIENCE, **claims}
    return jwt.encode(made, key, algorithm, headers={"kid": kid})


async def ask(service: Service, credential: str) -> int:
    async with (
        aiohttp.ClientSession(service.url) as http,
        http.get("/v1/models", headers={"Authorization": f"Bearer {credential}"}) as reply,
    ):
        return reply.status


async def test_the_providers_tokens__open_the_service(start: Start, provider: Provider) -> None:
    service = await start(**provider.environ)

    assert await ask(service, token(RSA, "r1")) == 200
    assert await ask(service, token(EC, "e1")) == 200
    assert await ask(service, token(OTHER, "e1")) == 401
    assert await ask(service, token(RSA, "r1", aud="another")) == 401
    assert provider.asked == 1


async def test_an_exchanged_key__is_taken_with_its_first_token(
    start: Start, provider: Provider
) -> None:
    service = await start(**provider.environ)
    assert await ask(service, token(EC, "e1")) == 200

    provider.keys = [jwk(OTHER.public_key(), kid="e2")]

    assert await ask(service, token(OTHER, "e2")) == 200
    assert await ask(service, token(EC, "e1")) == 401


async def test_a_flood_of_unknown_keys__asks_the_provider_once(
    start: Start, provider: Provider
) -> None:
    service = await start(**provider.environ, RATE_LIMIT_REQUESTS="100000")
    assert await ask(service, token(EC, "e1")) == 200
    before = provider.asked

    statuses = await asyncio.gather(
        *(ask(service, token(OTHER, f"made-up-{number}")) for number in range(200))
    )

    assert set(statuses) == {401}
    assert provider.asked - before == 1
    assert await ask(service, token(EC, "e1")) == 200


async def test_a_provider_that_is_away__stops_neither_the_start_nor_known_keys(
    start: Start, provider: Provider
) -> None:
    service = await start(**provider.environ)
    assert await ask(service, token(EC, "e1")) == 200
    await provider.runner.cleanup()
    late = await start(**provider.environ)

    assert await ask(service, token(EC, "e1")) == 200
    assert await ask(service, token(OTHER, "e2")) == 401
    assert await ask(service, token(EC, "e1")) == 200
    assert (await late.client.get("/v1/models")).status == 200  # by key
    assert await ask(late, token(EC, "e1")) == 401

    provider.runner = web.AppRunner(provider._app())
    await provider.begin()
    async with asyncio.timeout(30):
        while await ask(late, token(EC, "e1")) != 200:
            await asyncio.sleep(0.1)


async def test_our_own_tokens__are_taken_beside_the_providers(
    start: Start, provider: Provider
) -> None:
    service = await start(**provider.environ, JWT_SECRET=SECRET)
    claims = {"sub": "alice", "exp": time.time() + 60}

    assert await ask(service, token(EC, "e1")) == 200
    assert await ask(service, jwt.encode(claims, SECRET, "HS256")) == 200
    assert await ask(service, jwt.encode({**claims, "iss": "x"}, SECRET, "HS256")) == 401


async def test_a_providers_user_and_ours__are_two_principals(
    start: Start, provider: Provider
) -> None:
    service = await start(**provider.environ, JWT_SECRET=SECRET)
    mine = jwt.encode({"sub": "alice", "exp": time.time() + 60}, SECRET, "HS256")
    async with aiohttp.ClientSession(service.url) as http:
        for credential in (token(EC, "e1"), mine):
            headers = {"Authorization": f"Bearer {credential}"}
            async with http.post(
                "/v1/chat", json={"message": "hi", "session_id": "s-1"}, headers=headers
            ) as reply:
                assert reply.status == 200

    assert len({prompt.actor_id for prompt in service.agent.calls}) == 2
