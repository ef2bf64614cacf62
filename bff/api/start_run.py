"""Every protocol's way to a run.

A protocol decodes its request into `Asked`; here it is decided, once for all of them, which session
and which agent that is for, what the agent is given, and whether it answers a question.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from aiohttp import web

from bff.agents.answers import is_refusal
from bff.agents.payload import takes_both
from bff.api import HISTORY, PRINCIPAL, RUNS, SETTINGS, STATE
from bff.api.agent_call import call_of
from bff.api.message_files import take_files
from bff.api.streaming import run_headers
from bff.api.without_place import without_place
from bff.conversations.helper_calls import with_request
from bff.conversations.place import Place
from bff.conversations.placing import find_place
from bff.conversations.questions import (
    answering,
    answers_as_text,
    digest_of,
    still_open,
    to_open,
    with_expired,
    with_results,
)
from bff.conversations.sought import Sought
from bff.errors import (
    AgentFailed,
    Invalid,
    NotWaiting,
    Problem,
    RunCancelled,
    SessionBusy,
    problem_of,
)
from bff.events import JSON, Done, Failed, Input, input_of
from bff.frozen import dataclass
from bff.identity.principals import agent_session_id
from bff.log_context import RunAtHand
from bff.messages import Answer, Conversation
from bff.runs import Follower
from bff.runs.answers import asked_since, earlier_answer, start_answer, start_message
from bff.runs.log import Run
from bff.runs.request import Idempotency, OnDisconnect, RunRequest
from bff.runs.transcript import Transcript

logger = logging.getLogger(__name__)

LAST_WORD = "the last message must be the user's, or answer an open input of the agent's"
"""What is said of a conversation that brings no question and no answer: it is not run."""
ONE_AT_A_TIME = "this agent cannot be given a new message together with answers: answer first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client asks for, as its protocol says it.

    `name` is the session's, in our pattern, and `agent` the agent's, known to exist; None where
    the client says nothing of it. `rewrites` says that the message replaces what was said,
    `behind` which run of which session, known to be the caller's, it goes on from, `continues`
    which message of ours, named after its run, answers go on with, `asked_by` the run whose
    questions they are to. `late` takes answers to questions whose time is over. `answered_in` is
    the field of a protocol whose answers are messages of the conversation: those to what is not
    open are history there, and so are `results` of tools beside answers that name their questions.
    `unique_ids` says that the client's ids of messages tell them apart within a session,
    `helps_itself` that clients of the protocol ask things of their own at the address of the chat:
    titles, tags. `ignored` names fields that nobody here has a use for. `echo` and `referable` are
    the run's.
    """

    conversation: Conversation
    name: str | None = None
    agent: str | None = None
    rewrites: bool = False
    behind: tuple[str, str] | None = None
    continues: str | None = None
    asked_by: str | None = None
    answered_in: str | None = None
    results: Sequence[Answer] = ()
    unique_ids: bool = False
    helps_itself: bool = False
    on_disconnect: OnDisconnect
    streaming: bool
    idempotency: Idempotency | None = None
    late: bool = False
    ignored: Sequence[str] = ()
    echo: Mapping[str, JSON] | None = None
    referable: bool = False


async def start_run(request: web.Request, asked: Asked) -> Follower:
    """Begin the run that the client asks for, or find it, and follow it.

    Raises `Invalid`, `InputRequired`, `NotWaiting`, `Forbidden`, and what `Runs.start` raises.
    """
    follower = await _start(request, asked)
    request[STATE].run = RunAtHand(follower.run.run_id, follower.run.request.agent)
    return follower


async def _start(request: web.Request, asked: Asked) -> Follower:
    place = await _find_place(request, asked)
    try:
        return await _start_at(request, asked, place)
    except SessionBusy as refused:
        if refused.answers_questions or not _may_branch(asked, place):
            raise
        return await _start_at(request, asked, await _find_place(request, asked, beside=True))


def _may_branch(asked: Asked, place: Place) -> bool:
    """Whether a busy session is only where the request's transcript stands.

    Its client named no session, so it cannot know that one is busy. While questions are being
    answered there a message may be an answer too, and no branch may take it for a new one.
    """
    if asked.name is not None or asked.conversation.answers:
        return False
    return place.session is not None and not place.session.inputs


async def _find_place(request: web.Request, asked: Asked, *, beside: bool = False) -> Place:
    app = request.app
    conversation = with_request(asked.conversation) if asked.helps_itself else asked.conversation
    return await find_place(
        app[HISTORY],
        Sought(
            owner=request[PRINCIPAL].id,
            conversation=_checked(conversation, asked.answered_in or "messages"),
            name=asked.name,
            agent=asked.agent,
            agents=[agent.name for agent in app[SETTINGS].agents],
            rewrites=asked.rewrites,
            unique_ids=asked.unique_ids,
            behind=asked.behind,
            beside=beside,
            helps_itself=asked.helps_itself,
            now=time.time(),
        ),
    )


async def _start_at(request: web.Request, asked: Asked, place: Place) -> Follower:
    app, owner = request.app, request[PRINCIPAL].id
    runs, history, settings = app[RUNS], app[HISTORY], app[SETTINGS]
    # what a key began may have been an answer, which only the key can tell; or its files are kept
    claimed = place.session is not None and place.session.claimed_by is not None
    key = asked.idempotency if claimed or place.conversation.files else None
    if key and (known := await runs.find_known(owner, key)):
        return await runs.follow(known)
    open_inputs = [input_of(fields) for fields in place.session.inputs] if place.session else []
    questions = tuple(open_inputs) if asked.late else still_open(open_inputs, now=time.time())
    conversation = place.conversation
    if asked.results:
        answers = with_results(conversation.answers, asked.results, questions)
        conversation = replace(conversation, answers=answers)
    opened = to_open(conversation.answers, questions)
    if opened and await asked_since(runs, owner, place.session, asked.asked_by):
        opened = ()
    if asked.answered_in is not None and opened:
        conversation = replace(conversation, answers=opened)
    elif conversation.answers and not opened:
        if conversation.new and (asked.answered_in is not None or _all_cancelled(conversation)):
            # results of tools that nobody waits for are history
            conversation = replace(conversation, answers=())
        elif first := await earlier_answer(runs, owner, place.session, conversation.answers):
            return await runs.follow(first)
        elif asked.answered_in is not None:
            raise Invalid.of(asked.answered_in, LAST_WORD)
        else:
            raise NotWaiting
    conversation = answering(conversation, questions)
    if not conversation.answers:
        questions = ()
    elif len(questions) < len(open_inputs):
        questions = tuple(open_inputs)
        conversation = replace(conversation, answers=with_expired(conversation.answers, questions))
    setting = next(agent for agent in settings.agents if agent.name == place.agent)
    if conversation.new and questions and not takes_both(setting.payload, questions):
        raise Invalid.of("messages", ONE_AT_A_TIME)
    if ignored := (*asked.ignored, *without_place(conversation, setting)):
        request[STATE].ignored = ignored
    wanted = await _run_request(request, asked, place, conversation, questions)
    taken = await take_files(request, wanted, place, setting, field=asked.answered_in or "message")
    try:
        if questions:
            follower = await start_answer(runs, history, taken.request)
        else:
            follower = await start_message(runs, taken.request)
        await taken.settle(follower.run.request)
        return follower
    except Problem:
        await taken.undo()
        raise
    finally:
        taken.release()


def _checked(conversation: Conversation, field: str) -> Conversation:
    """No request is taken for a question whose last word is not the user's."""
    if conversation.new or conversation.answers:
        return conversation
    if conversation.said:
        raise Invalid.of(field, LAST_WORD)
    if not conversation.before:
        raise Invalid.of(field, "must hold a message of the role user")
    return conversation


async def _run_request(
    request: web.Request,
    asked: Asked,
    place: Place,
    conversation: Conversation,
    questions: Sequence[Input],
) -> RunRequest:
    owner = request[PRINCIPAL].id
    text = conversation.text or " ".join(f"[{file.kind}]" for file in conversation.files)
    if questions:
        answered = answers_as_text(questions, conversation.answers)
        text = f"{answered}\n{text}" if text else answered
    return RunRequest(
        owner=owner,
        session_id=place.session_id,
        agent_session_id=agent_session_id(owner, place.session_id),
        agent=place.agent,
        message=text,
        point=place.point,
        marks=place.marks,
        request_id=request[STATE].request_id,
        on_disconnect=asked.on_disconnect,
        questions=tuple(questions),
        declined=tuple(
            question.id
            for question, answer in zip(questions, conversation.answers, strict=False)
            if is_refusal(question, answer)
        ),
        continues=(
            _asked_by(asked, place)
            if questions and place.conversation.answers and not conversation.new
            else None
        ),
        listed=place.listed,
        told=digest_of(questions, conversation.answers) if questions else None,
        idempotency=asked.idempotency,
        echo=asked.echo,
        referable=asked.referable,
        call=await call_of(request, place, conversation, streaming=asked.streaming),
    )


def _asked_by(asked: Asked, place: Place) -> str | None:
    """The run whose questions are answered."""
    return asked.continues or (place.session.last_run_id if place.session else None)


def _all_cancelled(conversation: Conversation) -> bool:
    return all(answer.status == "cancelled" for answer in conversation.answers)


# How it ended


def raise_failure(run: Run, transcript: Transcript) -> None:
    """Raise what kept the run from being complete, as a problem of the request."""
    headers = run_headers(run)
    match transcript.end:
        case Done("complete" | "input_required") if transcript.whole:
            return
        case Done("cancelled"):
            raise RunCancelled(agent_called=True, headers=headers)
        case Failed(problem):
            # another version of the service may have run it, and know more codes than this one
            raise (problem_of(problem["code"]) or AgentFailed)(
                retry_after_seconds=problem.get("retry_after"),
                agent_called=problem.get("should_retry") is False,
                headers=headers,
            )
        case _:  # larger than a run's log keeps
            raise AgentFailed(agent_called=True, headers=headers)
