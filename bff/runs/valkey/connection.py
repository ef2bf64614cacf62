"""The one way to the Redis or Valkey server, and what happens when it is slow or gone.

Every call is a Lua script. Calls that are ready together are sent as one pipeline, on a few
connections ("lanes") however many requests there are. A pipeline that fails or takes too long opens
the breaker: from then on every call fails at once, so nobody waits for a server that is not
there, while a prober looks for it twice a second.

redis-py's own time-outs and retries are off: together they make a request hang for seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

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
PROBE_SECONDS = 0.4
"""Between two looks for a server that is gone."""


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
        probe: Callable[[], Sequence[Call]],
        call_seconds: float,
        slack_seconds: float,
    ) -> None:
        self.up = False
        self.on_up: list[Callable[[Sequence[Any]], None]] = []
        """Told with the probe's replies, before anybody else's call is let through."""
        self.cluster = urlsplit(url).scheme.endswith("+cluster")
        self._url = url
        self._client = connect(url)
        self._gone: set[Any] = set()
        """Clients that are being closed."""
        self._name = urlsplit(url).hostname or "?"
        self._probe = probe
        self._call_seconds = call_seconds
        self._slack_seconds = slack_seconds
        self._answered_at = self._up_since = 0.0
        self._steady_since = time.monotonic()
        self._down = asyncio.Event()
        self._down.set()

    def __repr__(self) -> str:
        return f"<Server {self._name} {'up' if self.up else 'down'}>"

    @property
    def client(self) -> Any:
        return self._client

    @property
    def steady_seconds(self) -> float:
        """For how long the server has been there, but for moments too short to cost a lease."""
        return time.monotonic() - self._steady_since if self.up else 0.0

    @property
    def up_seconds(self) -> float:
        """For how long every call has been answered."""
        return time.monotonic() - self._up_since if self.up else 0.0

    def unsteady(self) -> None:
        """Owners may have been kept from renewing their leases: they get time to do so."""
        self._steady_since = time.monotonic()

    async def pipeline(self, calls: Sequence[Call]) -> Sequence[Any]:
        """Run the calls in one round trip. Raises `Unreachable`; some of them may have run."""
        if not self.up:
            raise Unreachable
        try:
            replies = await within(self._call_seconds, asyncio.ensure_future(self._send(calls)))
        except GONE as error:
            self.failed(error)
            raise Unreachable from error
        self._answered_at = time.monotonic()
        return replies

    async def _send(self, calls: Sequence[Call]) -> Sequence[Any]:
        replies = await self._execute([_evalsha(call) for call in calls])
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:  # a server that was restarted, or a node that is new
            again = await self._execute([_eval(calls[i]) for i in unknown])
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _execute(self, commands: Sequence[tuple[str | int, ...]]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        replies: list[Any] = await pipe.execute(raise_on_error=False)
        return replies

    def failed(self, error: BaseException) -> None:
        """Open the breaker."""
        if not self.up:
            return
        self.up = False
        logger.warning(
            "%s does not answer (%s: %.200s); runs and limits are this task's own meanwhile",
            self._name,
            type(error).__name__,
            error,
        )
        self._down.set()

    async def look(self) -> bool:
        """Try the server once; true if it is there (again), and as quick as it has to be."""
        try:
            if not self.up:
                await self._reconnect()
            calls = self._probe()
            replies = await within(CONNECT_SECONDS, asyncio.ensure_future(self._send(calls)))
            await within(self._call_seconds, asyncio.ensure_future(self._send(calls[-1:])))
        except GONE as error:
            logger.debug("%s is not there: %s", self._name, type(error).__name__)
            return False
        now = time.monotonic()
        if now - self._answered_at > self._slack_seconds:
            self.unsteady()
        self._answered_at = self._up_since = now
        self.up = True
        for tell in self.on_up:
            tell(replies)
        return True

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

    async def watch(self) -> None:
        """Look for the server whenever it is gone, until cancelled."""
        while True:
            if self.up:
                await self._down.wait()
            self._down.clear()
            first = True
            while not self.up and not await self.look():
                first = False
                await asyncio.sleep(PROBE_SECONDS)
            if not first:
                logger.warning("%s answers again", self._name)

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


def _evalsha(call: Call) -> tuple[str | int, ...]:
    return ("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)


def _eval(call: Call) -> tuple[str | int, ...]:
    return ("EVAL", call.script.text, len(call.keys), *call.keys, *call.args)
