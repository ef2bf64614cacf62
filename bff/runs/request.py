"""What a client asks for, as every protocol says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

OnDisconnect = Literal["continue", "cancel"]


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key and the fingerprint of the body it came with."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a client asks for: one message into one session.

    `owner` is the principal's digest and what the agent knows the caller by; `agent_session_id` is
    what it knows the session by.
    """

    owner: str
    session_id: str
    agent_session_id: str
    message: str = field(repr=False)
    request_id: str
    deadline_seconds: float
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    on_disconnect: OnDisconnect = "continue"
    idempotency: Idempotency | None = None
    trace: Mapping[str, str] = field(default_factory=dict)
