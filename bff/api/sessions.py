"""`/v1/sessions`: a principal's conversations, from the history and from the runs still open.

A history is written when a run ends. What is open already belongs to its session all the same: it
is shown with `status: running` and its run id, so that a page that was reloaded can resume it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from bff.api import HISTORY, PRINCIPAL, RUNS
from bff.api.body import Strict, read_small
from bff.api.deletion import delete_conversation
from bff.api.query import limit_of, one
from bff.api.runs import rfc3339
from bff.api.thread import open_run
from bff.conversations.questions import shown_open
from bff.errors import Invalid, NotFound, SessionBusy
from bff.events import dumps
from bff.history import History, Page, Session, StoredMessage
from bff.history.paging import first_title
from bff.identity.principals import foreign_id
from bff.runs.log import Run

SESSIONS_PER_PAGE = 20
MESSAGES_PER_PAGE = 50
MAX_PER_PAGE = 100
MAX_TITLE_CHARACTERS = 200


_BEGUN = "begun "
"""Begins a position among the sessions that the history does not know yet."""


class TitleRequest(Strict):
    """A session's new title."""

    title: Annotated[str, Field(min_length=1, max_length=MAX_TITLE_CHARACTERS)]


async def list_sessions(request: web.Request) -> web.StreamResponse:
    """The caller's sessions, last used first; those whose first run is open come before all."""
    owner, history = request[PRINCIPAL].id, request.app[HISTORY]
    limit = limit_of(one(request, "limit"), default=SESSIONS_PER_PAGE, most=MAX_PER_PAGE)
    cursor = _Cursor(owner, "sessions")
    after = cursor.read(request)
    begun: list[Session] = []
    if after is None or after.startswith(_BEGUN):
        runs = await request.app[RUNS].open_runs(owner)
        begun = await _begun_sessions(history, owner, runs, after=after, limit=limit)
        after = None
    if len(begun) == limit:
        page: Page[Session] = Page((), _position_behind(begun[-1]))
    else:
        with nullcontext() if after is None else cursor.checked():
            page = await history.sessions(owner, limit=limit - len(begun), after=after)
    ended_meanwhile = {session.session_id for session in page.items}
    shown = [session for session in begun if session.session_id not in ended_meanwhile]
    body = {
        "sessions": [_session(session) for session in (*shown, *page.items)],
        "next_cursor": cursor.write(page.next),
    }
    return web.json_response(body, dumps=dumps)


async def show_session(request: web.Request) -> web.StreamResponse:
    """One session with its messages, oldest first; the open run's two end the last page."""
    owner, session_id = request[PRINCIPAL].id, session_id_of(request)
    limit = limit_of(one(request, "limit"), default=MESSAGES_PER_PAGE, most=MAX_PER_PAGE)
    cursor = _Cursor(owner, f"messages:{session_id}")
    after = cursor.read(request)
    # before the history, for a run is written there before it ends: between both it is seen twice
    run = await open_run(request, session_id)
    with nullcontext() if after is None else cursor.checked():
        found = await request.app[HISTORY].messages(owner, session_id, limit=limit, after=after)
    if found is not None:
        session, page = found
    elif run is not None and after is None:
        session, page = _begun(run), Page(())
    else:
        raise NotFound
    messages = [_message(message) for message in page.items]
    if run and page.next is None and all(item["run_id"] != run.run_id for item in messages):
        messages += _running(run)
    body = {**_session(session), "messages": messages, "next_cursor": cursor.write(page.next)}
    return web.json_response(body, dumps=dumps)


async def rename_session(request: web.Request) -> web.StreamResponse:
    """Give a session a title of the client's own."""
    owner, session_id = request[PRINCIPAL].id, session_id_of(request)
    title = (await read_small(request, TitleRequest)).title
    session = await request.app[HISTORY].rename(owner, session_id, title)
    if session is None:
        raise await not_written(request, session_id)
    return session_state(session)


async def delete_session(request: web.Request) -> web.StreamResponse:
    """Cancel what is open in a session and its branches, and forget them: their messages, their
    runs and the files that only they used."""
    if not await delete_conversation(request, session_id_of(request)):
        raise NotFound
    return web.Response(status=204)


async def not_written(
    request: web.Request, session_id: str, run_id: str | None = None
) -> SessionBusy | NotFound:
    """Why the history does not have a session, or a run of it: it is still open, or not there."""
    run = await request.app[RUNS].find_open(request[PRINCIPAL].id, session_id)
    if run is not None and run_id in {None, run.run_id}:
        return SessionBusy(retry_after_seconds=1)
    return NotFound()


def session_id_of(request: web.Request) -> str:
    """The session that the address names, be it by the id that another protocol's client chose."""
    return foreign_id(request.match_info["session_id"])


class _Cursor:
    """A history's position on its way through a client.

    It carries a check over the principal and what is paged, so one that was got elsewhere is
    refused and not read as a place here. The check is no secret and needs none: a position is
    only ever used inside the owner's own data, so a forged one leads nowhere else.
    """

    def __init__(self, owner: str, purpose: str) -> None:
        self._place = f"{owner} {purpose} "

    def write(self, position: str | None) -> str | None:
        if position is None:
            return None
        data = self._check(position.encode()) + position.encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    def read(self, request: web.Request) -> str | None:
        """The position in `cursor`; raises `Invalid` for one that `write` has not made here."""
        text = one(request, "cursor")
        if text is None:
            return None
        with self.checked():
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,4096}", text):
                raise ValueError("not a cursor")
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            check, position = data[:16], data[16:]
            if check != self._check(position):
                raise ValueError("not a cursor of this place")
            return position.decode()

    def _check(self, position: bytes) -> bytes:
        return hashlib.sha256(self._place.encode() + position).digest()[:16]

    @contextmanager
    def checked(self) -> Iterator[None]:
        try:
            yield
        except ValueError:
            raise Invalid.of("cursor", "must be a next_cursor of this very list") from None


async def _begun_sessions(
    history: History, owner: str, runs: Iterable[Run], *, after: str | None, limit: int
) -> list[Session]:
    """So many sessions of these runs that the history does not know yet, the newest first, from
    behind a position that `_position_behind` made.

    It is asked about many of them at once, and about no more than a page can show.
    """
    sessions = sorted(map(_begun, runs), key=_position_behind, reverse=True)
    if after is not None:
        sessions = [session for session in sessions if _position_behind(session) < after]
    begun: list[Session] = []
    for at in range(0, len(sessions), MAX_PER_PAGE):
        some = sessions[at : at + MAX_PER_PAGE]
        known = await asyncio.gather(*(history.session(owner, one.session_id) for one in some))
        begun += [one for one, written in zip(some, known, strict=True) if written is None]
        if len(begun) >= limit:
            break
    return begun[:limit]


def _position_behind(begun: Session) -> str:
    """Where a page goes on behind a session whose first run is open; later ones are greater."""
    return f"{_BEGUN}{begun.created_at:020.6f} {begun.session_id}"


def _begun(run: Run) -> Session:
    """The session of a first run that is still open."""
    return Session(
        session_id=run.session_id,
        title=first_title(run.request.message),
        created_at=run.created_at,
        updated_at=run.created_at,
        agent=run.request.agent,
    )


def _running(run: Run) -> list[dict[str, Any]]:
    return [
        _message(StoredMessage("user", run.request.message, run.run_id, run.created_at)),
        _message(StoredMessage("assistant", "", run.run_id, run.created_at, run.status)),
    ]


def session_state(session: Session, *, status: int = 200) -> web.Response:
    """One session as JSON."""
    return web.json_response(_session(session), status=status, dumps=dumps)


def _session(session: Session) -> dict[str, Any]:
    body: dict[str, Any] = {
        "session_id": session.session_id,
        "title": session.title,
        "created_at": rfc3339(session.created_at),
        "updated_at": rfc3339(session.updated_at),
        "agent": session.agent,
    }
    if inputs := shown_open(session.inputs, now=time.time()):
        body["inputs"] = inputs
    if fork := session.forked_from:
        body["forked_from"] = {"session_id": fork.session_id, "run_id": fork.run_id}
    return body


def _message(message: StoredMessage) -> dict[str, Any]:
    body: dict[str, Any] = {
        "role": message.role,
        "content": message.content,
        "run_id": message.run_id,
        "created_at": rfc3339(message.created_at),
    }
    if message.status is not None:
        body["status"] = message.status
    if message.tool_calls:
        body["tool_calls"] = list(message.tool_calls)
    if message.parts:
        body["parts"] = list(message.parts)
    return body
