"""A client that streams chat completions, as many are: what it is told, and what it shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aiohttp

SAID = ("I am Jo", "/system", "/turns")
"""Three turns, after the instructions "Be brief."; the embedded agent answers them with ANSWERS."""
ANSWERS = [
    "You said: I am Jo",
    "I was instructed: Be brief.",
    "I have seen 3 turns of this conversation.",
]


async def say(client: aiohttp.ClientSession, url: str, body: Mapping[str, Any]) -> str:
    """Ask at the base address `url` and return what is shown of the answer."""
    async with client.post(f"{url}/chat/completions", json={**body, "stream": True}) as reply:
        stream = await reply.text()
        assert reply.status == 200, stream
    chunks = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)
