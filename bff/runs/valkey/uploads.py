"""Takes what replicas have to say to the server: one loop, and one call a run at a time.

What is ready at the same time goes as one pipeline, appends even as one script. Replies go back to
the replica they are for, and it says what follows (`replica.py`); nothing is decided here.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bff.events import Record
from bff.runs.log import Run
from bff.runs.memory import MAX_BYTES_PER_RUN, MAX_EVENTS_PER_RUN
from bff.runs.valkey import scripts
from bff.runs.valkey.batching import departures
from bff.runs.valkey.connection import Call, Server, Unreachable
from bff.runs.valkey.effects import Append, Close, Restore
from bff.runs.valkey.replica import Replica
from bff.runs.valkey.replicas import Replicas
from bff.runs.valkey.stored_form import interruption, write_event, write_meta, write_said
from bff.runs.valkey.timing import Timing

logger = logging.getLogger(__name__)

MOST_RUNS = 64
"""In one pipeline."""
MOST_EVENTS_IN_ALL = 1024
"""In one pipeline; 500 bytes count as one more. A backlog must fit the time of a call."""


def ttl_ms(retention_seconds: float) -> int:
    """For what belongs to an open run; its renewals push it on, so nothing stays for ever."""
    return int((retention_seconds + 120) * 1000)


@dataclass(slots=True)
class _Shipment:
    """One call, and the runs it is for: several only if it appends."""

    call: Call
    replicas: list[Replica]
    appends: list[tuple[Replica, Sequence[Record]]] = field(default_factory=list)


class Uploads:
    """Sends for all replicas of this instance."""

    def __init__(
        self,
        *,
        server: Server,
        replicas: Replicas,
        instance: str,
        timing: Timing,
        retention_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._server = server
        self._replicas = replicas
        self._instance = instance
        self._lease_ms = timing.milliseconds(timing.lease_seconds)
        self._retention_seconds = retention_seconds
        self._ttl_ms = ttl_ms(retention_seconds)
        self._clock = clock

    async def work(self) -> None:
        """Send what is ready, until cancelled."""
        await departures(self._replicas.ready, self._depart)

    def _depart(self) -> Coroutine[Any, Any, None]:
        batch = self._replicas.take(MOST_RUNS)
        if self._server.up:
            return self._send(self._collect(batch))
        for replica in batch:
            self._replicas.happened(replica, replica.unreachable)
        return self._send([])

    def _collect(self, batch: Sequence[Replica]) -> list[_Shipment]:
        appends: list[tuple[Replica, Sequence[Record]]] = []
        shipments: list[_Shipment] = []
        room: float = MOST_EVENTS_IN_ALL
        for replica in batch:
            if room <= 0:
                self._replicas.see_to(replica)  # next time: nobody waits long for a backlog
                continue
            try:
                for effect in replica.sent():
                    match effect:
                        case Append(records):
                            appends.append((replica, records))
                            for item in records:
                                room -= 1 + len(item.data) / 500
                        case Close():
                            shipments.append(_Shipment(self._close(replica, effect), [replica]))
                        case Restore():
                            shipments.append(_Shipment(self._restore(replica, effect), [replica]))
                        case _:
                            self._replicas.perform(replica, [effect])
            except Exception:
                self._replicas.give_up(replica)
        return [*map(self._shipment, self._groups(appends)), *shipments]

    async def _send(self, shipments: Sequence[_Shipment]) -> None:
        if not shipments:
            return
        try:
            replies = await self._server.pipeline([shipment.call for shipment in shipments])
        except BaseException as error:
            for shipment in shipments:
                for replica in shipment.replicas:
                    self._replicas.happened(replica, replica.unreachable)
            if not isinstance(error, Unreachable):
                raise
            return
        apart: list[_Shipment] = []
        for shipment, reply in zip(shipments, replies, strict=True):
            if isinstance(reply, Exception):
                apart += self._failed(shipment, reply)
            else:
                self._replied(shipment, reply)
        await self._send(apart)

    def _replied(self, shipment: _Shipment, reply: Any) -> None:
        said = reply.split(" ") if shipment.appends else reply
        for replica, word, last in zip(shipment.replicas, said[::2], said[1::2], strict=True):
            try:
                self._replicas.perform(replica, replica.replied(word, int(last)))
            except Exception:
                self._replicas.give_up(replica)

    def _failed(self, shipment: _Shipment, error: Exception) -> list[_Shipment]:
        """A script failed at one of its runs: each is sent alone, and that one ends."""
        if len(shipment.appends) > 1:  # what the server has already, it passes over
            return [self._shipment([append]) for append in shipment.appends]
        logger.error("the script %s failed: %s", shipment.call.script.name, error)
        for replica in shipment.replicas:
            self._replicas.happened(replica, replica.superseded)
        return []

    # The calls

    def _groups(
        self, appends: Sequence[tuple[Replica, Sequence[Record]]]
    ) -> Iterable[list[tuple[Replica, Sequence[Record]]]]:
        """What may go in one call: everything, but in a cluster only what lies in one slot."""
        if not self._server.cluster:
            return [list(appends)] if appends else []
        groups: dict[int, list[tuple[Replica, Sequence[Record]]]] = defaultdict(list)
        for append in appends:
            groups[append[0].keys.partition].append(append)
        return groups.values()

    def _shipment(self, group: list[tuple[Replica, Sequence[Record]]]) -> _Shipment:
        keys: list[str] = []
        args: list[str | int] = [
            self._instance, MAX_EVENTS_PER_RUN, MAX_BYTES_PER_RUN, self._ttl_ms,
        ]  # fmt: skip
        for replica, records in group:
            names = replica.keys
            keys += (names.run, names.log)
            args.append(f"{names.member} {records[0].id} {len(records)}")
            args += map(write_event, records)
        call = Call(scripts.APPEND, keys, args)
        return _Shipment(call, [replica for replica, _ in group], group)

    def _close(self, replica: Replica, close: Close) -> Call:
        keys, copy = replica.keys, self._copy(replica)
        now = self._clock()
        ended = (copy.ended_at if copy else None) or now
        kept = max(1.0, ended + self._retention_seconds - now)
        return Call(
            scripts.CLOSE,
            (keys.run, keys.log, keys.leases, keys.open, keys.followers, keys.key),
            (
                self._instance,
                MAX_EVENTS_PER_RUN,
                MAX_BYTES_PER_RUN,
                self._ttl_ms,
                keys.member,
                close.records[0].id,
                keys.session,
                close.status,
                repr(ended),
                int(kept * 1000),
                *map(write_event, close.records),
            ),
        )

    def _copy(self, replica: Replica) -> Run | None:
        return self._replicas.copies.get(replica.run.owner, replica.run.run_id)

    def _restore(self, replica: Replica, restore: Restore) -> Call:
        keys, run, copy = replica.keys, replica.run, self._copy(replica)
        return Call(
            scripts.RESTORE,
            (
                keys.epoch,
                keys.leases,
                keys.open,
                keys.run,
                keys.log,
                keys.followers,
                keys.key,
                keys.session_runs,
            ),
            (
                secrets.token_hex(8),
                keys.member,
                self._instance,
                self._lease_ms,
                self._ttl_ms,
                "" if replica.end else keys.session,
                write_meta(run),
                "" if copy is None or replica.end else write_said(copy),
                write_event(interruption(run, 0)),
                keys.fingerprint,
                int(run.request.on_disconnect == "cancel" and not replica.end),
                restore.after,
            ),
        )
