"""Several instances in one process, without a server, a network or a clock of their own.

Everything but the connection is the service's own code. The server is `Model`; what passes between
an instance and it is executed, held, lost or late as a test says; time passes when a test says so.
So any order of replies can be tried, in milliseconds, and tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Any, Self

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
from tests.runs.valkey.model import SCRIPTS, Model

EPOCH = 1_700_000_000.0
"""The server's clock at the beginning."""
MOST_TURNS = 20_000
"""Of the loop until nothing is left to do: more is a loop that never rests."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still but for `advance`, and that never waits."""

    def __init__(self) -> None:
        super().__init__()
        self._at = 0.0

    def time(self) -> float:
        return self._at

    def settle(self) -> None:
        """Do all that can be done without time passing."""
        self.run_until_complete(self._rest())

    async def _rest(self) -> None:
        for _ in range(MOST_TURNS):
            await asyncio.sleep(0)
            if not self._ready:  # type: ignore[attr-defined]
                return
        raise AssertionError("the loop never rests")

    def advance(self, seconds: float) -> None:
        """Let time pass, and everything happen that was to happen meanwhile."""
        until = self._at + seconds
        while True:
            self.settle()
            due = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
            if not due or min(due) > until:
                break
            self._at = max(self._at, min(due))
        self._at = until
        self.settle()


@dataclass(eq=False)
class Pipeline:
    """Commands on their way."""

    instance: str
    commands: Sequence[tuple[Any, ...]]
    ready: asyncio.Future[None]
    """Done when its reply may be passed on."""
    replies: list[Any] | None = None
    """What the server said, once it has executed them."""

    def __repr__(self) -> str:
        return f"<{self.instance}: {', '.join(sorted(self.scripts))}>"

    @property
    def scripts(self) -> set[str]:
        return {SCRIPTS[command[1]].name for command in self.commands}


class Network:
    """Between the instances and the server."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.holding: dict[str, set[str]] = {}
        """By instance: the scripts whose replies are held; "*" are all of them."""
        self.stuck: set[str] = set()
        """Instances whose calls do not get through; they may arrive later."""
        self.cut: set[str] = set()
        """Instances whose calls fail at once."""
        self.away = False
        """The server does not answer anybody: nobody may lose a run by that."""
        self.dead: set[str] = set()
        self.deaf: set[str] = set()
        """Instances that no message reaches."""
        self.troubled_at: dict[str, float] = {}
        """When a call of an instance did not just pass."""
        self.waiting: list[Pipeline] = []
        self.late: list[Pipeline] = []
        """Not executed when their caller gave up."""
        self._channels: dict[str, asyncio.Queue[str]] = {}

    async def send(self, instance: str, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionError("away")
        if instance in self.cut | self.dead:
            self._trouble(instance)
            raise ConnectionError("cut")
        pipeline = Pipeline(instance, commands, asyncio.get_running_loop().create_future())
        if instance in self.stuck:
            self.waiting.append(pipeline)
        else:
            self.execute(pipeline)
            if self.holding.get(instance, set()) & {*pipeline.scripts, "*"}:
                self.waiting.append(pipeline)
            else:
                pipeline.ready.set_result(None)
        try:
            await pipeline.ready
        except asyncio.CancelledError:
            if pipeline in self.waiting:
                self._done_with(pipeline)
            if pipeline.replies is None:
                self.late.append(pipeline)
            raise
        assert pipeline.replies is not None
        return pipeline.replies

    def _done_with(self, pipeline: Pipeline) -> None:
        self.waiting.remove(pipeline)
        self._trouble(pipeline.instance)

    def _trouble(self, instance: str) -> None:
        self.troubled_at[instance] = self.model.now() / 1000 - EPOCH

    def execute(self, pipeline: Pipeline) -> None:
        """The server gets it."""
        pipeline.replies = []
        for _, sha, count, *rest in pipeline.commands:
            keys, args = rest[:count], rest[count:]
            pipeline.replies.append(self.model.run(SCRIPTS[sha], keys, args))
        messages, self.model.published = self.model.published, []
        for channel, text in messages:
            instance = channel.rpartition(":")[2]
            if channel in self._channels and instance not in self.deaf:
                self._channels[channel].put_nowait(text)

    def pass_on(self, pipeline: Pipeline) -> None:
        """The caller gets its reply."""
        if pipeline.replies is None:
            self.execute(pipeline)
        self._done_with(pipeline)
        if not pipeline.ready.done():
            pipeline.ready.set_result(None)

    def lose(self, pipeline: Pipeline) -> None:
        """The caller never gets it: its connection breaks."""
        self._done_with(pipeline)
        if not pipeline.ready.done():
            pipeline.ready.set_exception(ConnectionError("lost"))

    @property
    def troubled(self) -> bool:
        return bool(self.holding or self.stuck or self.cut or self.deaf or self.waiting)

    def heal(self) -> None:
        self.away = False
        for troubles in (self.holding, self.stuck, self.cut, self.deaf):
            troubles.clear()
        for pipeline in list(self.waiting):
            self.pass_on(pipeline)
        for pipeline in self.late:
            self.execute(pipeline)
        self.late.clear()

    def pubsub(self) -> Any:
        return _PubSub(self._channels)


class _PubSub:
    """As much of redis-py's as is used."""

    def __init__(self, channels: dict[str, asyncio.Queue[str]]) -> None:
        self._channels = channels

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def subscribe(self, channel: str) -> None:
        self._queue = self._channels.setdefault(channel, asyncio.Queue())

    async def get_message(self, timeout: float) -> dict[str, str] | None:
        try:
            async with asyncio.timeout(timeout):
                return {"type": "message", "data": await self._queue.get()}
        except TimeoutError:
            return None


class SimulatedServer(Server):
    """A server behind the network of the simulation."""

    def __init__(self, network: Network, instance: str) -> None:
        super().__init__(
            "redis://nowhere", call_seconds=TIMING.call_seconds, slack_seconds=TIMING.slack_seconds
        )
        self._network = network
        self._instance = instance

    @property
    def client(self) -> Any:
        return self._network

    def execute(self, commands: Sequence[tuple[str | int, ...]]) -> asyncio.Task[list[Any]]:
        return asyncio.create_task(self._network.send(self._instance, commands))


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
        if status not in ("interrupted", None):
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
        on_disconnect: OnDisconnect = "continue",
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
        task = self.spawn(self._begin(instance, run, key))
        self.loop.settle()
        return task

    async def _begin(self, instance: Instance, run: Run, key: str | None) -> Run | Exception:
        first = record(1, Start(run.run_id, run.session_id))
        idempotency = Idempotency(key, "body") if key else None
        try:
            opened = await instance.log.open(run, first, idempotency=idempotency, max_open=3)
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
