"""The least a front can do: aiohttp on uvloop, one call upstream, its bytes handed on.

Nobody is asked who they are, nothing is signed, counted, kept or logged.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web
from yarl import URL

from benchmarks.agentcore import SESSION_HEADER
from benchmarks.client import INVOKE_PATH
from benchmarks.processes import allow_many_connections

UPSTREAM = URL(os.environ["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"] + INVOKE_PATH, encoded=True)
SESSION = web.AppKey("session", aiohttp.ClientSession)


def called(app: web.Application, asked: bytes | str) -> aiohttp.client._RequestContextManager:
    body = json.loads(asked)
    payload = {"prompt": body["message"], "session_id": body["session_id"], "stream": True}
    headers = {"Content-Type": "application/json", SESSION_HEADER: body["session_id"]}
    return app[SESSION].post(UPSTREAM, data=json.dumps(payload).encode(), headers=headers)


async def chat(request: web.Request) -> web.Response:
    async with called(request.app, await request.read()) as answer:
        return web.Response(body=await answer.read(), content_type="application/json")


async def stream(request: web.Request) -> web.StreamResponse:
    async with called(request.app, await request.read()) as answer:
        response = web.StreamResponse(headers={"Content-Type": answer.headers["Content-Type"]})
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


async def socket(request: web.Request) -> web.WebSocketResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    async for message in response:
        async with called(request.app, message.data) as answer:
            async for chunk in answer.content.iter_any():
                await response.send_str(chunk.decode())
        await response.send_str('{"event":"done"}')
    return response


async def health(request: web.Request) -> web.Response:
    return web.Response()


async def session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
    ) as app[SESSION]:
        yield


def serve(*routes: web.RouteDef) -> None:
    """Serve these and `/health` at the port of the command line."""
    allow_many_connections()
    uvloop.install()
    app = web.Application()
    app.cleanup_ctx.append(session)
    app.add_routes([*routes, web.get("/health", health)])
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        handler_cancellation=True,
        backlog=4096,
        print=lambda *_: None,
    )


if __name__ == "__main__":
    serve(
        web.post("/v1/chat", chat), web.post("/v1/chat/stream", stream),
        web.get("/v1/ws/chat", socket),
    )  # fmt: skip
