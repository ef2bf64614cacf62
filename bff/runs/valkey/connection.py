"""The one way to the Redis or Valkey server, and what happens when it is slow or gone.

Every call is a Lua script, and calls that are ready together are sent as one pipeline. A pipeline
that fails or takes too long opens the breaker: from then on every call fails at once, so nobody
waits for a server that is not there. `recovery.py` looks for it and closes the breaker again.

redis-py's own time-outs and retries are off: together they make a request hang for seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from bff.runs.valkey.scripts import Script

logger = logging.getLogger(__name__)

T = TypeVar("T")

CONNECT_SECONDS = 1.0
"""For a first connection (TLS, the cluster's map); nobody's request waits for it."""
GONE = (RedisError, RedisClusterException, KeyError, OSError, TimeoutError)
"""What a client raises when the server is away. The cluster's exception is no `RedisError`, and for
a slot that its map of the cluster lacks it raises `KeyError`."""
LOOKS = 8
"""In how many steps a server is waited for. A step is at least two turns of the event loop, and a
reply that has come takes about five to be read, whatever else the turns are full of."""
CLEAN_UP_SECONDS = 0.02
"""For work that is cancelled to close its connection."""
MOST_CONNECTIONS = 6
"""That are made ready before calls are let through: to connect takes longer than a call may."""


class Unreachable(Exception):
    """The server did not answer in time, or not as it should."""


@dataclass(frozen=True, slots=True)
class Call:
    script: Script
    keys: Sequence[str]
    args: Sequence[str | int] = ()


async def within(seconds: float, work: asyncio.Future[T]) -> T:
    """The work's result, or `TimeoutError`, and the work is cancelled.

    The time is that of the server, not ours: it is waited for in several looks, and a look counts
    for as long as it was meant to take, however late this process gets round to it. A burst of our
    own requests keeps replies from being read, and must not make a server slow that has answered.
    """
    try:
        for _ in range(LOOKS):
            if (await asyncio.wait({work}, timeout=seconds / LOOKS))[0]:
                return work.result()
        raise TimeoutError
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait({work}, timeout=CLEAN_UP_SECONDS)
        if work.done() and not work.cancelled():
            work.exception()  # nobody asks for it any more


def connect(url: str) -> Any:
    """A client for `redis://`, `rediss://`, `redis+cluster://` or `rediss+cluster://`."""
    options: dict[str, Any] = {
        "decode_responses": True,
        "driver_info": None,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": None,
    }
    scheme = urlsplit(url).scheme
    if scheme.endswith("+cluster"):
        url = url.replace("+cluster", "", 1)
        return _Cluster.from_url(url, require_full_coverage=False, **options)
    return Redis.from_url(url, **options)


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
        self.cluster = urlsplit(url).scheme.endswith("+cluster")
        self._url = url
        self._client = connect(url)
        self._gone: set[Any] = set()
        """Clients that are being closed."""
        self._name = urlsplit(url).hostname or "?"
        self._call_seconds = call_seconds
        self._slack_seconds = slack_seconds
        self._answered_at = 0.0
        self._now = asyncio.get_running_loop().time
        self._steady_since = self._now()

    def __repr__(self) -> str:
        return f"<Server {self._name} {'up' if self.up else 'down'}>"

    @property
    def client(self) -> Any:
        return self._client

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
        replies = await within(seconds, self.execute([_evalsha(call) for call in calls]))
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            # a server that was restarted, or a node that is new: once, so in a time of its own
            again = await within(seconds, self.execute([_eval(calls[i]) for i in unknown]))
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        for reply in replies:
            if isinstance(reply, Exception) and not _of_one_call(reply):
                raise reply
        return replies

    def execute(self, commands: Sequence[tuple[str | int, ...]]) -> asyncio.Task[list[Any]]:
        """Send the commands, whatever they are; their replies, errors among them."""
        pipe = self._client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        return asyncio.create_task(pipe.execute(raise_on_error=False))

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
                await self._reconnect()
            replies = await self._send(calls, CONNECT_SECONDS)
            quick = calls[-1:]
            await asyncio.gather(
                *[self._send(quick, CONNECT_SECONDS) for _ in range(MOST_CONNECTIONS)]
            )
            await self._send(quick, self._call_seconds)
        except GONE as error:
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

    async def _reconnect(self) -> None:
        """Forget the connections: after a failover the name, or the map, leads to another node.

        A cluster's client is made anew: it only ever asks the nodes of its last map, which may all
        have gone, where the address we were given still leads somewhere.
        """
        if self.cluster:
            gone, self._client = self._client, connect(self._url)
            self._gone.add(gone)
            await _close(gone)
            self._gone.discard(gone)
        else:
            await self._client.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        self.up = False
        for client in (self._client, *self._gone):
            await _close(client)


async def _close(client: Any) -> None:
    """Close a client, and of a cluster the nodes that redis-py leaves open.

    It closes nothing before it has a map of the cluster, and forgets the node it first asked when
    the map does not name it.
    """
    with suppress(*GONE):
        await client.aclose()
    if isinstance(client, _Cluster):
        nodes = client.nodes_manager
        for node in (
            *client.first_nodes,
            *nodes.startup_nodes.values(),
            *nodes.nodes_cache.values(),
        ):
            with suppress(*GONE):
                await node.disconnect()


class _Cluster(RedisCluster):
    """A cluster's client that remembers the nodes it began with."""

    __slots__ = ("first_nodes",)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.first_nodes = tuple(self.nodes_manager.startup_nodes.values())


def _of_one_call(error: Exception) -> bool:
    """A script failed at what it found; the server is well."""
    return type(error) is ResponseError and str(error).startswith(_OF_ONE_CALL)


_OF_ONE_CALL = ("WRONGTYPE", "user_script:", "Error running script")


def _evalsha(call: Call) -> tuple[str | int, ...]:
    return ("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)


def _eval(call: Call) -> tuple[str | int, ...]:
    return ("EVAL", call.script.text, len(call.keys), *call.keys, *call.args)
