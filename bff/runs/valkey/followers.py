"""Counts the followers of runs that end with their last one, over all instances.

An instance counts its own; the server knows only which instances have any, each for as long as a
lease, so that the followers of an instance that died do not keep a run going.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bff.runs.log import Run
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call, Unreachable
from bff.runs.valkey.keys import RunKeys, run_keys
from bff.runs.valkey.replica import Replica
from bff.runs.valkey.timing import Timing


class Followers:
    """The followers in this process."""

    def __init__(self, *, lane: Lane, instance: str, timing: Timing, ttl_ms: int) -> None:
        self._lane = lane
        self._instance = instance
        self._timing = timing
        self._ttl_ms = ttl_ms
        self._counts: dict[str, tuple[RunKeys, int]] = {}

    def __contains__(self, member: str) -> bool:
        return member in self._counts

    async def join(self, run: Run, replica: Replica | None) -> None:
        """One more; `replica` is there if the run is ours."""
        keys = run_keys(run.owner, run.run_id)
        _, count = self._counts.get(keys.member, (keys, 0))
        self._counts[keys.member] = (keys, count + 1)
        just_begun = replica is not None and replica.delivered == 1
        if count == 0 and not just_begun:  # to begin a run is to follow it
            await self._tell(self._joining(keys))

    async def leave(self, run: Run, replica: Replica | None) -> bool:
        """One less; true if that was the last one of an open run."""
        keys = run_keys(run.owner, run.run_id)
        _, count = self._counts.get(keys.member, (keys, 1))
        if count > 1:
            self._counts[keys.member] = (keys, count - 1)
            return False
        self._counts.pop(keys.member, None)
        if replica and replica.end:
            return False
        reply = await self._tell(Call(scripts.LEAVE, (keys.run, keys.followers), (self._instance,)))
        return replica is not None if reply is None else bool(reply[0])

    def renewals(self) -> Iterator[tuple[str, Call]]:
        """For each run with followers here, the call that says they are still there."""
        for member, (keys, _) in self._counts.items():
            yield member, self._joining(keys)

    def _joining(self, keys: RunKeys) -> Call:
        lease = self._timing.milliseconds(self._timing.lease_seconds)
        return Call(scripts.JOIN, (keys.run, keys.followers), (self._instance, lease, self._ttl_ms))

    async def _tell(self, call: Call) -> Any:
        """Nothing, if the server is away: each instance then decides for itself."""
        try:
            return await self._lane.run(call)
        except Unreachable:
            return None
