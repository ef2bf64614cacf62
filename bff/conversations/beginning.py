"""How a session is written that begins with what was said elsewhere.

It is written once its first run is begun, and before the agent is called: a request that is refused
leaves nothing behind, and no name means a branch that was never asked anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from bff.conversations import transcript
from bff.conversations.earlier import LOOKUP_SECONDS
from bff.history import History, Session, Turn

logger = logging.getLogger(__name__)

Beginning = Callable[[], Awaitable[None]]


def given_turns(
    session_id: str, agent: str, turns: Sequence[transcript.Spoken], now: float
) -> list[Turn]:
    """A client's transcript as turns. They have no runs; their names can be none either."""
    return [
        Turn(
            run_id=f"given_{session_id}_{number}",
            session_id=session_id,
            agent=agent,
            message=turn.user,
            answer=turn.assistant,
            status="complete",
            asked_at=now - (len(turns) - number) / 1000,
            answered_at=now - (len(turns) - number) / 1000,
        )
        for number, turn in enumerate(turns)
    ]


async def write_beginning(
    history: History,
    owner: str,
    session: Session,
    turns: Sequence[Turn],
    *,
    branch_of: str | None = None,
) -> None:
    """Write the beginning of a session; the conversation goes on without it if that fails."""
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            await history.begin(owner, session, turns, branch_of=branch_of)
    except Exception:
        logger.exception("the beginning of a session is missing from the history")
