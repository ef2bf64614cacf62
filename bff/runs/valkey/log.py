"""The run log that several instances share, over Redis or Valkey.

This module says whom a call is for. A run of ours is a replica (`replicas.py`), a run of another
instance is read from the server (`remote_runs.py`), a run whose owner is dead is ended
(`takeover.py`). While the server is away, what this process has is all there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NoReturn

from bff.errors import Invalid, Overloaded, SessionBusy
from bff.events import Record, gap
from bff.runs.log import Owner, Run, Status, Superseded, Take, key_of_forgotten
from bff.runs.request import Idempotency
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.begin import RETRY_SECONDS, Opener
from bff.runs.valkey.connection import Call, Server, Unreachable
from bff.runs.valkey.data_loss import Epochs
from bff.runs.valkey.followers import Followers
from bff.runs.valkey.keys import (
    OwnKeys,
    RunKeys,
    idempotency_key,
    part,
    partition,
    run_keys,
    session_runs_key,
)
from bff.runs.valkey.remote_runs import RemoteRuns
from bff.runs.valkey.replicas import Replicas
from bff.runs.valkey.stored_form import read_ended, read_run, write_ended
from bff.runs.valkey.takeover import Takeover

MOST_WAITING_BYTES = 256 * 1024
"""Of one run that are not delivered yet; past that the run waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValkeyRunLog:
    """What `RunLog` asks."""

    at_once: ClassVar[bool] = False

    server: Server
    lane: Lane
    replicas: Replicas
    remote_runs: RemoteRuns
    opener: Opener
    takeover: Takeover
    followers: Followers
    epochs: Epochs
    ttl_ms: int

    def __repr__(self) -> str:
        return f"<ValkeyRunLog {self.replicas!r}, {self.remote_runs!r}, {self.server!r}>"

    def bind(self, owner: Owner) -> None:
        self.replicas.owner = self.takeover.owner = owner

    # Writing

    async def open(
        self, run: Run, first: Record, *, idempotency: Idempotency | None, max_open: int
    ) -> Run:
        keys = OwnKeys(run, idempotency)
        if not self.server.up:  # nothing below would wait: who is refused and asks again, as often
            await asyncio.sleep(0)  # as it likes, would keep everybody else from their turn
        ours = self.replicas.open_in(run.owner, run.session_id)
        asked = self.server.up
        try:
            known = await self.opener.ask(run, keys, first, max_open=max_open, ours=ours)
        except Unreachable:
            if idempotency:
                if asked:
                    await self.opener.withdraw(keys)
                raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None
            begun = False
        else:
            if known is not None:
                return await self._earlier(known)
            begun = True
            now = self.replicas.open_in(run.owner, run.session_id)
            if now and now.member != (ours.member if ours else ""):
                # another began meanwhile, and the server was not asked about that one
                await self.opener.withdraw(keys)
                raise SessionBusy(retry_after_seconds=RETRY_SECONDS)
        try:
            opened = self.replicas.begin(
                run, first, idempotency=idempotency, max_open=max_open, known=begun
            )
        except Exception:
            if asked:
                await self.opener.withdraw(keys)
            raise
        if opened.run_id != run.run_id:  # the server has lost the key, and we have not
            await self.opener.withdraw(keys)
        return opened

    async def _earlier(self, keys: RunKeys) -> Run:
        """The run of a key that was used before. What became of it may not be made up."""
        with suppress(Unreachable):
            if (run := await self._find(keys, forgotten=_refused)) is not None:
                return run
        raise Overloaded(retry_after_seconds=RETRY_SECONDS)

    async def append(self, run: Run, records: Sequence[Record]) -> None:
        replica = self.replicas.of(run)
        if replica is None:
            raise Superseded
        if replica.waiting < MOST_WAITING_BYTES:
            self.replicas.put(replica, records)
            return
        delivered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.replicas.put(replica, records, waiter=delivered)
        await delivered

    async def close(self, run: Run, last: Record, status: Status) -> None:
        replica = self.replicas.of(run)
        if replica is None:
            raise Superseded
        delivered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.replicas.put(replica, [last], status, waiter=delivered)
        await delivered

    # Reading

    async def find(self, owner: str, run_id: str, *, deleted: bool = False) -> Run | None:
        try:
            forgotten = _as_it_ended if deleted else _unknown
            return await self._ours_or_theirs(run_keys(owner, run_id), forgotten=forgotten)
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None

    async def _ours_or_theirs(
        self, keys: RunKeys, *, forgotten: Callable[[str], Run | None]
    ) -> Run | None:
        """The run as we have it, if it is ours, else as the server has it. Raises `Unreachable`.

        Whether one of ours that has ended was forgotten since, the server knows: another instance
        may have seen to that this moment.
        """
        ours = self.replicas.state(keys)
        if ours is not None and (ours.status == "running" or not await self._is_forgotten(keys)):
            return ours
        return await self._find(keys, forgotten=forgotten)

    async def _is_forgotten(self, keys: RunKeys) -> bool:
        """Whether the server says so; our own copy is let go then."""
        with suppress(Unreachable):
            reply = await self.lane.run(_finding(keys))
            if reply[0] == "forgotten":
                self.replicas.superseded(keys.member)
                return True
        return False

    async def _find(
        self, keys: RunKeys, *, forgotten: Callable[[str], Run | None], open_only: bool = False
    ) -> Run | None:
        """The run as the server has it; `forgotten` says what is told of one that was, given what
        is kept of its end. With `open_only` it may be None as well where the run has ended. Raises
        `Unreachable`.
        """
        reply = await self.lane.run(_finding(keys))
        if _lapsed(reply):
            over = await self.takeover.end_dead([keys])
            if (run := over.get(keys.member)) is not None:
                return run
            if keys.member in over:  # somebody else has ended it
                if open_only:
                    return None
                reply = await self.lane.run(_finding(keys))
        match reply:
            case ["missing"]:
                await self.epochs.ask(self.lane, keys.partition)
                if self.epochs.fresh(keys.partition):
                    raise Overloaded(retry_after_seconds=RETRY_SECONDS)  # its owner may bring it
                return None
            case ["forgotten", ending]:
                return forgotten(ending)
        return _found(reply)

    async def find_known(self, owner: str, idempotency: Idempotency) -> Run | None:
        key = idempotency_key(owner, idempotency.key)
        try:
            [earlier] = await self.lane.run(Call(scripts.KNOWN, (key,)))
            if not earlier:
                return self.replicas.copies.known(owner, idempotency)
            fingerprint, _, member = earlier.partition(" ")
            if fingerprint != part(idempotency.fingerprint):
                raise Invalid.of("Idempotency-Key", "was used before with another body")
            keys = RunKeys(partition(owner), member)
            return await self._ours_or_theirs(keys, forgotten=_refused)
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None

    async def find_open(self, owner: str, session_id: str) -> Run | None:
        if run := self.replicas.copies.open_in(owner, session_id):
            return run
        keys = run_keys(owner, "")
        try:
            member = (await self._sessions(keys)).get(part(session_id))
            place = RunKeys(keys.partition, member) if member else None
            run = await self._find(place, forgotten=_unknown, open_only=True) if place else None
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None
        return run if run and run.status == "running" else None

    async def open_runs(self, owner: str) -> Sequence[Run]:
        """In two round trips, however many they are: a dead owner's runs are ended afterwards."""
        runs = {run.run_id: run for run in await self.replicas.copies.open_runs(owner)}
        keys = run_keys(owner, "")
        with suppress(Unreachable):
            members = (await self._sessions(keys)).values()
            there = [RunKeys(keys.partition, m) for m in members if m not in self.replicas]
            replies = await self.lane.run_all(map(_finding, there))
            for other, reply in zip(there, replies, strict=True):
                if reply[0] == "running":
                    run = _found(reply)
                    runs.setdefault(run.run_id, run)
                    if _lapsed(reply):
                        self.takeover.suspect(other)
        return list(runs.values())

    async def _sessions(self, keys: RunKeys) -> dict[str, str]:
        """The owner's sessions with an open run, each with the run's member."""
        reply = await self.lane.run(Call(scripts.OPEN_RUNS, (keys.open,)))
        return dict(zip(reply[::2], reply[1::2], strict=True))

    async def follow(
        self, run: Run, after: int, *, silence_seconds: float, take: Take | None = None
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        replica = self.replicas.of(run)
        if replica is not None and self.replicas.copies.get(run.owner, run.run_id):
            place = _Place(after, take)
            async with aclosing(self._follow_copy(run, place, silence_seconds)) as batches:
                async for batch in batches:
                    yield batch
                    if batch and batch[-1].terminal:
                        return
            if self.replicas.of(run) is replica:
                return  # there was nothing left to say
            after = place.after  # it is not ours any more: how it ended, the server says
        following = self.remote_runs.follow(run, after, silence_seconds=silence_seconds)
        async with aclosing(following) as batches:
            async for batch in batches:
                yield batch

    async def _follow_copy(
        self, run: Run, place: _Place, silence_seconds: float
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        """Our own copy; what it no longer has, the server may have kept."""
        following = self.replicas.copies.follow(
            run, place.after, silence_seconds=silence_seconds, take=place.take
        )
        async with aclosing(following) as batches:
            async for batch in batches:
                if batch and batch[0].name == "gap":
                    missing = batch[0].id
                    async for older in self.remote_runs.pages(run, place.after, until=missing):
                        yield older
                        place.after = older[-1].id
                    after = place.after
                    batch = (gap(after + 1, missing), *batch[1:]) if after < missing else batch[1:]
                yield batch
                place.after = batch[-1].id if batch else place.after

    # Ending

    async def request_cancel(self, run: Run) -> None:
        keys = run_keys(run.owner, run.run_id)
        if keys.member in self.replicas:
            self.replicas.cancel(keys.member)
            return
        try:
            await self.lane.run(Call(scripts.CANCEL, (keys.run,), (keys.member,)))
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None

    async def join(self, run: Run) -> None:
        await self.followers.join(run, self.replicas.of(run))

    async def leave(self, run: Run) -> bool:
        return await self.followers.leave(run, self.replicas.of(run))

    async def runs_of(self, owner: str, session_id: str) -> Sequence[str]:
        place = partition(owner)
        calls = [
            self.epochs.call(place),
            Call(scripts.SESSION_RUNS, (session_runs_key(owner, session_id),)),
        ]
        ours = await self.replicas.copies.runs_of(owner, session_id)
        try:
            epoch, theirs = await self.lane.run_all(calls)
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None
        self.epochs.seen(place, *epoch)
        if self.epochs.fresh(place):  # some may be missing there, and be brought back
            raise Overloaded(retry_after_seconds=RETRY_SECONDS)
        return list({*ours, *theirs})

    async def forget(self, owner: str, run_ids: Sequence[str], *, ended: Run | None = None) -> bool:
        runs = [run_keys(owner, run_id) for run_id in run_ids]
        if any(self.replicas.has_more(keys) for keys in runs):
            raise Overloaded(retry_after_seconds=RETRY_SECONDS)
        calls = []
        for keys, run_id in zip(runs, run_ids, strict=True):
            ending = write_ended(ended) if ended and ended.run_id == run_id else ""
            calls.append(
                Call(scripts.FORGET, (keys.run, keys.log), (keys.member, self.ttl_ms, ending))
            )
        try:
            words = [word for [word] in await self.lane.run_all(calls)]
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None
        for keys, word in zip(runs, words, strict=True):
            if word != "running":
                self.replicas.superseded(keys.member)
        return any(word not in ("running", "missing", "forgotten") for word in words)

    async def is_forgotten(self, run: Run) -> bool:
        return await self._is_forgotten(run_keys(run.owner, run.run_id))

    async def ping(self) -> None:
        try:
            await self.epochs.ask(self.lane, 0)
        except Unreachable:
            raise Overloaded(retry_after_seconds=RETRY_SECONDS) from None


def _unknown(ending: str) -> None:
    """A run that was forgotten is as one that never was."""


def _as_it_ended(ending: str) -> Run | None:
    return read_ended(ending) if ending else None


def _refused(ending: str) -> NoReturn:
    raise key_of_forgotten()


def _finding(keys: RunKeys) -> Call:
    return Call(scripts.FIND, (keys.leases, keys.run), (keys.member,))


def _found(reply: Sequence[Any]) -> Run:
    """The run that `FIND` found.

    While it is open its owner may have delivered more than the server has: whether the server is
    away for the owner cannot be seen from here.
    """
    status, last, ended, meta, _, said = reply
    run = read_run(
        meta, said=said, status=status, last_event_id=last,
        ended_at=float(ended) if ended else None,
    )  # fmt: skip
    return replace(run, settled=status != "running")


def _lapsed(reply: Sequence[Any]) -> bool:
    """The lease of the run that `FIND` found has lapsed while it was running."""
    return bool(reply[0] == "running" and reply[4] <= 0)


class _Place:
    """How far a follower of a copy has come, whether records were yielded to it or taken."""

    __slots__ = ("_take", "after")

    def __init__(self, after: int, take: Take | None) -> None:
        self.after = after
        self._take = take

    def take(self, records: Sequence[Record]) -> bool:
        taken = self._take is not None and self._take(records)
        if taken:
            self.after = records[-1].id
        return taken
