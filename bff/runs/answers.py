"""Answers to an agent's questions: one run, however often and by whomever they are given.

The history says who may answer: a claim is one conditional write, on whatever task. It is made
behind the run's beginning and before the agent's call, so a task that dies between the two has not
called the agent, and one that has called it cannot be repeated.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from bff.conversations.questions import are_same
from bff.errors import NotFound, NotWaiting, Overloaded, Problem, SessionBusy
from bff.events import Done, Input, record
from bff.history import History, Session
from bff.history.questions import input_ids, input_key
from bff.messages import Answer
from bff.runs.dependencies import RunDependencies
from bff.runs.execution import RunExecution
from bff.runs.log import Run
from bff.runs.request import RunRequest

if TYPE_CHECKING:
    from bff.runs import Follower, Runs

logger = logging.getLogger(__name__)

CLAIM_SECONDS = 3.0
"""How long an answer waits for the history to say that nobody else has given one."""


async def start_answer(runs: Runs, history: History, wanted: RunRequest) -> Follower:
    """Begin the run that answers, or follow the one that the same answer began before.

    Raises `NotWaiting` if somebody's other answer was first, and what `Runs.start` raises.
    """
    try:
        return await runs.start(wanted)
    except (SessionBusy, NotWaiting) as refused:
        first = await _open_where(runs, wanted, refused)
        if first is None:
            session = await history.session(wanted.owner, wanted.session_id)
            first = await _taker(runs, wanted.owner, session)
        if first is None or first.request.told is None:
            raise
        if first.request.told != wanted.told:
            raise NotWaiting from refused
        return await runs.follow(first)


async def start_message(runs: Runs, wanted: RunRequest) -> Follower:
    """Begin a run with a message, or follow the open one that the same message answers.

    Two people, or a client that tries again, may say "yes" at once where the protocol has no better
    way. Raises what `Runs.start` raises.
    """
    try:
        return await runs.start(wanted)
    except SessionBusy as refused:
        first = await _open_where(runs, wanted, refused)
        if first is not None:
            refused.answers_questions = bool(first.request.questions)
        if first is None or first.request.point != wanted.point or wanted.parts:
            raise
        questions = first.request.questions
        answers = [Answer(question.id, payload=wanted.message) for question in questions]
        if len(answers) != 1 or not are_same(first.request.told, questions, answers):
            raise
        return await runs.follow(first)


async def _open_where(runs: Runs, wanted: RunRequest, refused: Problem) -> Run | None:
    """The run that is open in the session; where it was named, nobody is asked which it is."""
    if not isinstance(refused, SessionBusy) or refused.run_id is None:
        return await runs.find_open(wanted.owner, wanted.session_id)
    with suppress(NotFound):
        run = await runs.find(wanted.owner, refused.run_id)
        return run if run.status == "running" else None
    return None


async def earlier_answer(
    runs: Runs, owner: str, session: Session | None, answers: Sequence[Answer]
) -> Run | None:
    """The run that the same answers began, to questions that are no longer open."""
    run = await _taker(runs, owner, session)
    if run is None or not are_same(run.request.told, run.request.questions, answers):
        return None
    return run


async def asked_since(runs: Runs, owner: str, session: Session | None, run_id: str | None) -> bool:
    """Whether what is open in a session was asked after that run, perhaps under the same ids."""
    if session is None or run_id is None or session.last_run_id in (None, run_id):
        return False
    try:
        last = await runs.find(owner, session.last_run_id)
    except NotFound:
        return False
    return last.status == "input_required"


async def _taker(runs: Runs, owner: str, session: Session | None) -> Run | None:
    """The run that took a session's last questions, while it is known."""
    if session is None or session.claimed_by is None:
        return None
    try:
        return await runs.find(owner, session.claimed_by)
    except NotFound:
        return None


class Claim:
    """A run between its beginning and its call: what happens to it until its questions are its."""

    def __init__(self) -> None:
        self.cancelled = False
        self.abandoned = False

    async def take(self, parts: RunDependencies, run: Run) -> None:
        """Take the questions that the run answers, for ever and on whatever task.

        Raises `NotWaiting` if somebody else has, `Overloaded` if the history cannot tell: then the
        run is over and the agent is not called.
        """
        ids = [question.id for question in run.request.questions]
        problem: Problem | None = None
        try:
            async with asyncio.timeout(CLAIM_SECONDS):
                if not await parts.history.claim(run.owner, run.session_id, run.run_id, ids):
                    problem = NotWaiting()
        except (Overloaded, TimeoutError):
            problem = Overloaded(retry_after_seconds=1)
        if problem is not None:
            await parts.log.close(run, record(2, run.ended_by(problem)), "failed")
            raise problem

    def pass_on(self, execution: RunExecution) -> None:
        """End a run that was told to end meanwhile; the agent is not called."""
        if self.abandoned:
            execution.abandon()
        elif self.cancelled:
            execution.end(Done("cancelled"))


async def not_taken(history: History, run: Run) -> Sequence[Input]:
    """The questions of a run whose task died, if that was before it took them: nobody was told."""
    try:
        session = await history.session(run.owner, run.session_id)
    except Exception:
        logger.exception("the history could not tell whether run %s took its questions", run.run_id)
        return ()
    questions = run.request.questions
    if session is None or session.claimed_by == run.run_id:
        return ()
    open_now = input_key(input_ids(session.inputs))
    return questions if open_now == input_key(question.id for question in questions) else ()
