"""A clock that tests turn, and what is between instances and a server that is none.

What passes is executed, held, lost or late as a test says; time passes when a test says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from bff.runs.valkey.client import Command
from bff.runs.valkey.connection import Server
from bff.runs.valkey.timing import TIMING
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
        self.most_keys = 1_000_000
        """That the server gets through in the time of a call; of a longer pipeline it does none."""
        self.dead: set[str] = set()
        self.deaf: set[str] = set()
        """Instances that no message reaches."""
        self.troubled_at: dict[str, float] = {}
        """When a call of an instance did not just pass."""
        self.failovers = 0
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
        if sum(command[2] for command in commands) > self.most_keys:
            raise TimeoutError
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

    def fail_over(self, data: dict[str, Any]) -> None:
        """Another server takes over, which has that: every connection is closed."""
        self.failovers += 1
        self.model.data = data
        for pipeline in list(self.waiting):
            self.lose(pipeline)
        self.late.clear()

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
    def closed_connections(self) -> int:
        return self._network.failovers

    def pubsub(self) -> Any:
        return self._network.pubsub()

    async def execute(self, commands: Sequence[Command]) -> list[Any]:
        return await self._network.send(self._instance, commands)
