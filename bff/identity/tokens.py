"""What a JSON Web Token must be before anyone believes it.

Everything here is a pure function over text. PyJWT checks the signature and nothing else, since
what it lets pass by default is too much: claims given twice, `exp` as a string, an empty `sub`
(https://www.rfc-editor.org/rfc/rfc8725 tells how such tokens are used against those who take them).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

MAX_TOKEN_BYTES = 8 * 1024
LEEWAY_SECONDS = 10.0
END_OF_TIME = 253_402_300_800
"""The year 10000; a later time is a mistake or an attempt."""
MAX_CONTAINERS = 1000
"""Objects and lists in one part: how deep Python reads them depends on its version."""

_TYPES = ("jwt", "at+jwt", "application/jwt", "application/at+jwt")


class Refused(Exception):
    """A token that is not taken. The text is for the debug log and holds nothing of the token."""


@dataclass(frozen=True, slots=True)
class Token:
    """A well-formed token; nothing in it is proven yet."""

    text: str = field(repr=False)
    algorithm: str
    key_id: str | None
    claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Expected:
    """Whose tokens are taken, and for whom they must be meant.

    `always`: a token that does not say is refused; otherwise only one that says something else.
    """

    issuer: str | None
    audience: str | None
    always: bool


def looks_like_token(text: str) -> bool:
    return text.count(".") == 2


def read(text: str) -> Token:
    """The token's parts; raises `Refused` for whatever a correct issuer would not have written."""
    if len(text) > MAX_TOKEN_BYTES:
        raise Refused("too long")
    segments = text.split(".")
    if len(segments) != 3:
        raise Refused("not three segments")
    header, claims, signature = (_decode(segment) for segment in segments)
    if not signature:
        raise Refused("no signature")
    head = _object(header)
    algorithm, key_id, kind = head.get("alg"), head.get("kid"), head.get("typ", "JWT")
    if not isinstance(algorithm, str):
        raise Refused("alg is not text")
    if key_id is not None and not isinstance(key_id, str):
        raise Refused("kid is not text")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise Refused("another kind of token")
    if "crit" in head or "b64" in head:
        raise Refused("an extension that is not known here")
    return Token(text, algorithm, key_id, _object(claims))


def _decode(segment: str) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9_-]*", segment):
        raise Refused("not base64url")
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error:
        raise Refused("not base64url") from None
    # the last character may carry bits that mean nothing: two texts would be one token
    if base64.urlsafe_b64encode(data).rstrip(b"=") != segment.encode():
        raise Refused("base64url in a form that nobody writes")
    return data


def _object(data: bytes) -> dict[str, Any]:
    if data.count(b"[") + data.count(b"{") > MAX_CONTAINERS:
        raise Refused("nested too deeply")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused("not JSON") from None
    if not isinstance(value, dict):
        raise Refused("not an object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise Refused("a name twice")
    return value


def _no_constant(_: str) -> None:
    raise Refused("not a number")


def check(claims: Mapping[str, Any], expected: Expected, *, now: float) -> None:
    """Raise `Refused` unless these are the claims of a token that may be used now and here."""
    if not _readable(claims.get("sub")):
        raise Refused("sub")
    if expires_at(claims) + LEEWAY_SECONDS <= now:
        raise Refused("expired")
    for name in ("nbf", "iat"):
        if name in claims and _time(claims, name) - LEEWAY_SECONDS > now:
            raise Refused(f"{name} is still to come")
    issuer = claims.get("iss")
    if "iss" in claims and not _readable(issuer):
        raise Refused("iss")
    if expected.issuer is not None and issuer != expected.issuer and (issuer or expected.always):
        raise Refused("another issuer")
    audience = _audience(claims)
    if (
        expected.audience is not None
        and expected.audience not in audience
        and (audience or "aud" in claims or expected.always)
    ):
        raise Refused("meant for somebody else")


def expires_at(claims: Mapping[str, Any]) -> float:
    return _time(claims, "exp")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{name} is no number")
    if not 0 <= value < END_OF_TIME:
        raise Refused(f"{name} is no time")
    return float(value)


def _readable(value: object) -> bool:
    """Whether it is text that is not empty and that UTF-8 can carry."""
    if not isinstance(value, str) or not value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _audience(claims: Mapping[str, Any]) -> list[str]:
    # Cognito's access tokens say for whom they are in client_id and have no aud:
    # https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
    audience = claims["aud"] if "aud" in claims else claims.get("client_id", [])
    values: list[str] = audience if isinstance(audience, list) else [audience]
    if not all(_readable(value) for value in values):
        raise Refused("aud")
    return values


def verify(token: Token, key: Any, algorithm: str) -> bool:
    """Whether the key made this token's signature by this algorithm, which the key decides."""
    try:
        jwt.PyJWS(algorithms=[algorithm]).decode(token.text, key, algorithms=[algorithm])
    except jwt.PyJWTError:
        return False
    return True
