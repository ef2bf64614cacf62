"""Who is calling: from the credentials of a request to a principal, and from a principal to ids.

Every id that leaves this module is a SHA-256 over length-prefixed parts, so no two lists of parts
can ever give the same one, whatever characters a name holds. Everything a principal owns is looked
up under its digest: there is no table of who owns what that could be forgotten or be wrong.
docs/authentication.md describes it for clients.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import jwt
from jwt.algorithms import HMACAlgorithm

from bff.errors import Forbidden, Invalid, Unauthenticated
from bff.identity.jwks import KeySet, open_key_set
from bff.identity.principals import Principal
from bff.identity.tokens import (
    MAX_TOKEN_BYTES,
    Expected,
    Refused,
    check,
    expires_at,
    looks_like_token,
    read,
    verify,
)
from bff.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

ON_BEHALF_OF = re.compile(r"[!-~]{1,255}")


class Authenticator:
    """Turns header values into a principal; raises `Unauthenticated` for all that is not one."""

    def __init__(
        self, settings: Settings, keys: KeySet | None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._api_keys = [(key.digest, Principal("key", (key.name,))) for key in settings.api_keys]
        self._secrets = settings.jwt_secrets
        self._provider = keys
        self._clock = clock
        issuer, audience = settings.jwt_issuer, settings.jwt_audience
        self._from_provider = Expected(issuer, audience, always=True)
        # with a provider, `iss` and `aud` are optional on HS256 tokens
        self._from_us = Expected(issuer, audience, always=keys is None)

    async def identify(self, *, authorization: Sequence[str], api_key: Sequence[str]) -> Principal:
        """Who sent a request with these values of the two headers."""
        if len(authorization) + len(api_key) != 1:
            raise Unauthenticated
        if api_key:
            principal = self._by_key(api_key[0])
            if principal is None:
                raise Unauthenticated
        else:
            scheme, _, credential = authorization[0].partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthenticated
            principal = await self._by_bearer(credential.strip(" "))
        return principal

    async def _by_bearer(self, credential: str) -> Principal:
        """Who sent this token, or this key where a token is expected."""
        principal = self._by_key(credential)
        if principal is None and looks_like_token(credential):
            try:
                principal = await self._by_token(credential)
            except Refused as refusal:
                logger.debug("a token was refused: %s", refusal)
        if principal is None:
            raise Unauthenticated
        return principal

    def _by_key(self, credential: str) -> Principal | None:
        if len(credential) > MAX_TOKEN_BYTES:
            return None
        digest = hashlib.sha256(credential.encode("utf-8", "surrogatepass")).hexdigest()
        found: Principal | None = None
        for known, principal in self._api_keys:  # all, so that the time taken says nothing
            if hmac.compare_digest(known, digest):
                found = principal
        return found

    async def _by_token(self, text: str) -> Principal:
        token = read(text)
        now = self._clock()
        match token.algorithm:
            case "HS256":
                check(token.claims, self._from_us, now=now)
                if not any(verify(token, secret.encode(), "HS256") for secret in self._secrets):
                    raise Refused("not signed by us")
            case "RS256" | "ES256" if self._provider:
                check(token.claims, self._from_provider, now=now)
                key = await self._provider.find(token.key_id, token.algorithm)
                if key is None:
                    raise Refused("signed with an unknown key")
                if not verify(token, key.key, key.algorithm):
                    raise Refused("not signed by the provider")
            case _:
                raise Refused("an algorithm that is not taken here")
        identity = (token.claims.get("iss", ""), token.claims["sub"])
        return Principal("jwt", identity, expires_at(token.claims), text)


def acting_for(principal: Principal, users: Sequence[str]) -> Principal:
    """Who a principal is that sends these values of `X-On-Behalf-Of`.

    Raises `Forbidden` (a token may act for nobody else) and `Invalid` (for whom?).
    """
    if not users:
        return principal
    if principal.kind != "key":
        raise Forbidden
    if len(users) != 1 or not ON_BEHALF_OF.fullmatch(users[0]):
        message = "must be one user, 1 to 255 visible ASCII characters"
        raise Invalid.of("X-On-Behalf-Of", message)
    return Principal("behalf", (*principal.parts, users[0]))


@asynccontextmanager
async def open_authenticator(settings: Settings) -> AsyncIterator[Authenticator]:
    """The authenticator for these settings; fetches the provider's keys beside its work.

    Raises `SettingsError` for a secret that is a public key: anyone who has it could sign tokens.
    """
    for secret in settings.jwt_secrets:
        try:
            HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
        except jwt.InvalidKeyError:
            got = f"{len(secret.encode())} bytes"
            raise SettingsError("JWT_SECRET", got, "a random secret, not a key pair's") from None
    if settings.jwt_jwks_url is None:
        yield Authenticator(settings, None)
        return
    async with open_key_set(settings.jwt_jwks_url) as keys:
        yield Authenticator(settings, keys)


def sign_token(settings: Settings, sub: str, *, ttl_seconds: float) -> str:
    """A token this service takes for `sub`; raises `SettingsError` without a `JWT_SECRET`."""
    if not settings.jwt_secrets:
        raise SettingsError("JWT_SECRET", "nothing", "a secret of at least 32 bytes to sign with")
    now = time.time()
    claims = {"sub": sub, "iat": int(now), "exp": int(now + ttl_seconds)}
    if settings.jwt_issuer is not None:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience is not None:
        claims["aud"] = settings.jwt_audience
    return jwt.encode(claims, settings.jwt_secrets[0], algorithm="HS256")
