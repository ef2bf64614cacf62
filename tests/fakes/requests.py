"""A run's request as tests want it: one message into one session."""

from __future__ import annotations

from typing import Any

from bff.messages import Conversation, user_message
from bff.runs.request import Call, RunRequest


def run_request_of(
    message: str = "Hi",
    *,
    owner: str = "owner",
    session_id: str = "session",
    deadline_seconds: float = 60,
    **fields: Any,
) -> RunRequest:
    call = Call(
        conversation=Conversation(new=(user_message(message),)), deadline_seconds=deadline_seconds
    )
    return RunRequest(
        owner=owner,
        session_id=session_id,
        agent_session_id="a" * 64,
        message=message,
        request_id="request",
        **{"call": call, **fields},
    )
