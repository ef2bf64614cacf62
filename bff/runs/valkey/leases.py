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

from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call, Server, Unreachable
from bff.runs.valkey.data_loss import Epochs
from bff.runs.valkey.keys import PARTITIONS, TASKS_KEY, RunKeys, leases_key
from bff.runs.valkey.log import ValkeyRunLog
from bff.runs.valkey.replica import Owned
from bff.runs.valkey.timing import Timing
from bff.runs.valkey.uploads import ttl_ms

logger = logging.getLogger(__name__)

RUNS_A_CALL = 50
DEAD_A_SWEEP = 20
LEAVE_SECONDS = 1.0
"""For the last of what this task has to say, when it stops."""
TOUCH_SECONDS = 20.0
"""Between two extensions of what an open run's keys may outlive it by."""


class Upkeep:
    """The loops of one task. `tasks` is how many there are, as far as is known."""

    def __init__(
        self, *, server: Server, lane: Lane, log: ValkeyRunLog, epochs: Epochs, task: str,
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
        self._alive_seconds = timing.alive_seconds
        self._now = asyncio.get_running_loop().time
        self._ticked = self._now()
        self._renew_at = self._sweep_at = self._touch_at = 0.0
        self._early = asyncio.Event()
        self._withdrawing: list[Call] = []
        server.on_up.append(self._up)

    def probe(self) -> list[Call]:
        """What a server has to answer to count as there; the last of it must be quick, too.

        That last one is never our sign of life, which is how a flush is noticed: no reply to it
        may go unread.
        """
        self._withdrawing = self._log.opener.withdrawals()
        return [self._alive(), *self._withdrawing, *self._epochs.calls()]

    def lost(self, partition: int) -> None:
        """The server lost a partition's keys: whatever we have of it is restored."""
        for owned in self._log.owned.values():
            if owned.keys.partition == partition:
                owned.known = False
                self._log.writer.see_to(owned)

    def _up(self, replies: Sequence[Any]) -> None:
        self._seen_alive(replies[0])
        self._epochs.took(replies[-PARTITIONS:])
        self._log.opener.withdrew(len(self._withdrawing))
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
            withdrawals = self._log.opener.withdrawals()
            work.extend((call, partial(self._withdrew, 1)) for call in withdrawals)
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

    async def judge(self) -> None:
        """End the runs of dead tasks, until cancelled.

        In a loop and on a connection of its own: however many they are and however slow the server
        is, no lease of ours waits for it.
        """
        while True:
            await asyncio.sleep(self._timing.tick_seconds)
            with suppress(Unreachable):
                await self._log.judge.judge_suspects()

    async def leave(self) -> None:
        """Give up this task's share of the limits, once the server has all that we have."""
        now = self._now
        deadline = now() + LEAVE_SECONDS
        while self._server.up and now() < deadline:
            if not any(owned.behind for owned in self._log.owned.values()):
                with suppress(Unreachable):
                    self._alive_seconds = 0.0
                    await self._lane.run(self._alive())
                return
            await asyncio.sleep(0.02)

    def _alive(self) -> Call:
        alive = self._timing.milliseconds(self._alive_seconds)
        return Call(scripts.ALIVE, (TASKS_KEY,), (self._task, alive))

    async def _took_alive(self, reply: Sequence[int]) -> None:
        self._seen_alive(reply)
        if not reply[0]:  # gone although it was not long ago: the server may have been flushed
            replies = [self._lane.send(call) for call in self._epochs.calls()]
            self._epochs.took(await asyncio.gather(*replies))

    def _seen_alive(self, reply: Sequence[int]) -> None:
        _, tasks, server_ms = reply
        self.tasks = max(1, tasks)
        self._log.opener.server_clock = server_ms / 1000 - time.monotonic()

    def _suspects(self, partition: int, members: Sequence[str]) -> None:
        for member in members:
            self._log.judge.suspect(RunKeys(partition, member))

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
        ttl = ttl_ms(self._retention_seconds) if touch else 0
        args: list[str | int] = [self._task, lease, ttl]
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
                case "cancel":
                    await self._log.cancelled(owned.keys.member)
                case "left" if self._server.steady_seconds >= self._timing.grace_seconds:
                    # followers elsewhere have had the time to say that they are still there
                    await self._log.cancelled(owned.keys.member)
        for partition in suspicious:
            await self._epochs.ask(self._lane, partition)

    def _joins(self) -> list[tuple[Call, Callable[[Any], None]]]:
        """Followers here of other tasks' runs that end with the last follower."""
        renewals = self._log.followers.renewals()
        return [(call, _nothing) for member, call in renewals if member not in self._log.owned]

    async def _withdrew(self, count: int, _: Any) -> None:
        self._log.opener.withdrew(count)

    def _forget_ended(self) -> None:
        """Let go of runs whose retention is over."""
        over = time.time() - self._retention_seconds
        for member, owned in list(self._log.owned.items()):
            if owned.ended and owned.run.ended_at is not None and owned.run.ended_at <= over:
                del self._log.owned[member]


def _nothing(reply: Any) -> None:
    """What a reply is worth that says nothing new."""
