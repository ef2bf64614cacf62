"""What the log says of the work at hand, without anybody having to hand it down.

A task inherits both from the task that began it, so a line that is written deep inside a call of
an agent says which request, run and agent it belongs to.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple


class RunAtHand(NamedTuple):
    """A run, and its agent by the name in `AGENTS`."""

    run_id: str
    agent: str


current_request: ContextVar[str] = ContextVar("current_request", default="")
"""The id of the request that this task works for; runs inherit it from the request they began."""
current_run: ContextVar[RunAtHand | None] = ContextVar("current_run", default=None)
"""The run that this task carries out."""
