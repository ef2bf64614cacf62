"""Ends the runs whose owner is dead, once and with a terminal event, and never a living owner's.

A lease that has lapsed says that the owner was not heard of; it does not say that the owner is to
blame. So who ends a run must have been in touch with the server for `grace_seconds`, must be in
time with its own renewals, and the server must have had its keys for `grace_seconds`: an owner
that is alive has come forward by then.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from bff.runs.log import Owner, Run
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call, Server, Unreachable
from bff.runs.valkey.keys import PARTITIONS, RunKeys, leases_key
from bff.runs.valkey.leases import Leases
from bff.runs.valkey.stored_form import read_run
from bff.runs.valkey.timing import Timing

logger = logging.getLogger(__name__)

DEAD_A_CALL = 100
"""Lapsed leases of one partition that are asked for at once."""
DEAD_AT_ONCE = 50
"""Runs that are ended at once."""


class Takeover:
    """Every instance has one; the server sees to it that only one ends a run."""

    def __init__(
        self,
        *,
        server: Server,
        lane: Lane,
        leases: Leases,
        timing: Timing,
        retention_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.owner: Owner | None = None
        self._server = server
        self._lane = lane
        self._leases = leases
        self._timing = timing
        self._retention_ms = int(retention_seconds * 1000)
        self._clock = clock
        self._suspects: dict[str, RunKeys] = {}
        self._suspected = asyncio.Event()
        self._unanswered: dict[str, tuple[RunKeys, float]] = {}
        """Runs that we may have ended at that time, without hearing of it."""

    @property
    def sure(self) -> bool:
        """A lapsed lease is the owner's fault, as far as can be seen from here."""
        return self._server.steady_seconds >= self._timing.grace_seconds and not self._leases.late

    def suspect(self, keys: RunKeys) -> None:
        """The run's lease has lapsed: the loop looks into it."""
        self._suspects[keys.member] = keys
        self._suspected.set()

    async def work(self) -> None:
        """Find dead runs, those too that nobody asks for, and end them, until cancelled."""
        now = asyncio.get_running_loop().time
        sweep_at = now()
        while True:
            with suppress(TimeoutError):
                # not all instances at the same moment
                async with asyncio.timeout(self._timing.tick_seconds * random.uniform(0.8, 1.0)):
                    await self._suspected.wait()
            self._suspected.clear()
            if not self.sure:
                continue
            with suppress(Unreachable):
                if now() >= sweep_at:
                    sweep_at = now() + self._timing.sweep_seconds * random.uniform(0.8, 1.0)
                    if await self._sweep():
                        sweep_at = now()  # there are more
                await self._end_suspects()
                if self._unanswered:
                    await self._ask_again()

    async def _end_suspects(self) -> None:
        """Some at a time: a server has others to answer meanwhile, and so have we."""
        suspects, self._suspects = list(self._suspects.values()), {}
        for at in range(0, len(suspects), DEAD_AT_ONCE):
            await self.end_dead(suspects[at : at + DEAD_AT_ONCE])

    async def _sweep(self) -> bool:
        """Suspect what has lapsed; true if there was more than was asked for."""
        calls = [
            Call(scripts.LAPSED, (leases_key(partition),), (DEAD_A_CALL,))
            for partition in range(PARTITIONS)
        ]
        more = False
        for partition, members in enumerate(await self._lane.run_all(calls)):
            more = more or len(members) == DEAD_A_CALL
            for member in members:
                self.suspect(RunKeys(partition, member))
        return more

    async def end_dead(self, suspects: Sequence[RunKeys]) -> dict[str, Run | None]:
        """End those of the runs whose owner is dead. Raises `Unreachable`.

        Returns by member the runs that are over: as ended here, or None if by somebody else.
        """
        if not suspects or not self.sure:
            return {}
        ended = self._clock()
        try:
            replies = await self._lane.run_all([self._call(keys, ended) for keys in suspects])
        except BaseException:
            for keys in suspects:  # what was ended is told nobody else
                self._unanswered.setdefault(keys.member, (keys, ended))
            raise
        over: dict[str, Run | None] = {}
        for keys, reply in zip(suspects, replies, strict=True):
            match reply:
                case ["interrupted", int(last), str(meta), str(said)]:
                    over[keys.member] = self._interrupted(meta, said, last, ended)
                case ["ended" | "missing"]:
                    over[keys.member] = None
                case _:
                    pass  # its owner is alive, or may be
        return over

    def _interrupted(self, meta: str, said: str, last: int, ended: float) -> Run:
        """A run that we ended; our owner hears of it once: its history is still to be written."""
        run = read_run(meta, said=said, status="interrupted", last_event_id=last, ended_at=ended)
        logger.warning("run %s: its owner is dead; ended as interrupted", run.run_id)
        if self.owner:
            self.owner.interrupted(run)
        return run

    async def _ask_again(self) -> None:
        """Which of the runs did we end? Those that ended at the very time that we said."""
        asked = dict(self._unanswered)
        calls = [
            Call(scripts.FIND, (keys.leases, keys.run), (keys.member,))
            for keys, _ in asked.values()
        ]
        replies = await self._lane.run_all(calls)
        for (member, (_, ended)), reply in zip(asked.items(), replies, strict=True):
            self._unanswered.pop(member, None)
            match reply:
                case ["interrupted", int(last), at, str(meta), _, str(said)] if at == repr(ended):
                    self._interrupted(meta, said, last, ended)

    def _call(self, keys: RunKeys, ended: float) -> Call:
        return Call(
            scripts.INTERRUPT,
            (keys.epoch, keys.leases, keys.open, keys.run, keys.log, keys.followers),
            (
                secrets.token_hex(8),
                keys.member,
                self._timing.milliseconds(self._timing.grace_seconds),
                self._timing.milliseconds(self._timing.lease_seconds),
                repr(ended),
                self._retention_ms,
            ),
        )
