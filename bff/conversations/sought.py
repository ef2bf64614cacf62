"""What decides which session a request belongs to, and how the history is asked about it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from bff.conversations import transcript
from bff.conversations.earlier import LOOKUP_SECONDS
from bff.errors import Overloaded
from bff.frozen import dataclass
from bff.history import Session
from bff.messages import Conversation
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


class Said(NamedTuple):
    """What a client's transcript says, and the points at which it may stand."""

    turns: Sequence[transcript.Spoken]
    before: str
    """The point before the last turn."""
    point: str
    candidates: Sequence[str]


async def said_of(sought: Sought, agent: str, name: str | None) -> Said:
    """The transcript that came with the request, for that agent and under that name."""
    conversation = sought.conversation
    start = transcript.root(agent, conversation.person, name)
    if not conversation.before:
        return Said((), start, start, ())

    def read() -> Said:
        turns = transcript.spoken(conversation.said)
        before = transcript.after_all(start, turns[:-1])
        candidates = transcript.candidates(before, turns[-1:])
        return Said(turns, before, candidates[0] if turns else start, candidates)

    return await off_loop(conversation.size, read)


class LookingUp:
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
