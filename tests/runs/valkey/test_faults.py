"""Any order of writing, following, dropping and resuming, whatever the server suffers meanwhile."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest

from bff.errors import Overloaded
from bff.events import Record
from bff.runs.log import Run
from tests.runs.valkey.conftest import StartInstance
from tests.runs.valkey.instances import Instance
from tests.runs.valkey.valkey import Valkey

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
    async with asyncio.timeout(8):
        while True:
            try:
                found = await instance.log.find(run.owner, run.run_id)
            except Overloaded:
                found = None
            if found is not None and found.status == "complete":
                return await instance.read(found)
            await asyncio.sleep(0.02)
