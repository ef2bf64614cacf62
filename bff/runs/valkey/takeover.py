"""Ends the runs whose owner is gone, once and in words, and never the run of a living owner.

A lease that has lapsed says that nobody has heard of the owner; it does not say that the owner is
to blame. So a judge must have been in touch with the server for `grace_seconds`, and the server
must have had its keys for as long: an owner that is alive has come forward by then.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from bff.runs.log import Owner, Run, Status
from bff.runs.request import request_of
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call, Server
from bff.runs.valkey.keys import RunKeys
from bff.runs.valkey.replica import entry, interruption
from bff.runs.valkey.timing import Timing

logger = logging.getLogger(__name__)


class Judge:
    """One task's judge; every task has one, and the server sees to it that only one is heard."""

    def __init__(
        self, *, server: Server, lane: Lane, timing: Timing, retention_seconds: float
    ) -> None:
        self.owner: Owner | None = None
        self._server = server
        self._lane = lane
        self._timing = timing
        self._retention_seconds = retention_seconds
        self._suspects: dict[str, RunKeys] = {}

    def suspect(self, keys: RunKeys) -> None:
        """The run's lease has lapsed: look into it at the next tick."""
        self._suspects[keys.member] = keys

    async def judge_suspects(self) -> None:
        suspects, self._suspects = self._suspects, {}
        for keys in suspects.values():
            await self.judge(keys)

    async def judge(self, keys: RunKeys) -> bool:
        """End a run whose owner is gone; true if it is over now, by whomever.

        Raises `Unreachable`.
        """
        if self._server.steady_seconds < self._timing.grace_seconds:
            return False
        reply = await self._lane.run(finding(keys))
        run = read_run(reply) if len(reply) > 1 else None
        ended = time.time()
        outcome = await self._lane.run(
            Call(
                scripts.INTERRUPT,
                (keys.epoch, keys.leases, keys.open, keys.run, keys.log, keys.followers),
                (
                    secrets.token_hex(8),
                    keys.member,
                    self._timing.milliseconds(self._timing.grace_seconds),
                    repr(ended),
                    int(self._retention_seconds * 1000),
                    entry(interruption(run, run.last_event_id + 1)) if run else "",
                ),
            )
        )
        match outcome:
            case ["interrupted", str(), int(last)] if run:
                logger.warning("run %s: its task is gone; ended as interrupted", run.run_id)
                over = replace(run, status="interrupted", last_event_id=last, ended_at=ended)
                if self.owner:
                    self.owner.interrupted(over)
                return True
            case ["ended" | "missing"]:
                return True
            case _:
                return False


def finding(keys: RunKeys) -> Call:
    return Call(scripts.FIND, (keys.leases, keys.run), (keys.member,))


def read_run(reply: Sequence[Any]) -> Run:
    """The run that `FIND` found."""
    status, last, ended, meta, created, _, said = reply
    run_id, request = request_of(meta, said)
    return Run(
        run_id=run_id,
        request=request,
        created_at=float(created),
        status=cast(Status, status),
        last_event_id=last,
        ended_at=float(ended) if ended else None,
    )


def lease_left(reply: Sequence[Any]) -> int:
    """Milliseconds until the lease of the run that `FIND` found lapses."""
    left: int = reply[5]
    return left
