"""A session as pages come back to it, whose protocol names it by an id of the page's own."""

from __future__ import annotations

from contextlib import suppress

from aiohttp import web

from bff.api import HISTORY, PRINCIPAL
from bff.errors import Overloaded
from bff.history import MAX_FORK_TURNS, Session, StoredMessage
from bff.identity.principals import foreign_id


async def newest_branch(request: web.Request, id: str) -> str:
    """The session that a page's id means: its newest branch."""
    name = foreign_id(id)
    session: Session | None = None
    with suppress(Overloaded):
        session = await request.app[HISTORY].session(request[PRINCIPAL].id, name)
    return session.branch if session and session.branch else name


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
