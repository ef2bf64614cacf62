"""Any order of writing, following, dropping and resuming, whatever the server suffers meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

import pytest

from bff.errors import Overloaded, SessionBusy
from bff.events import Message, Record, record
from bff.runs.log import Run
from tests.runs.valkey.conftest import StartInstance
from tests.runs.valkey.instances import FAST, Instance
from tests.runs.valkey.relay import Relay
from tests.runs.valkey.valkey import Valkey

PATIENT = replace(FAST, lease_seconds=4.0, grace_seconds=1.5)
"""For tests that break the way to the server: never for so long that a lease could lapse, or a
run be given up."""
EVENTS = 250
FAULTS = (
    "CLIENT KILL TYPE normal SKIPME yes",
    "CLIENT KILL TYPE pubsub",
    "SCRIPT FLUSH",
    "FLUSHALL",
    "CLIENT PAUSE 300 ALL",
    "CLIENT PAUSE 900 WRITE",
)


async def write(owner: Instance, run: Run, chance: random.Random) -> None:
    id = 2
    while id < EVENTS:
        more = min(chance.choice([1, 1, 2, 7, 30]), EVENTS - id)
        await owner.say(run, id, id + more - 1)
        id += more
        await asyncio.sleep(chance.choice([0, 0.005, 0.02, 0.05]))
    await owner.end(run, EVENTS)


async def read(instances: list[Instance], run: Run, chance: random.Random) -> list[Record]:
    """Read to the end, on one instance after the other, leaving and coming back at random."""
    records: list[Record] = []
    while not (records and records[-1].terminal):
        instance = chance.choice(instances)
        leave = (records[-1].id if records else 0) + chance.randint(1, 80)
        after = records[-1].id if records else 0
        async with aclosing(instance.log.follow(run, after, silence_seconds=0.2)) as batches:
            async for batch in batches:
                records.extend(batch)
                if records and records[-1].id >= leave:
                    break
    return records


@pytest.mark.parametrize("seed", range(3))
async def test_faults_of_the_server__lose_double_and_reorder_nothing(
    own: Valkey, start_instance: StartInstance, seed: int
) -> None:
    chance = random.Random(seed)
    instances = [await start_instance(own.url) for _ in range(3)]
    runs = [
        await instance.begin(f"run-{n}", owner=f"owner-{n}") for n, instance in enumerate(instances)
    ]
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        writing = [
            group.create_task(write(instance, run, random.Random(seed + n)))
            for n, (instance, run) in enumerate(zip(instances, runs, strict=True))
        ]
        reading = [
            (run, group.create_task(read(instances, run, random.Random(seed * 100 + n))))
            for n, run in enumerate(runs * 3)
        ]
        while not all(task.done() for task in writing):
            await asyncio.sleep(chance.uniform(0.05, 0.4))
            await asyncio.to_thread(own.tell, chance.choice(FAULTS))

    for run, task in reading:
        records = task.result()
        assert [item.id for item in records] == list(range(1, EVENTS + 1)), run
        assert records[-1].name == "done"
    for run in runs:
        whole, *others = [await settled(instance, run) for instance in instances]
        assert others == [whole, whole]
    assert all(instance.told.lost == [] for instance in instances)
    assert all(instance.told.interruptions == [] for instance in instances)


async def settled(instance: Instance, run: Run) -> list[Record]:
    """The whole run, once the instance may say what there is."""
    async with asyncio.timeout(30):
        while True:
            try:
                found = await instance.log.find(run.owner, run.run_id)
            except Overloaded:
                found = None
            if found is not None and found.status == "complete":
                return await instance.read(found)
            await asyncio.sleep(0.02)


class Fleet:
    """Instances, each with its own way to the server, that go on; and others that die."""

    def __init__(self, instances: Sequence[Instance], chance: random.Random) -> None:
        self.instances = instances
        self.over = asyncio.Event()
        """The bystanders are done."""
        self.repeated = 0
        self._chance = chance
        self._numbers = itertools.count()

    def _place(self) -> tuple[str, str]:
        """A new run's id, and an owner in any partition."""
        number = next(self._numbers)
        return f"run-{number}", f"owner-{number}"

    async def bystander(self, at: Instance) -> None:
        """A run whose owner goes on has all its events, wherever it is read, and its own end."""
        run_id, owner = self._place()
        run = await at.begin(run_id, owner=owner)
        reading = asyncio.create_task(read(list(self.instances), run, self._chance))
        await write(at, run, self._chance)
        records = await reading
        assert [item.id for item in records] == list(range(1, EVENTS + 1)), (
            run.run_id,
            at,
            records[-2:],
        )
        assert records[-1].name == "done"

    async def repeater(self, at: Instance) -> None:
        """Posts into its session again at once, and before it may."""
        run_id, owner = self._place()
        run = await at.begin(run_id, owner=owner, session_id="session")
        while not self.over.is_set():
            await at.log.append(run, [record(2, Message("word"))])
            ending = asyncio.create_task(at.end(run, 3))
            following, _ = self._place()
            run = await self._as_soon_as_may_be(at, following, owner)
            await ending
            self.repeated += 1
        await at.end(run, 2)

    async def _as_soon_as_may_be(self, at: Instance, run_id: str, owner: str) -> Run:
        while True:
            try:
                return await at.begin(run_id, owner=owner, session_id="session")
            except SessionBusy:
                await asyncio.sleep(0.001)

    async def dying(self, dead: Instance) -> None:
        """Each run of an instance that dies ends once, in the same words for everybody."""
        runs = []
        for _ in range(20):
            run_id, owner = self._place()
            runs.append(await dead.begin(run_id, owner=owner))
            await dead.say(runs[-1], 2)
        follower, late = self.instances[:2]
        reading = [asyncio.create_task(follower.read(run, seconds=20)) for run in runs]
        await dead.die()
        for run, heard in zip(runs, await asyncio.gather(*reading), strict=True):
            assert [(item.id, item.name) for item in heard] == [
                (1, "start"), (2, "message"), (3, "error"),
            ]  # fmt: skip
            assert await late.read(run) == heard


@pytest.mark.parametrize("seed", range(1))
async def test_a_slow_and_broken_way_to_the_server__ends_nobodys_run(
    own: Valkey, start_instance: StartInstance, seed: int
) -> None:
    """Replies late, in another order and lost; callers who post too early; instances that die."""
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(Relay(own.port).serve()) for _ in range(2)]
        living = [await start_instance(relay.url, timing=PATIENT) for relay in relays]
        fleet = Fleet(living, chance)
        doomed = [await start_instance(own.url, timing=PATIENT) for _ in range(2)]
        async with asyncio.timeout(40), asyncio.TaskGroup() as group:
            others = [group.create_task(fleet.repeater(at)) for at in living * 3]
            others += [group.create_task(fleet.dying(each)) for each in doomed]
            bystanders = [group.create_task(fleet.bystander(at)) for at in living * 4]
            while not all(task.done() for task in bystanders):
                await asyncio.sleep(chance.uniform(0.02, 0.2))
                relay = chance.choice(relays)
                relay.delay, relay.jitter = (
                    chance.choice([0, 0.004, 0.03]),
                    chance.choice([0, 0.03]),
                )
                if chance.random() < 0.3:
                    relay.cut()
            for relay in relays:
                relay.delay = relay.jitter = 0.0
            fleet.over.set()

        assert fleet.repeated > 50
        assert all(task.done() for task in others)
        assert all(each.told.lost == [] for each in living)
        dead = [run.run_id for each in living for run in each.told.interruptions]
        assert len(dead) == len(set(dead)) <= 40
        for each in living:
            await each.die()
