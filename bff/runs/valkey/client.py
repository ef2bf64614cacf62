"""How commands get to the server: a server by connections that we keep, a cluster by its client.

redis-py makes the connections: TLS, credentials, the cluster's map. Its time-outs and retries are
off: together they make a request hang for seconds. Of its pipelines only a cluster makes use; what
they do besides sending and reading costs more than both, and an event's way to the server is one.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from bff.settings import SettingsError

T = TypeVar("T")

Command = tuple[str | int, ...]

CONNECT_SECONDS = 1.0
"""For a first connection (TLS, the cluster's map); nobody's request waits for it."""
GONE = (RedisError, RedisClusterException, KeyError, OSError, TimeoutError)
"""What a client raises when the server is away. The cluster's exception is no `RedisError`, and for
a slot that its map of the cluster lacks it raises `KeyError`."""
CLEAN_UP_SECONDS = 0.02
"""For work of redis-py's that is cancelled to close its connection."""


class Client:
    """Sends commands to the server of a URL: `redis://`, `rediss://`, `redis+cluster://` or
    `rediss+cluster://`."""

    def __init__(self, url: str) -> None:
        self.cluster = urlsplit(url).scheme.endswith("+cluster")
        self._url = url
        self.of_library = _connect(url)
        """For messages, which are its business."""
        self._gone: set[Any] = set()
        """Clients that are being closed."""
        self._nodes: list[ClusterNode] = []
        """Of a cluster: where its last map led."""
        self._by_nodes = False
        self._connections: set[Any] = set()
        self._idle: list[Any] = []
        """Those that nobody uses."""
        self.closed = 0
        """How many the server has closed while nobody used them, as it does when it fails over. A
        cluster's client does not say; a call fails there."""

    async def execute(self, commands: Sequence[Command]) -> list[Any]:
        """Send the commands, whatever they are; their replies, errors among them."""
        if self.cluster:
            pipe = self.of_library.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            replies: list[Any] = await _cancellable(pipe.execute(raise_on_error=False))
            return replies
        connection = await self._connection()
        try:
            await connection.send_packed_command(packed(commands), check_health=False)
            replies = [await _reply(connection) for _ in commands]
        except BaseException:  # a reply may still come that is nobody's
            await self._drop(connection)
            raise
        self._idle.append(connection)
        return replies

    async def _connection(self) -> Any:
        """One that nobody uses, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_connected and not await connection.can_read():
                return connection
            self.closed += 1
            await self._drop(connection)
        connection = self.of_library.connection_pool.make_connection()
        self._connections.add(connection)
        try:
            await _cancellable(connection.connect())
        except BaseException:  # it may be half-way there
            await self._drop(connection)
            raise
        return connection

    async def _drop(self, connection: Any) -> None:
        self._connections.discard(connection)
        await connection.disconnect(nowait=True)

    async def reconnect(self) -> None:
        """Forget the connections: after a failover the name, or the map, leads to another node.

        A cluster's client is made anew: it only ever asks the nodes of its last map, which may all
        have gone, where the address we were given still leads somewhere. That may be a node that
        has gone, and then the others know. So it is asked here and there by turns.
        """
        if self.cluster:
            self._nodes = list(self.of_library.nodes_manager.nodes_cache.values()) or self._nodes
            random.shuffle(self._nodes)  # one that is frozen would keep us from all behind it
            by_nodes, self._by_nodes = self._by_nodes, not self._by_nodes
            others = self._nodes if by_nodes else []
            gone, self.of_library = self.of_library, _connect(self._url, others)
            self._gone.add(gone)
            await _close(gone)
            self._gone.discard(gone)
        else:
            idle, self._idle = self._idle, []
            await self._close(idle)
            await self.of_library.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        await self._close(list(self._connections))
        for client in (self.of_library, *self._gone):
            await _close(client)

    async def _close(self, connections: Sequence[Any]) -> None:
        self._connections.difference_update(connections)
        await asyncio.gather(*[each.disconnect() for each in connections], return_exceptions=True)


def check_authority(url: str) -> None:
    """Raise `SettingsError` for a file of certificates that cannot be used.

    No server would ever be trusted, and we would serve on as if it were away.
    """
    for file in parse_qs(urlsplit(url).query).get("ssl_ca_certs", ()):
        try:
            ssl.create_default_context(cafile=file)
        except ssl.SSLError:
            reason = "no certificate in it"
        except OSError as error:
            reason = os.strerror(error.errno or 0)
        else:
            continue
        got = f"ssl_ca_certs={file!r} ({reason})"
        raise SettingsError("REDIS_URL", got, "a file of PEM certificates that can be read")


def packed(commands: Sequence[Command]) -> bytes:
    """The commands as they are sent. redis-py takes ten times as long for that."""
    parts: list[str] = []
    for command in commands:
        parts.append(f"*{len(command)}\r\n")
        for item in command:
            text = item if isinstance(item, str) else str(item)
            size = len(text) if text.isascii() else len(text.encode())
            parts.append(f"${size}\r\n{text}\r\n")
    return "".join(parts).encode()


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


async def _cancellable(work: Coroutine[Any, Any, T]) -> T:
    """The work's result; if it is cancelled, it is not waited for much longer."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task})
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CLEAN_UP_SECONDS)
        if task.done() and not task.cancelled():
            task.exception()  # nobody asks for it any more


def _connect(url: str, nodes: Sequence[ClusterNode] = ()) -> Any:
    """`nodes` of a cluster are asked for its map before the node of the URL is."""
    options: dict[str, Any] = {
        "decode_responses": True,
        "driver_info": None,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": None,
    }
    if urlsplit(url).scheme.endswith("+cluster"):
        url = url.replace("+cluster", "", 1)
        return _Cluster.from_url(
            url, require_full_coverage=False, startup_nodes=list(nodes), **options
        )
    return Redis.from_url(url, **options)


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
