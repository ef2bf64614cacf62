"""Asks the server for a new run: is the key known, the session free, a slot left - in one step.

A request that is refused because the server did not answer must not leave a run behind. So the
server begins none after the caller has given up, and what it may have begun before that is
withdrawn before this task lets any call through again.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress

from bff.errors import FieldError, Invalid, Overloaded, SessionBusy, TooManyStreams
from bff.events import Record
from bff.runs.request import said_fields
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.connection import Call, Unreachable
from bff.runs.valkey.data_loss import Epochs
from bff.runs.valkey.keys import RunKeys
from bff.runs.valkey.replica import Owned, entry
from bff.runs.valkey.takeover import Judge
from bff.runs.valkey.timing import Timing

RETRY_SECONDS = 1.0
"""What a client is told to wait while the server is away or new."""
LATE_SECONDS = 0.1
"""What the clock of a call's deadline may be wrong by."""


class Opener:
    """Begins runs on the server, and withdraws those that nobody was told of."""

    def __init__(
        self, *, lane: Lane, judge: Judge, epochs: Epochs, task: str, timing: Timing, ttl_ms: int
    ) -> None:
        self.server_clock: float | None = None
        """The server's seconds since 1970 at our monotonic zero, as of the last tick."""
        self._lane = lane
        self._judge = judge
        self._epochs = epochs
        self._task = task
        self._timing = timing
        self._ttl_ms = ttl_ms
        self._withdrawn: dict[str, Owned] = {}

    async def begin(self, owned: Owned, first: Record, max_open: int) -> RunKeys | None:
        """Begin the run, or find the earlier one of its idempotency key.

        Raises what `RunLog.open` raises, and `Unreachable`: then it may or may not have begun.
        """
        timed = True
        for _ in range(4):
            match await self._lane.run(self._call(owned, first, max_open, timed=timed)):
                case ["ok"]:
                    return None
                case ["epoch", str(value), int(age)]:
                    self._epochs.seen(owned.keys.partition, value, age)
                    if owned.idempotency:
                        raise Overloaded(retry_after_seconds=RETRY_SECONDS)
                case ["known", str(member)]:
                    return RunKeys(owned.keys.partition, member)
                case ["mismatch"]:
                    message = "was used before with another body"
                    error = FieldError(field="Idempotency-Key", message=message)
                    raise Invalid(errors=[error])
                case ["fresh"]:
                    raise Overloaded(retry_after_seconds=RETRY_SECONDS)
                case ["full"]:
                    raise TooManyStreams(retry_after_seconds=RETRY_SECONDS)
                case ["lapsed", *members]:
                    for member in members:
                        await self._judge.judge(RunKeys(owned.keys.partition, member))
                case ["late"]:
                    timed = False  # and yet we are still waiting: the server's clock has changed
                case _:
                    break
        raise SessionBusy(retry_after_seconds=RETRY_SECONDS)

    def _call(self, owned: Owned, first: Record, max_open: int, *, timed: bool) -> Call:
        keys, run = owned.keys, owned.run
        deadline = 0
        if timed and self.server_clock is not None:
            wait = self._timing.call_seconds + LATE_SECONDS
            deadline = int((self.server_clock + time.monotonic() + wait) * 1000)
        return Call(
            scripts.OPEN,
            (
                keys.epoch,
                keys.leases,
                keys.open,
                keys.run,
                keys.log,
                keys.followers,
                owned.idempotency_key,
            ),
            (
                self._epochs.known(keys.partition),
                secrets.token_hex(8),
                keys.member,
                self._task,
                self._timing.milliseconds(self._timing.lease_seconds),
                self._ttl_ms,
                owned.session,
                owned.meta(),
                said_fields(run.request),
                repr(run.created_at),
                entry(first),
                max_open,
                owned.fingerprint,
                int(run.request.on_disconnect == "cancel"),
                int(self._epochs.fresh(keys.partition)),
                deadline,
            ),
        )

    def withdraw(self, owned: Owned) -> None:
        """The run was refused after all; if the server has begun it, it is to forget it."""
        self._withdrawn[owned.keys.member] = owned

    def withdrawals(self) -> list[Call]:
        """The calls that see to it; `withdrew` says that they were made."""
        return [self._withdrawal(owned) for owned in self._withdrawn.values()]

    async def withdraw_now(self, owned: Owned) -> None:
        """As `withdraw`, and wait for it: the session is free again."""
        self.withdraw(owned)
        with suppress(Unreachable):
            await self._lane.run(self._withdrawal(owned))
            self._withdrawn.pop(owned.keys.member, None)

    def _withdrawal(self, owned: Owned) -> Call:
        keys = owned.keys
        return Call(
            scripts.WITHDRAW,
            (keys.leases, keys.open, keys.run, keys.log, keys.followers, owned.idempotency_key),
            (keys.member, self._task, owned.session),
        )

    def withdrew(self, count: int) -> None:
        for member in list(self._withdrawn)[:count]:
            del self._withdrawn[member]
