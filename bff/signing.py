"""AWS Signature Version 4 for one address, from parts that are made once.

botocore's signer parses the address, copies and sorts every header and derives the day's key anew
for each call, which was a fifth of what a whole answer may cost. What stays the same here is the
path and query of the canonical request, the order of its headers, and the key, which is good for a
day:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Protocol
from urllib.parse import quote, urlsplit

from multidict import istr

ALGORITHM = "AWS4-HMAC-SHA256"
_DATE, _TOKEN = istr("X-Amz-Date"), istr("X-Amz-Security-Token")
_AUTHORIZATION = istr("Authorization")
_HOST = "host"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Credentials(Protocol):
    """As botocore freezes them."""

    access_key: str
    secret_key: str
    token: str | None


class Signer:
    """Signs POST requests to one address."""

    def __init__(
        self, url: str, *, service: str, region: str, clock: Callable[[], float] = time.time
    ) -> None:
        """`url` as it is sent: percent-encoded once, its query in order and without repeats."""
        self._service = service
        self._region = region
        self._clock = clock
        where = urlsplit(url)
        self._host = where.hostname or ""
        if where.port not in (None, _DEFAULT_PORTS.get(where.scheme)):
            self._host += f":{where.port}"
        # only S3 takes the path as it is sent: everybody else wants it encoded once more
        self._head = f"POST\n{quote(where.path, safe='/~')}\n{where.query}\n"
        self._second = -1
        self._timestamp = self._scope = ""
        self._key_of: tuple[str, str] = ("", "")
        self._keyed = hmac.new(b"", digestmod="sha256")

    def sign(
        self, credentials: Credentials, body: bytes, headers: Mapping[str, str]
    ) -> dict[str, str]:
        """The headers to send; all that are given are signed, and the host with them."""
        now = int(self._clock())
        if now != self._second:
            self._second = now
            self._timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
            self._scope = f"{self._timestamp[:8]}/{self._region}/{self._service}/aws4_request"
        signed = {**headers, _DATE: self._timestamp}
        if credentials.token:
            signed[_TOKEN] = credentials.token
        template, names = _canonical(tuple(signed))
        lines = template % {**signed, _HOST: self._host}
        if "  " in lines or ": " in lines or " \n" in lines or "\t" in lines:
            tidy = {name: " ".join(value.split()) for name, value in signed.items()}
            lines = template % {**tidy, _HOST: self._host}
        canonical = f"{self._head}{lines}\n{names}\n{sha256(body).hexdigest()}"
        text = (
            f"{ALGORITHM}\n{self._timestamp}\n{self._scope}\n"
            f"{sha256(canonical.encode()).hexdigest()}"
        )
        mac = self._keyed_for(credentials).copy()
        mac.update(text.encode())
        signed[_AUTHORIZATION] = (
            f"{ALGORITHM} Credential={credentials.access_key}/{self._scope}, "
            f"SignedHeaders={names}, Signature={mac.hexdigest()}"
        )
        return signed

    def _keyed_for(self, credentials: Credentials) -> hmac.HMAC:
        """An HMAC that has taken in the day's key, which is most of its work; another day, or
        credentials that were refreshed, make another."""
        made_of = (credentials.secret_key, self._scope)
        if made_of != self._key_of:
            key = f"AWS4{credentials.secret_key}".encode()
            for part in self._scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._keyed, self._key_of = hmac.new(key, digestmod="sha256"), made_of
        return self._keyed


@lru_cache(maxsize=256)
def _canonical(names: tuple[str, ...]) -> tuple[str, str]:
    """What is signed of headers with these names and the host: a line for each, to be filled by
    name, and the names; calls differ in few headers, so there are few of these."""
    # by name alone: a line's colon would sort behind a longer name's hyphen
    fields = sorted((name.lower(), name) for name in (*names, _HOST))
    lines = [f"{lower.replace('%', '%%')}:%({name})s\n" for lower, name in fields]
    return "".join(lines), ";".join([lower for lower, _ in fields])
