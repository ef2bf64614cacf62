"""A prompt as tests want it: one message, ids that fit."""

from __future__ import annotations

from typing import Any

from bff.agents import Prompt
from bff.messages import Conversation, user_message


def prompt_of(
    message: str,
    session_id: str = "s" * 40,
    actor_id: str = "actor",
    run_id: str = "run-1",
    metadata: dict[str, Any] | None = None,
    **fields: Any,
) -> Prompt:
    conversation = Conversation(new=(user_message(message),), metadata=metadata or {})
    return Prompt(
        conversation=conversation,
        session_id=session_id,
        actor_id=actor_id,
        run_id=run_id,
        **fields,
    )
