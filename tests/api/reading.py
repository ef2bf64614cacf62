"""Reading what foreign formats send, and what became of a run."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.api.conftest import Service, sse


def frames(stream: bytes | str) -> list[Any]:
    """What the frames hold, `[DONE]` as text; fails for what is neither comment nor one `data:`.

    An error may be named as such.
    """
    text = stream.decode() if isinstance(stream, bytes) else stream
    assert text.endswith("\n\n")
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        if block.startswith(":"):
            continue
        named = block.removeprefix("event: error\n")
        assert named.startswith("data: "), block
        assert "\n" not in named, block
        data = named.removeprefix("data: ")
        found.append(data if data == "[DONE]" else json.loads(data))
        assert named == block or "error" in found[-1], block
    return found


def chunk_text(chunks: list[Any]) -> str:
    """What the chunks of a chat completion say."""
    return "".join(
        choice["delta"].get("content", "")
        for chunk in chunks
        if chunk != "[DONE]"
        for choice in chunk.get("choices", [])
    )


def parsed(stream: bytes | str) -> list[dict[str, Any]]:
    """The events of a stream of Responses; fails for one that is named otherwise than its data."""
    text = stream.decode() if isinstance(stream, bytes) else stream
    found = []
    for event in sse(text):
        data = json.loads(event["data"])
        assert data["type"] == event["event"]
        found.append(data)
    return found


async def ended(service: Service, run_id: str) -> str:
    """The status a run ends with."""
    async with asyncio.timeout(30):
        while True:
            async with service.client.get(f"/v1/runs/{run_id}") as reply:
                status = (await reply.json())["status"]
            if status != "running":
                return str(status)
            await asyncio.sleep(0.01)


async def trickled(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, byte: bytes = b"x"
) -> bytes:
    """The reply to a body that comes a byte at a time; none is sent once the reply is here.

    One that comes to a closed connection resets it, and a client that has not read the reply by
    then may lose it.
    """
    head = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    async with asyncio.timeout(60):
        while not head.done():
            writer.write(byte)
            await asyncio.wait({head}, timeout=0.25)
        length = (await head).lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return await head + await reader.readexactly(int(length))
