"""The one place that knows what a run is: started, followed, cancelled, drained.

A run belongs to the application, not to the request that began it. Its owner calls the agent once,
numbers what comes back, writes it to the log and only then lets anyone see it. Every endpoint is a
view of that log: a blocking answer is "follow to the end and fold", a stream is "follow from 0", a
reconnect is "follow from n".
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from bff.agents import Agent, Prompt
from bff.errors import (
    AgentFailed,
    AgentTimeout,
    Draining,
    Internal,
    Interrupted,
    NotFound,
    Problem,
)
from bff.events import Done, Event, Failed, Record, Start, Transcript, record
from bff.history import History, Turn
from bff.runlog import Idempotency, OnDisconnect, Run, RunLog, Status, Superseded
from bff.settings import HEARTBEAT_SECONDS

logger = logging.getLogger(__name__)

CANCEL_WAIT_SECONDS = 5.0
"""How long a caller of cancel waits for the run's end before being told it is still running."""
HISTORY_SECONDS = 3.0
"""How long the end of a run may wait for the history."""
STOP_SECONDS = 10.0
"""How long the agent's side of a session may take to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a client asks for: one message into one session.

    `owner` is the principal's digest and what the agent knows the caller by; `agent_session_id` is
    what it knows the session by.
    """

    owner: str
    session_id: str
    agent_session_id: str
    message: str = field(repr=False)
    request_id: str
    deadline_seconds: float
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    on_disconnect: OnDisconnect = "continue"
    idempotency: Idempotency | None = None
    trace: Mapping[str, str] = field(default_factory=dict)


class Watch(Protocol):
    """Who is told how runs go (metrics)."""

    def run_started(self) -> None: ...

    def run_spoke(self, seconds: float) -> None:
        """The agent's first event came, `seconds` after the run began."""
        ...

    def run_ended(self, status: Status, code: str | None, seconds: float) -> None: ...

    def history_failed(self) -> None: ...


class Follower:
    """One reader of a run; an async context manager, since leaving may end the run."""

    def __init__(self, runs: Runs, run: Run) -> None:
        self.run = run
        self._runs = runs

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._runs.left(self.run)

    def batches(
        self, after: int = 0, *, silence_seconds: float = HEARTBEAT_SECONDS
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        """The run's records behind event `after`, to its end; an empty batch is a heartbeat."""
        return self._runs.log.follow(self.run, after, silence_seconds=silence_seconds)

    async def fold(self) -> Transcript:
        """The whole answer, once the run has ended."""
        transcript = Transcript()
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                for item in batch:
                    transcript.add(item.event)
        return transcript


class _Live:
    """A run this process owns, while it is open."""

    __slots__ = (
        "abandoned",
        "call",
        "ending",
        "finishing",
        "next_id",
        "order",
        "run",
        "task",
        "transcript",
    )

    def __init__(self, run: Run, order: Order) -> None:
        self.run = run
        self.order = order
        self.transcript = Transcript()
        self.call: asyncio.Task[Done]
        self.task: asyncio.Task[None]
        self.ending: Done | Problem | None = None
        self.finishing = False
        self.abandoned = False
        self.next_id = 2

    def number(self, events: Sequence[Event]) -> list[Record]:
        """The events as the run's next records. Ids are spent here, before anything is written."""
        records = []
        for event in events:
            self.transcript.add(event)
            records.append(record(self.next_id, event))
            self.next_id += 1
        return records


class Runs:
    """All runs of this process; an async context manager that outlives every run in it."""

    def __init__(
        self,
        *,
        agent: Agent,
        history: History,
        log: RunLog,
        watch: Watch,
        max_open_per_owner: int,
        idle_timeout_seconds: float,
        stop_agent_on_cancel: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.log = log
        self.drain_begun = asyncio.Event()
        self._agent = agent
        self._history = history
        self._watch = watch
        self._max_open_per_owner = max_open_per_owner
        self._idle_timeout_seconds = idle_timeout_seconds
        self._stop_agent_on_cancel = stop_agent_on_cancel
        self._clock = clock
        self._live: dict[str, _Live] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        log.bind(self)

    def __repr__(self) -> str:
        return f"<Runs {len(self._live)} running{' draining' if self.draining else ''}>"

    @property
    def draining(self) -> bool:
        return self.drain_begun.is_set()

    @property
    def open_count(self) -> int:
        return len(self._live)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.drain(0)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=HISTORY_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Starting

    async def start(self, order: Order) -> Follower:
        """Begin a run, or find the one its idempotency key began, and follow it.

        Raises `Draining` and what `RunLog.open` raises. A caller that is cancelled meanwhile has
        left: the run goes on or ends as `on_disconnect` says.
        """
        if self.draining:
            raise Draining(retry_after_seconds=1)
        opening = asyncio.create_task(self._open(order))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._left_while_opening)
            raise

    async def _open(self, order: Order) -> Follower:
        run = Run(
            run_id=f"run_{secrets.token_hex(16)}",
            owner=order.owner,
            session_id=order.session_id,
            agent_session_id=order.agent_session_id,
            message=order.message,
            request_id=order.request_id,
            created_at=self._clock(),
            on_disconnect=order.on_disconnect,
            last_event_id=1,
        )
        opened = await self.log.open(
            run,
            record(1, Start(run.run_id, run.session_id)),
            idempotency=order.idempotency,
            max_open=self._max_open_per_owner,
        )
        await self._join(opened)
        if opened.run_id == run.run_id:
            live = _Live(opened, order)
            self._live[run.run_id] = live
            live.call = asyncio.create_task(self._call(live), name=f"agent {run.run_id}")
            live.task = self._keep(asyncio.create_task(self._see_to_the_end(live)))
            self._watch.run_started()
        return Follower(self, opened)

    def _left_while_opening(self, opening: asyncio.Task[Follower]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.left(opening.result().run)

    # Following

    async def find(self, owner: str, run_id: str) -> Run:
        """The owner's run; raises `NotFound`."""
        run = await self.log.find(owner, run_id)
        if run is None:
            raise NotFound
        return run

    async def follow(self, run: Run) -> Follower:
        """One more reader."""
        await self._join(run)
        return Follower(self, run)

    async def _join(self, run: Run) -> None:
        if run.on_disconnect == "cancel":
            await self.log.join(run)

    def left(self, run: Run) -> None:
        """A follower has gone; the last one to leave ends a run that was to be cancelled then."""
        if run.on_disconnect == "cancel":
            self._spawn(self._leave(run))

    async def _leave(self, run: Run) -> None:
        if await self.log.leave(run):
            await self.log.request_cancel(run)

    # Ending

    async def cancel(self, run: Run) -> Run:
        """Stop a run and return what became of it; a run that has ended stays as it is."""
        if run.status != "running":
            return run
        await self.log.request_cancel(run)
        await self.ended(run, timeout_seconds=CANCEL_WAIT_SECONDS)
        return await self.find(run.owner, run.run_id)

    async def cancel_session(self, owner: str, session_id: str, agent_session_id: str) -> bool:
        """Cancel what is open in a session, stop the agent's side; true if a run was open."""
        run = await self.log.find_open(owner, session_id)
        if run is not None:
            await self.cancel(run)
        self._spawn(self._stop_agent(agent_session_id))
        return run is not None

    async def ended(self, run: Run, *, timeout_seconds: float) -> bool:
        """Wait for a run's end; false if it did not come in time."""
        try:
            async with (
                asyncio.timeout(timeout_seconds),
                aclosing(self.log.follow(run, run.last_event_id, silence_seconds=1)) as batches,
            ):
                async for _ in batches:
                    pass
        except TimeoutError:
            return False
        return True

    async def drain(self, timeout_seconds: float) -> None:
        """Take no new run and return when the open ones have ended.

        What is still open after `timeout_seconds` gets its terminal `draining` error.
        """
        self.drain_begun.set()
        if tasks := [live.task for live in self._live.values()]:
            await asyncio.wait(tasks, timeout=timeout_seconds)
        for live in list(self._live.values()):
            self._end(live, Draining(agent_called=True))
        if tasks := [live.task for live in self._live.values()]:
            await asyncio.wait(tasks, timeout=HISTORY_SECONDS)

    def _end(self, live: _Live, ending: Done | Problem) -> None:
        """End a run early; whoever is first decides how, and an ending run just goes on."""
        if live.ending is None and not live.finishing:
            live.ending = ending
            live.call.cancel()

    # What the log tells its owner

    def cancel_requested(self, run_id: str) -> None:
        if live := self._live.get(run_id):
            self._end(live, Done("cancelled"))

    def superseded(self, run_id: str) -> None:
        if live := self._live.get(run_id):
            live.abandoned = True
            live.call.cancel()

    def interrupted(self, run: Run) -> None:
        self._spawn(self._remember_interrupted(run))

    async def _remember_interrupted(self, run: Run) -> None:
        transcript = await Follower(self, run).fold()
        await self._remember(run, transcript, "interrupted")

    # The life of one run

    async def _call(self, live: _Live) -> Done:
        """Call the agent, once, and log what it says; raises what went wrong."""
        order = live.order
        prompt = Prompt(
            message=order.message,
            session_id=order.agent_session_id,
            actor_id=order.owner,
            run_id=live.run.run_id,
            metadata=order.metadata,
            trace=order.trace,
        )
        now = asyncio.get_running_loop().time
        began = heard = now()
        idle = self._idle_timeout_seconds
        slack = idle / 20  # a timer an event would cost more than all else that is done for it
        deadline = began + order.deadline_seconds
        async with (
            asyncio.timeout_at(min(began + idle, deadline)) as limit,
            aclosing(self._agent.stream(prompt)) as batches,
        ):
            async for batch in batches:
                if now() - heard > slack:
                    heard = now()
                    limit.reschedule(min(heard + idle + slack, deadline))
                done = batch[-1] if batch and isinstance(batch[-1], Done) else None
                if events := batch[:-1] if done else batch:
                    if live.next_id == 2:
                        self._watch.run_spoke(now() - began)
                    await self.log.append(live.run, live.number(events))
                if done:
                    return done
        raise AgentFailed(agent_called=True)  # an agent that ends without `Done` broke its promise

    async def _see_to_the_end(self, live: _Live) -> None:
        """Wait for the call's end, write the history, then the terminal event: in this order."""
        await asyncio.wait({live.call})
        live.finishing = True
        run = live.run
        try:
            if live.abandoned:
                raise Superseded
            status, event = self._outcome(live)
            [last] = live.number([event])
            if status == "cancelled" and self._stop_agent_on_cancel:
                self._spawn(self._stop_agent(run.agent_session_id))
            await self._remember(run, live.transcript, status)
            await self.log.close(run, last, status)
            code = event.problem["code"] if isinstance(event, Failed) else None
            self._watch.run_ended(status, code, self._clock() - run.created_at)
        except Superseded:
            logger.warning("run %s was taken over by another task; aborted here", run.run_id)
            self._watch.run_ended("interrupted", "interrupted", self._clock() - run.created_at)
        finally:
            del self._live[run.run_id]

    def _outcome(self, live: _Live) -> tuple[Status, Done | Failed]:
        """How a run ended. What the agent said in time wins over an ending asked for meanwhile."""
        error: BaseException | None
        if live.call.cancelled():
            if isinstance(live.ending, Done):
                return "cancelled", live.ending
            error = live.ending or Interrupted(agent_called=True)
        else:
            error = live.call.exception()
        match error:
            case None:
                done = live.call.result()
                return done.status, done
            case Superseded():
                raise error
            case Problem():
                problem = error
            case TimeoutError():
                problem = AgentTimeout(agent_called=True)
            case _:
                logger.error("run %s failed", live.run.run_id, exc_info=error)
                problem = Internal(agent_called=True)
        return "failed", Failed(
            problem.document(request_id=live.run.request_id, instance=f"/v1/runs/{live.run.run_id}")
        )

    async def _remember(self, run: Run, transcript: Transcript, status: Status) -> None:
        """Write the turn; a history that cannot be written does not take the answer away."""
        turn = Turn(
            run_id=run.run_id,
            session_id=run.session_id,
            agent_session_id=run.agent_session_id,
            message=run.message,
            answer=transcript.text,
            tool_calls=transcript.tool_calls,
            status=status,
            asked_at=run.created_at,
            answered_at=self._clock(),
        )
        try:
            async with asyncio.timeout(HISTORY_SECONDS):
                await self._history.add(run.owner, turn)
        except Exception:
            logger.exception("run %s is missing from the history", run.run_id)
            self._watch.history_failed()

    async def _stop_agent(self, agent_session_id: str) -> None:
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._agent.stop(agent_session_id)
        except Exception:
            logger.exception("the agent's session could not be stopped")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        _ = self._keep(asyncio.create_task(work))

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        """Own a task until it is done, so that it is neither lost nor left behind."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
