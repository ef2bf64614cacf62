"""Every way we know to write a token that must not be taken, and those that must."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from bff.errors import Unauthenticated
from bff.identity import Authenticator, open_authenticator, sign_token
from bff.identity.jwks import KeySet, fresh
from bff.settings import Settings, SettingsError

NOW = 1_800_000_000.0
SECRET, OLD_SECRET = "s" * 40, "o" * 40
ISSUER, AUDIENCE = "https://id.example.com/pool", "client-1"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


SURROGATES = st.characters(categories=["Cs"])


def jwk(key: Any, **fields: Any) -> dict[str, Any]:
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPublicKey) else ECAlgorithm
    made: dict[str, Any] = algorithm.to_jwk(key, as_dict=True)
    return made | fields


KEYS = {
    "keys": [
        jwk(RSA.public_key(), kid="r1", use="sig", alg="RS256"),
        jwk(EC.public_key(), kid="e1", use="sig", alg="ES256"),
    ]
}
PEM = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
DER = RSA.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)


def b64(data: bytes | str) -> str:
    data = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: bytes | str, claims: bytes | str, secret: str | bytes = SECRET) -> str:
    """HS256 over whatever bytes header and claims are."""
    head = f"{b64(header)}.{b64(claims)}"
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{head}.{b64(hmac.digest(key, head.encode(), hashlib.sha256))}"


HEADER = '{"alg":"HS256","typ":"JWT"}'
NONE, RS256 = '{"alg":"none"}', '{"alg":"RS256","kid":"r1"}'
CLAIMS: Mapping[str, Any] = {"sub": "alice", "exp": NOW + 60}


def ours(header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """A token of ours with some claims changed; None leaves one out."""
    made = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return signed(json.dumps({"alg": "HS256", "typ": "JWT", **(header or {})}), json.dumps(made))


def theirs(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "r1", **claims: Any) -> str:
    """A token of the provider's."""
    made = {"iss": ISSUER, "aud": AUDIENCE, **CLAIMS, **claims}
    return jwt.encode(
        {name: value for name, value in made.items() if value is not None},
        key,
        algorithm,
        headers={"kid": kid} if kid else None,
    )


def with_claims(text: str) -> str:
    return signed(HEADER, text)


def with_header(text: str) -> str:
    return signed(text, json.dumps(CLAIMS))


def tampered(token: str, *, claims: str) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{b64(claims)}.{signature}"


VALID = ours()
ACCESS: Mapping[str, Any] = {"aud": None, "client_id": AUDIENCE, "token_use": "access"}

REFUSED: dict[str, Callable[[], str]] = {
    # the form
    "empty": lambda: "",
    "two segments": lambda: VALID.rpartition(".")[0],
    "four segments": lambda: VALID + ".AAAA",
    "no signature": lambda: VALID.rpartition(".")[0] + ".",
    "a signature of one byte": lambda: VALID.rpartition(".")[0] + ".AA",
    "empty segments": lambda: "..",
    "padded": lambda: VALID + "=",
    "standard base64": lambda: VALID.rpartition(".")[0] + "." + "+" * 43,
    "a line end inside": lambda: VALID[:30] + "\n" + VALID[30:],
    "trailing text": lambda: VALID + "AAAA",
    "trailing NUL": lambda: VALID + "\0",
    "an impossible length": lambda: VALID + "AA",
    "not canonical": lambda: VALID[:-1] + chr(ord(VALID[-1]) + 1),
    "not ASCII": lambda: VALID[:-1] + "é",
    "over 8 KiB": lambda: ours(more="x" * 8192),
    "5 MB": lambda: ours(more="x" * 5_000_000),
    # the header
    "header not JSON": lambda: with_header("{"),
    "header a list": lambda: with_header('["HS256"]'),
    "header twice an alg": lambda: with_header('{"alg":"none","alg":"HS256"}'),
    "header UTF-16": lambda: signed(HEADER.encode("utf-16"), json.dumps(CLAIMS)),
    "header with BOM": lambda: with_header("\ufeff" + HEADER),
    "no alg": lambda: with_header('{"typ":"JWT"}'),
    "alg a list": lambda: ours({"alg": ["HS256"]}),
    "alg none": lambda: f"{b64(NONE)}.{b64(json.dumps(CLAIMS))}.",
    "alg none, signed": lambda: ours({"alg": "none"}),
    "alg None": lambda: ours({"alg": "None"}),
    "alg nOnE": lambda: ours({"alg": "nOnE"}),
    "alg null": lambda: ours({"alg": None}),
    "alg hs256": lambda: ours({"alg": "hs256"}),
    "alg HS384": lambda: jwt.encode({**CLAIMS}, SECRET + "x" * 24, "HS384"),
    "alg HS512": lambda: jwt.encode({**CLAIMS}, SECRET + "x" * 24, "HS512"),
    "alg RS512": lambda: theirs(RSA, "RS512"),
    "alg PS256": lambda: theirs(RSA, "PS256"),
    "kid a number": lambda: ours({"kid": 1}),
    "kid an object": lambda: ours({"kid": {"a": 1}}),
    "typ of a logout token": lambda: ours({"typ": "logout+jwt"}),
    "typ a number": lambda: ours({"typ": 1}),
    "crit unknown": lambda: ours({"crit": ["exp"]}),
    "crit empty": lambda: ours({"crit": []}),
    "crit b64": lambda: ours({"crit": ["b64"], "b64": True}),
    "b64 false": lambda: ours({"b64": False}),
    # the claims
    "claims not JSON": lambda: with_claims("alice"),
    "claims a list": lambda: with_claims("[]"),
    "claims null": lambda: with_claims("null"),
    "claims not UTF-8": lambda: signed(HEADER, b'{"sub":"\xff","exp":1800000060}'),
    "claims nested 2,000 deep": lambda: with_claims(
        f'{{"sub":"a","exp":1800000060,"x":{"[" * 2000}{"]" * 2000}}}'
    ),
    "sub twice": lambda: with_claims('{"sub":"a","sub":"b","exp":1800000060}'),
    "exp twice": lambda: with_claims('{"sub":"a","exp":1,"exp":1800000060}'),
    "twice, deep inside": lambda: with_claims('{"sub":"a","exp":1800000060,"x":{"a":1,"a":2}}'),
    "no sub": lambda: ours(sub=None),
    "sub empty": lambda: ours(sub=""),
    "sub a number": lambda: ours(sub=7),
    "sub a list": lambda: ours(sub=["alice"]),
    "sub a lone surrogate": lambda: ours(sub="\ud800"),
    "no exp": lambda: ours(exp=None),
    "exp null": lambda: with_claims('{"sub":"a","exp":null}'),
    "exp text": lambda: ours(exp=str(NOW + 60)),
    "exp true": lambda: ours(exp=True),
    "exp a list": lambda: ours(exp=[NOW + 60]),
    "exp negative": lambda: ours(exp=-1),
    "exp zero": lambda: ours(exp=0),
    "exp 1e300": lambda: with_claims('{"sub":"a","exp":1e300}'),
    "exp 1e999": lambda: with_claims('{"sub":"a","exp":1e999}'),
    "exp NaN": lambda: with_claims('{"sub":"a","exp":NaN}'),
    "exp Infinity": lambda: with_claims('{"sub":"a","exp":Infinity}'),
    "exp of 5,000 digits": lambda: with_claims('{"sub":"a","exp":' + "9" * 5000 + "}"),
    "exp in milliseconds": lambda: ours(exp=(NOW + 60) * 1000),
    "expired": lambda: ours(exp=NOW - 10),
    "nbf to come": lambda: ours(nbf=NOW + 11),
    "nbf text": lambda: ours(nbf="now"),
    "iat to come": lambda: ours(iat=NOW + 11),
    "iat false": lambda: ours(iat=False),
    "iss a number": lambda: ours(iss=1),
    "iss empty": lambda: ours(iss=""),
    "iss another's": lambda: ours(iss="https://evil.example"),
    "aud a number": lambda: ours(aud=1),
    "aud a list with a number": lambda: ours(aud=[AUDIENCE, 1]),
    "aud empty list": lambda: ours(aud=[]),
    "aud another's": lambda: ours(aud="client-2"),
    # the signature
    "another secret": lambda: signed(HEADER, json.dumps(CLAIMS), "x" * 40),
    "the empty secret": lambda: signed(HEADER, json.dumps(CLAIMS), ""),
    "claims exchanged": lambda: tampered(VALID, claims='{"sub":"bob","exp":1800000060}'),
    "HS256 with the provider's PEM": lambda: signed(HEADER, json.dumps(CLAIMS), PEM),
    "HS256 with the provider's DER": lambda: signed(HEADER, json.dumps(CLAIMS), DER),
    "HS256 with the provider's JWK": lambda: signed(
        HEADER, json.dumps(CLAIMS), json.dumps(KEYS["keys"][0])
    ),
    "HS256 with the provider's kid": lambda: signed(
        '{"alg":"HS256","kid":"r1"}', json.dumps(CLAIMS), PEM
    ),
    "a key of its own in the header": lambda: jwt.encode(
        {**CLAIMS, "iss": ISSUER, "aud": AUDIENCE},
        OTHER_RSA,
        "RS256",
        headers={"kid": "r1", "jwk": jwk(OTHER_RSA.public_key())},
    ),
    "an address of keys in the header": lambda: jwt.encode(
        {**CLAIMS, "iss": ISSUER, "aud": AUDIENCE},
        OTHER_RSA,
        "RS256",
        headers={"kid": "x", "jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/x"},
    ),
    "RS256 by another key": lambda: theirs(OTHER_RSA),
    "RS256 with the EC key's kid": lambda: theirs(RSA, kid="e1"),
    "ES256 with the RSA key's kid": lambda: theirs(EC, "ES256", "r1"),
    "kid a path": lambda: theirs(kid="../../dev/null"),
    "kid SQL": lambda: theirs(kid="' OR 1=1 --"),
    "provider: no iss": lambda: theirs(iss=None),
    "provider: iss with a slash more": lambda: theirs(iss=ISSUER + "/"),
    "provider: iss a part of it": lambda: theirs(iss=ISSUER[:-1]),
    "provider: iss a list": lambda: theirs_raw(iss=[ISSUER]),
    "provider: neither aud nor client_id": lambda: theirs(aud=None),
    "provider: aud another's": lambda: theirs(aud="client-2"),
    "provider: aud a part of it": lambda: theirs(aud=AUDIENCE[:-1]),
    "provider: client_id another's": lambda: theirs(**{**ACCESS, "client_id": "client-2"}),
    "provider: client_id beside a wrong aud": lambda: theirs(aud="x", client_id=AUDIENCE),
    "provider: expired": lambda: theirs(exp=NOW - 10),
}


def theirs_raw(**claims: Any) -> str:
    """A provider's token with claims that PyJWT would not write."""
    head = f"{b64(RS256)}.{b64(json.dumps({**CLAIMS, **claims}))}"
    key = RSAAlgorithm(RSAAlgorithm.SHA256)
    return f"{head}.{b64(key.sign(head.encode(), RSA))}"


TAKEN: dict[str, tuple[Callable[[], str], tuple[str, str]]] = {
    "ours": (lambda: VALID, ("", "alice")),
    "signed with the secret before": (
        lambda: signed(HEADER, json.dumps(CLAIMS), OLD_SECRET),
        ("", "alice"),
    ),
    "without typ": (lambda: with_header('{"alg":"HS256"}'), ("", "alice")),
    "typ at+jwt": (lambda: ours({"typ": "at+JWT"}), ("", "alice")),
    "expired 9 s ago": (lambda: ours(exp=NOW - 9), ("", "alice")),
    "exp with a fraction": (lambda: ours(exp=NOW + 0.5), ("", "alice")),
    "nbf 10 s ahead": (lambda: ours(nbf=NOW + 10), ("", "alice")),
    "iat 10 s ahead": (lambda: ours(iat=NOW + 10), ("", "alice")),
    "sub with a colon": (lambda: ours(sub="user-a:x"), ("", "user-a:x")),
    "sub of any script": (lambda: ours(sub="Zoë ☂"), ("", "Zoë ☂")),
    "ours with the issuer": (lambda: ours(iss=ISSUER, aud=AUDIENCE), (ISSUER, "alice")),
    "provider's RS256": (theirs, (ISSUER, "alice")),
    "provider's ES256": (lambda: theirs(EC, "ES256", "e1"), (ISSUER, "alice")),
    "provider's without kid": (lambda: theirs(kid=None), (ISSUER, "alice")),
    "provider's, several audiences": (lambda: theirs(aud=["x", AUDIENCE]), (ISSUER, "alice")),
    "Cognito's access token": (lambda: theirs(**ACCESS), (ISSUER, "alice")),
}


@pytest.fixture
def settings() -> Settings:
    return Settings(
        jwt_secrets=(SECRET, OLD_SECRET),
        jwt_jwks_url="https://id.example.com/keys",
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
    )


async def load_keys() -> bytes:
    return json.dumps(KEYS).encode()


@pytest.fixture
async def authenticator(settings: Settings) -> AsyncIterator[Authenticator]:
    async with fresh(KeySet(load_keys)) as keys:
        yield Authenticator(settings, keys, clock=lambda: NOW)


async def identify(authenticator: Authenticator, token: str) -> tuple[str, ...]:
    principal = await authenticator.identify(authorization=[f"Bearer {token}"], api_key=[])
    assert principal.kind == "jwt"
    return principal.parts


def test_the_table__has_at_least_sixty_tokens() -> None:
    assert len(REFUSED) >= 60


@pytest.mark.parametrize("name", REFUSED)
async def test_token__is_refused(
    authenticator: Authenticator, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = REFUSED[name]()

    with caplog.at_level(logging.DEBUG), pytest.raises(Unauthenticated):
        await identify(authenticator, token)

    assert all(len(part) < 8 or part not in caplog.text for part in token.split("."))


@pytest.mark.parametrize("name", TAKEN)
async def test_token__is_taken(authenticator: Authenticator, name: str) -> None:
    token, parts = TAKEN[name]

    assert await identify(authenticator, token()) == parts


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters() | SURROGATES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["sub", "exp", "nbf", "iat", "iss", "aud", "client_id", "x"])


@settings_of(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, JSON), st.dictionaries(st.sampled_from(["typ", "kid", "x"]), JSON))
async def test_whatever_we_sign__is_somebody_or_refused(
    authenticator: Authenticator, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    token = ours(header, **claims)

    try:
        issuer, sub = await identify(authenticator, token)
    except Unauthenticated:
        return
    assert issuer in ("", ISSUER)
    assert sub


@settings_of(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters() | SURROGATES | st.sampled_from("..eyJ")))
async def test_any_text__is_refused_and_nothing_else(
    authenticator: Authenticator, text: str
) -> None:
    with pytest.raises(Unauthenticated):
        await identify(authenticator, text)


async def test_our_tokens__must_name_issuer_and_audience_where_there_is_no_provider() -> None:
    settings = Settings(jwt_secrets=(SECRET,), jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    alone = Authenticator(settings, None, clock=lambda: NOW)

    assert await identify(alone, ours(iss=ISSUER, aud=[AUDIENCE])) == (ISSUER, "alice")
    for token in (VALID, ours(iss=ISSUER), ours(aud=AUDIENCE), ours(iss=ISSUER, aud=[])):
        with pytest.raises(Unauthenticated):
            await identify(alone, token)


async def test_a_providers_token__is_refused_where_there_is_no_provider() -> None:
    alone = Authenticator(Settings(jwt_secrets=(SECRET,)), None, clock=lambda: NOW)

    with pytest.raises(Unauthenticated):
        await identify(alone, theirs())


async def test_our_token__is_refused_where_only_a_provider_signs() -> None:
    async with fresh(KeySet(load_keys)) as keys:
        only = Authenticator(Settings(jwt_jwks_url="https://x"), keys, clock=lambda: NOW)

        for secret in (SECRET, "", PEM):
            with pytest.raises(Unauthenticated):
                await identify(only, signed(HEADER, json.dumps(CLAIMS), secret))


async def test_sign_token__makes_one_that_is_taken() -> None:
    settings = Settings(jwt_secrets=(SECRET, OLD_SECRET), jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    async with open_authenticator(settings) as authenticator:
        token = sign_token(settings, "alice", ttl_seconds=60)

        assert await identify(authenticator, token) == (ISSUER, "alice")


def test_sign_token__needs_a_secret() -> None:
    with pytest.raises(SettingsError, match="JWT_SECRET: got nothing, takes a secret"):
        sign_token(Settings(), "alice", ttl_seconds=60)


async def test_a_secret_that_is_a_public_key__is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="JWT_SECRET: got 451 bytes, takes a random secret"):
        async with open_authenticator(Settings(jwt_secrets=(PEM.decode(),))):
            pass
