"""The one way to the Redis or Valkey server, and what happens when it is slow or gone.

Every call is a Lua script, and calls that are ready together are sent as one pipeline. A pipeline
that fails or takes too long opens the breaker: from then on every call fails at once, so nobody
waits for a server that is not there. `recovery.py` looks for it and closes the breaker again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import NoScriptError, ResponseError

from bff.runs.valkey.client import CONNECT_SECONDS, GONE, Client, Command
from bff.runs.valkey.patience import within
from bff.runs.valkey.scripts import Script

logger = logging.getLogger(__name__)

MOST_CONNECTIONS = 6
"""That are made ready before calls are let through: to connect takes longer than a call may."""


class Unreachable(Exception):
    """The server did not answer in time, or not as it should."""


@dataclass(frozen=True, slots=True)
class Call:
    script: Script
    keys: Sequence[str]
    args: Sequence[str | int] = ()


class Server:
    """The server, behind its breaker. `up` says whether calls are worth making."""

    def __init__(
        self,
        url: str,
        *,
        call_seconds: float,
        slack_seconds: float,
    ) -> None:
        self.up = False
        self.down = asyncio.Event()
        """Set while it is not up."""
        self.down.set()
        self._client = Client(url)
        self._name = urlsplit(url).hostname or "?"
        self._call_seconds = call_seconds
        self._slack_seconds = slack_seconds
        self._answered_at = 0.0
        self._now = asyncio.get_running_loop().time
        self._steady_since = self._now()
        self.reason = ""
        """Why it was not there at the last look: a wrong password looks like an outage."""

    def __repr__(self) -> str:
        return f"<Server {self._name} {'up' if self.up else 'down'}>"

    @property
    def cluster(self) -> bool:
        return self._client.cluster

    @property
    def closed_connections(self) -> int:
        """How many the server has closed without failing a call: it may be another one now."""
        return self._client.closed

    def pubsub(self) -> Any:
        """redis-py's own, for messages."""
        return self._client.of_library.pubsub()

    @property
    def steady_seconds(self) -> float:
        """For how long the server has been there, but for moments too short to cost a lease."""
        return self._now() - self._steady_since if self.up else 0.0

    def unsteady(self) -> None:
        """Owners may have been kept from renewing their leases: they get time to do so."""
        self._steady_since = self._now()

    async def pipeline(self, calls: Sequence[Call]) -> Sequence[Any]:
        """Run the calls in one round trip. Raises `Unreachable`; some of them may have run.

        A call that a script failed at has the exception in place of its reply.
        """
        if not self.up:
            raise Unreachable
        try:
            replies = await self._send(calls, self._call_seconds)
        except GONE as error:
            self.failed(error)
            raise Unreachable from error
        self._answered_at = self._now()
        return replies

    async def _send(self, calls: Sequence[Call], seconds: float) -> list[Any]:
        sent = self.execute([_evalsha(call) for call in calls])
        replies = await within(seconds, sent)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            # a server that was restarted, or a node that is new: once, so in a time of its own
            sent = self.execute([_eval(calls[i]) for i in unknown])
            again = await within(seconds, sent)
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        for reply in replies:
            if isinstance(reply, Exception) and not _of_one_call(reply):
                raise reply
        return replies

    async def execute(self, commands: Sequence[Command]) -> list[Any]:
        """Send the commands, whatever they are; their replies, errors among them."""
        return await self._client.execute(commands)

    def failed(self, error: BaseException) -> None:
        """Open the breaker."""
        if not self.up:
            return
        self.up = False
        logger.warning(
            "%s does not answer (%s: %.200s); runs and limits are this instance's own meanwhile",
            self._name,
            type(error).__name__,
            error,
        )
        self.down.set()

    async def look(self, calls: Sequence[Call]) -> Sequence[Any] | None:
        """The replies of a server that is there, and as quick as it has to be."""
        try:
            if not self.up:
                await self._client.reconnect()
            replies = await self._send(calls, CONNECT_SECONDS)
            quick = calls[-1:]
            await asyncio.gather(
                *[self._send(quick, CONNECT_SECONDS) for _ in range(MOST_CONNECTIONS)]
            )
            await self._send(quick, self._call_seconds)
        except GONE as error:
            self.reason = f"{type(error).__name__}: {error!s:.200}"
            logger.debug("%s is not there: %s", self._name, type(error).__name__)
            return None
        return replies

    def let_through(self) -> None:
        """Close the breaker: the server is there (again)."""
        now = self._now()
        if now - self._answered_at > self._slack_seconds:
            self.unsteady()
        self._answered_at = now
        self.up = True
        self.down.clear()

    async def aclose(self) -> None:
        self.up = False
        await self._client.aclose()


def _of_one_call(error: Exception) -> bool:
    """A script failed at what it found; the server is well."""
    return type(error) is ResponseError and str(error).startswith(_OF_ONE_CALL)


_OF_ONE_CALL = ("WRONGTYPE", "user_script:", "Error running script")


def _evalsha(call: Call) -> Command:
    return ("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)


def _eval(call: Call) -> Command:
    return ("EVAL", call.script.text, len(call.keys), *call.keys, *call.args)
