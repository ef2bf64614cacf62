"""The service as most would write it: FastAPI, pydantic and boto3.

Run by uvicorn with uvloop and httptools. boto3 blocks, so each call has a thread of the pool, as
FastAPI's own documentation has it; each chunk of a stream goes through one too.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, closing
from typing import Annotated, Any

import anyio.to_thread
import boto3
import uvicorn
from botocore.config import Config
from fastapi import Depends, FastAPI, Header, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from benchmarks.client import KEY
from benchmarks.processes import allow_many_connections

LIMIT, WINDOW_SECONDS = 10_000_000, 1.0
THREADS = 200
"""The default is 40; more of them wait for one lock."""
ARN = os.environ["AGENT_RUNTIME_ARN"]

logger = logging.getLogger("chat")
client = boto3.client(
    "bedrock-agentcore",
    config=Config(max_pool_connections=THREADS, retries={"total_max_attempts": 1}),
)
requests: dict[str, deque[float]] = defaultdict(deque)


async def caller(x_api_key: Annotated[str, Header()]) -> str:
    """Who is calling, if they may."""
    if x_api_key != KEY:
        raise HTTPException(401, "unknown key")
    now, mine = time.monotonic(), requests[x_api_key]
    while mine and mine[0] <= now - WINDOW_SECONDS:
        mine.popleft()
    if len(mine) >= LIMIT:
        raise HTTPException(429, "too many requests")
    mine.append(now)
    return "bench"


class ChatRequest(BaseModel):
    message: Annotated[str, Field(min_length=1, max_length=32_000)]
    session_id: Annotated[str, Field(max_length=100)]


class ChatResponse(BaseModel):
    message: str
    session_id: str


def invoke(chat: ChatRequest, user: str) -> Any:
    payload = {"prompt": chat.message, "session_id": chat.session_id, "actor_id": user}
    return client.invoke_agent_runtime(
        agentRuntimeArn=ARN,
        runtimeSessionId=chat.session_id,
        qualifier="DEFAULT",
        payload=json.dumps(payload | {"stream": True}).encode(),
    )["response"]


def texts(chat: ChatRequest, user: str) -> Generator[str]:
    """The texts of the events as they come: botocore's own `iter_lines` keeps one event back."""
    with closing(invoke(chat, user)) as body:
        rest = b""
        for chunk in body._raw_stream.stream():
            *whole, rest = (rest + chunk).split(b"\n\n")
            for event in whole:
                yield json.loads(event[6:])["event"]["contentBlockDelta"]["delta"]["text"]


@asynccontextmanager
async def more_threads(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


class AccessLog:
    """A line a request. FastAPI's `@app.middleware` would keep a client's leaving from a stream."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began = uuid.uuid4().hex, time.perf_counter()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            took = round((time.perf_counter() - began) * 1000, 1)
            logger.info(json.dumps({"request_id": request_id, "path": scope["path"], "ms": took}))


app = FastAPI(lifespan=more_threads)
app.add_middleware(AccessLog)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/chat")
async def chat(asked: ChatRequest, user: Annotated[str, Depends(caller)]) -> ChatResponse:
    body = await run_in_threadpool(lambda: invoke(asked, user).read())
    text = json.loads(body)["result"]["content"][0]["text"]
    return ChatResponse(message=text, session_id=asked.session_id)


@app.post("/v1/chat/stream")
async def stream(asked: ChatRequest, user: Annotated[str, Depends(caller)]) -> StreamingResponse:
    async def frames() -> AsyncIterator[str]:
        with closing(texts(asked, user)) as found:  # or a client that leaves stops nothing
            async for text in iterate_in_threadpool(found):
                yield f"event: message\ndata: {json.dumps({'content': text})}\n\n"
        yield 'event: done\ndata: {"status": "complete"}\n\n'

    return StreamingResponse(frames(), media_type="text/event-stream")


@app.websocket("/v1/ws/chat")
async def socket(websocket: WebSocket) -> None:
    user = await caller(websocket.headers["X-API-Key"])
    await websocket.accept()
    try:
        while True:
            asked = ChatRequest.model_validate_json(await websocket.receive_text())
            async for text in iterate_in_threadpool(texts(asked, user)):
                await websocket.send_json({"event": "message", "content": text})
            await websocket.send_text('{"event":"done"}')
    except WebSocketDisconnect:
        pass


if __name__ == "__main__":
    allow_many_connections()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        access_log=False,
        log_level="warning",
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        backlog=4096,
    )
