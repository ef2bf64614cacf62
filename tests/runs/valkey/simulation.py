"""Several instances in one process, without a server, a network or a clock of their own.

Everything but the connection is the service's own code. The server is `Model`, behind `Network`. So
any order of replies can be tried, in milliseconds, and tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Any

from bff.errors import Overloaded
from bff.events import Done, Failed, Message, Record, Start, record
from bff.runs.log import Run, RunLog, Superseded
from bff.runs.memory import MemoryRunLog
from bff.runs.request import Idempotency, OnDisconnect
from bff.runs.valkey import open_valkey
from bff.runs.valkey.connection import Server
from bff.runs.valkey.keys import RunKeys, run_keys
from bff.runs.valkey.replicas import Replicas
from bff.runs.valkey.timing import TIMING
from bff.settings import Settings
from tests.fakes.requests import run_request_of
from tests.runs.valkey.model import Model
from tests.runs.valkey.network import EPOCH, Network, SimulatedServer, VirtualLoop


class Copies(MemoryRunLog):
    """The copies of one instance: nothing is delivered before a server that is there has it."""

    def __init__(self, simulation: Simulation, server: Server, max_events: int) -> None:
        super().__init__(retention_seconds=900, max_events_per_run=max_events)
        self._simulation = simulation
        self._server = server

    def add(self, run: Run, records: Sequence[Record]) -> None:
        self._check(run, records)
        super().add(run, records)

    def finish(self, run: Run, records: Sequence[Record], status: Any) -> None:
        self._check(run, records)
        super().finish(run, records, status)

    def _check(self, run: Run, records: Sequence[Record]) -> None:
        had = self._simulation.model_last(run)
        if self._server.up and records[-1].id > had:
            self._simulation.wrong.append(f"{run.run_id} was delivered before the server had it")


@dataclass(eq=False)
class Execution:
    """A run as its owner sees it."""

    run: Run
    instance: Instance
    key: str | None = None
    said: int = 1
    """The last event that was put."""
    ending: bool = False
    over: bool = False
    """Ended as it should, or abandoned."""
    abandoned: bool = False

    def __repr__(self) -> str:
        return f"<{self.run.run_id} on {self.instance.name}>"


@dataclass(eq=False)
class Reader:
    """A follower, and what it was given."""

    run: Run
    instance: Instance
    task: asyncio.Task[None]
    after: int
    records: list[Record]


class Instance:
    """One instance, and the application above its log."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        self.name = name
        self.alive = True
        self.simulation = simulation
        self.stack = AsyncExitStack()
        self.log: RunLog
        self.replicas: Replicas
        self.server: Server

    async def start(self, replicas: type[Replicas], max_events: int) -> None:
        self.server = SimulatedServer(self.simulation.network, self.name)
        self.replicas = replicas(Copies(self.simulation, self.server, max_events))
        shared = await self.stack.enter_async_context(
            open_valkey(
                Settings(redis_url="redis://nowhere"), server=self.server, replicas=self.replicas,
                instance=self.name,
            )
        )  # fmt: skip
        self.log = shared.log
        self.log.bind(self)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    # As the owner that the log tells

    def cancel_requested(self, run_id: str) -> None:
        if execution := self.simulation.executions.get(run_id):
            self.simulation.end(execution)

    def superseded(self, run_id: str) -> None:
        execution = self.simulation.executions[run_id]
        status = self.simulation.model_status(execution.run)
        # one is only forgotten that had ended, if its owner had yet to hear of that
        if status not in ("interrupted", "forgotten", None):
            self.simulation.wrong.append(f"{run_id} was given up here, and is {status}")
        execution.abandoned = execution.over = True

    def interrupted(self, run: Run) -> None:
        self.simulation.interrupted(run)


@dataclass
class Simulation:
    """Instances, runs and readers; every method returns when nothing is left to do at once."""

    replicas: type[Replicas] = Replicas
    max_events: int = 20_000
    """Kept of a run by its owner."""

    def __post_init__(self) -> None:
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        self.model = Model(lambda: int((EPOCH + self.loop.time()) * 1000))
        self.network = Network(self.model)
        self.instances: list[Instance] = []
        self.executions: dict[str, Execution] = {}
        self.told_interrupted: list[str] = []
        """Runs whose history was left to be written."""
        self.readers: list[Reader] = []
        self.wrong: list[str] = []
        """What may never happen, and did."""
        self._had: dict[str, int] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._numbers = iter(range(1_000_000))

    @property
    def living(self) -> list[Instance]:
        return [instance for instance in self.instances if instance.alive]

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        return task

    def start_instance(self) -> Instance:
        instance = Instance(self, f"i{next(self._numbers)}")
        self.instances.append(instance)
        starting = self.spawn(instance.start(self.replicas, self.max_events))
        self.loop.settle()
        while not starting.done():
            self.loop.advance(1)
        starting.result()
        return instance

    def begin(
        self, instance: Instance, owner: str, session: str, key: str | None = None,
        on_disconnect: OnDisconnect = "continue", max_open: int = 3,
    ) -> asyncio.Task[Any]:  # fmt: skip
        run_id = f"r{next(self._numbers)}"
        run = Run(
            run_id=run_id,
            request=run_request_of(
                "hi", owner=owner, session_id=session, on_disconnect=on_disconnect
            ),
            created_at=EPOCH,
            last_event_id=1,
        )
        task = self.spawn(self._begin(instance, run, key, max_open))
        self.loop.settle()
        return task

    async def _begin(
        self, instance: Instance, run: Run, key: str | None, max_open: int
    ) -> Run | Exception:
        first = record(1, Start(run.run_id, run.session_id))
        idempotency = Idempotency(key, "body") if key else None
        try:
            opened = await instance.log.open(run, first, idempotency=idempotency, max_open=max_open)
        except Exception as error:
            return error
        if opened.run_id == run.run_id and instance.alive:
            for other in self.executions.values():
                if (other.run.owner, other.run.session_id) == (run.owner, run.session_id):
                    same = other.instance is instance
                    free = other.over or other.ending or not same
                    if not free and self.model_status(other.run) != "interrupted":
                        self.wrong.append(f"{other.run.run_id}, {run.run_id} in one session")
            self.executions[run.run_id] = Execution(opened, instance, key)
        return opened

    def say(self, execution: Execution, count: int, size: int = 0) -> None:
        """The agent says something, in one batch."""
        if execution.ending or execution.over or not execution.instance.alive:
            return
        first = execution.said + 1
        execution.said += count
        texts = [word(execution.run, id) + "x" * size for id in range(first, first + count)]
        records = [record(id, Message(text)) for id, text in enumerate(texts, first)]
        _ = self.spawn(self._say(execution, records))
        self.loop.settle()

    async def _say(self, execution: Execution, records: Sequence[Record]) -> None:
        try:
            await execution.instance.log.append(execution.run, records)
        except Superseded:
            execution.over = execution.abandoned = True

    def end(self, execution: Execution) -> None:
        if execution.ending or execution.over or not execution.instance.alive:
            return
        execution.ending = True
        execution.said += 1
        _ = self.spawn(self._end(execution, record(execution.said, Done())))
        if not asyncio._get_running_loop():
            self.loop.settle()

    async def _end(self, execution: Execution, last: Record) -> None:
        try:
            await execution.instance.log.close(execution.run, last, "complete")
        except Superseded:
            execution.abandoned = True
        execution.over = True

    def follow(self, instance: Instance, run: Run, after: int = 0) -> Reader:
        records: list[Record] = []
        task = self.spawn(self._follow(instance, run, after, records))
        reader = Reader(run, instance, task, after, records)
        self.readers.append(reader)
        self.loop.settle()
        return reader

    async def _follow(
        self, instance: Instance, run: Run, after: int, records: list[Record]
    ) -> None:
        """As a request does: whoever does not find the run does not follow it."""
        with suppress(Overloaded):
            if await instance.log.find(run.owner, run.run_id):
                following = instance.log.follow(run, after, silence_seconds=1e9)
                async with aclosing(following) as batches:
                    async for batch in batches:
                        records.extend(batch)
                return
        self.readers = [reader for reader in self.readers if reader.records is not records]

    def find(self, instance: Instance, run: Run) -> None:
        """Somebody asks for a run: a dead owner's is ended by that."""
        _ = self.spawn(self._find(instance, run))
        self.loop.settle()

    async def _find(self, instance: Instance, run: Run) -> None:
        with suppress(Overloaded):
            await instance.log.find(run.owner, run.run_id)

    def kill(self, instance: Instance) -> None:
        """As kill -9: nothing is said to anybody."""
        instance.alive = False
        self.network.dead.add(instance.name)
        for pipeline in [p for p in self.network.waiting if p.instance == instance.name]:
            self.network.lose(pipeline)
        for reader in self.readers:
            if reader.instance is instance:
                reader.task.cancel()
        self.readers = [reader for reader in self.readers if reader.instance is not instance]
        for execution in self.executions.values():
            if execution.instance is instance:
                execution.over = True
        instance.server.up = False
        closing = self.spawn(instance.stack.aclose())
        self.loop.settle()
        while not closing.done():
            self.loop.advance(0.01)

    def interrupted(self, run: Run) -> None:
        """A run was ended by somebody who took its owner for dead."""
        self.told_interrupted.append(run.run_id)
        if run.request.message != "hi":
            self.wrong.append(f"{run.run_id} was ended, and nobody knows what was said")
        execution = self.executions.get(run.run_id)
        if execution and execution.instance.alive and not self.disturbed(execution.instance):
            self.wrong.append(f"{run.run_id} was ended, and its owner is alive")

    def disturbed(self, instance: Instance) -> bool:
        """The instance may have been kept from renewing its leases."""
        since = self.loop.time() - self.network.troubled_at.get(instance.name, float("-inf"))
        return since <= TIMING.lease_seconds

    # What the server has

    def model_last(self, run: Run) -> int:
        """The last event of a run that the server ever had."""
        keys = run_keys(run.owner, run.run_id)
        last = int(self.model.data.get(keys.run, {}).get("last", 0))
        self._had[run.run_id] = max(self._had.get(run.run_id, 0), last)
        return self._had[run.run_id]

    def model_status(self, run: Run) -> str | None:
        status: str | None = self.model.data.get(keys_of(run).run, {}).get("status")
        return status

    def ownerless(self, *instances: Instance) -> list[str]:
        """Open runs on the server, by one of the instances, which has none such."""
        living = {instance.name: instance for instance in instances}
        return [
            name
            for name, h in self.model.data.items()
            if ":run:" in name and h["status"] == "running" and h["instance"] in living
            and name.partition(":run:")[2] not in living[h["instance"]].replicas
        ]  # fmt: skip

    def remember(self) -> None:
        """What the server is about to lose, it has had."""
        for execution in self.executions.values():
            self.model_last(execution.run)

    def close(self) -> None:
        for instance in self.living:
            self.kill(instance)
        for task in self._tasks:
            task.cancel()
        self.loop.settle()
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error
        asyncio.set_event_loop(None)
        self.loop.close()


def keys_of(run: Run) -> RunKeys:
    return run_keys(run.owner, run.run_id)


def word(run: Run, id: int) -> str:
    return f"{run.run_id} {id} "


def is_interruption(item: Record) -> bool:
    return isinstance(item.event, Failed) and item.event.problem["code"] == "interrupted"
