"""Deleting a conversation: whatever any store has of it.

Each step may fail, as a store may be away; then the request is refused and may be repeated. So what
leads to the rest goes last: branches before the session that names them, and in each session the
runs, whose log is most often out of reach, before the history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from bff.api import AGENTS, FILES, HISTORY, PRINCIPAL, RUNS
from bff.errors import SessionBusy
from bff.identity.principals import agent_session_id

MOST_PASSES = 4
"""For one deletion, each because of another run that was begun during the last."""


async def delete_conversation(request: web.Request, name: str) -> bool:
    """Delete a session with the branches that go by its name; false if nothing was there.

    What is open in any of them is cancelled first. What was forked from them by request stays.
    """
    owner, history = request[PRINCIPAL].id, request.app[HISTORY]
    found = await _delete_all(request, [*await history.branches(owner, name), name])
    # one that was begun meanwhile; from here on none can be, since the name is gone
    return await _delete_all(request, await history.branches(owner, name)) or found


async def forget_turn(request: web.Request, session_id: str, run_id: str) -> None:
    """Delete one turn of a session; the session goes with its only turn, unless it has a run open.

    Files that the turn alone used stay with the session.
    """
    owner, history = request[PRINCIPAL].id, request.app[HISTORY]
    if not await history.forget(owner, session_id, run_id):
        return
    if await history.session(owner, session_id) is None:
        open_run = await request.app[RUNS].find_open(owner, session_id)
        if open_run is None:
            # not the history once more: a run may have begun the session anew since
            agents = request.app[AGENTS]
            await _delete_rest(request, session_id, next(iter(agents)))


async def _delete_all(request: web.Request, session_ids: Sequence[str]) -> bool:
    """Delete sessions, in this order; false if nothing was there.

    A run that was begun meanwhile may have left its turn in what was deleted, and be known itself:
    then all is done once more. Raises `SessionBusy` if there is one each time.
    """
    owner, runs = request[PRINCIPAL].id, request.app[RUNS]
    found = False
    for _ in range(MOST_PASSES):
        # what is open to its end: a turn that is written later would come after the deletion
        forgotten = await asyncio.gather(
            *(runs.forget_session(owner, each) for each in session_ids)
        )
        for session_id, gone in zip(session_ids, forgotten, strict=True):
            found = await _delete(request, session_id, had_runs=gone.found) or found
        left = await asyncio.gather(*(runs.runs_of(owner, each) for each in session_ids))
        session_ids = [
            session_id
            for session_id, gone, run_ids in zip(session_ids, forgotten, left, strict=True)
            if not gone.run_ids.issuperset(run_ids)
        ]
        if not session_ids:
            return found
    raise SessionBusy(retry_after_seconds=1)


async def _delete(request: web.Request, session_id: str, *, had_runs: bool) -> bool:
    """Delete what is kept of a session whose runs are gone."""
    owner, history, agents = request[PRINCIPAL].id, request.app[HISTORY], request.app[AGENTS]
    session = await history.session(owner, session_id)
    found = await history.delete(owner, session_id) or had_runs
    agent = session.agent if session and session.agent in agents else next(iter(agents))
    return await _delete_rest(request, session_id, agent, found=found)


async def _delete_rest(
    request: web.Request, session_id: str, agent: str, *, found: bool = True
) -> bool:
    """Delete the files of a session that was deleted, and have its agent forget it.

    `found` says whether there was one. The files are looked for all the same: where that failed
    before, a repeated request does it now.
    """
    owner, files = request[PRINCIPAL].id, request.app[FILES]
    if files and await files.forget_session(owner, session_id):
        found = True
    if found:
        request.app[RUNS].stop_agent(agent, agent_session_id(owner, session_id))
    return found
