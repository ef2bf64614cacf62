"""Where a request belongs, and the three ways to get there: go on, begin, branch off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from functools import partial
from uuid import uuid4

from bff.conversations import transcript
from bff.conversations.beginning import Beginning, given_turns, write_beginning
from bff.conversations.earlier import everything_said, files_in, said_in
from bff.conversations.sought import LookingUp, Said, Sought
from bff.frozen import dataclass
from bff.history import ForkedFrom, History, Session, Turn
from bff.history.paging import first_title
from bff.messages import ChatMessage, Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a request belongs.

    `point` is where the transcript stands before the new message. `session` is what the history
    knows of it, None for one that begins now. `untold` is what the agent's session has not been
    given of what was said, `files` are those of the turns that a new branch shares. `continued` is
    the turn that answers go on with, as the client has it. `added` is what the client says was said
    since, which nobody here has heard. `conversation` is the request's, an instruction alone made a
    message. `marks` are what the turn is found by besides its point. `beginning` writes a session
    that begins with what was said elsewhere, of which the history knows nothing yet.
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
    beginning: Beginning | None = field(default=None, repr=False, compare=False)

    @property
    def first(self) -> bool:
        """Whether the agent's session begins with this request."""
        return self.session is None or not self.session.told


async def go_on(history: History, sought: Sought, session: Session, said: Said) -> Place:
    """The end of that session."""
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


def begin(history: History, sought: Sought, session_id: str, said: Said) -> Place:
    """A session that begins with this request, and with the transcript that came with it."""
    conversation = sought.conversation
    agent = sought.agent_of_new
    session: Session | None = None
    beginning: Beginning | None = None
    if said.turns:
        given = given_turns(session_id, agent, said.turns, sought.now)
        session = _new_session(session_id, agent, given, sought, point=said.point)
        beginning = partial(write_beginning, history, sought.owner, session, given)
    return Place(
        session_id=session_id,
        agent=agent,
        conversation=conversation,
        point=said.point,
        session=session,
        untold=conversation.said,
        beginning=beginning,
    )


async def branch_off(
    history: History,
    sought: Sought,
    session: Session,
    said: Said,
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
    async with LookingUp(sought):
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
    return Place(
        session_id=session_id,
        agent=agent,
        conversation=conversation,
        point=point,
        session=branch,
        untold=conversation.said or said_in(kept),
        files=files_in(kept),
        beginning=partial(write_beginning, history, sought.owner, branch, kept, branch_of=name),
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
