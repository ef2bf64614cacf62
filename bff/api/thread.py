"""A session as pages come back to it, most of which name it by an id of their own."""

from __future__ import annotations

from contextlib import suppress

from aiohttp import web

from bff.api import HISTORY, PRINCIPAL, RUNS
from bff.errors import Overloaded
from bff.history import MAX_FORK_TURNS, Session, StoredMessage
from bff.identity.principals import foreign_id
from bff.runs.log import Run


async def newest_branch(request: web.Request, id: str) -> str:
    """The session that a page's id means: its newest branch."""
    name = foreign_id(id)
    session: Session | None = None
    with suppress(Overloaded):
        session = await request.app[HISTORY].session(request[PRINCIPAL].id, name)
    return session.branch if session and session.branch else name


async def open_run(request: web.Request, session_id: str) -> Run | None:
    """A session's open run; None as well while the shared log is away: what has ended is shown."""
    with suppress(Overloaded):
        return await request.app[RUNS].find_open(request[PRINCIPAL].id, session_id)
    return None


async def everything(
    request: web.Request, session_id: str
) -> tuple[Session | None, list[StoredMessage]]:
    """A session with its messages, the newest of a very long one."""
    owner, history = request[PRINCIPAL].id, request.app[HISTORY]
    session: Session | None = None
    messages: list[StoredMessage] = []
    after: str | None = None
    while found := await history.messages(owner, session_id, limit=200, after=after):
        session, page = found
        messages += page.items
        after = page.next
        if after is None:
            break
    return session, messages[-2 * MAX_FORK_TURNS :]
