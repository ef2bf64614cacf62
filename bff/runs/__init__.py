"""The one place that knows which runs there are: started, followed, cancelled, drained.

A run belongs to the application, not to the request that began it. Its owner calls the agent once,
numbers what comes back, writes it to the log and only then lets anyone see it. Every endpoint is a
view of that log: a blocking answer is "follow to the end and fold", a stream is "follow from 0", a
reconnect is "follow from n".
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Self

from bff.agents import Agent
from bff.errors import Draining, NotFound, SessionBusy
from bff.events import Done, Record, Start, record
from bff.files import Files
from bff.history import History
from bff.log_context import RunAtHand, current_run
from bff.runs.answers import Claim, not_taken
from bff.runs.bell import Bell
from bff.runs.deleted import Forgotten, take_back
from bff.runs.dependencies import RunDependencies, RunObserver
from bff.runs.execution import RunExecution
from bff.runs.follower import Follower
from bff.runs.log import Run, RunLog, Status
from bff.runs.request import Idempotency, RunRequest
from bff.runs.turns import write_turn
from bff.settings import HEARTBEAT_SECONDS, STOP_GRACE_SECONDS
from bff.tasks import end_tasks

__all__ = ["Follower", "RunObserver", "RunRequest", "Runs"]

logger = logging.getLogger(__name__)

CANCEL_WAIT_SECONDS = 5.0
"""How long a caller of cancel waits for the run's end before being told it is still running."""
ENDS_SECONDS = STOP_GRACE_SECONDS / 2
"""How long the runs that a drain has ended may take for their last events and the history."""
STOP_SECONDS = 10.0
"""How long the agent's side of a session may take to stop."""


class Runs:
    """All runs of this process; an async context manager that outlives every run in it."""

    def __init__(
        self,
        *,
        agents: Mapping[str, Agent],
        history: History,
        files: Files | None = None,
        log: RunLog,
        observer: RunObserver,
        max_open_per_owner: int,
        idle_timeout_seconds: float,
        stopped_on_cancel: Collection[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self.drain_begun = asyncio.Event()
        self._parts = RunDependencies(
            agents=agents,
            history=history,
            files=files,
            log=log,
            bell=Bell(),
            observer=observer,
            idle_timeout_seconds=idle_timeout_seconds,
            clock=clock,
        )
        self._max_open_per_owner = max_open_per_owner
        self._stopped_on_cancel = stopped_on_cancel
        self._executions: dict[str, RunExecution] = {}
        self._claiming: dict[str, Claim] = {}
        self._openings: set[asyncio.Task[Follower]] = set()
        self._ends: dict[str, asyncio.Task[Status]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._followers = 0
        self._on_end, self._on_leaving = self._ended, self.left
        """Each look at a method makes one more of it, and an open run would hold two."""
        self._unfollowed = asyncio.Event()
        self._unfollowed.set()
        log.bind(self)

    def __repr__(self) -> str:
        return f"<Runs {len(self._executions)} running{' draining' if self.draining else ''}>"

    @property
    def draining(self) -> bool:
        return self.drain_begun.is_set()

    @property
    def open_count(self) -> int:
        return len(self._executions)

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
            await asyncio.wait(self._tasks, timeout=ENDS_SECONDS)
        await end_tasks(*self._ends.values(), *self._tasks)

    # Starting

    async def start(self, order: RunRequest) -> Follower:
        """Begin a run, or find the one its idempotency key began, and follow it.

        Raises `Draining` and what `RunLog.open` raises. A caller that is cancelled meanwhile has
        left: the run goes on or ends as `on_disconnect` says.
        """
        if self.draining:
            raise Draining(retry_after_seconds=1)
        waits = order.questions or (order.call and order.call.beginning)
        if self._log.at_once and not waits:
            return await self._open(order)  # which waits for nothing, so cannot be left half done
        opening = asyncio.create_task(self._open(order))
        self._openings.add(opening)
        opening.add_done_callback(self._openings.discard)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._left_while_opening)
            raise

    async def _open(self, order: RunRequest) -> Follower:
        run = Run(
            run_id=f"run_{os.urandom(16).hex()}",
            request=order,
            created_at=self._parts.clock(),
            last_event_id=1,
        )
        opened = await self._log.open(
            run,
            record(1, Start(run.run_id, run.session_id)),
            idempotency=order.idempotency,
            max_open=self._max_open_per_owner,
        )
        claim: Claim | None = None
        beginning = order.call.beginning if order.call else None
        if opened.run_id == run.run_id and (order.questions or beginning):
            claim = self._claiming[run.run_id] = Claim()
            try:
                if order.questions:
                    await claim.take(self._parts, opened)
                if beginning:
                    await beginning()
            finally:
                del self._claiming[run.run_id]
        await self._join(opened)
        execution: RunExecution | None = None
        if opened.run_id == run.run_id:
            assert order.call is not None
            current_run.set(RunAtHand(run.run_id, order.agent))  # of this task and those it begins
            execution = RunExecution(self._parts, opened, order.call)
            self._executions[run.run_id] = execution
            end = asyncio.create_task(execution.finish(), name=run.run_id)
            self._ends[run.run_id] = end
            end.add_done_callback(self._on_end)
            if claim:
                claim.pass_on(execution)
        # a shared log tells its followers of an end before its server has told us that it has it
        own = execution if self._log.at_once else None
        return Follower(self._log, opened, left=self._on_leaving, execution=own)

    def _left_while_opening(self, opening: asyncio.Task[Follower]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.left(opening.result().run)

    # Finding

    async def find(self, owner: str, run_id: str, *, deleted: bool = False) -> Run:
        """The owner's run; raises `NotFound`. With `deleted`, as `RunLog.find`."""
        run = await self._log.find(owner, run_id, deleted=deleted)
        if run is None:
            raise NotFound
        return run

    async def find_open(self, owner: str, session_id: str) -> Run | None:
        """The run that is open in a session."""
        return await self._log.find_open(owner, session_id)

    async def open_runs(self, owner: str) -> Sequence[Run]:
        """All of the owner's open runs; those that are known, while degraded."""
        return await self._log.open_runs(owner)

    async def ping(self) -> None:
        """Return if runs are shared as they should be; raise a `Problem` while degraded."""
        await self._log.ping()

    async def find_known(self, owner: str, idempotency: Idempotency) -> Run | None:
        """The run that an idempotency key began; raises what `RunLog.find_known` raises."""
        return await self._log.find_known(owner, idempotency)

    async def forget(self, run: Run) -> None:
        """Make a run that has ended unknown, everywhere."""
        await self._log.forget(run.owner, [run.run_id])

    async def runs_of(self, owner: str, session_id: str) -> Sequence[str]:
        """As `RunLog.runs_of`: forgotten ones may be among them."""
        return await self._log.runs_of(owner, session_id)

    async def forget_session(self, owner: str, session_id: str) -> Forgotten:
        """Cancel what is open in a session and make all its runs unknown, everywhere.

        A run that is begun meanwhile may stay, but is not among those that are named. Raises
        `SessionBusy` for one that does not end in time.
        """
        # a shared log is asked for both at once, in this order: who is named and open is cancelled
        run_ids, cancelled = await asyncio.gather(
            self._log.runs_of(owner, session_id), self._cancel_session(owner, session_id)
        )
        found = await self._log.forget(owner, run_ids, ended=cancelled)
        return Forgotten(frozenset(run_ids), found or cancelled is not None)

    async def so_far(self, run: Run) -> Sequence[Record]:
        """A run's records as they are now, without waiting for more and without following it."""
        found: list[Record] = []
        follow = self._log.follow(run, 0, silence_seconds=HEARTBEAT_SECONDS)
        async with aclosing(follow) as batches:
            async for batch in batches:
                found += batch
                if not batch or batch[-1].id >= run.last_event_id:
                    break
        return found

    # Following

    async def follow(self, run: Run) -> Follower:
        """One more reader."""
        await self._join(run)
        return Follower(self._log, run, left=self._on_leaving)

    async def _join(self, run: Run) -> None:
        self._followers += 1
        self._unfollowed.clear()
        if run.request.on_disconnect == "cancel":
            try:
                await self._log.join(run)
            except BaseException:  # nobody else will say that this follower has left
                self.left(run)
                raise

    def left(self, run: Run) -> None:
        """A follower has gone; the last one to leave ends a run that was to be cancelled then."""
        self._followers -= 1
        if not self._followers:
            self._unfollowed.set()
        if run.request.on_disconnect == "cancel":
            leaving = self._leave(run)
            if self._log.at_once:
                with suppress(StopIteration):  # its end; there is no other await in it
                    leaving.send(None)
            else:
                self._spawn(leaving)

    async def _leave(self, run: Run) -> None:
        if await self._log.leave(run):
            await self._log.request_cancel(run)

    # Ending

    async def cancel(self, run: Run) -> Run:
        """Stop a run and return what became of it; a run that has ended stays as it is."""
        if run.status != "running":
            return run
        ours = run.run_id in self._ends
        end = await self._stop(run)
        if ours or end is None:
            return await self.find(run.owner, run.run_id)
        # another instance's: its last record tells what asking the server once more would tell
        return run.ended_with(end, self._parts.clock())

    async def _cancel_session(self, owner: str, session_id: str) -> Run | None:
        """Cancel what is open in a session, to its end; the run, if there was one, as it ended."""
        run = await self.find_open(owner, session_id)
        if run is None:
            return None
        end = await self._stop(run)
        if end is None:
            raise SessionBusy(retry_after_seconds=1)
        return run.ended_with(end, self._parts.clock())

    async def request_cancel(self, run: Run) -> None:
        """Tell the run's owner to stop it; returns before it has."""
        await self._log.request_cancel(run)

    async def _stop(self, run: Run) -> Record | None:
        """Ask for a run's end and wait for it; None if it did not come in time.

        Both at once: a server that is slow is waited for once.
        """
        ending = asyncio.create_task(self.end_of(run, timeout_seconds=CANCEL_WAIT_SECONDS))
        try:
            await self.request_cancel(run)
            return await ending
        finally:
            await end_tasks(ending)

    def stop_agent(self, agent: str, agent_session_id: str) -> None:
        """End the agent's side of a session; nobody waits for it."""
        self._spawn(self._stop_agent(agent, agent_session_id))

    async def end_of(self, run: Run, *, timeout_seconds: float) -> Record | None:
        """A run's terminal record; None if it did not come in time."""
        last: Record | None = None
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(timeout_seconds),
                aclosing(self._log.follow(run, run.last_event_id, silence_seconds=1)) as batches,
            ):
                async for batch in batches:
                    last = batch[-1] if batch else last
        return last if last is not None and last.terminal else None

    async def drain(self, timeout_seconds: float) -> None:
        """Take no new run and return when the open ones have ended and their followers know.

        Followers here of other instances' runs stay connected as well. What is still open after
        `timeout_seconds` gets its terminal `draining` error.
        """
        self.drain_begun.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while pending := {*self._openings, *self._ends.values()}:
                    await asyncio.wait(pending)
                await self._unfollowed.wait()
        for execution in self._executions.values():
            execution.end(Draining(agent_called=True))
            execution.hurry(ENDS_SECONDS)
        if self._ends:
            await asyncio.wait(self._ends.values(), timeout=ENDS_SECONDS)

    def _ended(self, end: asyncio.Task[Status]) -> None:
        """A run's task, which has the run's name, is done."""
        run_id = end.get_name()
        del self._ends[run_id]
        execution = self._executions.pop(run_id)
        if end.cancelled():
            return
        if error := end.exception():
            logger.error("run %s has no end", run_id, exc_info=error)
            return
        request = execution.run.request
        stopped = end.result() == "cancelled" and request.agent in self._stopped_on_cancel
        if stopped or execution.forgotten:
            self.stop_agent(request.agent, request.agent_session_id)

    # What the log tells its owner

    def cancel_requested(self, run_id: str) -> None:
        if execution := self._executions.get(run_id):
            execution.end(Done("cancelled"))
        elif claim := self._claiming.get(run_id):
            claim.cancelled = True

    def superseded(self, run_id: str) -> None:
        if execution := self._executions.get(run_id):
            execution.abandon()
        elif claim := self._claiming.get(run_id):
            claim.abandoned = True

    def interrupted(self, run: Run) -> None:
        self._spawn(self._remember_interrupted(run))

    async def _remember_interrupted(self, run: Run) -> None:
        transcript = await Follower(self._log, run, left=self._on_leaving).fold()
        left_open = await not_taken(self._parts.history, run) if run.request.questions else ()
        await write_turn(self._parts, run, transcript, "interrupted", left_open=left_open)
        await take_back(self._log, self._parts.history, run)

    async def _stop_agent(self, agent: str, agent_session_id: str) -> None:
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._parts.agents[agent].stop(agent_session_id)
        except Exception:
            logger.exception("the agent's session could not be stopped")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Own a task until it is done, so that it is neither lost nor left behind."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
