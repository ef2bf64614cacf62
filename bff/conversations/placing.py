"""Which session a request belongs to: it goes on, branches off, or begins.

A session is named by its client, or found by the transcript that came with the request. A request
that goes on somewhere else than at a session's end begins another session at that point, so that
neither the agent's memory nor the history mixes two branches.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from uuid import uuid4

from bff.conversations import transcript
from bff.conversations.earlier import last_run
from bff.conversations.helper_calls import as_message, is_helper_call, only_instructions
from bff.conversations.place import Place, begin, branch_off, go_on
from bff.conversations.repeats import marks_of, without_repeats
from bff.conversations.sought import LookingUp, Said, Sought, said_of
from bff.history import History, Session
from bff.messages import Conversation


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
    async with LookingUp(sought):
        session = await history.session(sought.owner, name)
        if session is not None and session.branch is not None:
            session = await history.session(sought.owner, session.branch) or session
    if session is None:
        said = await said_of(sought, sought.agent_of_new, name)
        return begin(history, sought, name, said)
    if sought.unique_ids:
        async with LookingUp(sought):
            person = sought.conversation.person
            roots = [transcript.root(session.agent, person, each) for each in (name, None)]
            at_root = session.point in roots
            known = partial(history.find, sought.owner)
            conversation, again = await without_repeats(known, name, sought.conversation)
            rewrites = sought.rewrites or (again and not at_root)
            sought = replace(sought, conversation=conversation, rewrites=rewrites)
    agent = sought.agent_behind(session)
    said = await said_of(sought, agent, name)
    if agent != session.agent:  # a session stays with its agent
        last: str | None = None
        async with LookingUp(sought):
            last = await last_run(history, sought.owner, session)
        behind = (session.session_id, last) if last else None
        return await branch_off(history, sought, session, said, behind=behind, name=name)
    if _only_answers(sought.conversation):  # which branch off from nothing
        return await go_on(history, sought, session, said)
    if said.turns or sought.rewrites:
        if session.point in said.candidates:
            return await go_on(history, sought, session, said)
        unnamed = await said_of(sought, agent, None)  # it may have had no name when it began
        if session.point in unnamed.candidates:
            return await go_on(history, sought, session, unnamed)
        earlier = await _earlier(history, sought, session, said, unnamed)
        if earlier is not None or sought.rewrites:
            return await branch_off(history, sought, session, said, behind=earlier, name=name)
    return await go_on(history, sought, session, said)


def _only_answers(conversation: Conversation) -> bool:
    """Whether there is nothing but answers: those belong where they were asked for, and may be
    there already."""
    return bool(conversation.answers) and not conversation.new


async def _earlier(
    history: History, sought: Sought, session: Session, said: Said, unnamed: Said
) -> tuple[str, str] | None:
    """Session and run behind which the client's transcript goes on, if not behind the last one.

    What a branch shares with the session it began from is found there. What was said before the
    session had a name may stand in anybody's.
    """
    if not said.turns:
        return None
    async with LookingUp(sought):
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
    async with LookingUp(sought):
        session = await history.session(sought.owner, session_id)
    agent = sought.agent_behind(session) if session else sought.agent_of_new
    said = await said_of(sought, agent, sought.name)
    if session is None:
        place = begin(history, sought, session_id, said)
    elif _only_answers(conversation) or (
        session.last_run_id == run_id and agent == session.agent and not sought.beside
    ):
        place = await go_on(history, sought, session, said)
    else:
        place = await branch_off(history, sought, session, said, behind=(session_id, run_id))
    point = transcript.after_all(place.point, transcript.spoken(added))
    return replace(place, point=point, added=added)


async def _by_transcript(history: History, sought: Sought) -> Place:
    """The session whose transcript this is."""
    said = await said_of(sought, sought.agent_of_new, None)
    if not said.turns:
        return begin(history, sought, str(uuid4()), said)
    async with LookingUp(sought):
        if found := await history.find(sought.owner, said.candidates):
            session, run_id = found
            ends_here = session.last_run_id == run_id and not sought.beside
            if ends_here or _only_answers(sought.conversation):
                return await go_on(history, sought, session, said)
            behind = (session.session_id, run_id)
            return await branch_off(history, sought, session, said, behind=behind)
    return begin(history, sought, str(uuid4()), said)
