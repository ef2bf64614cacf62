"""The life of one run: its call of the agent, its numbered events, and its end.

What may end it, and who wins when two things do, is decided here and nowhere else; ARCHITECTURE.md
has the table.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from bff.agents import Prompt
from bff.conversations.questions import asked_anew
from bff.errors import (
    AgentFailed,
    AgentSessionIdle,
    AgentTimeout,
    Internal,
    Interrupted,
    Problem,
)
from bff.events import Done, Event, Failed, File, Input, Record, encode, record
from bff.files.made import keep_made
from bff.runs.bell import NEVER
from bff.runs.client_tools import ClientTools
from bff.runs.deleted import take_back
from bff.runs.dependencies import RunDependencies
from bff.runs.log import Run, Status, Superseded
from bff.runs.request import Call
from bff.runs.transcript import Transcript
from bff.runs.turns import HISTORY_SECONDS, write_turn

logger = logging.getLogger(__name__)


class RunExecution:
    """A run this process owns, while it is open."""

    __slots__ = (
        "_abandoned",
        "_call",
        "_called",
        "_calling",
        "_client_tools",
        "_ending",
        "_finishing",
        "_history_seconds",
        "_interrupts",
        "_next_id",
        "_over",
        "_parts",
        "_readers",
        "_told",
        "_transcript",
        "_writing",
        "deadline",
        "forgotten",
        "run",
    )

    def __init__(self, parts: RunDependencies, run: Run, call: Call) -> None:
        self.run = run
        self._parts = parts
        self._call = call
        self._transcript = Transcript(run.request.questions)
        tools, questions = call.conversation.tools, run.request.questions
        self._client_tools = ClientTools(tools, questions) if tools or questions else None
        self._next_id = 2
        self._ending: Done | Problem | None = None
        self._finishing = False
        self._abandoned = False
        self._called = False
        self.deadline = NEVER
        """When the agent is silent for too long, or the call has taken too long."""
        self.forgotten = False
        """The agent's session has no memory of the question, and waits for another one's answer."""
        self._history_seconds = HISTORY_SECONDS
        self._writing: asyncio.Timeout | None = None
        self._calling: asyncio.Task[Any] | None = None
        """The task that runs all of this, as long as the agent's call in it may be interrupted."""
        self._interrupts = 0
        self._readers: tuple[asyncio.Future[Transcript | None], ...] = ()
        self._over = False
        self._told: Transcript | None = None
        if call.memory:
            call.memory.hold()
        parts.observer.run_started()

    def end(self, ending: Done | Problem) -> None:
        """End the run early; whoever is first decides how, and an ending run just goes on."""
        if self._ending is None and not self._finishing:
            self._ending = ending
            self._interrupt()

    def ring(self) -> None:
        """The deadline is over."""
        self.deadline = NEVER
        self.end(AgentTimeout(agent_called=True))

    async def told(self) -> Transcript | None:
        """All that the run has said, once the log has it with its end; None if it never will."""
        if self._over:
            return self._told
        reader: asyncio.Future[Transcript | None] = asyncio.get_running_loop().create_future()
        self._readers = (*self._readers, reader)
        return await reader

    def abandon(self) -> None:
        """Stop without another word: the run is another instance's now."""
        self._abandoned = True
        self._interrupt()

    def hurry(self, seconds: float) -> None:
        """Have an end within so many seconds: neither the agent nor the history is waited for any
        longer than that. For runs that were told to end."""
        loop = asyncio.get_running_loop()
        self._history_seconds = seconds / 3
        if self._writing:
            self._writing.reschedule(loop.time() + self._history_seconds)
        # an agent that is still closing what it has open is interrupted once more
        loop.call_later(seconds / 3, self._interrupt)

    def _interrupt(self) -> None:
        if self._calling is not None:
            self._interrupts += 1
            self._calling.cancel()

    async def finish(self) -> Status:
        """Call the agent, write the history, then the terminal event: in this order.

        One task does it all; only its first part is ever interrupted from here.
        """
        parts, run = self._parts, self.run
        code: str | None = "interrupted"
        # what the call gave or raised; None if it was interrupted, or never made
        outcome: Done | BaseException | None = None
        try:
            if self._ending is None and not self._abandoned:
                self._calling = asyncio.current_task()
                try:
                    outcome = await self._call_agent()
                except asyncio.CancelledError:
                    pass
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:
                    outcome = error
                await self._take_back_interrupts()
            self._finishing = True
            if self._abandoned:
                raise Superseded
            status, event = self._outcome(outcome)
            code = event.problem["code"] if isinstance(event, Failed) else None
            [last] = self._number([event])
            self._writing = asyncio.timeout(self._history_seconds)
            await write_turn(
                parts,
                run,
                self._transcript,
                status,
                left_open=self._left_open(),
                limit=self._writing,
            )
            self._writing = None
            await parts.log.close(run, last, status)
            self._told = self._transcript
        except Superseded:
            logger.warning("run %s was taken over by another instance; aborted here", run.run_id)
            status = "interrupted"
            await take_back(parts.log, parts.history, run)
        finally:
            self._call.let_go()
            self._over = True
            for reader in self._readers:
                if not reader.done():
                    reader.set_result(self._told)
        parts.observer.run_ended(run.request.agent, status, code, parts.clock() - run.created_at)
        return status

    async def _take_back_interrupts(self) -> None:
        """Make the task as if nobody here had cancelled it.

        Raises `CancelledError` if somebody else has.
        """
        task, self._calling = self._calling, None
        assert task is not None
        if self._interrupts:
            with suppress(asyncio.CancelledError):  # one that came when the call was over
                await asyncio.sleep(0)
            for _ in range(self._interrupts):
                task.uncancel()
        if task.cancelling():
            raise asyncio.CancelledError

    async def _call_agent(self) -> Done:
        """Call the agent, once, and log what it says; raises what went wrong."""
        agent, log = self._parts.agents[self.run.request.agent], self._parts.log
        answered = self.run.request.questions
        self._called = True
        now, bell = asyncio.get_running_loop().time, self._parts.bell
        began, idle_seconds = now(), self._parts.idle_timeout_seconds
        over_at = began + self._call.deadline_seconds
        self.deadline = min(began + idle_seconds, over_at)
        batches = agent.stream(self._prompt())
        bell.add(self)
        bell.look_at(self.deadline)
        try:
            async for batch in batches:
                idle_at = now() + idle_seconds
                self.deadline = idle_at if idle_at < over_at else over_at
                if answered and asked_anew(batch, answered) and not self._went_on():
                    self.forgotten = True
                    raise AgentSessionIdle(agent_called=True)
                last = batch[-1] if batch else None
                done = last if type(last) is Done else None
                events = batch[:-1] if done else batch
                if self._client_tools:
                    events = self._client_tools.pass_on(events)
                    if done:
                        events = [*events, *self._client_tools.questions()]
                if events:
                    if self._next_id == 2:
                        self._call.let_go()
                        self._parts.observer.run_spoke(self.run.request.agent, now() - began)
                    if File in map(type, events):
                        events = await self._keep_files(events)
                    await log.append(self.run, self._number(events))
                if done:
                    encode(done)  # an end that cannot be told has to fail here, or there is none
                    return done
        finally:
            try:
                await batches.aclose()
            finally:
                bell.discard(self)
        raise AgentFailed(agent_called=True)  # an agent that ends without `Done` broke its promise

    async def _keep_files(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events with links for the files that are too large for one."""
        files, run = self._parts.files, self.run
        return [
            await keep_made(files, run.owner, run.session_id, event)
            if isinstance(event, File)
            else event
            for event in events
        ]

    def _prompt(self) -> Prompt:
        """What the agent is told; ids are derived ones only."""
        request, call = self.run.request, self._call
        return Prompt(
            conversation=call.conversation,
            session_id=request.agent_session_id,
            actor_id=request.owner,
            run_id=self.run.run_id,
            agent=request.agent,
            history=call.history,
            first=call.first,
            questions=request.questions,
            trace=call.trace,
            headers=call.headers,
            user_id=call.user_id,
            bearer=call.bearer,
        )

    def _number(self, events: Sequence[Event]) -> list[Record]:
        """The events as the run's next records. Ids are spent here, before anything is written."""
        records = [record(id, event) for id, event in enumerate(events, self._next_id)]
        self._next_id += len(records)
        self._transcript.add(*events)
        return records

    def _outcome(self, outcome: Done | BaseException | None) -> tuple[Status, Done | Failed]:
        """How the run ended. What the agent said in time wins over an ending asked for later."""
        if outcome is None:
            if isinstance(self._ending, Done):
                return "cancelled", self._ending
            outcome = self._ending or Interrupted(agent_called=True)
        problem: Problem
        match outcome:
            case Done() as done:
                if inputs := self._transcript.inputs:
                    done = Done("input_required", done.usage, inputs)
                return done.status, done
            case Superseded():
                raise outcome
            case AgentFailed(answered=True) if self.run.request.questions and self._next_id == 2:
                problem = AgentSessionIdle(agent_called=True)
            case Problem():
                problem = outcome
                problem.agent_called = problem.agent_called and self._called
                self._called = self._called and not problem.unheard
            case TimeoutError():
                problem = AgentTimeout(agent_called=True)
            case _:
                logger.error("run %s failed", self.run.run_id, exc_info=outcome)
                problem = Internal(agent_called=True)
        return "failed", self.run.ended_by(problem)

    def _went_on(self) -> bool:
        """Whether something has become of the calls that the agent asked about."""
        asked = {question.tool.id for question in self.run.request.questions if question.tool}
        return any(call["id"] in asked for call in self._transcript.tool_calls)

    def _left_open(self) -> Sequence[Input]:
        """The questions that are open now: new ones, or the old if the agent was not called."""
        match self._transcript.end:
            case Done("input_required"):
                return self._transcript.inputs
            case Failed(problem) if "should_retry" not in problem:
                return self.run.request.questions
        return () if self._called else self.run.request.questions
