"""What a run needs around it, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bff.agents import Agent
from bff.files import Files
from bff.history import History
from bff.runs.bell import Bell
from bff.runs.log import RunLog, Status


class RunObserver(Protocol):
    """Who is told how runs go (metrics)."""

    def run_started(self) -> None: ...

    def run_spoke(self, agent: str, seconds: float) -> None:
        """The agent's first event came, `seconds` after the run began."""
        ...

    def run_ended(self, agent: str, status: Status, code: str | None, seconds: float) -> None: ...

    def history_failed(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDependencies:
    """What a run needs around it."""

    agents: Mapping[str, Agent]
    history: History
    files: Files | None
    log: RunLog
    bell: Bell
    observer: RunObserver
    idle_timeout_seconds: float
    clock: Callable[[], float]
