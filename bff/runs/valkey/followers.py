"""Counts the followers of runs that end with their last one, over all tasks.

A task counts its own; the server knows only which tasks have any, each for as long as a lease, so
that the followers of a task that died do not keep a run going.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bff.runs.log import Run
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call, Unreachable
from bff.runs.valkey.keys import RunKeys, run_keys
from bff.runs.valkey.replica import Owned
from bff.runs.valkey.timing import Timing


class Followers:
    """The followers in this process."""

    def __init__(self, *, lane: Lane, task: str, timing: Timing, ttl_ms: int) -> None:
        self._lane = lane
        self._task = task
        self._timing = timing
        self._ttl_ms = ttl_ms
        self._counts: dict[str, tuple[RunKeys, int]] = {}

    def __contains__(self, member: str) -> bool:
        return member in self._counts

    async def join(self, run: Run, owned: Owned | None) -> None:
        """One more; `owned` is the run's owner's side, if that is here."""
        keys = run_keys(run.owner, run.run_id)
        _, count = self._counts.get(keys.member, (keys, 0))
        self._counts[keys.member] = (keys, count + 1)
        if count == 0 and not (owned and owned.copied == 1):  # to begin a run is to follow it
            await self._tell(self._joining(keys))

    async def leave(self, run: Run, owned: Owned | None) -> bool:
        """One less; true if that was the last one of an open run."""
        keys = run_keys(run.owner, run.run_id)
        _, count = self._counts.get(keys.member, (keys, 1))
        if count > 1:
            self._counts[keys.member] = (keys, count - 1)
            return False
        self._counts.pop(keys.member, None)
        if owned and owned.ended:
            return False
        reply = await self._tell(Call(scripts.LEAVE, (keys.run, keys.followers), (self._task,)))
        return owned is not None if reply is None else bool(reply[0])

    def renewals(self) -> Iterator[tuple[str, Call]]:
        """For each run with followers here, the call that says they are still there."""
        for member, (keys, _) in self._counts.items():
            yield member, self._joining(keys)

    def _joining(self, keys: RunKeys) -> Call:
        lease = self._timing.milliseconds(self._timing.lease_seconds)
        return Call(scripts.JOIN, (keys.run, keys.followers), (self._task, lease, self._ttl_ms))

    async def _tell(self, call: Call) -> Any:
        """Nothing, if the server is away: its own task then decides for itself."""
        try:
            return await self._lane.run(call)
        except Unreachable:
            return None
