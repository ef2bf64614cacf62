"""The wire of DynamoDB's items: JSON that is posted and signed by hand on our own connections.

aiobotocore finds the credentials, keeps them fresh, resolves the endpoint and makes tables. Two of
its calls cost twice the CPU of all else in an answer (docs/decisions/dynamodb-signed-by-hand.md).
Wire: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

from __future__ import annotations

import asyncio
import random
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
from aiobotocore.session import AioSession
from botocore.awsrequest import AWSResponse
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from yarl import URL

from bff.history.aws import CHECK_SECONDS, CONNECT_SECONDS, POOL, READ_SECONDS, USER_AGENT, code_of
from bff.json_text import JSON, dumps_bytes, loads
from bff.off_loop import off_loop
from bff.signing import Signer

PAUSES_SECONDS = (0.2, 1.0)
"""The longest before the second and the third attempt; how long it is is left to chance."""
RETRIES = 100.0
"""Calls that may be repeated while none succeeds, so that a table that is down isn't asked thrice
as often; …"""
RETRIES_EARNED = 0.2
"""… and how many of them a success gives back."""
IDLE_SECONDS = 12.0
"""Then a connection is closed, before DynamoDB does it."""

_REPEATABLE = frozenset(
    {
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""What may be otherwise in a moment; a 500 and above is as well, whatever it is called."""


class Client:
    """Calls DynamoDB. Every call may be repeated: a write has a token or a condition."""

    def __init__(
        self,
        url: str,
        session: AioSession,
        http: aiohttp.ClientSession,
        *,
        region: str,
        pauses: Sequence[float] = PAUSES_SECONDS,
    ) -> None:
        self._url = URL(url, encoded=True)
        self._session = session
        self._credentials: Any = None
        """Where they were found once, which keeps them fresh."""
        self._http = http
        self._proxy = get_environ_proxies(url).get(self._url.scheme)
        self._signer = Signer(url, service="dynamodb", region=region)
        self._pauses = pauses
        self._retries = RETRIES

    async def call(self, operation: str, fields: JSON) -> JSON:
        """What DynamoDB answers, at the third attempt at last.

        Raises `ClientError` if it refuses, and an error of botocore, aiohttp or the system if it or
        credentials cannot be reached, or what comes is not whole.
        """
        body = dumps_bytes(fields)
        for pause in self._pauses:
            try:
                answer = await self._attempt(operation, body)
            except (ClientError, aiohttp.ClientError, OSError) as error:
                if self._retries < 1 or not _may_be_repeated(error):
                    raise
                self._retries -= 1
            else:
                self._retries = min(RETRIES, self._retries + RETRIES_EARNED)
                return answer
            await asyncio.sleep(random.uniform(0, pause))
        return await self._attempt(operation, body)

    async def _attempt(self, operation: str, body: bytes) -> JSON:
        if self._credentials is None:
            self._credentials = await self._session.get_credentials()
        if self._credentials is None:
            raise NoCredentialsError
        credentials = await self._credentials.get_frozen_credentials()
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        }
        signed = await off_loop(len(body), lambda: self._signer.sign(credentials, body, headers))
        async with self._http.post(
            self._url, data=body, headers=signed, allow_redirects=False, proxy=self._proxy
        ) as reply:
            data = await reply.read()
        return await off_loop(
            len(data), lambda: read_answer(operation, reply.status, reply.headers, data)
        )


def read_answer(operation: str, status: int, headers: Mapping[str, str], data: bytes) -> JSON:
    """What a reply says; raises as `Client.call` does."""
    checksum = headers.get("x-amz-crc32")
    if checksum is not None and checksum != str(zlib.crc32(data)):
        raise aiohttp.ClientPayloadError("an answer of DynamoDB that is not what was sent")
    try:
        answer = loads(data)
    except ValueError:
        answer = None
    if status == 200 and isinstance(answer, dict):
        return answer
    if status == 200:
        raise aiohttp.ClientPayloadError("an answer of DynamoDB that is no JSON object")
    said = answer if isinstance(answer, dict) else {}
    kind = said.get("__type")
    raise ClientError(
        {
            **said,
            "Error": {
                "Code": _name(kind) if isinstance(kind, str) else str(status),
                "Message": said.get("message", said.get("Message", "")),
            },
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": headers.get("x-amzn-RequestId", ""),
            },
        },
        operation,
    )


def _name(kind: str) -> str:
    """An error's own name: it comes with its model's before it, and maybe an address behind it."""
    return kind.partition(":")[0].rpartition("#")[2]


def _may_be_repeated(error: Exception) -> bool:
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status >= 500 or code_of(error) in _REPEATABLE
    return True


async def endpoint_of(client: Any) -> str:
    """Where a client of botocore's sends its calls: the partition, FIPS, dual stack and account may
    say, and only a call says what they do. This one is answered here."""
    found = [client.meta.endpoint_url]

    def answer(params: Mapping[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        found.append(params["url"])
        return AWSResponse(params["url"], 200, {}, None), {}

    client.meta.events.register("before-call.dynamodb.ListTables", answer)
    with suppress(BotoCoreError, aiohttp.ClientError, OSError):  # no account without credentials
        async with asyncio.timeout(CHECK_SECONDS):
            await client.list_tables()
    return str(found[-1])


@asynccontextmanager
async def open_items(url: str, session: AioSession, *, region: str) -> AsyncIterator[Client]:
    """A client of the endpoint that a session of botocore has resolved, with its credentials."""
    ca_bundle = session.get_config_variable("ca_bundle")
    connector = aiohttp.TCPConnector(
        limit=POOL,
        keepalive_timeout=IDLE_SECONDS,
        ssl=ssl.create_default_context(cafile=get_cert_path(ca_bundle or True)),
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
        ),
        auto_decompress=False,
        trust_env=False,
        headers={"Accept-Encoding": "identity", "User-Agent": USER_AGENT},
    ) as http:
        yield Client(url, session, http, region=region)
