"""Containers to call: one that plays bytes exactly as told, one that runs the embedded agent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from bff.agents.embedded import EmbeddedAgent
from bff.errors import Problem
from bff.events import NAMES, encode
from tests.fakes.prompts import prompt_of
from tests.fakes.tcp import tcp_server

RESET = "reset"
"""Breaks the connection without a farewell."""

Step = bytes | asyncio.Event | str

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def sse(*values: object) -> bytes:
    """Values as the SDK writes what an agent yields."""
    return b"".join(
        b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n" for value in values
    )


def answer(*values: object) -> list[Step]:
    """A whole answer of the SDK."""
    return [HEAD, *(chunk(sse(value)) for value in values), END]


def reply(
    status: int, body: bytes = b"", content_type: str = "application/json", **headers: str
) -> list[Step]:
    """A response with a length."""
    lines = [f"HTTP/1.1 {status} Told", f"Content-Type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return ["\r\n".join(lines).encode() + body]


@dataclass
class Call:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> object:
        return json.loads(self.body)


@dataclass
class FakeContainer:
    """Plays its script to every call and closes the connection after it."""

    script: Sequence[Step] = ()
    calls: list[Call] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client left while the script was waiting."""
    url: str = ""

    @property
    def invocations(self) -> list[Call]:
        return [call for call in self.calls if call.path == "/invocations"]

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[FakeContainer]:
        async with tcp_server(self._serve) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.calls.append(await _read_call(reader))
            for step in self.script:
                match step:
                    case bytes():
                        writer.write(step)
                        await writer.drain()
                    case asyncio.Event():
                        if not await self._waited(step, reader):
                            return
                    case _:
                        writer.transport.abort()
                        return
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        finally:
            writer.close()

    async def _waited(self, event: asyncio.Event, reader: asyncio.StreamReader) -> bool:
        left = asyncio.ensure_future(reader.read(1))
        go = asyncio.ensure_future(event.wait())
        await asyncio.wait([left, go], return_when=asyncio.FIRST_COMPLETED)
        go.cancel()
        if left.done():
            self.gone.set()
            left.exception()
            return False
        left.cancel()
        return True


async def _read_call(reader: asyncio.StreamReader) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Call(method, path, headers, body)


class EmbeddedContainer:
    """The embedded agent behind the AgentCore contract, in events named by hand."""

    def __init__(self) -> None:
        self.calls = 0
        self.open = 0
        self.url = ""
        self.barrier: asyncio.Barrier | None = None
        """Where set, no call is answered before as many have come."""
        self.app = web.Application()
        self.app.add_routes([web.post("/invocations", self._answer), web.get("/ping", self._ping)])

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[EmbeddedContainer]:
        async with serving(self.app) as self.url:
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        self.open += 1
        try:
            payload = await request.json()
            prompt = prompt_of(payload["prompt"], payload["session_id"], payload["actor_id"], "run")
            if self.barrier is not None:
                await self.barrier.wait()
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            try:
                async for batch in EmbeddedAgent().stream(prompt):
                    for event in batch:
                        data = f"event: {NAMES[type(event)]}\ndata: {encode(event)}\n\n"
                        await response.write(data.encode())
            except Problem as problem:
                await response.write(sse({"error": problem.code, "error_type": "RuntimeError"}))
            return response
        finally:
            self.open -= 1

    async def _ping(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "Healthy", "time_of_last_update": 0})


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The address of an application on a free port."""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
