"""Clients of the WebSocket."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from tests.api.conftest import Service

SECRET = "s" * 40
ORIGIN = "https://app.example.com"
PATH = "/v1/ws/chat"
Frame = dict[str, Any]


class Client:
    """What a page does with its socket: sends frames, reads the next, reads a run to its end."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.transcript: list[str] = []

    async def send(self, **frame: Any) -> None:
        self.transcript.append(f">> {json.dumps(frame)}")
        await self.socket.send_str(json.dumps(frame))

    async def read(self) -> Frame:
        message = await self.socket.receive(timeout=30)
        assert message.type is WSMsgType.TEXT, message
        self.transcript.append(f"<< {message.data}")
        frame: Frame = json.loads(message.data)
        return frame

    async def read_until(self, ended: Callable[[Frame], bool]) -> list[Frame]:
        frames = [await self.read()]
        while not ended(frames[-1]):
            frames.append(await self.read())
        return frames

    async def read_run(self) -> list[Frame]:
        return await self.read_until(lambda frame: frame["event"] in ("done", "error"))

    async def close_code(self) -> int | None:
        """Read what is left, to the close."""
        async for _ in self.socket:
            pass
        return self.socket.close_code


@asynccontextmanager
async def connect(service: Service, key: str = "alice-key") -> AsyncIterator[Client]:
    async with (
        aiohttp.ClientSession(service.url, headers={"X-API-Key": key}) as http,
        http.ws_connect(PATH) as socket,
    ):
        yield Client(socket)


def token(sub: str = "alice", seconds: float = 600) -> str:
    return jwt.encode({"sub": sub, "exp": time.time() + seconds}, SECRET, "HS256")


@asynccontextmanager
async def upgrade(
    service: Service,
    protocols: Sequence[str] = (),
    origin: str | None = None,
    *,
    path: str = PATH,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Client]:
    """Connect as a browser does: no headers of its own, the token among the sub-protocols."""
    async with (
        aiohttp.ClientSession(service.url) as http,
        http.ws_connect(path, protocols=protocols, origin=origin, headers=headers) as socket,
    ):
        yield Client(socket)


async def refused(service: Service, *args: Any, **options: Any) -> int:
    with pytest.raises(WSServerHandshakeError) as caught:
        async with upgrade(service, *args, **options):
            pass
    return caught.value.status
