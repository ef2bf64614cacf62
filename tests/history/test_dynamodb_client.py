"""Calls that are made by hand: signed as botocore signs, repeated where that can help, and read."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, NoCredentialsError

from bff.errors import Overloaded
from bff.history.aws import code_of, open_client, open_session, translating_aws
from bff.history.dynamodb.calls import Table
from bff.history.dynamodb.client import RETRIES, Client, endpoint_of, open_items, read_answer

REGION = "eu-central-1"
Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]

pytestmark = pytest.mark.usefixtures("aws_environ")


def says(status: int, body: object, **headers: str) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def reply(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=data, headers=named)

    return reply


async def resets(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def is_silent(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def breaks_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'{"Item":')
    return await resets(request)


async def speaks_no_http(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"220 mail.example ready\r\n\r\n")
    return await resets(request)


THROTTLED = says(400, {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"})
DOWN = says(503, b"<html>try later</html>")
GARBAGE = says(200, b"\x00\xff nonsense")
WHOLE = says(200, {"Item": {"pk": {"S": "x"}}})
BROKEN = [
    *(THROTTLED, DOWN, GARBAGE, resets, is_silent, breaks_off, speaks_no_http),
    says(200, {"Item": {}}, x_amz_crc32="1"),
    says(200, [1]),
    says(500, {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"}),
    says(400, {"__type": "ProvisionedThroughputExceededException:http://internal/"}),
    says(400, {"__type": "TransactionInProgressException"}),
]


class Wire:
    """Answers call after call as it is told to, and what is told last from then on."""

    def __init__(self) -> None:
        self.replies: list[Reply] = [WHOLE]
        self.calls: list[tuple[web.Request, bytes]] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.calls.append((request, await request.read()))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return await reply(request)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@asynccontextmanager
async def calling(wire: Wire) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_post("/", wire.serve)
    timeout = aiohttp.ClientTimeout(sock_read=0.3)
    async with (
        TestServer(app, handler_cancellation=True, shutdown_timeout=0) as server,
        aiohttp.ClientSession(timeout=timeout) as http,
    ):
        url = str(server.make_url("/"))
        yield Client(url, open_session(REGION), http, region=REGION, pauses=(0, 0))


@pytest.fixture
async def client(wire: Wire) -> AsyncIterator[Client]:
    async with calling(wire) as client:
        yield client


async def test_a_call__is_signed_as_botocore_signs(
    wire: Wire, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")

    assert await client.call("GetItem", {"TableName": "ü"}) == {"Item": {"pk": {"S": "x"}}}

    ((request, body),) = wire.calls
    assert json.loads(body) == {"TableName": "ü"}
    assert request.headers["X-Amz-Target"] == "DynamoDB_20120810.GetItem"
    assert request.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert request.headers["X-Amz-Security-Token"] == "token"
    found = re.search(r"SignedHeaders=([\w;-]+), Sig", request.headers["Authorization"])
    assert found is not None
    signed: dict[str, Any] = {name: request.headers[name] for name in found[1].split(";")}
    assert {"host", "x-amz-date", "x-amz-target", "x-amz-security-token"} <= set(signed)
    again = AWSRequest("POST", str(request.url), headers=signed, data=body)
    again.context["timestamp"] = signed["x-amz-date"]
    signer = SigV4Auth(Credentials("test", "test", "token"), "dynamodb", REGION)
    text = signer.string_to_sign(again, signer.canonical_request(again))
    assert request.headers["Authorization"].endswith(f"Signature={signer.signature(text, again)}")


@pytest.mark.parametrize("broken", BROKEN)
async def test_what_may_be_otherwise_in_a_moment__is_asked_thrice(
    wire: Wire, client: Client, broken: Reply
) -> None:
    wire.replies = [broken, broken, WHOLE]

    assert "Item" in await client.call("GetItem", {})
    assert len({body for _, body in wire.calls}) == 1
    assert len(wire.calls) == 3


@pytest.mark.parametrize("broken", BROKEN)
async def test_what_stays_so__is_overloaded(wire: Wire, client: Client, broken: Reply) -> None:
    wire.replies = [broken]

    with pytest.raises(Overloaded), translating_aws("dynamodb://bench"):
        await client.call("GetItem", {})
    assert len(wire.calls) == 3


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, {"__type": "com.amazon.coral#AccessDeniedException"}, "AccessDeniedException"),
        (400, {"__type": "ValidationException:http://a/#b"}, "ValidationException"),
        (400, {"__type": "ExpiredTokenException", "message": "x"}, "ExpiredTokenException"),
        (413, b"too large", "413"),
        (302, b"", "302"),
        (400, ["no", "object"], "400"),
        (400, {"__type": 5}, "400"),
    ],
)
async def test_a_refusal__is_final_and_named_as_by_botocore(
    wire: Wire, client: Client, status: int, body: Any, code: str
) -> None:
    wire.replies = [says(status, body, x_amzn_RequestId="ID", Location="http://127.0.0.1:1/")]

    with pytest.raises(ClientError) as raised:
        await client.call("Query", {})

    assert code_of(raised.value) == code
    assert raised.value.operation_name == "Query"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert raised.value.response["ResponseMetadata"]["RequestId"] == "ID"
    assert len(wire.calls) == 1


async def test_a_table_that_stays_down__is_soon_asked_once(wire: Wire, client: Client) -> None:
    wire.replies = [DOWN]
    calls = 2 * int(RETRIES)
    for _ in range(calls):
        with pytest.raises(ClientError):
            await client.call("GetItem", {})
    assert len(wire.calls) == calls + RETRIES

    wire.replies = [WHOLE]
    for _ in range(6):  # each earns a fifth
        await client.call("GetItem", {})
    wire.calls.clear()
    wire.replies = [DOWN, WHOLE]
    await client.call("GetItem", {})
    assert len(wire.calls) == 2


async def test_a_transaction_that_is_repeated__has_the_token_that_it_had(
    wire: Wire, client: Client
) -> None:
    wire.replies = [resets, WHOLE]
    table = Table("bench", client)

    assert await table.transact({"Delete": {"Key": {}}}) == ()
    await table.transact({"Delete": {"Key": {}}})

    tokens = [json.loads(body)["ClientRequestToken"] for _, body in wire.calls]
    assert tokens[0] == tokens[1] != tokens[2]


async def test_a_cancelled_transaction__that_does_not_say_why_is_no_success(
    wire: Wire, client: Client
) -> None:
    wire.replies = [says(400, {"__type": "TransactionCanceledException"})]

    with pytest.raises(ClientError):
        await Table("bench", client).transact({"Delete": {"Key": {}}})


async def test_credentials__that_are_not_there_are_looked_for_again(
    wire: Wire, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with monkeypatch.context() as without:
        without.delenv("AWS_ACCESS_KEY_ID")
        without.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(NoCredentialsError):
            await client.call("GetItem", {})

    assert "Item" in await client.call("GetItem", {})


async def test_nothing_listens__is_overloaded() -> None:
    async with open_items("http://127.0.0.1:1/", open_session(REGION), region=REGION) as client:
        with pytest.raises(Overloaded), translating_aws("dynamodb://bench"):
            await client.call("GetItem", {})


@pytest.mark.parametrize(
    ("region", "setting", "url"),
    [
        ("eu-central-1", "", "https://dynamodb.eu-central-1.amazonaws.com/"),
        ("cn-north-1", "", "https://dynamodb.cn-north-1.amazonaws.com.cn/"),
        ("us-east-1", "AWS_USE_FIPS_ENDPOINT", "https://dynamodb-fips.us-east-1.amazonaws.com/"),
        ("us-gov-west-1", "AWS_USE_FIPS_ENDPOINT", "https://dynamodb.us-gov-west-1.amazonaws.com/"),
        ("us-east-1", "AWS_USE_DUALSTACK_ENDPOINT", "https://dynamodb.us-east-1.api.aws/"),
    ],
)
async def test_the_endpoint__is_where_botocore_sends_its_calls(
    region: str, setting: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB", raising=False)
    if setting:
        monkeypatch.setenv(setting, "true")
    async with open_client("dynamodb", region=region) as client:
        assert await endpoint_of(client) == url


async def test_a_proxy_of_the_environment__is_used_but_for_what_it_excepts(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = web.Application()
    app.router.add_post("/", wire.serve)
    async with TestServer(app) as proxy:
        monkeypatch.setenv("http_proxy", str(proxy.make_url("/")))
        monkeypatch.setenv("no_proxy", "excepted.invalid")
        for host, arrives in (("table.invalid", 1), ("excepted.invalid", 0)):
            wire.calls.clear()
            async with open_items(f"http://{host}/", open_session(REGION), region=REGION) as client:
                with suppress(aiohttp.ClientConnectorError):
                    await client.call("GetItem", {})
            assert len(wire.calls) == arrives


def test_an_answer__is_held_against_its_checksum() -> None:
    data = b'{"Item":{}}'

    assert read_answer("GetItem", 200, {"x-amz-crc32": str(zlib.crc32(data))}, data) == {"Item": {}}
    with pytest.raises(aiohttp.ClientPayloadError, match="not what was sent"):
        read_answer("GetItem", 200, {"x-amz-crc32": str(zlib.crc32(data))}, data + b" ")
