"""What a task does all the time: renew its leases, ask after silent runs, end dead ones, listen.

Everything here is also the safety net of something faster: a cancel, an event or a loss is told at
once by message, and found here if the message was lost.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from redis.exceptions import RedisError

from bff.shared import scripts
from bff.shared.epochs import Epochs
from bff.shared.keys import PARTITIONS, TASKS_KEY, RunKeys, channel, leases_key, run_keys
from bff.shared.owned import Owned
from bff.shared.runlog import SharedRunLog
from bff.shared.server import Call, Lane, Server, Unreachable
from bff.shared.timing import Timing

logger = logging.getLogger(__name__)

RUNS_A_CALL = 50
DEAD_A_SWEEP = 20
TOUCH_SECONDS = 20.0
"""Between two extensions of what an open run's keys may outlive it by."""


class Upkeep:
    """The loops of one task. `tasks` is how many there are, as far as is known."""

    def __init__(
        self, *, server: Server, lane: Lane, log: SharedRunLog, epochs: Epochs, task: str,
        timing: Timing, retention_seconds: float,
    ) -> None:  # fmt: skip
        self.tasks = 1
        self._server = server
        self._lane = lane
        self._log = log
        self._epochs = epochs
        self._task = task
        self._timing = timing
        self._retention_seconds = retention_seconds
        self._now = asyncio.get_running_loop().time
        self._ticked = self._now()
        self._renew_at = self._sweep_at = self._touch_at = 0.0
        self._early = asyncio.Event()
        server.on_up.append(self._up)

    def probe(self) -> list[Call]:
        """What a server has to answer to count as there."""
        return [self._alive(), *self._epochs.calls()]

    def lost(self, partition: int) -> None:
        """The server lost a partition's keys: whatever we have of it is restored."""
        for owned in self._log.owned.values():
            if owned.keys.partition == partition:
                owned.known = False
                self._log.writer.see_to(owned)

    def _up(self, replies: Sequence[Any]) -> None:
        alive, *epochs = replies
        self.tasks = max(1, alive[1])
        self._epochs.took(epochs)
        for owned in self._log.owned.values():
            if owned.behind:
                self._log.writer.see_to(owned)
        self._log.tails.wake()
        self._renew_at = 0.0
        self._early.set()

    async def tick(self) -> None:
        """Look after everything once in a while, until cancelled."""
        while True:
            with suppress(TimeoutError):
                # not all tasks at the same moment
                async with asyncio.timeout(self._timing.tick_seconds * random.uniform(0.8, 1.0)):
                    await self._early.wait()
            self._early.clear()
            now = self._now()
            if now - self._ticked > 3 * self._timing.tick_seconds:
                self._server.unsteady()  # we were stopped ourselves: our view is old
            self._ticked = now
            self._forget_ended()
            if not self._server.up:
                continue
            try:
                await self._look(now)
            except Unreachable:
                pass
            except Exception:
                logger.exception("the upkeep of shared runs failed")

    async def _look(self, now: float) -> None:
        work: list[tuple[Call, Callable[[Any], Awaitable[None] | None]]] = []
        renewing = now >= self._renew_at
        if renewing:
            self._renew_at = now + self._timing.renew_seconds - self._timing.tick_seconds / 2
            work.append((self._alive(), self._took_alive))
            work.extend(self._renewals(now))
            work.extend(self._joins())
            work.extend(self._forgets())
        for tail, call in self._log.tails.due():
            work.append((call, partial(self._log.tails.checked, tail)))
        if now >= self._sweep_at:
            self._sweep_at = now + self._timing.sweep_seconds * random.uniform(0.8, 1.0)
            for partition in range(PARTITIONS):
                call = Call(scripts.LAPSED, (leases_key(partition),), (DEAD_A_SWEEP,))
                work.append((call, partial(self._suspects, partition)))
        replies = [self._lane.send(call) for call, _ in work]
        for (_, took), reply in zip(work, await asyncio.gather(*replies), strict=True):
            if (more := took(reply)) is not None:
                await more
        suspects, self._log.suspects = self._log.suspects, {}
        for keys in suspects.values():
            await self._log.judge(keys)

    def _alive(self) -> Call:
        alive = self._timing.milliseconds(self._timing.alive_seconds)
        return Call(scripts.ALIVE, (TASKS_KEY,), (self._task, alive))

    async def _took_alive(self, reply: Sequence[int]) -> None:
        before, self.tasks = reply
        if not before:  # gone although it was not long ago: the server may have been flushed
            replies = [self._lane.send(call) for call in self._epochs.calls()]
            self._epochs.took(await asyncio.gather(*replies))

    def _suspects(self, partition: int, members: Sequence[str]) -> None:
        for member in members:
            self._log.suspects[member] = RunKeys(partition, member)

    # Leases

    def _renewals(self, now: float) -> list[tuple[Call, Callable[[Any], Awaitable[None]]]]:
        touch = now >= self._touch_at
        if touch:
            self._touch_at = now + TOUCH_SECONDS
        by_partition: dict[int, list[Owned]] = defaultdict(list)
        for owned in self._log.owned.values():
            if not owned.ended:
                by_partition[owned.keys.partition].append(owned)
        work: list[tuple[Call, Callable[[Any], Awaitable[None]]]] = []
        for partition, all_owned in by_partition.items():
            for i in range(0, len(all_owned), RUNS_A_CALL):
                some = all_owned[i : i + RUNS_A_CALL]
                call = self._renewal(partition, some, touch=touch)
                work.append((call, partial(self._renewed, some)))
        return work

    def _renewal(self, partition: int, some: Sequence[Owned], *, touch: bool) -> Call:
        keys = [leases_key(partition)]
        lease = self._timing.milliseconds(self._timing.lease_seconds)
        args: list[str | int] = [self._task, lease, self._log.writer.ttl_ms if touch else 0]
        for owned in some:
            names = owned.keys
            keys += [names.run, names.log, names.open, names.followers, owned.idempotency_key]
            args += [names.member, owned.acked, int(names.member in self._log.followers)]
        return Call(scripts.RENEW, tuple(keys), tuple(args))

    async def _renewed(self, some: Sequence[Owned], reply: Sequence[str]) -> None:
        suspicious = set()
        for owned, word in zip(some, reply, strict=True):
            if owned.ended or owned.lost:
                continue
            match word:
                case "missing":
                    owned.known = False
                    suspicious.add(owned.keys.partition)
                    self._log.writer.see_to(owned)
                case "behind":
                    owned.known = False
                    self._log.writer.see_to(owned)
                case "superseded":
                    await self._log.writer.lose(owned)
                case "cancel" | "left":
                    self._log.cancel(owned.keys.member)
        for partition in suspicious:
            await self._epochs.ask(self._lane, partition)

    def _joins(self) -> list[tuple[Call, Callable[[Any], None]]]:
        """Followers here of other tasks' runs that end with the last follower."""
        return [
            (self._log.joining(run_keys(run.owner, run.run_id)), lambda _: None)
            for member, (run, _) in self._log.followers.items()
            if member not in self._log.owned
        ]

    def _forgets(self) -> list[tuple[Call, Callable[[Any], None]]]:
        """Runs that were refused without knowing whether the server had begun them."""
        refused, self._log.forgotten = self._log.forgotten, []
        return [
            (
                Call(
                    scripts.FORGET,
                    (
                        owned.keys.leases,
                        owned.keys.open,
                        owned.keys.run,
                        owned.keys.log,
                        owned.keys.followers,
                        owned.idempotency_key,
                    ),
                    (owned.keys.member, self._task, owned.session),
                ),
                lambda _: None,
            )
            for owned in refused
        ]

    def _forget_ended(self) -> None:
        """Let go of runs whose retention is over."""
        over = time.time() - self._retention_seconds
        for member, owned in list(self._log.owned.items()):
            if owned.ended and owned.run.ended_at is not None and owned.run.ended_at <= over:
                del self._log.owned[member]

    # Messages

    async def listen(self) -> None:
        """Hear what other tasks tell this one, on one connection, until cancelled."""
        while True:
            try:
                await self._hear()
            except (RedisError, OSError, TimeoutError) as error:
                logger.debug("messages are not heard: %s", type(error).__name__)
            except Exception:
                logger.exception("a message could not be read")
            self._log.tails.wake()
            await asyncio.sleep(self._timing.tick_seconds / 2)

    async def _hear(self) -> None:
        async with self._server.client.pubsub() as messages:
            await messages.subscribe(channel(self._task))
            while True:
                message = await messages.get_message(timeout=self._timing.alive_seconds)
                if message is None:  # not even our own sign of life
                    return
                if message["type"] == "message":
                    await self._told(message["data"])

    async def _told(self, text: str) -> None:
        match text.partition(" "):
            case ("events", _, _):
                self._log.tails.heard(text)
            case ("cancel", _, member):
                self._log.cancel(member)
            case ("lost", _, member):
                if owned := self._log.owned.get(member):
                    await self._log.writer.lose(owned)
            case _:
                pass
