"""A server of a test's own, byte by byte, that leaves no connection behind.

`asyncio.start_server` forgets what it has accepted: a handler that has not begun when its test ends
never closes its connection, and a later test fails for it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from bff.tasks import end_tasks

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def tcp_server(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Its port. Handlers that are still at work at the end are cancelled."""
    writers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def ended(task: asyncio.Task[None]) -> None:
        writers.pop(task).close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        writers[task] = writer
        task.add_done_callback(ended)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # a connection that is accepted in the turn in which the server closes is never closed
        asyncio.get_running_loop().remove_reader(server.sockets[0].fileno())
        for _ in range(3):
            await asyncio.sleep(0)
        server.close()
        left = dict(writers)
        await end_tasks(*left)
        for writer in left.values():
            writer.transport.abort()
        await asyncio.sleep(0)
