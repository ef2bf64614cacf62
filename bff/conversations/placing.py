"""Which session a request belongs to: it goes on, branches off, or begins.

A session is named by its client, or found by the transcript that came with the request. A request
that goes on somewhere else than at a session's end begins another session at that point, so that
neither the agent's memory nor the history mixes two branches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import NamedTuple
from uuid import uuid4

from bff.conversations import transcript
from bff.conversations.beginning import given_turns, write_beginning
from bff.conversations.earlier import (
    LOOKUP_SECONDS,
    everything_said,
    files_in,
    last_run,
    said_in,
)
from bff.conversations.helper_calls import as_message, is_helper_call, only_instructions
from bff.conversations.repeats import marks_of, without_repeats
from bff.errors import Overloaded
from bff.history import ForkedFrom, History, Session, Turn
from bff.history.paging import first_title
from bff.messages import ChatMessage, Conversation
from bff.off_loop import off_loop

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What decides about the session.

    `name` is the client's own name for it, `agent` the agent asked for; None where the client says
    nothing of it. `agents` are those there are, the default one first. `rewrites` is a client's own
    word that what it says replaces what was said. `unique_ids` says that its ids of messages tell
    them apart within a session. `behind` is the session and the run, both known to be the owner's,
    whose answer the client names as what it goes on from: what the conversation has of earlier
    messages comes after that. `beside` says that the session has an open run, which a client that
    did not name it cannot know of: branch off. `helps_itself` says that the client asks things of
    its own at the address of the chat.
    """

    owner: str
    conversation: Conversation
    name: str | None = None
    agent: str | None = None
    agents: Sequence[str]
    rewrites: bool = False
    unique_ids: bool = False
    behind: tuple[str, str] | None = None
    beside: bool = False
    helps_itself: bool = False
    now: float

    @property
    def agent_of_new(self) -> str:
        """Whose a session is that begins now."""
        return self.agent or self.agents[0]

    def agent_behind(self, session: Session) -> str:
        """Who goes on from what was said in a session: its own agent, while there is such a one."""
        return self.agent or (session.agent if session.agent in self.agents else self.agents[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a request belongs.

    `point` is where the transcript stands before the new message. `session` is what the history
    knows of it, None for one that begins now. `untold` is what the agent's session has not been
    given of what was said, `files` are those of the turns that a new branch shares. `continued` is
    the turn that answers go on with, as the client has it. `added` is what the client says was said
    since, which nobody here has heard. `conversation` is the request's, an instruction alone made a
    message. `marks` are what the turn is found by besides its point.
    """

    session_id: str
    agent: str
    conversation: Conversation
    point: str
    session: Session | None = None
    untold: tuple[ChatMessage, ...] = ()
    files: tuple[str, ...] = ()
    continued: transcript.Spoken | None = None
    marks: tuple[str, ...] = ()
    added: tuple[ChatMessage, ...] = ()
    listed: bool = True

    @property
    def first(self) -> bool:
        """Whether the agent's session begins with this request."""
        return self.session is None or not self.session.told


class _Said(NamedTuple):
    """What a client's transcript says, and the points at which it may stand."""

    turns: Sequence[transcript.Spoken]
    before: str
    """The point before the last turn."""
    point: str
    candidates: Sequence[str]


async def _said(sought: Sought, agent: str, name: str | None) -> _Said:
    """The transcript that came with the request, for that agent and under that name."""
    conversation = sought.conversation
    start = transcript.root(agent, conversation.person, name)
    if not conversation.before:
        return _Said((), start, start, ())

    def read() -> _Said:
        turns = transcript.spoken(conversation.said)
        before = transcript.after_all(start, turns[:-1])
        candidates = transcript.candidates(before, turns[-1:])
        return _Said(turns, before, candidates[0] if turns else start, candidates)

    return await off_loop(conversation.size, read)


async def find_place(history: History, sought: Sought) -> Place:
    """Find the session, or begin it. Raises `Overloaded` only where an answer needs the history."""
    conversation = sought.conversation
    if only_instructions(conversation) or (sought.helps_itself and is_helper_call(conversation)):
        return _helper(sought)
    if sought.name is not None:
        place = await _named(history, sought, sought.name)
        if not sought.unique_ids:
            return place
        return replace(place, marks=marks_of(sought.name, place.conversation.new))
    if sought.behind is not None:
        return await _behind(history, sought, *sought.behind)
    return await _by_transcript(history, sought)


def _helper(sought: Sought) -> Place:
    """A session of its own, which nobody lists."""
    conversation = sought.conversation
    if not conversation.new:
        conversation = replace(conversation, new=as_message(conversation), before=())
    agent = sought.agent_of_new
    return Place(
        session_id=str(uuid4()),
        agent=agent,
        conversation=conversation,
        point=transcript.root(agent, conversation.person),
        untold=conversation.said,
        listed=False,
    )


async def _named(history: History, sought: Sought, name: str) -> Place:
    """The session of that name, or its newest branch."""
    session: Session | None = None
    async with _LookingUp(sought):
        session = await history.session(sought.owner, name)
        if session is not None and session.branch is not None:
            session = await history.session(sought.owner, session.branch) or session
    if session is None:
        said = await _said(sought, sought.agent_of_new, name)
        return await _begin(history, sought, name, said)
    if sought.unique_ids:
        async with _LookingUp(sought):
            person = sought.conversation.person
            roots = [transcript.root(session.agent, person, each) for each in (name, None)]
            at_root = session.point in roots
            known = partial(history.find, sought.owner)
            conversation, again = await without_repeats(known, name, sought.conversation)
            rewrites = sought.rewrites or (again and not at_root)
            sought = replace(sought, conversation=conversation, rewrites=rewrites)
    agent = sought.agent_behind(session)
    said = await _said(sought, agent, name)
    if agent != session.agent:  # a session stays with its agent
        last: str | None = None
        async with _LookingUp(sought):
            last = await last_run(history, sought.owner, session)
        behind = (session.session_id, last) if last else None
        return await _branch(history, sought, session, said, behind=behind, name=name)
    if _only_answers(sought.conversation):  # which branch off from nothing
        return await _go_on(history, sought, session, said)
    if said.turns or sought.rewrites:
        if session.point in said.candidates:
            return await _go_on(history, sought, session, said)
        unnamed = await _said(sought, agent, None)  # it may have had no name when it began
        if session.point in unnamed.candidates:
            return await _go_on(history, sought, session, unnamed)
        earlier = await _earlier(history, sought, session, said, unnamed)
        if earlier is not None or sought.rewrites:
            return await _branch(history, sought, session, said, behind=earlier, name=name)
    return await _go_on(history, sought, session, said)


def _only_answers(conversation: Conversation) -> bool:
    """Whether there is nothing but answers: those belong where they were asked for, and may be
    there already."""
    return bool(conversation.answers) and not conversation.new


async def _earlier(
    history: History, sought: Sought, session: Session, said: _Said, unnamed: _Said
) -> tuple[str, str] | None:
    """Session and run behind which the client's transcript goes on, if not behind the last one.

    What a branch shares with the session it began from is found there. What was said before the
    session had a name may stand in anybody's.
    """
    if not said.turns:
        return None
    async with _LookingUp(sought):
        found = await history.find(sought.owner, said.candidates)
        if found is None:
            found = await history.find(sought.owner, unnamed.candidates)
            origin = session.forked_from.session_id if session.forked_from else None
            if found and found[0].session_id not in (session.session_id, origin, sought.name):
                return None
        if found and found[1] != session.last_run_id:
            return found[0].session_id, found[1]
    return None


async def _behind(history: History, sought: Sought, session_id: str, run_id: str) -> Place:
    """The session of a run that the client names, or a branch of it behind that run."""
    conversation = sought.conversation
    answered = {answer.input_id for answer in conversation.answers}
    added = tuple(m for m in conversation.said if m.tool_call_id not in answered)
    instructions = tuple(m for m in conversation.before if m.role == "system")
    sought = replace(sought, conversation=replace(conversation, before=instructions))
    session: Session | None = None
    async with _LookingUp(sought):
        session = await history.session(sought.owner, session_id)
    agent = sought.agent_behind(session) if session else sought.agent_of_new
    said = await _said(sought, agent, sought.name)
    if session is None:
        place = await _begin(history, sought, session_id, said)
    elif _only_answers(conversation) or (
        session.last_run_id == run_id and agent == session.agent and not sought.beside
    ):
        place = await _go_on(history, sought, session, said)
    else:
        place = await _branch(history, sought, session, said, behind=(session_id, run_id))
    point = transcript.after_all(place.point, transcript.spoken(added))
    return replace(place, point=point, added=added)


async def _by_transcript(history: History, sought: Sought) -> Place:
    """The session whose transcript this is."""
    said = await _said(sought, sought.agent_of_new, None)
    if not said.turns:
        return await _begin(history, sought, str(uuid4()), said)
    async with _LookingUp(sought):
        if found := await history.find(sought.owner, said.candidates):
            session, run_id = found
            ends_here = session.last_run_id == run_id and not sought.beside
            if ends_here or _only_answers(sought.conversation):
                return await _go_on(history, sought, session, said)
            behind = (session.session_id, run_id)
            return await _branch(history, sought, session, said, behind=behind)
    return await _begin(history, sought, str(uuid4()), said)


async def _go_on(history: History, sought: Sought, session: Session, said: _Said) -> Place:
    conversation = sought.conversation
    continued = said.turns[-1] if conversation.answers and said.turns else None
    point = said.before if continued else said.point
    untold: tuple[ChatMessage, ...] = ()
    if not session.told:
        untold = conversation.said or await everything_said(
            history, sought.owner, session.session_id
        )
    return Place(
        session_id=session.session_id,
        agent=session.agent,
        conversation=conversation,
        # as the client has it, since it will send the same again
        point=point if said.turns else session.point or point,
        session=session,
        untold=untold,
        continued=continued,
    )


async def _begin(history: History, sought: Sought, session_id: str, said: _Said) -> Place:
    """A session that begins with this request, and with the transcript that came with it."""
    conversation = sought.conversation
    agent = sought.agent_of_new
    session: Session | None = None
    if said.turns:
        given = given_turns(session_id, agent, said.turns, sought.now)
        session = _new_session(session_id, agent, given, sought, point=said.point)
        await write_beginning(history, sought.owner, session, given)
    return Place(
        session_id=session_id,
        agent=agent,
        conversation=conversation,
        point=said.point,
        session=session,
        untold=conversation.said,
    )


async def _branch(
    history: History,
    sought: Sought,
    session: Session,
    said: _Said,
    *,
    behind: tuple[str, str] | None = None,
    name: str | None = None,
) -> Place:
    """A session that begins with another's turns up to a run, `behind` it, or with none of them."""
    origin, run_id = behind or (session.session_id, None)
    conversation = sought.conversation
    agent = sought.agent_behind(session)
    session_id = str(uuid4())
    kept: Sequence[Turn] = ()
    async with _LookingUp(sought):
        kept = await history.fork_turns(sought.owner, origin, run_id) or ()
    if not kept:
        kept = given_turns(session_id, agent, said.turns, sought.now)
    point = said.point
    if not said.turns:
        point = transcript.after_all(point, transcript.spoken(said_in(kept)))
    branch = replace(
        _new_session(session_id, agent, kept, sought, point=point),
        title=session.title,
        forked_from=ForkedFrom(session_id=origin, run_id=run_id),
    )
    await write_beginning(history, sought.owner, branch, kept, branch_of=name)
    return Place(
        session_id=session_id,
        agent=agent,
        conversation=conversation,
        point=point,
        session=branch,
        untold=conversation.said or said_in(kept),
        files=files_in(kept),
    )


def _new_session(
    session_id: str, agent: str, turns: Sequence[Turn], sought: Sought, *, point: str
) -> Session:
    first = turns[0].message if turns else sought.conversation.text
    return Session(
        session_id=session_id,
        title=first_title(first),
        created_at=sought.now,
        updated_at=sought.now,
        agent=agent,
        point=point,
        told=False,
    )


class _LookingUp:
    """Around a question to the history; one that cannot be answered in time counts as unknown.

    Answers to the agent's questions are the exception: nobody may guess which are open. A class,
    since a generator costs the event loop several times as much, and every request comes by here.
    """

    def __init__(self, sought: Sought) -> None:
        self._answers = sought.conversation.answers
        self._limit = asyncio.timeout(LOOKUP_SECONDS)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError as late:
            error = late
        if not isinstance(error, Overloaded | TimeoutError):
            return False
        if self._answers:
            raise Overloaded(retry_after_seconds=1) from None
        logger.warning("the history could not tell which session a message belongs to")
        return True
