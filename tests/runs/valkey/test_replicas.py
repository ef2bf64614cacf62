"""What replicas want done is done, and a defect in one of them is that one's alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from bff.events import Message, Start, record
from bff.runs.log import Run, Superseded
from bff.runs.memory import MemoryRunLog
from bff.runs.valkey.batching import running
from bff.runs.valkey.connection import Call, Server
from bff.runs.valkey.replica import Replica
from bff.runs.valkey.replicas import GATHER_SECONDS, Replicas
from bff.runs.valkey.timing import TIMING
from bff.runs.valkey.uploads import Uploads
from tests.fakes.requests import run_request_of
from tests.runs.valkey.instances import Told
from tests.runs.valkey.network import VirtualLoop


class OneReply(Server):
    """A server that is there, and says the same to every call."""

    def __init__(self, reply: Any) -> None:
        super().__init__("redis://nowhere", call_seconds=1, slack_seconds=1)
        self.up = True
        self._reply = reply

    async def pipeline(self, calls: Sequence[Call]) -> Sequence[Any]:
        return [self._reply for _ in calls]


@dataclass
class Kept:
    """One of the runs of this instance, and whoever waits for what it said."""

    run: Run
    replica: Replica
    said: asyncio.Future[None]


def begun(replicas: Replicas, name: str, *, waits: bool = True) -> Kept:
    run = Run(run_id=name, request=run_request_of("hi", owner=name), created_at=0, last_event_id=1)
    first = record(1, Start(run.run_id, run.session_id))
    replicas.begin(run, first, idempotency=None, max_open=1, known=True)
    replica = replicas.of(run)
    assert replica is not None
    said: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    replicas.put(replica, [record(2, Message("word"))], waiter=said if waits else None)
    return Kept(run, replica, said)


async def outcomes(reply: Any) -> tuple[Replicas, list[Kept], list[BaseException | None], Told]:
    """What became of three runs whose events went in one pipeline that was replied to so."""
    replicas, told = Replicas(MemoryRunLog(retention_seconds=60)), Told()
    replicas.owner = told
    kept = [begun(replicas, name) for name in ("alice", "bob", "carol")]
    uploads = Uploads(
        server=OneReply(reply), replicas=replicas, instance="i", timing=TIMING, retention_seconds=60
    )
    async with running(uploads.work), asyncio.timeout(30):
        errors = await asyncio.gather(*[each.said for each in kept], return_exceptions=True)
    return replicas, kept, errors, told


@pytest.mark.parametrize("nonsense", ["ok nothing", "ok -", "missing what"])
async def test_a_reply_that_one_run_cannot_take__ends_that_run_and_no_other(nonsense: str) -> None:
    replicas, kept, errors, told = await outcomes(f"ok 2 {nonsense} ok 2")

    assert [type(error) for error in errors] == [type(None), Superseded, type(None)]
    assert told.lost == ["bob"]
    assert [replicas.of(each.run) is each.replica for each in kept] == [True, False, True]
    assert replicas.all_settled


async def test_what_the_server_has__is_what_followers_here_are_given() -> None:
    replicas, kept, errors, told = await outcomes("ok 2 superseded 2 ok 2")

    assert [type(error) for error in errors] == [type(None), Superseded, type(None)]
    assert told.lost == ["bob"]
    copies = [replicas.copies.get(each.run.owner, each.run.run_id) for each in kept]
    assert [copy and copy.last_event_id for copy in copies] == [2, None, 2]


async def test_a_defect_of_an_event__ends_the_run_that_it_shows_in() -> None:
    replicas, told = Replicas(MemoryRunLog(retention_seconds=60)), Told()
    replicas.owner = told
    alice, bob = begun(replicas, "alice"), begun(replicas, "bob")

    replicas.happened(alice.replica, lambda: alice.replica.replied("ok", 2))  # nothing is away
    assert told.lost == []
    replicas.happened(alice.replica, lambda: [1 / 0])  # type: ignore[list-item]

    assert told.lost == ["alice"]
    assert alice.said.exception() is not None
    assert not bob.said.done()
    assert bob.run.run_id in repr(replicas.of(bob.run))


def test_what_nobody_waits_for__goes_with_what_comes_soon() -> None:
    loop = VirtualLoop()

    async def kept() -> tuple[Replicas, Kept, Kept]:
        replicas = Replicas(MemoryRunLog(retention_seconds=60))
        return replicas, begun(replicas, "alice"), begun(replicas, "bob")

    async def of_another() -> Replica:
        """A run that says its first words, which nobody waits for."""
        return begun(replicas, "carol", waits=False).replica

    replicas, alice, bob = loop.run_until_complete(kept())
    assert replicas.ready.is_set()
    assert replicas.take(9) == [alice.replica, bob.replica]

    def replied(each: Kept) -> None:
        each.replica.sent()
        replicas.perform(each.replica, each.replica.replied("ok", each.replica.latest))

    for each in (alice, bob):
        replied(each)
        replicas.put(each.replica, [record(3, Message("nobody waits"))])
        assert not replicas.ready.is_set()
    loop.advance(GATHER_SECONDS)
    assert replicas.ready.is_set()
    assert replicas.take(9) == [alice.replica, bob.replica]

    for each in (alice, bob):
        replied(each)
    replicas.put(alice.replica, [record(4, Message("nobody waits"))])
    assert not replicas.ready.is_set()
    replicas.put(bob.replica, [record(4, Message("it is waited for"))], waiter=loop.create_future())
    assert replicas.ready.is_set()
    assert replicas.take(9) == [alice.replica, bob.replica]
    carol = loop.run_until_complete(of_another())
    assert replicas.ready.is_set()  # though another pipeline has just left
    assert replicas.take(9) == [carol]
    loop.advance(GATHER_SECONDS)
    assert not replicas.ready.is_set()

    replied(alice)
    replicas.put(alice.replica, [record(5, Message("the first for some time"))])
    assert replicas.ready.is_set()
    assert replicas.take(9) == [alice.replica]

    replied(bob)
    replicas.happened(bob.replica, bob.replica.server_lost)
    assert replicas.ready.is_set()
    loop.close()
