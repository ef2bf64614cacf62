"""A fake of AgentCore's data plane, cheap enough not to be what is measured.

    python -m benchmarks.agentcore PORT

One asyncio protocol and a C parser: some 30 µs a call. Who calls says in the prompt how to answer
(`Answer.prompt`). `GET /stats` tells what was called and who left before the end.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from functools import cache
from typing import Any, NamedTuple, Self, cast

import httptools
import orjson
import uvloop

ARN = "arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/bench_agent-AbCdEfGh12"
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


class Answer(NamedTuple):
    """How one call is answered: by one JSON body, or by a stream of so many events."""

    events: int = 0
    pause_ms: float = 0.0
    """Between two events; with 0 each is still a write of its own."""
    burst: bool = False
    """All events in one write."""
    stamped: bool = False
    """Each event's text says when it was due, in µs of the monotonic clock."""

    def prompt(self) -> str:
        return json.dumps(self)

    @classmethod
    @cache
    def of(cls, prompt: str) -> Self:
        return cls(*orjson.loads(prompt))


JSON_BODY = b'{"result":{"role":"assistant","content":[{"text":"Fifteen times 23 is 345."}]}}'
LAST_CHUNK = b"0\r\n\r\n"


def event(text: str) -> bytes:
    """One HTTP chunk with one event, as a Strands agent streams it."""
    delta = {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}
    data = b"data: " + orjson.dumps({"event": delta}) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


@cache
def events(count: int) -> list[bytes]:
    return [event(f"some word {number} ") for number in range(count)]


class Stats:
    """What was called since the start; `left` counts streams that were not read to their end."""

    def __init__(self) -> None:
        self.calls = self.signed = self.open = self.left = 0


class Connection(asyncio.Protocol):
    """A caller's connection: one call at a time."""

    def __init__(self, stats: Stats) -> None:
        self._loop = asyncio.get_running_loop()
        self._stats = stats
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._timer: asyncio.Handle | None = None
        self._answer: Answer | None = None
        """The stream that is being sent."""
        self._sent = 0
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._answer:
            self._ended()
            self._stats.left += 1

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    # What the parser finds

    def on_message_begin(self) -> None:
        self._url = b""
        self._session = b""
        self._signed = False
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"x-amzn-bedrock-agentcore-runtime-session-id":
            self._session = value
        elif name == b"authorization":
            self._signed = value.startswith(b"AWS4-HMAC-SHA256 ")

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        if not self._url.startswith(b"/runtimes/"):
            self._reply(orjson.dumps(vars(self._stats)))
            return
        self._stats.calls += 1
        self._stats.signed += self._signed
        answer = Answer.of(orjson.loads(b"".join(self._body))["prompt"])
        if answer.events:
            self._stream(answer)
        else:
            self._reply(JSON_BODY)

    # The answers

    def _write(self, data: bytes) -> None:
        if self._transport:
            self._transport.write(data)

    def _reply(self, body: bytes) -> None:
        self._write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n%b"
            % (len(body), self._own_headers(), body)
        )

    def _own_headers(self) -> bytes:
        return b"%b: %b\r\nx-amzn-RequestId: 00000000-0000-4000-8000-%012d\r\n" % (
            SESSION_HEADER.encode(),
            self._session,
            self._stats.calls,
        )

    def _stream(self, answer: Answer) -> None:
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
            b"Transfer-Encoding: chunked\r\n%b\r\n" % self._own_headers()
        )
        if answer.burst:
            self._write(head + b"".join(events(answer.events)) + LAST_CHUNK)
            return
        self._answer, self._sent, self._began = answer, 0, self._loop.time()
        self._stats.open += 1
        self._write(head)
        self._next()

    def _next(self) -> None:
        answer = self._answer
        if answer is None:
            return
        pause = answer.pause_ms / 1000
        if answer.stamped:
            due = self._began + self._sent * pause
            chunk = event(f"@{self._sent}:{int(due * 1e6)}@ ")
        else:
            chunk = events(answer.events)[self._sent]
        self._sent += 1
        if self._sent == answer.events:
            self._write(chunk + LAST_CHUNK)
            self._ended()
            return
        self._write(chunk)
        if pause:
            self._timer = self._loop.call_at(self._began + self._sent * pause, self._next)
        else:
            self._timer = self._loop.call_soon(self._next)

    def _ended(self) -> None:
        self._answer = None
        self._stats.open -= 1
        if self._timer:
            self._timer.cancel()


async def serve(port: int) -> None:
    stats: Any = Stats()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with await loop.create_server(lambda: Connection(stats), "127.0.0.1", port, backlog=4096):
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
