"""Signatures by hand are those that botocore makes, whatever is signed."""

from __future__ import annotations

import calendar
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from bff.signing import Signer

SERVICE, REGION = "bedrock-agentcore", "eu-central-1"
NOON = calendar.timegm((2026, 11, 27, 12, 0, 0))
KEYS = ReadOnlyCredentials("AKIDEXAMPLE", "secret/key+example", "a-token==")


def by_botocore(url: str, keys: ReadOnlyCredentials, body: bytes, headers: dict[str, str]) -> str:
    request = AWSRequest("POST", url, headers=headers, data=body)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(keys, SERVICE, REGION)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
        f"SignedHeaders={names}, Signature={signature}"
    )


def signer(url: str, clock: Callable[[], float] = lambda: NOON) -> Signer:
    return Signer(url, service=SERVICE, region=REGION, clock=clock)


def address(host: str, arn: str, qualifier: str) -> str:
    return (
        f"{host}/runtimes/{quote(arn, safe='')}/invocations?qualifier={quote(qualifier, safe='')}"
    )


URL = address("https://agents.example", "arn:aws:x:y:1:runtime/agent-abc", "DEFAULT")


@given(
    host=st.sampled_from(
        ["https://agents.example", "https://agents.example:443", "http://127.0.0.1:9100"]
    ),
    # never a mere "." or "..", which botocore takes for a step in the path
    arn=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"])).map("arn:{}".format),
    qualifier=st.text("abcXYZ019_-.~", min_size=1),
    body=st.binary(),
    value=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)),
    token=st.none() | st.text("abc123+/=", min_size=1),
)
def test_a_signature__is_the_one_that_botocore_makes(
    host: str, arn: str, qualifier: str, body: bytes, value: str, token: str | None
) -> None:
    url, keys = address(host, arn, qualifier), KEYS._replace(token=token)
    headers = {"Content-Type": "application/json", "X-Session-Id": value, "baggage": "a=b,  c=d"}
    headers["X-Session"] = "a name that another begins with"

    signed = signer(url).sign(keys, body, headers)

    authorization = signed.pop("Authorization")
    assert authorization == by_botocore(url, keys, body, signed)
    assert signed == {
        **headers,
        "X-Amz-Date": "20261127T120000Z",
        **({"X-Amz-Security-Token": token} if token else {}),
    }


@pytest.mark.parametrize(
    "keys",
    [KEYS, KEYS._replace(secret_key="refreshed"), KEYS._replace(access_key="AKIDOTHER", token="b")],
)
def test_a_signer__follows_credentials_and_days_that_change(keys: ReadOnlyCredentials) -> None:
    now = [float(NOON)]
    used = signer(URL, lambda: now[0])
    used.sign(KEYS, b"before", {})

    for later in (0, 0.5, 1, 43_199, 43_200, 86_400):
        now[0] = NOON + later
        signed = used.sign(keys, b"{}", {})
        authorization = signed.pop("Authorization")

        assert signed["X-Amz-Date"] == time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now[0]))
        assert authorization == by_botocore(URL, keys, b"{}", signed)
