from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bff.identity.jwks import MAX_BYTES, KeySet, fetch, fresh, open_key_set, parse_keys
from tests.identity.test_tokens import EC, RSA, jwk

PUBLIC = jwk(RSA.public_key())


def document(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


@dataclass
class Provider:
    """An identity provider: what it answers, how often it was asked; `gate` holds answers back."""

    answer: bytes | Exception
    asked: int = 0
    now: float = 0.0
    gate: asyncio.Event | None = None

    async def load(self) -> bytes:
        self.asked += 1
        if self.gate:
            await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def clock(self) -> float:
        return self.now

    def keys(self, **options: float) -> KeySet:
        return KeySet(self.load, clock=self.clock, **options)


async def test_keys__are_fetched_once_for_many_callers() -> None:
    provider = Provider(document(jwk(RSA.public_key(), kid="a")), gate=asyncio.Event())
    async with fresh(provider.keys()) as keys:
        asking = asyncio.gather(*(keys.find("a", "RS256") for _ in range(100)))
        await asyncio.sleep(0)
        assert provider.gate
        provider.gate.set()
        found = await asking

    assert provider.asked == 1
    assert {key.id for key in found if key} == {"a"}


async def test_an_unknown_key__is_looked_for_but_not_at_an_attackers_pace() -> None:
    provider = Provider(document(jwk(RSA.public_key(), kid="a")))
    async with fresh(provider.keys()) as keys:
        assert await keys.find("a", "RS256")
        for number in range(1000):
            provider.now = 100 + number * 0.00999
            assert await keys.find(f"made up {number}", "RS256") is None
        in_ten_seconds = provider.asked - 1
        provider.now = 110
        assert await keys.find("made up", "RS256") is None

    assert in_ten_seconds == 1
    assert provider.asked == 3


async def test_a_new_key_of_the_provider__is_found_by_the_first_token_that_names_it() -> None:
    provider = Provider(document(jwk(RSA.public_key(), kid="a")))
    async with fresh(provider.keys()) as keys:
        assert await keys.find("a", "RS256")
        provider.answer = document(jwk(RSA.public_key(), kid="b"))

        assert await keys.find("b", "RS256")
        assert await keys.find("a", "RS256") is None


@pytest.mark.parametrize(
    "failure",
    [OSError(), TimeoutError(), aiohttp.ClientError(), b"", b"{}", b"[" * 10_000, document()],
    ids=["refused", "late", "broken", "empty", "no keys", "deep", "none"],
)
async def test_known_keys__serve_while_the_provider_is_down(
    failure: bytes | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider(document(jwk(RSA.public_key(), kid="a")))
    async with fresh(provider.keys()) as keys:
        assert await keys.find("a", "RS256")
        provider.answer = failure

        assert await keys.find("unknown", "RS256") is None
        assert await keys.find("a", "RS256")

    assert provider.asked == 2
    assert "could not be fetched" in caplog.text


async def test_a_provider_that_comes_up_late__is_asked_again() -> None:
    provider = Provider(OSError())
    async with fresh(provider.keys(retry_seconds=0.01)) as keys:
        assert await keys.find("a", "RS256") is None
        provider.answer = document(jwk(RSA.public_key(), kid="a"))
        async with asyncio.timeout(30):
            while not await keys.find("a", "RS256"):
                await asyncio.sleep(0.01)


async def test_old_keys__are_fetched_again() -> None:
    provider = Provider(document(jwk(RSA.public_key(), kid="a")))
    async with fresh(provider.keys(max_age_seconds=0.01)) as keys:
        assert await keys.find("a", "RS256")
        async with asyncio.timeout(30):
            while provider.asked < 3:
                await asyncio.sleep(0.01)

    assert repr(keys) == "<KeySet 1 keys>"


async def test_a_token_without_kid__has_the_only_key_of_its_kind_or_none() -> None:
    two = document(jwk(RSA.public_key(), kid="a"), jwk(EC.public_key(), kid="b"))
    async with fresh(Provider(two).keys()) as keys:
        assert await keys.find(None, "RS256")
        assert await keys.find(None, "ES256")
    three = document(*(jwk(RSA.public_key(), kid=kid) for kid in "ab"))
    async with fresh(Provider(three).keys()) as keys:
        assert await keys.find(None, "RS256") is None


WEAK = rsa.generate_private_key(65537, 1024).public_key()
OTHER_CURVE = ec.generate_private_key(ec.SECP384R1()).public_key()


@pytest.mark.parametrize(
    "unusable",
    [
        {**PUBLIC, "use": "enc"},
        {**PUBLIC, "alg": "RS512"},
        {**PUBLIC, "alg": "HS256"},
        {**PUBLIC, "key_ops": ["encrypt"]},
        {**PUBLIC, "key_ops": "verify"},
        {**PUBLIC, "n": "AAAA"},
        {**PUBLIC, "n": 7},
        {**PUBLIC, "e": ""},
        {"kty": "RSA"},
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": ["RSA"]},
        jwk(WEAK),
        jwk(OTHER_CURVE),
        {**jwk(EC.public_key()), "x": "AAAA"},
        {**PUBLIC, "d": "AAAA"},
        "text",
        None,
    ],
)
def test_a_key_that_cannot_be_used__is_left_out(unusable: Any) -> None:
    [key] = parse_keys(document(unusable, jwk(RSA.public_key(), kid="good")))

    assert key.id == "good"
    assert key.algorithm == "RS256"


def test_a_key__decides_its_algorithm() -> None:
    keys = parse_keys(document(PUBLIC, jwk(EC.public_key())))

    assert [key.algorithm for key in keys] == ["RS256", "ES256"]
    assert "key=" not in repr(keys)


Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Answer with a handler on a free port; gives the address."""
    runners: list[web.AppRunner] = []

    async def one(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        app = web.Application()
        app.router.add_get("/keys", handler)
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/keys"

    yield one
    for runner in runners:
        await runner.cleanup()


async def test_keys__come_over_http(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=document(jwk(RSA.public_key(), kid="a")))

    async with open_key_set(await serve(answer)) as keys:
        assert await keys.find("a", "RS256")


async def test_a_redirect__is_not_followed(serve: Serve) -> None:
    followed = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        followed.append(request.path)
        return web.Response(body=document(PUBLIC))

    target = await serve(elsewhere)

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": target})

    address = await serve(answer)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(ValueError, match="status 302"):
            await fetch(http, address)

    assert followed == []


async def test_an_endless_answer__is_not_read_to_the_end(serve: Serve) -> None:
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 100 * MAX_BYTES:
            await response.write(b" " * 65536)
            sent += 65536
        return response

    address = await serve(answer)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(ValueError, match="too long"):
            await fetch(http, address)

    assert sent < 100 * MAX_BYTES


async def test_the_log__says_that_keys_are_missing_but_not_what_came(
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider = Provider(b'{"canary": "secret"}')
    with caplog.at_level(logging.DEBUG):
        async with fresh(provider.keys()) as keys:
            assert await keys.find("a", "RS256") is None

    assert "could not be fetched: ValueError" in caplog.text
    assert "canary" not in caplog.text
