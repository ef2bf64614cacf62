"""Before a DynamoDB that keeps the wire (moto's): a proxy that sees and alters calls, and a look
at what lies in a table."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import aioboto3
import aiohttp
import botocore.session
from aiohttp import web
from aiohttp.test_utils import TestServer
from botocore.validate import ParamValidator

REGION = "us-west-2"


class Proxy:
    """Stands before moto: sees each call, and may answer in its place."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.calls: list[tuple[str, Any]] = []
        self.wrong: list[str] = []
        """What of the calls AWS's own model of them does not know."""
        self._model = botocore.session.get_session().get_service_model("dynamodb")
        self.answers: dict[str, list[tuple[int, dict[str, Any]] | None]] = {}
        """By operation: what to answer to the next calls; None passes one on."""
        self.hold: Callable[[Any], Literal["call", "reply"] | None] = lambda call: None
        """Which calls never arrive, and which are never answered."""
        self.held = asyncio.Event()

    def operations(self) -> list[str]:
        return [name for name, _ in self.calls]

    async def _never(self) -> None:
        self.held.set()
        await asyncio.Event().wait()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        async with aiohttp.ClientSession() as session:

            async def handle(request: web.Request) -> web.Response:
                name = request.headers["X-Amz-Target"].rpartition(".")[2]
                self.calls.append((name, await request.json()))
                shape = self._model.operation_model(name).input_shape
                report = ParamValidator().validate(self.calls[-1][1], shape)
                if report.has_errors():
                    self.wrong.append(f"{name}: {report.generate_report()}")
                waiting = self.answers.get(name)
                if waiting and (answer := waiting.pop(0)) is not None:
                    return web.json_response(answer[1], status=answer[0])
                hold = self.hold(self.calls[-1][1])
                if hold == "call":
                    await self._never()
                headers = {k: v for k, v in request.headers.items() if k != "Host"}
                async with session.post(
                    self.target, data=await request.read(), headers=headers
                ) as reply:
                    kept = {k: v for k, v in reply.headers.items() if k.startswith("x-amz")}
                    body = await reply.read()
                    if hold == "reply":
                        await self._never()
                    return web.Response(status=reply.status, body=body, headers=kept)

            app = web.Application(client_max_size=20 * 1024 * 1024)
            app.router.add_post("/", handle)
            async with TestServer(app) as server:
                yield str(server.make_url("/"))


@asynccontextmanager
async def dynamodb(address: str) -> AsyncIterator[Any]:
    async with aioboto3.Session(region_name=REGION).client(
        "dynamodb", endpoint_url=address
    ) as client:
        yield client


async def items(aws: str, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with dynamodb(aws) as client:
        async for page in client.get_paginator("scan").paginate(TableName=table):
            found.extend(page["Items"])
    return found


async def expire(aws: str, table: str, at: float, *, prefix: str) -> None:
    async with dynamodb(aws) as client:
        for item in await items(aws, table):
            if item["sk"]["S"].startswith(prefix):
                await client.put_item(
                    TableName=table, Item=item | {"expires_at": {"N": str(int(at))}}
                )
