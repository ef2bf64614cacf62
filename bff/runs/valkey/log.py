"""The run log that several tasks share, over Redis or Valkey.

The owner of a run writes it (`writer.py`), everybody else reads it (`tails.py`), whoever finds its
owner gone ends it (`judge.py`); this module says which of them a call is for. While the server is
away the process's own log is all there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

from bff.errors import Invalid, Overloaded
from bff.events import Record, gap
from bff.runs.log import Owner, Run, Status, Superseded
from bff.runs.memory import MemoryRunLog
from bff.runs.request import Idempotency
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.begin import RETRY_SECONDS, Opener
from bff.runs.valkey.connection import Call, Server, Unreachable
from bff.runs.valkey.data_loss import Epochs
from bff.runs.valkey.followers import Followers
from bff.runs.valkey.keys import RunKeys, idempotency_key, part, run_keys
from bff.runs.valkey.remote_runs import Tails
from bff.runs.valkey.replica import Owned, interruption
from bff.runs.valkey.takeover import Judge, finding, lease_left, read_run
from bff.runs.valkey.timing import Timing
from bff.runs.valkey.uploads import Writer, ttl_ms

ANY_NUMBER = 1_000_000_000
COPY_BYTES = 64 * 1024 * 1024
"""For our own copies of our runs; past that the server's are read, the oldest first."""


class ValkeyRunLog:
    """What `RunLog` asks. Its parts are there for the upkeep to look after."""

    def __init__(
        self,
        *,
        server: Server,
        lane: Lane,
        judging: Lane,
        task: str,
        timing: Timing,
        retention_seconds: float,
        epochs: Epochs,
    ) -> None:
        ttl = self._ttl_ms = ttl_ms(retention_seconds)
        self.local = MemoryRunLog(retention_seconds=retention_seconds, max_bytes=COPY_BYTES)
        self.owned: dict[str, Owned] = {}
        """By member. Ended ones stay for the retention: they can be restored too."""
        self.judge = Judge(
            server=server, lane=judging, timing=timing, retention_seconds=retention_seconds
        )
        self.opener = Opener(
            lane=lane, judge=self.judge, epochs=epochs, task=task, timing=timing, ttl_ms=ttl
        )
        self.writer = Writer(
            server=server,
            local=self.local,
            task=task,
            timing=timing,
            retention_seconds=retention_seconds,
            superseded=self._superseded,
        )
        self.tails = Tails(lane=lane, task=task, timing=timing, lapsed=self.judge.suspect)
        self.followers = Followers(lane=lane, task=task, timing=timing, ttl_ms=ttl)
        self._server = server
        self._lane = lane
        self._timing = timing
        self._epochs = epochs

    def __repr__(self) -> str:
        running = sum(not owned.ended for owned in self.owned.values())
        return f"<ValkeyRunLog {running} own runs, {len(self.tails)} followed, {self._server!r}>"

    def bind(self, owner: Owner) -> None:
        self.judge.owner = owner
        self.local.bind(owner)

    def _mine(self, run: Run) -> Owned | None:
        return self.owned.get(run_keys(run.owner, run.run_id).member)

    # Writing

    async def open(
        self, run: Run, first: Record, *, idempotency: Idempotency | None, max_open: int
    ) -> Run:
        owned = Owned(replace(run, last_event_id=first.id), idempotency, acked=0)
        asked = self._server.up
        try:
            if (earlier := await self.opener.begin(owned, first, max_open)) is not None:
                return await self._known(earlier)
        except Unreachable:
            if idempotency:
                if asked:
                    self.opener.withdraw(owned)
                raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None
        else:
            owned.acked = first.id
            await self._free_session(run)
            max_open = ANY_NUMBER
        try:
            opened = await self.local.open(
                owned.run, first, idempotency=idempotency, max_open=max_open
            )
        except Exception:
            if asked:
                self.opener.withdraw(owned)
            raise
        if opened.run_id != run.run_id:
            # the server has lost the key, and our own log still has its run
            await self.opener.withdraw_now(owned)
            return opened
        self.owned[owned.keys.member] = owned
        if owned.behind:
            self.writer.see_to(owned)
        return opened

    async def _known(self, keys: RunKeys) -> Run:
        """The run of a key that was used before. What became of it may not be made up."""
        run = await self._find(keys)
        if run is None:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS)
        return run

    async def _free_session(self, run: Run) -> None:
        """The server says the session is free: a run that we still have in it has ended there.

        Mostly it ended as we asked, and only the reply is still on its way.
        """
        if stale := await self.local.find_open(run.owner, run.session_id):
            owned = self.owned[run_keys(stale.owner, stale.run_id).member]
            if owned.ending is None:
                await self.writer.lose(owned)
            else:
                with suppress(Superseded):
                    await asyncio.shield(owned.ending)

    async def append(self, run: Run, records: Sequence[Record]) -> None:
        if (owned := self._mine(run)) is None:
            raise Superseded
        await self.writer.put(owned, records)

    async def close(self, run: Run, last: Record, status: Status) -> None:
        if (owned := self._mine(run)) is None:
            raise Superseded
        await self.writer.put(owned, [last], status)

    async def _superseded(self, owned: Owned) -> None:
        """Another task has ended a run of ours: say so here, and leave the run to the server."""
        del self.owned[owned.keys.member]
        if owned.ended:
            await self.local.forget(owned.run)
            return
        last = interruption(owned.run, owned.copied + 1)
        await self.local.close(owned.run, last, "interrupted")
        if self.judge.owner:
            self.judge.owner.superseded(owned.run.run_id)

    # Reading

    async def find(self, owner: str, run_id: str) -> Run | None:
        keys = run_keys(owner, run_id)
        if keys.member in self.owned and (run := await self.local.find(owner, run_id)):
            return run
        try:
            return await self._find(keys)
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None

    async def _find(self, keys: RunKeys) -> Run | None:
        """The run as the server has it. Raises `Unreachable`."""
        while True:  # once more after a judgement
            reply = await self._lane.run(finding(keys))
            if reply[0] == "missing":
                await self._epochs.ask(self._lane, keys.partition)
                if self._epochs.fresh(keys.partition):
                    raise Overloaded(retry_after_seconds=RETRY_SECONDS)  # its owner may bring it
                return None
            if reply[0] == "forgotten":
                return None
            run = read_run(reply)
            lapsed = run.status == "running" and lease_left(reply) <= 0
            if not lapsed or not await self.judge.judge(keys):
                settled = self._server.up_seconds >= self._timing.grace_seconds
                return run if settled else replace(run, settled=False)

    async def find_known(self, owner: str, idempotency: Idempotency) -> Run | None:
        key = idempotency_key(owner, idempotency.key)
        try:
            [earlier] = await self._lane.run(Call(scripts.KNOWN, (key,)))
            if not earlier:
                return await self.local.find_known(owner, idempotency)
            fingerprint, _, member = earlier.partition(" ")
            if fingerprint != part(idempotency.fingerprint):
                raise Invalid.of("Idempotency-Key", "was used before with another body")
            return await self._find(RunKeys(run_keys(owner, "").partition, member))
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None

    async def find_open(self, owner: str, session_id: str) -> Run | None:
        if run := await self.local.find_open(owner, session_id):
            return run
        keys = run_keys(owner, "")
        try:
            member = (await self._sessions(keys)).get(part(session_id))
            run = await self._find(RunKeys(keys.partition, member)) if member else None
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None
        return run if run and run.status == "running" else None

    async def open_runs(self, owner: str) -> Sequence[Run]:
        runs = {run.run_id: run for run in await self.local.open_runs(owner)}
        keys = run_keys(owner, "")
        with suppress(Unreachable):
            members = (await self._sessions(keys)).values()
            # all at once, which makes them one pipeline
            found = await asyncio.gather(
                *(self._find(RunKeys(keys.partition, member)) for member in members),
                return_exceptions=True,
            )
            for run in found:
                if isinstance(run, Run):
                    if run.status == "running":
                        runs.setdefault(run.run_id, run)
                elif run is not None and not isinstance(run, Unreachable | Overloaded):
                    raise run
        return list(runs.values())

    async def _sessions(self, keys: RunKeys) -> dict[str, str]:
        """The owner's sessions with an open run, each with the run's member."""
        reply = await self._lane.run(Call(scripts.OPEN_RUNS, (keys.open,)))
        return dict(zip(reply[::2], reply[1::2], strict=True))

    async def follow(
        self, run: Run, after: int, *, silence_seconds: float
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        here = self._mine(run) and await self.local.find(run.owner, run.run_id)
        log = self.local if here else self.tails
        async with aclosing(log.follow(run, after, silence_seconds=silence_seconds)) as batches:
            async for batch in batches:
                if here and batch and batch[0].name == "gap":
                    missing = batch[0].id  # from our copy, but the server may have kept it
                    async for older in self.tails.pages(run, after, until=missing):
                        yield older
                        after = older[-1].id
                    batch = (gap(after + 1, missing), *batch[1:]) if after < missing else batch[1:]
                yield batch
                after = batch[-1].id if batch else after

    # Ending

    async def request_cancel(self, run: Run) -> None:
        if self._mine(run):
            await self.local.request_cancel(run)
            return
        keys = run_keys(run.owner, run.run_id)
        try:
            await self._lane.run(Call(scripts.CANCEL, (keys.run,), (keys.member,)))
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None

    async def join(self, run: Run) -> None:
        await self.followers.join(run, self._mine(run))

    async def leave(self, run: Run) -> bool:
        return await self.followers.leave(run, self._mine(run))

    async def forget(self, run: Run) -> bool:
        keys = run_keys(run.owner, run.run_id)
        key = run.request.idempotency
        try:
            [word] = await self._lane.run(
                Call(
                    scripts.FORGET,
                    (keys.run, keys.log, idempotency_key(run.owner, key.key) if key else keys.run),
                    (keys.member, self._ttl_ms),
                )
            )
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None
        if word == "running":
            if (owned := self._mine(run)) and owned.ended:  # the server has yet to hear of its end
                raise Overloaded(retry_after_seconds=RETRY_SECONDS)
            return False
        await self.lost(keys.member)
        return True

    async def ping(self) -> None:
        try:
            await self._epochs.ask(self._lane, 0)
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None

    # What other tasks tell

    async def cancelled(self, member: str) -> None:
        """Somebody wants a run of ours stopped, or its last follower has left."""
        owned = self.owned.get(member)
        if owned and not owned.ended:
            await self.local.request_cancel(owned.run)

    async def lost(self, member: str) -> None:
        """A run of ours was ended by another task."""
        if owned := self.owned.get(member):
            await self.writer.lose(owned)
