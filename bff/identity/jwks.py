"""The public keys of an identity provider, kept fresh without depending on it.

One task fetches them: at the start, when they are old, and when a token names an unknown key. The
last has a minimum interval, so that made-up tokens cause no flood of requests. Keys that were
fetched once stay in use while the provider is down.
The format is RFC 7517 (https://www.rfc-editor.org/rfc/rfc7517).
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
import jwt
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from bff.tasks import end_tasks

logger = logging.getLogger(__name__)

ALGORITHMS: Mapping[str, str] = {"RSA": "RS256", "EC": "ES256"}
"""By a key's type: a key works with one algorithm, whatever a token says."""
MAX_AGE_SECONDS = 600.0
UNKNOWN_KEY_SECONDS = 10.0
"""At least this long between two fetches that tokens with unknown keys ask for."""
FIRST_RETRY_SECONDS = 1.0
FETCH_SECONDS = 5.0
MAX_BYTES = 256 * 1024
MIN_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class Key:
    id: str | None
    algorithm: str
    key: Any = field(repr=False)


def parse_keys(data: bytes) -> tuple[Key, ...]:
    """The keys that can verify RS256 or ES256; raises `ValueError` if there is none of them."""
    try:
        document = json.loads(data.decode())
    except RecursionError:
        raise ValueError("not a key set") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a key set")
    keys = tuple(key for key in map(_parse_key, listed) if key)
    if not keys:
        raise ValueError("a key set without a key for RS256 or ES256")
    return keys


def _parse_key(fields: Any) -> Key | None:
    if not isinstance(fields, dict) or "d" in fields:  # a private key is nobody's secret any more
        return None
    algorithm = ALGORITHMS.get(str(fields.get("kty")))
    operations = fields.get("key_ops", ["verify"])
    if (
        algorithm is None
        or fields.get("alg", algorithm) != algorithm
        or fields.get("use", "sig") != "sig"
        or not isinstance(operations, list)
        or "verify" not in operations
        or (algorithm == "ES256" and fields.get("crv") != "P-256")
    ):
        return None
    key: Any
    try:
        if algorithm == "RS256":
            key = RSAAlgorithm.from_jwk(fields)
            if key.key_size < MIN_RSA_BITS:
                return None
        else:
            key = ECAlgorithm.from_jwk(fields)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None
    key_id = fields.get("kid")
    return Key(key_id if isinstance(key_id, str) else None, algorithm, key)


async def fetch(http: aiohttp.ClientSession, url: str) -> bytes:
    """One bounded GET without redirects; raises `ValueError`, `aiohttp.ClientError` or timeout."""
    async with (
        asyncio.timeout(FETCH_SECONDS),
        http.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as response,
    ):
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        data = b""
        async for chunk in response.content.iter_any():
            data += chunk
            if len(data) > MAX_BYTES:
                raise ValueError("too long")
        return data


class KeySet:
    """A provider's keys as last fetched; `keep_fresh` is the task that fetches them."""

    def __init__(
        self,
        load: Callable[[], Awaitable[bytes]],
        *,
        max_age_seconds: float = MAX_AGE_SECONDS,
        retry_seconds: float = FIRST_RETRY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._max_age_seconds = max_age_seconds
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._keys: Sequence[Key] = ()
        self._asked_at = -math.inf
        self._wanted = asyncio.Event()
        self._under_way = True  # the first fetch begins with the task
        self._fetched = asyncio.Event()

    def __repr__(self) -> str:
        return f"<KeySet {len(self._keys)} keys>"

    async def find(self, key_id: str | None, algorithm: str) -> Key | None:
        """The key a token names; waits for a fetch if it is unknown and one is due or under way."""
        key = self._match(key_id, algorithm)
        if key is None and (self._under_way or self._ask()):
            await self._fetched.wait()
            key = self._match(key_id, algorithm)
        return key

    def _match(self, key_id: str | None, algorithm: str) -> Key | None:
        keys = [key for key in self._keys if key.algorithm == algorithm]
        if key_id is None:
            return keys[0] if len(keys) == 1 else None
        return next((key for key in keys if key.id == key_id), None)

    def _ask(self) -> bool:
        """Wake the task, unless an unknown key has done so a moment ago."""
        now = self._clock()
        if now - self._asked_at < UNKNOWN_KEY_SECONDS:
            return False
        self._asked_at = now
        self._begin()
        self._wanted.set()
        return True

    def _begin(self) -> None:
        self._under_way = True
        self._fetched.clear()

    async def keep_fresh(self) -> None:
        """Fetch now, when the keys are old, and when an unknown key asks for it; never returns."""
        pause = self._retry_seconds
        while True:
            self._begin()
            try:
                self._keys = parse_keys(await self._load())
                pause = self._retry_seconds
            except (ValueError, TimeoutError, OSError, aiohttp.ClientError) as error:
                kind = type(error).__name__
                logger.warning("the identity provider's keys could not be fetched: %s", kind)
                wait, pause = pause, min(pause * 2, self._max_age_seconds)
            else:
                wait = self._max_age_seconds
            self._under_way = False
            self._fetched.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wanted.wait()
            self._wanted.clear()


@asynccontextmanager
async def fresh(keys: KeySet) -> AsyncIterator[KeySet]:
    """The keys with their task. Entering does not wait for them: the provider may be down."""
    task = asyncio.create_task(keys.keep_fresh(), name="identity provider keys")
    try:
        yield keys
    finally:
        await end_tasks(task)


@asynccontextmanager
async def open_key_set(url: str) -> AsyncIterator[KeySet]:
    """The keys at an address."""
    async with (
        aiohttp.ClientSession(auto_decompress=False) as http,
        fresh(KeySet(partial(fetch, http, url))) as keys,
    ):
        yield keys
