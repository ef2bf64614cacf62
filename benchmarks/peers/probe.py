"""What could be had: the bare relay with the least of what a service must do besides.

A key or a token, a rate limit, validation, a request id, a signature, text taken out of the agent's
events and written as ours, one log line. No run that outlives its request, no history, no
resuming, no dialects. It shows what of the distance to the relay is the work itself.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import AsyncIterator
from types import SimpleNamespace

import aiohttp
import orjson
from aiohttp import web

from benchmarks.agentcore import SESSION_HEADER
from benchmarks.client import KEY
from benchmarks.peers.raw import SESSION, UPSTREAM, serve
from bff.signing import Signer

CREDENTIALS = SimpleNamespace(
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    token=None,
)
SIGNER = Signer(str(UPSTREAM), service="bedrock-agentcore", region="us-west-2")
RATE = 1e6
ALLOWED: dict[str, tuple[float, float]] = {}
LOG = os.open(os.devnull, os.O_WRONLY)


def admitted(request: web.Request) -> str:
    """The caller, if there are tokens left in their bucket."""
    user = request.headers.get("X-API-Key", "")
    if user != KEY:
        raise web.HTTPUnauthorized
    now = time.monotonic()
    left, at = ALLOWED.get(user, (RATE, now))
    left = min(RATE, left + (now - at) * RATE) - 1
    if left < 0:
        raise web.HTTPTooManyRequests
    ALLOWED[user] = left, now
    return user


def called(
    app: web.Application, asked: bytes | str, user: str
) -> aiohttp.client._RequestContextManager:
    body = orjson.loads(asked)
    message, session = body["message"], body["session_id"]
    if not (isinstance(message, str) and 0 < len(message) <= 32_000 and len(session) <= 100):
        raise web.HTTPUnprocessableEntity
    payload = {"prompt": message, "session_id": session, "actor_id": user, "stream": True}
    data = orjson.dumps(payload)
    headers = {"Content-Type": "application/json", SESSION_HEADER: session}
    return app[SESSION].post(UPSTREAM, data=data, headers=SIGNER.sign(CREDENTIALS, data, headers))


async def texts(answer: aiohttp.ClientResponse) -> AsyncIterator[list[bytes]]:
    """The texts of the events, as JSON, in batches of what came together."""
    rest = b""
    async for chunk in answer.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n\n")
        if whole:
            yield [
                orjson.dumps(orjson.loads(event[6:])["event"]["contentBlockDelta"]["delta"]["text"])
                for event in whole
            ]


def log(request: web.Request, request_id: str, began: float) -> None:
    took = round((time.perf_counter() - began) * 1000, 3)
    line = {"ts": time.time(), "request_id": request_id, "path": request.path, "ms": took}
    os.write(LOG, orjson.dumps(line) + b"\n")


async def chat(request: web.Request) -> web.Response:
    began, request_id = time.perf_counter(), uuid.uuid4().hex
    user = admitted(request)
    async with called(request.app, await request.read(), user) as answer:
        found = orjson.loads(await answer.read())
    text = found["result"]["content"][0]["text"]
    log(request, request_id, began)
    headers = {"X-Request-Id": request_id}
    return web.Response(
        body=orjson.dumps({"message": text}), content_type="application/json", headers=headers
    )


async def stream(request: web.Request) -> web.StreamResponse:
    began, request_id = time.perf_counter(), uuid.uuid4().hex
    user = admitted(request)
    async with called(request.app, await request.read(), user) as answer:
        headers = {"Content-Type": "text/event-stream", "X-Request-Id": request_id}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        async for batch in texts(answer):
            await response.write(
                b"".join([b'event: message\ndata: {"content":%b}\n\n' % text for text in batch])
            )
        await response.write_eof(b'event: done\ndata: {"status":"complete"}\n\n')
    log(request, request_id, began)
    return response


async def socket(request: web.Request) -> web.WebSocketResponse:
    user = admitted(request)
    response = web.WebSocketResponse()
    await response.prepare(request)
    async for message in response:
        began = time.perf_counter()
        async with called(request.app, message.data, user) as answer:
            async for batch in texts(answer):
                for text in batch:
                    await response.send_str(f'{{"event":"message","content":{text.decode()}}}')
        await response.send_str('{"event":"done"}')
        log(request, "", began)
    return response


if __name__ == "__main__":
    serve(
        web.post("/v1/chat", chat), web.post("/v1/chat/stream", stream),
        web.get("/v1/ws/chat", socket),
    )  # fmt: skip
