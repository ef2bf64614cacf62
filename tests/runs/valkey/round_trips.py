"""A relay in front of a server that counts how often a request waits for it, one time after the
other: calls that are on their way together are one round trip."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bff.runs.valkey import scripts
from bff.runs.valkey.scripts import Script
from tests.fakes.tcp import tcp_server
from tests.runs.valkey.valkey import Valkey

ALL = [script for script in vars(scripts).values() if isinstance(script, Script)]
CHORES = [scripts.ALIVE, scripts.LAPSED, scripts.RENEW]
"""What an instance asks of its own accord; for these, and what goes with them, nobody waits."""
DELAY_SECONDS = 0.02
"""Before a reply is passed on, so that whatever does not wait for it is asked beside it."""


class RoundTrips:
    """`deepest` is the longest chain of calls so far, each sent after the reply to the last."""

    def __init__(self, server: Valkey) -> None:
        self.deepest = 0
        self._asked_at = 0.0
        self._to = server.port
        self._port = 0
        for script in ALL:  # met before: the first call of an unknown one is sent twice
            server.load(script.text)

    async def begin(self) -> None:
        """Count anew, once all that was going on has come to its end."""
        while asyncio.get_running_loop().time() < self._asked_at + 4 * DELAY_SECONDS:
            await asyncio.sleep(DELAY_SECONDS)
        self.deepest = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}"

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[RoundTrips]:
        async with tcp_server(self._serve) as self._port:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to = await asyncio.open_connection("127.0.0.1", self._to)
        depths = [0]  # of the call that this connection waits for, if it is one that counts

        async def ask() -> None:
            while data := await reader.read(1 << 20):
                if not any(script.sha.encode() in data for script in CHORES):
                    depths[0] = self.deepest + 1
                    self._asked_at = asyncio.get_running_loop().time()
                to.write(data)

        async def answer() -> None:
            while data := await there.read(1 << 20):
                await asyncio.sleep(DELAY_SECONDS)
                self.deepest, depths[0] = max(self.deepest, depths[0]), 0
                writer.write(data)

        try:
            with suppress(ConnectionError):
                await asyncio.wait(
                    {asyncio.create_task(ask()), asyncio.create_task(answer())},
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            to.close()
            writer.close()
