"""Conversations to put into a history, and what they look like there; light, since processes that a
test starts import it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bff.history import History, Session, Turn
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


def point(text: str) -> str:
    """Stands for the digest of a transcript."""
    return text.encode().hex().ljust(64, "0")


def pointed(n: int, *points: str, session_id: str = "chat") -> Turn:
    return replace(turn(n, session_id=session_id), points=points)


def at_points(n: int, *names: str, session_id: str = "chat") -> Turn:
    return pointed(n, *map(point, names), session_id=session_id)


def approval(id: str) -> dict[str, Any]:
    return {
        "id": id,
        "kind": "approval",
        "message": "May I? 𝄞",
        "tool": {"id": f"call-{id}", "name": "pay", "args": {"amount": 10.5, "to": None}},
        "value": [{"anything": [1, True]}],
    }


def asking(n: int, *ids: str, session_id: str = "chat") -> Turn:
    return replace(
        turn(n, session_id=session_id),
        status="input_required",
        inputs=[approval(id) for id in ids],
    )


def begun(session_id: str, *, at: float = 50.0, **fields: Any) -> Session:
    return Session(
        session_id=session_id, title="a fork", created_at=at, updated_at=at, told=False, **fields
    )


async def state(history: History, session_id: str = "chat", owner: str = ALICE) -> Session:
    session = await history.session(owner, session_id)
    assert session is not None
    return session


async def open_ids(history: History, session_id: str = "chat") -> list[str]:
    return [question["id"] for question in (await state(history, session_id)).inputs]


async def found_at(history: History, owner: str, points: Sequence[str]) -> tuple[str, str] | None:
    """The names of what `find` gives, with a session that is as asking for it gives it."""
    found = await history.find(owner, points)
    if found is None:
        return None
    session, run_id = found
    assert session == await history.session(owner, session.session_id)
    return session.session_id, run_id
