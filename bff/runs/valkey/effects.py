"""What a replica wants done: said by `replica.py`, carried out by whoever told it what happened.

The first three are for the server (`uploads.py`), the others for this process (`replicas.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bff.events import Record
from bff.runs.log import Status


@dataclass(frozen=True, slots=True)
class Append:
    """To the server: these events, which follow what it has."""

    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Close:
    """To the server: these events, the last of which ends the run."""

    records: Sequence[Record]
    status: Status


@dataclass(frozen=True, slots=True)
class Restore:
    """To the server: the run itself, which it lacks. Its events follow, from the one `after`."""

    after: int


@dataclass(frozen=True, slots=True)
class Deliver:
    """To the followers here: these events; with a status, the last of them ends the run."""

    records: Sequence[Record]
    end: Status | None


@dataclass(frozen=True, slots=True)
class Settle:
    """To whoever waits for what was put: it is delivered, or never will be."""

    waiter: Any
    superseded: bool


@dataclass(frozen=True, slots=True)
class Forget:
    """The replica is of no more use: what became of the run, the server says.

    `abandon`: its agent is still being called, for nobody.
    """

    abandon: bool


Call = Append | Close | Restore
Effect = Call | Deliver | Settle | Forget

NOTHING: Sequence[Effect] = ()
