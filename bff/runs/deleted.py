"""What a deletion made of a session's runs, and a run that was deleted before its turn was written.

Where several instances take a run for theirs, one may write its turn after another was told to
delete it. Who deletes makes the run unknown before it deletes the session, so one of both sees what
the other did.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from bff.errors import Problem
from bff.history import History
from bff.runs.log import Run, RunLog

logger = logging.getLogger(__name__)


class Forgotten(NamedTuple):
    """The runs of a session that were made unknown."""

    run_ids: frozenset[str]
    found: bool
    """Whether one of them was known, or open."""


async def take_back(log: RunLog, history: History, run: Run) -> None:
    """Forget the turn that was just written if its run has been deleted meanwhile."""
    try:
        if await log.is_forgotten(run):
            await history.forget(run.owner, run.session_id, run.run_id)
    except Problem:
        logger.exception("run %s was deleted and may be in the history again", run.run_id)
