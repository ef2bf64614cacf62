"""What drives the load: a lean HTTP client, and the requests in each front's own words.

On a machine with two cores the client takes its time from what it measures, so it does little: a C
parser, requests made of bytes, one future a call.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import quote

import httptools

from benchmarks.agentcore import ARN, SESSION_HEADER, Answer

KEY = "sk-bench-key"
"""LiteLLM wants the prefix."""
INVOKE_PATH = f"/runtimes/{quote(ARN, safe='')}/invocations?qualifier=DEFAULT"
CALL_SECONDS = 30.0

Taken = Callable[[bytes], None]

_numbers = itertools.count()


def new_session() -> str:
    return f"bench-{os.getpid():07d}-session-{next(_numbers):020d}"


@dataclass(frozen=True)
class Dialect:
    """How a front is asked, and what marks an event in its streams."""

    chat: str
    stream: str
    event: bytes
    sockets: bool = False
    """It has a WebSocket at `/v1/ws/chat`."""
    cancels: bool = False
    """It has to be told that a client that leaves means it."""

    def body(self, answer: Answer, *, stream: bool) -> dict[str, object]:
        prompt, session = answer.prompt(), new_session()
        if self.chat == INVOKE_PATH:
            return {"prompt": prompt, "session_id": session, "stream": stream}
        if "completions" in self.chat:
            messages = [{"role": "user", "content": prompt}]
            return {"model": "agent", "messages": messages, "stream": stream}
        body: dict[str, object] = {"message": prompt, "session_id": session}
        return {**body, "on_disconnect": "cancel"} if self.cancels and stream else body

    def request(self, answer: Answer, *, stream: bool) -> bytes:
        body = json.dumps(self.body(answer, stream=stream)).encode()
        bearer = "completions" in self.chat
        credential = f"Authorization: Bearer {KEY}" if bearer else f"X-API-Key: {KEY}"
        return (
            f"POST {self.stream if stream else self.chat} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"{SESSION_HEADER}: {new_session()}\r\n{credential}\r\n\r\n"
        ).encode() + body


AGENTCORE = Dialect(INVOKE_PATH, INVOKE_PATH, b"data: ")
RAW = Dialect("/v1/chat", "/v1/chat/stream", b"data: ", sockets=True)
NATIVE = Dialect("/v1/chat", "/v1/chat/stream", b"event: message", sockets=True)
OURS = Dialect("/v1/chat", "/v1/chat/stream", b"event: message", sockets=True, cancels=True)
OPENAI = Dialect("/v1/chat/completions", "/v1/chat/completions", b'data: {"id"')


class Connection(asyncio.Protocol):
    """A kept connection; a reply's body is handed on as it comes."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.kept = True
        self._taken: Taken | None = None
        self._reply: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._fail(error or ConnectionResetError("closed before the end"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)

    def on_body(self, data: bytes) -> None:
        if self._taken:
            self._taken(data)

    def on_message_complete(self) -> None:
        self.kept = self._parser.should_keep_alive()
        if self._reply and not self._reply.done():
            self._reply.set_result(self._parser.get_status_code())

    def _fail(self, error: Exception) -> None:
        if self._reply and not self._reply.done():
            self._reply.set_exception(error)

    def ask(self, request: bytes, taken: Taken | None = None) -> asyncio.Future[int]:
        """Send a request; the status comes once the body is whole."""
        assert self.transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._taken = taken
        self._reply = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._reply

    def leave(self) -> None:
        """Close at once, whatever is still to come."""
        if self.transport:
            self.transport.abort()


class Client:
    """Connections to one front, kept for the next call; a context manager that closes them."""

    def __init__(self, dialect: Dialect, port: int) -> None:
        self.dialect = dialect
        self._port = port
        self._free: list[Connection] = []

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._free:
            connection.leave()

    async def connect(self) -> Connection:
        while self._free:
            connection = self._free.pop()
            if connection.transport and not connection.transport.is_closing():
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, "127.0.0.1", self._port)
        return connection

    async def call(
        self, answer: Answer, *, stream: bool = False, taken: Taken | None = None
    ) -> None:
        """One request to its end. Raises for every status but 200, and for silence."""
        connection = await self.connect()
        try:
            reply = connection.ask(self.dialect.request(answer, stream=stream), taken)
            status = await asyncio.wait_for(reply, CALL_SECONDS)
            if status != 200:
                raise RuntimeError(f"answered {status}")
        except BaseException:
            connection.leave()
            raise
        self.give_back(connection)

    def give_back(self, connection: Connection) -> None:
        """A connection whose reply is whole."""
        if connection.kept:
            self._free.append(connection)
        else:
            connection.leave()
