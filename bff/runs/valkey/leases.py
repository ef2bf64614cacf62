"""Renews what this instance holds, and does nothing else: no lease waits for other work.

Renewed are the instance's own sign of life, the leases of its runs and those of its followers of
other instances' runs. The replies are the safety net of messages: a run that was cancelled, ended
by another instance or lost by the server is found here if nothing faster told.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress

from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call, Server, Unreachable
from bff.runs.valkey.data_loss import Epochs
from bff.runs.valkey.followers import Followers
from bff.runs.valkey.keys import INSTANCES_KEY, leases_key
from bff.runs.valkey.replica import Replica
from bff.runs.valkey.replicas import Replicas
from bff.runs.valkey.timing import Timing

logger = logging.getLogger(__name__)

RUNS_A_CALL = 50
CALLS_A_PIPELINE = 8
"""However many runs there are, a server that is well has done so many long before it would be taken
for gone."""
CALLS_AT_ONCE = 4 * CALLS_A_PIPELINE
"""This process sees to other things before it goes on to more."""


class Leases:
    """The leases of one instance. `instances` is how many there are, as far as is known."""

    def __init__(
        self, *, server: Server, lane: Lane, replicas: Replicas, followers: Followers,
        epochs: Epochs, instance: str, timing: Timing, ttl_ms: int,
    ) -> None:  # fmt: skip
        self.instances = 1
        self.server_clock: float | None = None
        """The server's seconds since 1970 at our loop's zero, as of the last renewal."""
        self._server = server
        self._lane = lane
        self._replicas = replicas
        self._followers = followers
        self._epochs = epochs
        self._instance = instance
        self._timing = timing
        self._ttl_ms = ttl_ms
        self._alive_ms = timing.milliseconds(timing.alive_seconds)
        self._now = asyncio.get_running_loop().time
        self._renewed_at = self._extended_at = float("-inf")
        self._closed = 0
        """Connections that the server had closed at the last renewal."""
        self._early = asyncio.Event()
        self._left: set[str] = set()
        """Runs without any follower at the last renewal."""
        self._turn = 0
        """Whose turn is next: where one renewal broke off the next begins, so all have theirs."""

    @property
    def late(self) -> bool:
        """Our own last renewal is longer ago than it should be: what keeps us from renewing may
        keep others, too."""
        return self._now() - self._renewed_at > self._timing.lease_seconds / 2

    async def work(self) -> None:
        """Renew, until cancelled."""
        looked_at = self._now()
        while True:
            with suppress(TimeoutError):
                # not all instances at the same moment
                async with asyncio.timeout(self._timing.renew_seconds * random.uniform(0.8, 1.0)):
                    await self._early.wait()
            self._early.clear()
            if self._now() - looked_at > 2 * self._timing.renew_seconds:
                self._server.unsteady()  # we were stopped ourselves: our view is old
            looked_at = self._now()
            if self._server.up:
                with suppress(Unreachable):
                    await self._renew()
            if self._closed != self._server.closed_connections:
                self._closed = self._server.closed_connections
                self._replicas.doubt_ends()
                self._early.set()

    def renew_now(self) -> None:
        """The server is there again: do not wait for the next turn."""
        self._early.set()

    async def leave(self) -> None:
        """Give up this instance's share of the limits."""
        self._alive_ms = 0
        await self._lane.run(self.sign_of_life())

    def sign_of_life(self) -> Call:
        """Says that this instance is there; the reply is for `signed`."""
        return Call(scripts.ALIVE, (INSTANCES_KEY,), (self._instance, self._alive_ms))

    def signed(self, reply: Sequence[int]) -> None:
        """The reply to the sign of life."""
        _, instances, server_ms = reply
        self.instances = max(1, instances)
        self.server_clock = server_ms / 1000 - self._now()

    async def _renew(self) -> None:
        began = self._now()
        extend = began - self._extended_at >= self._timing.extend_seconds
        if extend:
            self._extended_at = began
        # followers here of other instances' runs that end with the last follower
        joins = [
            call for member, call in self._followers.renewals() if member not in self._replicas
        ]
        alive, *_ = await self._lane.run_all([self.sign_of_life(), *joins])
        self.signed(alive)
        groups = list(self._groups())
        some = [groups[at : at + CALLS_AT_ONCE] for at in range(0, len(groups), CALLS_AT_ONCE)]
        doubtful: set[int] = set()
        left: set[str] = set()
        for _ in some:
            self._turn = (self._turn + 1) % len(some)
            await self._renew_some(some[self._turn], doubtful, left, extend=extend)
        self._renewed_at = began
        self._nobody_follows(left)
        if not alive[0]:  # gone although it was not long ago: the server may have been flushed
            self._epochs.took(await self._lane.run_all(self._epochs.calls()))
        else:
            for partition in doubtful:
                await self._epochs.ask(self._lane, partition)

    async def _renew_some(
        self, groups: Sequence[Sequence[Replica]], doubtful: set[int], left: set[str], *,
        extend: bool,
    ) -> None:  # fmt: skip
        """Adds the partitions that may have lost something, and the runs that nobody follows."""
        acked = [[replica.acked for replica in group] for group in groups]
        renewals = [self._renewal(group, extend=extend) for group in groups]
        replies = await self._lane.run_all(renewals)
        for group, known, words in zip(groups, acked, replies, strict=True):
            for replica, last, word in zip(group, known, words, strict=True):
                self._replicas.renewed(replica)
                if word == "left":
                    left.add(replica.keys.member)
                elif word in ("missing", "behind") and replica.acked == last:
                    doubtful.add(replica.keys.partition)
                    self._replicas.happened(replica, replica.server_lost)
                else:
                    self._renewed(replica, word)

    def _renewed(self, replica: Replica, word: str) -> None:
        match word:
            case "superseded":
                self._replicas.happened(replica, replica.superseded)
            case "cancel":
                self._replicas.cancel(replica.keys.member)

    def _nobody_follows(self, left: set[str]) -> None:
        """Runs that end with their last follower, when the instance of that follower has died.

        Followers elsewhere have had the time to say that they are still there: the server has been
        there for long enough, and they were missing at the last renewal already.
        """
        if self._server.steady_seconds >= self._timing.grace_seconds:
            for member in left & self._left:
                self._replicas.cancel(member)
        self._left = left

    def _groups(self) -> Iterator[list[Replica]]:
        by_partition: dict[int, list[Replica]] = defaultdict(list)
        for replica in self._replicas.unsettled():
            by_partition[replica.keys.partition].append(replica)
        for replicas in by_partition.values():
            for at in range(0, len(replicas), RUNS_A_CALL):
                yield replicas[at : at + RUNS_A_CALL]

    def _renewal(self, group: Sequence[Replica], *, extend: bool) -> Call:
        keys = [leases_key(group[0].keys.partition)]
        lease = self._timing.milliseconds(self._timing.lease_seconds)
        args: list[str | int] = [self._instance, lease, self._ttl_ms, int(extend)]
        for replica in group:
            names = replica.keys
            keys += [names.run, names.log, names.open, names.followers]
            keys += [names.session_runs, names.key]
            followed = names.member in self._followers
            session = "" if replica.end else names.session
            args += [names.member, replica.acked, int(followed), session]
        return Call(scripts.RENEW, keys, args)
