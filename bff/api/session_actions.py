"""What can be done to a session besides reading it: branch off, decline what its agent asked."""

from __future__ import annotations

import time
from typing import Annotated
from uuid import uuid4

from aiohttp import web
from pydantic import Field

from bff.api import FILES, HISTORY, PRINCIPAL, RUNS, SETTINGS
from bff.api.body import Strict, read_small
from bff.api.chat_request import SESSION_PATTERN
from bff.api.runs import run_state
from bff.api.sessions import MAX_TITLE_CHARACTERS, not_written, session_id_of, session_state
from bff.api.start_run import Asked, start_run
from bff.conversations.earlier import files_in, last_run, said_in
from bff.conversations.transcript import after_all, root, spoken
from bff.errors import Invalid, NotFound, NotWaiting
from bff.history import ForkedFrom, Session, Turn
from bff.messages import Answer, Conversation


class ForkRequest(Strict):
    """Where a new session branches off, and what it is called."""

    run_id: Annotated[
        str | None, Field(description="The last run to be shared; all of them without one.")
    ] = None
    session_id: Annotated[str, Field(pattern=SESSION_PATTERN)] | None = None
    title: Annotated[str, Field(min_length=1, max_length=MAX_TITLE_CHARACTERS)] | None = None


async def fork_session(request: web.Request) -> web.StreamResponse:
    """A new session that begins with this one's messages up to a run."""
    owner, history = request[PRINCIPAL].id, request.app[HISTORY]
    asked = await read_small(request, ForkRequest) if request.body_exists else ForkRequest()
    session = await history.session(owner, session_id_of(request))
    if session is None:
        raise await not_written(request, session_id_of(request), asked.run_id)
    run_id, turns = await _shared(request, session, asked.run_id)
    name = asked.session_id or str(uuid4())
    if await history.session(owner, name) is not None:
        raise Invalid.of("session_id", "is the name of a session that is there already")
    now = time.time()
    begin = root(session.agent, None, name)
    branch = Session(
        session_id=name,
        title=asked.title or session.title,
        created_at=now,
        updated_at=now,
        agent=session.agent,
        forked_from=ForkedFrom(session_id=session.session_id, run_id=run_id),
        point=after_all(begin, spoken(said_in(turns))),
        told=False,
    )
    if (files := request.app[FILES]) and (shared := files_in(turns)):
        await files.used_by(owner, shared, name)
    await history.begin(owner, branch, turns)
    return session_state(branch, status=201)


async def _shared(
    request: web.Request, session: Session, run_id: str | None
) -> tuple[str | None, list[Turn]]:
    """The last run that both sessions share, and the turns up to it.

    Raises `NotFound` for a run that is not the session's, `SessionBusy` for the one that is open.
    """
    owner, history = request[PRINCIPAL].id, request.app[HISTORY]
    if run_id is None:
        run_id = await last_run(history, owner, session)
    turns = await history.fork_turns(owner, session.session_id, run_id)
    if turns is None:
        raise await not_written(request, session.session_id, run_id)
    return run_id, list(turns)


async def cancel_inputs(request: web.Request) -> web.StreamResponse:
    """Decline every open question of a session; 204 where none is open.

    The agent learns it in a run, whose state is the answer; then the session waits for nothing. One
    that is no longer among the agents is not told.
    """
    session_id, history = session_id_of(request), request.app[HISTORY]
    session = await history.session(request[PRINCIPAL].id, session_id)
    if session is None and await request.app[RUNS].find_open(request[PRINCIPAL].id, session_id):
        return web.Response(status=204)  # its first run is open: nothing has been asked yet
    if session is None:
        raise NotFound
    if not session.inputs:
        return web.Response(status=204)
    if all(agent.name != session.agent for agent in request.app[SETTINGS].agents):
        ids = [question["id"] for question in session.inputs]
        nobodys = f"run_{uuid4().hex}"
        if not await history.claim(request[PRINCIPAL].id, session.session_id, nobodys, ids):
            raise NotWaiting
        return web.Response(status=204)
    asked = Asked(
        conversation=Conversation(
            answers=tuple(Answer(question["id"], "cancelled") for question in session.inputs)
        ),
        name=session_id,
        on_disconnect="continue",
        streaming=True,
        late=True,
    )
    async with await start_run(request, asked) as follower:
        run = follower.run
    return run_state(await request.app[RUNS].find(run.owner, run.run_id))
