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
from bff.identity.principals import agent_session_id


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
            await _delete(request, session_id, had_runs=True)


async def _delete_all(request: web.Request, session_ids: Sequence[str]) -> bool:
    """Delete sessions, in this order; false if nothing was there."""
    owner, runs = request[PRINCIPAL].id, request.app[RUNS]
    # what is open to its end: a turn that is written later would come after the deletion
    had_runs = await asyncio.gather(*(runs.forget_session(owner, each) for each in session_ids))
    found = [
        await _delete(request, session_id, had_runs=had)
        for session_id, had in zip(session_ids, had_runs, strict=True)
    ]
    return any(found)


async def _delete(request: web.Request, session_id: str, *, had_runs: bool) -> bool:
    """Delete what is kept of a session whose runs are gone."""
    owner, app = request[PRINCIPAL].id, request.app
    history, files, agents = app[HISTORY], app[FILES], app[AGENTS]
    session = await history.session(owner, session_id)
    found = await history.delete(owner, session_id) or had_runs
    # of a session that is gone too: where this failed before, a repeated request does it now
    if files and await files.forget_session(owner, session_id):
        found = True
    if found:
        agent = session.agent if session and session.agent in agents else next(iter(agents))
        app[RUNS].stop_agent(agent, agent_session_id(owner, session_id))
    return found
