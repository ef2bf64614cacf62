"""The run log that several tasks share: who owns a run, who ends it when its owner cannot.

The owner writes (`owned.py`), everybody else reads (`tails.py`); this module decides which of the
two a run is, and judges the runs whose lease has lapsed. A judgement is made only by a task that
has been in good touch with the server for `grace_seconds`, and only over a server that has had its
keys for as long: an owner that is alive has come forward by then.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, cast

from bff.errors import Invalid, Overloaded, SessionBusy, TooManyStreams
from bff.events import Record
from bff.local import LocalRunLog
from bff.runlog import Idempotency, OnDisconnect, Owner, Run, Status, Superseded
from bff.shared import scripts
from bff.shared.epochs import Epochs
from bff.shared.keys import RunKeys, part, run_keys
from bff.shared.owned import Owned, entry, interruption
from bff.shared.server import Call, Lane, Server, Unreachable
from bff.shared.tails import Tails
from bff.shared.timing import Timing
from bff.shared.writer import Writer

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""What a client is told to wait while the server is away or new."""
ANY_NUMBER = 1_000_000_000


class SharedRunLog:
    """What `RunLog` asks, over Redis or Valkey; this process's own log while that is away."""

    def __init__(
        self,
        *,
        server: Server,
        lane: Lane,
        task: str,
        timing: Timing,
        retention_seconds: float,
        epochs: Epochs,
    ) -> None:
        self.local = LocalRunLog(retention_seconds=retention_seconds)
        self.owned: dict[str, Owned] = {}
        """By member. Ended ones stay for the retention: they can be restored too."""
        self.followers: dict[str, tuple[Run, int]] = {}
        """Followers in this process of runs that end with their last one."""
        self.forgotten: list[Owned] = []
        """Runs that may have been begun on the server although their caller was refused."""
        self.writer = Writer(
            server=server,
            local=self.local,
            task=task,
            timing=timing,
            retention_seconds=retention_seconds,
            superseded=self._superseded,
        )
        self.tails = Tails(lane=lane, task=task, timing=timing, lapsed=self._suspect)
        self.suspects: dict[str, RunKeys] = {}
        """Runs whose lease has lapsed, to be judged at the next tick."""
        self._server = server
        self._lane = lane
        self._task = task
        self._timing = timing
        self._retention_seconds = retention_seconds
        self._epochs = epochs
        self._owner: Owner | None = None

    def __repr__(self) -> str:
        running = sum(not owned.ended for owned in self.owned.values())
        return f"<SharedRunLog {running} own runs, {len(self.tails)} followed, {self._server!r}>"

    def bind(self, owner: Owner) -> None:
        self._owner = owner
        self.local.bind(owner)

    # Beginning

    async def open(
        self, run: Run, first: Record, *, idempotency: Idempotency | None, max_open: int
    ) -> Run:
        owned = Owned(replace(run, last_event_id=first.id), idempotency, acked=first.id)
        if self._server.up:
            try:
                earlier = await self._begin(owned, first, max_open)
            except Unreachable:
                self.forgotten.append(owned)
                owned.acked = 0  # or not: the first append will tell
            else:
                if earlier:
                    return earlier
                try:
                    return await self._keep(owned, first, ANY_NUMBER)
                except Overloaded:
                    self.forgotten.append(owned)
                    raise
        else:
            owned.acked = 0
        if idempotency:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS)
        opened = await self._keep(owned, first, max_open)
        if owned in self.forgotten:
            self.forgotten.remove(owned)
        return opened

    async def _begin(self, owned: Owned, first: Record, max_open: int) -> Run | None:
        """Ask the server for a new run; returns the earlier one of the same key, if any."""
        for _ in range(3):
            match await self._lane.run(self._opening(owned, first, max_open)):
                case ["ok"]:
                    return None
                case ["epoch", str(value), int(age)]:
                    self._epochs.seen(owned.keys.partition, value, age)
                    if owned.idempotency:
                        raise Overloaded(retry_after_seconds=RETRY_SECONDS)
                case ["known", str(member)]:
                    return await self._known(RunKeys(owned.keys.partition, member))
                case ["mismatch"]:
                    message = "was used before with another body"
                    raise Invalid(errors=[{"field": "Idempotency-Key", "message": message}])
                case ["fresh"]:
                    raise Overloaded(retry_after_seconds=RETRY_SECONDS)
                case ["busy"]:
                    break
                case ["full"]:
                    raise TooManyStreams(retry_after_seconds=RETRY_SECONDS)
                case ["lapsed", *members]:
                    for member in members:
                        await self.judge(RunKeys(owned.keys.partition, member))
        raise SessionBusy(retry_after_seconds=RETRY_SECONDS)

    def _opening(self, owned: Owned, first: Record, max_open: int) -> Call:
        keys, run = owned.keys, owned.run
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
                self.writer.ttl_ms,
                owned.session,
                owned.meta(),
                run.message,
                repr(run.created_at),
                entry(first),
                max_open,
                owned.fingerprint,
                int(run.on_disconnect == "cancel"),
                int(self._epochs.fresh(keys.partition)),
            ),
        )

    async def _known(self, keys: RunKeys) -> Run:
        """The run of a key that was used before; its answer may not be made up."""
        run = await self._find(keys)
        if run is None:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS)
        return run

    async def _keep(self, owned: Owned, first: Record, max_open: int) -> Run:
        """Begin our own copy of a run."""
        run = owned.run
        stale = await self.local.find_open(run.owner, run.session_id)
        if stale and max_open == ANY_NUMBER:  # the server knows that the session is free
            await self.writer.lose(self.owned[run_keys(stale.owner, stale.run_id).member])
        opened = await self.local.open(run, first, idempotency=owned.idempotency, max_open=max_open)
        self.owned[owned.keys.member] = owned
        return opened

    # Writing

    async def append(self, run: Run, records: Sequence[Record]) -> None:
        await self.writer.put(self._mine(run), records)

    async def close(self, run: Run, last: Record, status: Status) -> None:
        await self.writer.put(self._mine(run), [last], status)

    def _mine(self, run: Run) -> Owned:
        owned = self.owned.get(run_keys(run.owner, run.run_id).member)
        if owned is None:
            raise Superseded
        return owned

    async def _superseded(self, owned: Owned) -> None:
        """Another task has ended a run of ours: say so here, and leave the run to the server."""
        del self.owned[owned.keys.member]
        if owned.ended:
            return
        last = interruption(owned.run, owned.copied + 1)
        await self.local.close(owned.run, last, "interrupted")
        if self._owner:
            self._owner.superseded(owned.run.run_id)

    # Reading

    async def find(self, owner: str, run_id: str) -> Run | None:
        keys = run_keys(owner, run_id)
        if keys.member in self.owned:
            return await self.local.find(owner, run_id)
        try:
            return await self._find(keys)
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None

    async def _find(self, keys: RunKeys) -> Run | None:
        call = Call(scripts.FIND, (keys.leases, keys.run), (keys.member,))
        while True:  # once more after a judgement
            reply = await self._lane.run(call)
            if reply[0] == "missing":
                await self._epochs.ask(self._lane, keys.partition)
                if self._epochs.fresh(keys.partition):
                    raise Overloaded(retry_after_seconds=RETRY_SECONDS)  # its owner may bring it
                return None
            run = read_run(reply)
            if run.status != "running" or reply[5] > 0 or not await self.judge(keys):
                settled = self._server.up_seconds >= self._timing.grace_seconds
                return run if settled else replace(run, settled=False)

    async def find_open(self, owner: str, session_id: str) -> Run | None:
        if run := await self.local.find_open(owner, session_id):
            return run
        keys = run_keys(owner, "")
        try:
            sessions = await self._sessions(keys)
            member = sessions.get(part(session_id))
            run = await self._find(RunKeys(keys.partition, member)) if member else None
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None
        return run if run and run.status == "running" else None

    async def open_runs(self, owner: str) -> Sequence[Run]:
        runs = {run.run_id: run for run in await self.local.open_runs(owner)}
        keys = run_keys(owner, "")
        with suppress(Unreachable, Overloaded):
            for member in (await self._sessions(keys)).values():
                run = await self._find(RunKeys(keys.partition, member))
                if run and run.status == "running":
                    runs.setdefault(run.run_id, run)
        return list(runs.values())

    async def _sessions(self, keys: RunKeys) -> dict[str, str]:
        """The owner's sessions with an open run, each with the run's member."""
        reply = await self._lane.run(Call(scripts.OPEN_RUNS, (keys.open,)))
        return dict(zip(reply[::2], reply[1::2], strict=True))

    async def follow(
        self, run: Run, after: int, *, silence_seconds: float
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        owned = run_keys(run.owner, run.run_id).member in self.owned
        log = self.local if owned else self.tails
        async with aclosing(log.follow(run, after, silence_seconds=silence_seconds)) as batches:
            async for batch in batches:
                yield batch

    # Ending

    async def request_cancel(self, run: Run) -> None:
        keys = run_keys(run.owner, run.run_id)
        if keys.member in self.owned:
            await self.local.request_cancel(run)
            return
        try:
            await self._lane.run(Call(scripts.CANCEL, (keys.run,), (keys.member,)))
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None

    def cancel(self, member: str) -> None:
        """What another task asked for, or what the run's last follower left behind."""
        owned = self.owned.get(member)
        if owned and self._owner and not owned.ended:
            self._owner.cancel_requested(owned.run.run_id)

    async def join(self, run: Run) -> None:
        keys = run_keys(run.owner, run.run_id)
        _, count = self.followers.get(keys.member, (run, 0))
        self.followers[keys.member] = (run, count + 1)
        owned = self.owned.get(keys.member)
        if count == 0 and not (owned and owned.copied == 1):  # beginning it has counted us
            await self._tell(self.joining(keys))

    def joining(self, keys: RunKeys) -> Call:
        lease = self._timing.milliseconds(self._timing.lease_seconds)
        args = (self._task, lease, self.writer.ttl_ms)
        return Call(scripts.JOIN, (keys.run, keys.followers), args)

    async def leave(self, run: Run) -> bool:
        keys = run_keys(run.owner, run.run_id)
        _, count = self.followers.get(keys.member, (run, 1))
        if count > 1:
            self.followers[keys.member] = (run, count - 1)
            return False
        self.followers.pop(keys.member, None)
        owned = self.owned.get(keys.member)
        if owned and owned.ended:
            return False
        reply = await self._tell(Call(scripts.LEAVE, (keys.run, keys.followers), (self._task,)))
        return owned is not None if reply is None else bool(reply[0])

    async def _tell(self, call: Call) -> Any:
        try:
            return await self._lane.run(call)
        except Unreachable:
            return None

    async def ping(self) -> None:
        try:
            await self._epochs.ask(self._lane, 0)
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None

    # Judging

    def _suspect(self, keys: RunKeys) -> None:
        self.suspects[keys.member] = keys

    async def judge(self, keys: RunKeys) -> bool:
        """End a run whose owner is gone; true if it is over now, by whomever.

        Raises `Unreachable`.
        """
        if self._server.steady_seconds < self._timing.grace_seconds:
            return False
        reply = await self._lane.run(Call(scripts.FIND, (keys.leases, keys.run), (keys.member,)))
        run = None if reply[0] == "missing" else read_run(reply)
        last = entry(interruption(run, run.last_event_id + 1)) if run else ""
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
                    last,
                ),
            )
        )
        if run and outcome[0] == "interrupted":
            logger.warning("run %s: its task is gone; ended as interrupted", run.run_id)
            if self._owner:
                _, message, last_id = outcome
                self._owner.interrupted(
                    replace(
                        run,
                        status="interrupted",
                        message=message,
                        last_event_id=last_id,
                        ended_at=ended,
                    )
                )
        return outcome[0] in ("interrupted", "ended", "missing")


def read_run(reply: Sequence[Any]) -> Run:
    """The run that `FIND` found; its message stays on the server."""
    status, last, ended, meta, created, _ = reply
    run_id, owner, session_id, agent_session_id, request_id, on_disconnect = json.loads(meta)
    return Run(
        run_id=run_id,
        owner=owner,
        session_id=session_id,
        agent_session_id=agent_session_id,
        message="",
        request_id=request_id,
        created_at=float(created),
        on_disconnect=cast(OnDisconnect, on_disconnect),
        status=cast(Status, status),
        last_event_id=last,
        ended_at=float(ended) if ended else None,
    )
