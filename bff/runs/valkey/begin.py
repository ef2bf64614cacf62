"""Asks the server for a new run: is the key known, the session free, a slot left - in one step.

A request that is refused because the server did not answer must not leave a run behind. So the
server begins none after the caller has given up, and what it may have begun before that is
withdrawn before this instance lets any call through again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress

from bff.errors import Invalid, Overloaded, SessionBusy, TooManyStreams
from bff.events import Record
from bff.runs.log import Run
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call, Unreachable
from bff.runs.valkey.data_loss import Epochs
from bff.runs.valkey.keys import OwnKeys, RunKeys
from bff.runs.valkey.leases import Leases
from bff.runs.valkey.stored_form import interruption, write_event, write_meta, write_said
from bff.runs.valkey.takeover import Takeover
from bff.runs.valkey.timing import Timing

RETRY_SECONDS = 1.0
"""What a client is told to wait while the server is away or new."""
LATE_SECONDS = 0.1
"""What the clock of a call's deadline may be wrong by."""


class Opener:
    """Begins runs on the server, and withdraws those that nobody was told of."""

    def __init__(
        self, *, lane: Lane, leases: Leases, takeover: Takeover, epochs: Epochs, instance: str,
        timing: Timing, ttl_ms: int,
    ) -> None:  # fmt: skip
        self._lane = lane
        self._leases = leases
        self._takeover = takeover
        self._epochs = epochs
        self._instance = instance
        self._timing = timing
        self._ttl_ms = ttl_ms
        self._withdrawn: dict[str, OwnKeys] = {}

    async def ask(
        self, run: Run, keys: OwnKeys, first: Record, *, max_open: int, ours: RunKeys | None
    ) -> RunKeys | None:
        """Begin the run, or find the earlier one of its idempotency key.

        `ours` is the run of this instance that has not ended here in the same session. Raises what
        `RunLog.open` raises, and `Unreachable`: then it may or may not have begun.
        """
        timed = True
        for _ in range(4):
            match await self._lane.run(self._call(run, keys, first, max_open, ours, timed=timed)):
                case ["ok"]:
                    return None
                case ["epoch", str(value), int(age)]:
                    self._epochs.seen(keys.partition, value, age)
                    if keys.fingerprint:
                        raise Overloaded(retry_after_seconds=RETRY_SECONDS)
                case ["known", str(member)]:
                    return RunKeys(keys.partition, member)
                case ["mismatch"]:
                    raise Invalid.of("Idempotency-Key", "was used before with another body")
                case ["fresh"]:
                    raise Overloaded(retry_after_seconds=RETRY_SECONDS)
                case ["full"]:
                    raise TooManyStreams(retry_after_seconds=RETRY_SECONDS)
                case ["busy", str(run_id)]:
                    busy = SessionBusy(retry_after_seconds=RETRY_SECONDS)
                    busy.run_id = run_id
                    raise busy
                case ["lapsed", *members]:
                    dead = [RunKeys(keys.partition, member) for member in members]
                    await self._takeover.end_dead(dead)
                case ["late"]:
                    timed = False  # and yet we are still waiting: the server's clock has changed
                case _:
                    break
        raise SessionBusy(retry_after_seconds=RETRY_SECONDS)

    def _call(
        self, run: Run, keys: OwnKeys, first: Record, max_open: int, ours: RunKeys | None, *,
        timed: bool,
    ) -> Call:  # fmt: skip
        deadline = 0
        if timed and (server_clock := self._leases.server_clock) is not None:
            wait = self._timing.call_seconds + LATE_SECONDS
            deadline = int((server_clock + asyncio.get_running_loop().time() + wait) * 1000)
        return Call(
            scripts.OPEN,
            (
                keys.epoch,
                keys.leases,
                keys.open,
                keys.run,
                keys.log,
                keys.followers,
                keys.key,
                ours.run if ours else keys.run,
                keys.session_runs,
            ),
            (
                self._epochs.known(keys.partition),
                secrets.token_hex(8),
                keys.member,
                self._instance,
                self._timing.milliseconds(self._timing.lease_seconds),
                self._ttl_ms,
                keys.session,
                write_meta(run),
                write_said(run),
                write_event(interruption(run, 0)),
                write_event(first),
                max_open,
                keys.fingerprint,
                int(run.request.on_disconnect == "cancel"),
                int(self._epochs.fresh(keys.partition)),
                deadline,
                int(ours is not None),
            ),
        )

    async def withdraw(self, keys: OwnKeys) -> None:
        """The run was refused after all; if the server has begun it, it is to forget it."""
        self._withdrawn[keys.member] = keys
        with suppress(Unreachable):
            await self._lane.run(self._withdrawal(keys))
            self._withdrawn.pop(keys.member, None)

    def withdrawals(self) -> tuple[Sequence[str], Sequence[Call]]:
        """The runs that are still to be withdrawn, and the calls that do."""
        keys = list(self._withdrawn.values())
        return [each.member for each in keys], [self._withdrawal(each) for each in keys]

    def withdrew(self, members: Sequence[str]) -> None:
        """The calls were made."""
        for member in members:
            self._withdrawn.pop(member, None)

    def _withdrawal(self, keys: OwnKeys) -> Call:
        return Call(
            scripts.WITHDRAW,
            (keys.leases, keys.open, keys.run, keys.log, keys.followers, keys.key),
            (keys.member, self._instance, keys.session),
        )
