"""`GET /v1/ws/chat`: who may open a socket, and the end of all of them when the task drains.

Every refusal comes before the upgrade, as a problem document like any other; what happens on an
open socket is in `connection.py`, and what it looks like to a client in docs/websocket.md.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import HttpVersion11, web

from bff.api import RUNS, SETTINGS
from bff.api.websocket.connection import Socket
from bff.api.websocket.outbox import ANSWER_SECONDS
from bff.errors import BadRequest, Draining, Forbidden
from bff.runs import Runs
from bff.tasks import end_tasks

SOCKET_ROUTE = "/v1/ws/chat"
PROTOCOL = "chat.v1"
PING_SECONDS = 16.0
"""A ping after this much silence, and half of it for the answer: a dead socket is cut at 24 s."""

LAST_EVENTS_SECONDS = 0.5
"""When the drain is over, for the ends of runs to be passed on."""


async def chat(request: web.Request) -> web.StreamResponse:
    """A socket for a conversation or several; every refusal comes before the upgrade."""
    origin = request.headers.get("Origin")
    if origin is not None and origin not in request.app[SETTINGS].cors_origins:
        raise Forbidden
    if request.app[RUNS].draining:
        raise Draining(retry_after_seconds=1)
    response = web.WebSocketResponse(
        timeout=ANSWER_SECONDS,
        autoclose=False,
        heartbeat=request.app[SOCKETS].ping_seconds,
        autoping=False,
        protocols=(PROTOCOL,),
        compress=False,
        # the first size that is too large
        max_msg_size=request.app[SETTINGS].max_request_bytes + 1,
    )
    _check_handshake(request)
    if not response.can_prepare(request):
        raise BadRequest
    await response.prepare(request)
    response.headers.clear()  # they are sent, and a socket may be open for a day
    if (transport := request.transport) is None:
        raise ConnectionResetError
    sockets, socket = request.app[SOCKETS], Socket(request, response, transport)
    sockets.add(socket)
    try:
        await socket.serve()
    finally:
        sockets.discard(socket)
    return response


def bearer_protocols(request: web.Request) -> list[str]:
    """The credentials among the sub-protocols that a browser's WebSocket asks for."""
    return [name[7:] for name in _protocols(request) if name.startswith("bearer.")]


def _protocols(request: web.Request) -> list[str]:
    lines = request.headers.getall("Sec-WebSocket-Protocol", [])
    return [name.strip() for line in lines for name in line.split(",")]


def _check_handshake(request: web.Request) -> None:
    """Refuse what aiohttp would log or stumble over: it writes unknown sub-protocols, and with
    them a token, into its log, and takes a key that is no base64 for a fault of ours."""
    lines = request.headers.getall("Sec-WebSocket-Protocol", [])
    if len(lines) > 1 or (lines and PROTOCOL not in _protocols(request)):
        message = f"must be one line that offers {PROTOCOL}"
        raise BadRequest.of("Sec-WebSocket-Protocol", message)
    keys = request.headers.getall("Sec-WebSocket-Key", [])
    if len(keys) != 1 or not re.fullmatch(r"[A-Za-z0-9+/]{22}==", keys[0]):
        raise BadRequest.of("Sec-WebSocket-Key", "is no WebSocket key")
    if request.version < HttpVersion11:
        raise BadRequest.of("Upgrade", "needs a later version of HTTP")


class Sockets:
    """The sockets of this process, so that a drain can end them."""

    def __init__(self, runs: Runs) -> None:
        self.ping_seconds = PING_SECONDS
        self._runs = runs
        self._open: set[Socket] = set()

    def __repr__(self) -> str:
        return f"<Sockets {len(self._open)} open>"

    def add(self, socket: Socket) -> None:
        self._open.add(socket)
        if self._runs.draining:
            socket.drain()

    def discard(self, socket: Socket) -> None:
        self._open.discard(socket)

    async def drain(self) -> None:
        """Wait for the drain to begin, then close what is idle, and the rest once it is."""
        await self._runs.drain_begun.wait()
        for socket in list(self._open):
            socket.drain()

    async def close(self) -> None:
        """Close those that still follow a run when the drain is over: one of another task."""
        if following := [task for socket in self._open for task in socket.following]:
            await asyncio.wait(following, timeout=LAST_EVENTS_SECONDS)
        for socket in list(self._open):
            socket.close()


SOCKETS = web.AppKey("sockets", Sockets)


async def close_sockets(app: web.Application) -> None:
    await app[SOCKETS].close()


@asynccontextmanager
async def open_sockets(runs: Runs) -> AsyncIterator[Sockets]:
    sockets = Sockets(runs)
    task = asyncio.create_task(sockets.drain(), name="drain of sockets")
    try:
        yield sockets
    finally:
        await end_tasks(task)
