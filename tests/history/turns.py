"""Conversations to put into a history; light, since processes that a test starts import it."""

import hashlib

from bff.history import Session, Turn
from bff.history.paging import first_title

ALICE = hashlib.sha256(b"alice").hexdigest()
BOB = hashlib.sha256(b"bob").hexdigest()


def derive(owner: str, session_id: str) -> str:
    """Stands for the derivation in `bff.identity`: all a history knows is that it is one-way."""
    return hashlib.sha256(f"{owner}/{session_id}".encode()).hexdigest()


TURN = Turn(
    run_id="run-1",
    session_id="chat",
    message="What is 15 * 23?",
    answer="345.",
    status="complete",
    asked_at=1_790_000_000.125,
    answered_at=1_790_000_001.5,
    tool_calls=[{"id": "c1", "tool": "calculator", "args": {"x": "15*23"}, "result": "345"}],
)


def turn(n: int, *, session_id: str = "chat") -> Turn:
    """The nth turn, ten seconds after the one before."""
    asked_at = 1_790_000_000.25 + 10 * n
    return Turn(
        run_id=f"run-{n:03}-{session_id}",
        session_id=session_id,
        message=f"question {n}",
        answer=f"answer {n}",
        status="complete",
        asked_at=asked_at,
        answered_at=asked_at + 1.5,
    )


def session_after(turn: Turn) -> Session:
    """What the first turn makes."""
    return Session(
        session_id=turn.session_id,
        title=first_title(turn.message),
        created_at=turn.asked_at,
        updated_at=turn.answered_at,
        agent=turn.agent,
        inputs=tuple(turn.inputs),
        last_run_id=turn.run_id,
        point=turn.points[0] if turn.points else None,
    )
