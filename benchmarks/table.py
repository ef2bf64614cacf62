"""A stand-in for DynamoDB, cheap enough not to set the pace: an empty table that takes every write.

    python -m benchmarks.table PORT

moto, which the tests use, takes a quarter of a second for what a turn writes. A service that is
asked so seldom finds nothing in the processor's caches, and then uses five times the CPU for an
answer whatever its history is.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import zlib
from typing import cast

import httptools
import orjson
import uvloop

from bff.history.dynamodb.items import TABLE

ANSWERS = {
    b"BatchGetItem": orjson.dumps({"Responses": {}, "UnprocessedKeys": {}}),
    b"DescribeTable": orjson.dumps({"Table": TABLE}),
    b"GetItem": b"{}",
    b"Query": orjson.dumps({"Items": [], "Count": 0}),
    b"TransactWriteItems": b"{}",
}
"""By operation; of a service that is measured no other comes."""


class Connection(asyncio.Protocol):
    """A caller's connection: one call at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._operation = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-amz-target":
            self._operation = value.rpartition(b".")[2]

    def on_message_complete(self) -> None:
        body = ANSWERS.get(self._operation)
        status = b"200 OK" if body or not self._operation else b"400 Bad Request"
        body = body or b'{"__type":"UnknownOperationException"}'
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/x-amz-json-1.0\r\nx-amz-crc32: %d\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (status, zlib.crc32(body), len(body), body)
        )


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with await loop.create_server(Connection, "127.0.0.1", port, backlog=4096):
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
