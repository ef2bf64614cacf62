"""A relay between an instance and its server: it delays, holds and cuts what passes."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bff.runs.valkey import scripts
from bff.runs.valkey.scripts import Script
from tests.fakes.tcp import tcp_server

SCRIPTS = [script for script in vars(scripts).values() if isinstance(script, Script)]


class Relay:
    """`delay` seconds are added to what the server says, and up to `jitter` more: connections then
    overtake each other. `hold` keeps the replies to one script.

    Scripts are known by their hash, so the server has to have met them.
    """

    def __init__(self, port: int) -> None:
        self.delay = 0.0
        self.jitter = 0.0
        self.port = 0
        self.held = asyncio.Event()
        """The server has said what is held: it has run the script."""
        self._seen: Counter[str] = Counter()
        self._arrived = asyncio.Condition()
        self._holding: set[str] = set()
        self._refusing = False
        self._silent = False
        self._released = asyncio.Event()
        self._released.set()
        self._to = port
        self._connections: set[_Connection] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Relay]:
        async with tcp_server(self._serve, tls) as self.port:
            yield self

    def hold(self, script: Script) -> None:
        """Keep the reply to the next pipeline with this script, and all behind it, on its way."""
        self._released.clear()
        self._holding.add(script.sha)

    def release(self) -> None:
        self._holding.clear()
        self.held.clear()
        self._released.set()

    def cut(self) -> None:
        """Break every connection; what was held is never said."""
        for connection in list(self._connections):
            connection.close()
        self.release()

    def lead_to(self, port: int) -> None:
        """Fail over: another server is reached from now on."""
        self._to = port
        self.cut()

    def refuse(self) -> None:
        """Let nothing pass: the server is away for whoever comes this way."""
        self._refusing = True
        self.cut()

    def silence(self) -> None:
        """Let connections in, and never a word: it is so with those for ever."""
        self._silent = True
        self.cut()

    def accept(self) -> None:
        self._refusing = self._silent = False

    async def passed(self, script: Script, times: int) -> None:
        """Return when the script was asked for so many times more."""
        until = self._seen[script.sha] + times
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._seen[script.sha] >= until)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        self._connections.add(connection)
        try:
            if self._refusing:
                return
            if self._silent:
                await asyncio.Event().wait()
            there, to = await asyncio.open_connection("127.0.0.1", self._to)
            connection.ends.append(to)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask(reader, to, connection))
                group.create_task(self._answer(there, writer, connection))
        except* OSError:
            pass
        finally:
            self._connections.discard(connection)
            connection.close()

    async def _ask(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, connection: _Connection
    ) -> None:
        before = b""
        while data := await reader.read(65_536):
            # a hash may come in two pieces
            text, before = before + data, (before + data)[-39:]
            asked = {script.sha: text.count(script.sha.encode()) for script in SCRIPTS}
            self._seen.update(asked)
            if any(asked[sha] for sha in self._holding):
                connection.held = True
                self._holding.clear()
            to.write(data)
            await to.drain()
            async with self._arrived:
                self._arrived.notify_all()
        with suppress(OSError):
            to.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection
    ) -> None:
        while data := await reader.read(65_536):
            if connection.held:
                self.held.set()
                await self._released.wait()
                connection.held = False
            if self.delay or self.jitter:
                await asyncio.sleep(self.delay + random.uniform(0, self.jitter))
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.close()


class _Connection:
    def __init__(self, end: asyncio.StreamWriter) -> None:
        self.held = False
        self.ends = [end]

    def close(self) -> None:
        for end in self.ends:
            end.close()
