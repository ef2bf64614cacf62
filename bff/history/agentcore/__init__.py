"""Conversations in an AgentCore Memory, where the agent may keep its own.

Each conversation lies where the agent would put it: actor is the owner, session is the id that was
derived for the agent. So what agents write themselves is read too (`agent_messages`), and clearing
a session makes its agent forget (`clearing`). What the memory has no place for is notes (`notes`),
and points lead to the turns that stand there (`points`), in sessions that no agent has.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from botocore.exceptions import BotoCoreError, ClientError

from bff.events import well_formed
from bff.history import CALL_TIMEOUT_SECONDS, Derive, Page, Session, StoredMessage, Turn
from bff.history.agentcore.agent_messages import Group
from bff.history.agentcore.clearing import Clearing
from bff.history.agentcore.client import Logs, Memory, Sleep, place_of, turns_of
from bff.history.agentcore.conversation import (
    conversation,
    title_without,
    turns_up_to,
    unnoted,
)
from bff.history.agentcore.events import (
    MAX_PLACES,
    Event,
    begin_events,
    lean,
    stamp,
    turn_events,
)
from bff.history.agentcore.notes import Entry, Note, begin_note, turn_note
from bff.history.agentcore.points import Points, Stand
from bff.history.agentcore.session_notes import SessionNotes, token
from bff.history.aws import CHECK_SECONDS, Work, code_of, open_client, together
from bff.history.paging import (
    MessagePage,
    newest_that_fit,
    position,
    read_position,
)
from bff.settings import DEFAULT_AGENT, SettingsError

CLOCK_SKEW_MILLISECONDS = 1000
"""How far ahead of ours a clock may be whose events are still cleared."""
CANDIDATES = 5
"""Sessions that stand at one point and are looked at."""
_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_memory(
    memory_id: str,
    *,
    region: str,
    write: bool,
    derive: Derive,
    call_timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[AgentCoreHistory]:
    """Raises `SettingsError` if there is no such memory. `clock` and `sleep` pace the sweeping."""
    async with open_client("bedrock-agentcore", region=region) as client:
        memory = Memory(memory_id, client, clock=clock, sleep=sleep)
        await _check(memory, min(CHECK_SECONDS, call_timeout_seconds))
        work = Work(f"agentcore://{memory_id}", call_timeout_seconds)
        try:
            yield AgentCoreHistory(memory, work, write=write, derive=derive)
        finally:
            await work.close()


async def _check(memory: Memory, timeout: float) -> None:
    """Refuse a memory that is not there; one that cannot be asked may still come up."""
    try:
        async with asyncio.timeout(timeout):
            await memory.ping()
    except ClientError as error:
        if code_of(error) == "ResourceNotFoundException":
            takes = "agentcore:// and the id of a memory in AWS_REGION"
            raise SettingsError(
                "HISTORY", f"agentcore://{memory.id} (no such memory)", takes
            ) from None
        _log.warning("agentcore://%s could not be looked at: %s", memory.id, code_of(error))
    except (BotoCoreError, OSError) as error:
        _log.warning("agentcore://%s could not be reached: %s", memory.id, type(error).__name__)


class AgentCoreHistory:
    """A `History` in a memory; with `write` false the conversation itself is the agent's to write.

    A turn costs one event of the conversation, a note in each of two logs and an event a point.
    """

    def __init__(self, memory: Memory, work: Work, *, write: bool, derive: Derive) -> None:
        self._memory = memory
        self._work = work
        self._write = write
        self._derive = derive
        logs = Logs(memory)
        self._points = Points(memory, work)
        self._clearing = Clearing(memory, logs, self._points, work, derive)
        self._notes = SessionNotes(memory, logs, self._clearing, work, derive)

    def __repr__(self) -> str:
        mode = "" if self._write else " (the agent writes)"
        return f"<AgentCoreHistory {self._memory.id}{mode} {self._work}>"

    async def add(self, owner: str, turn: Turn) -> None:
        await self._work.call(self._add(owner, turn))

    async def session(self, owner: str, session_id: str) -> Session | None:
        return (await self._work.call(self._notes.entry(owner, session_id))).session

    async def find(self, owner: str, points: Sequence[str]) -> tuple[Session, str] | None:
        return await self._work.call(self._find(owner, points))

    async def begin(
        self,
        owner: str,
        session: Session,
        turns: Sequence[Turn] = (),
        *,
        branch_of: str | None = None,
    ) -> None:
        await self._work.call(self._begin(owner, session, turns, branch_of))

    async def branches(self, owner: str, name: str) -> Sequence[str]:
        return await self._work.call(self._notes.branches(owner, name))

    async def fork_turns(
        self, owner: str, session_id: str, run_id: str | None
    ) -> Sequence[Turn] | None:
        session, groups = await self._work.call(self._read(owner, session_id))
        if session is None or run_id is None:
            return None if session is None else ()
        turns = turns_up_to(groups, run_id, agent=session.agent)
        return None if turns is None else newest_that_fit(reversed(turns))

    async def claim(
        self, owner: str, session_id: str, run_id: str, input_ids: Sequence[str]
    ) -> bool:
        return await self._work.call(self._notes.claim(owner, session_id, run_id, input_ids))

    async def sessions(self, owner: str, *, limit: int, after: str | None = None) -> Page[Session]:
        before = (float("inf"), "") if after is None else read_position(after, float, str)
        return await self._work.call(self._sessions(owner, limit, before))

    async def messages(
        self, owner: str, session_id: str, *, limit: int, after: str | None = None
    ) -> tuple[Session, Page[StoredMessage]] | None:
        page = MessagePage(limit=limit, after=after)
        session, groups = await self._work.call(self._read(owner, session_id))
        if session is None:
            return None
        for group in groups:
            if not page.offer(group.at, group.id, group.messages):
                break
        return session, page.page()

    async def rename(self, owner: str, session_id: str, title: str) -> Session | None:
        return await self._work.call(self._rename(owner, session_id, well_formed(title)))

    async def delete(self, owner: str, session_id: str) -> bool:
        return await self._work.call(self._delete(owner, session_id))

    async def forget(self, owner: str, session_id: str, run_id: str) -> bool:
        return await self._work.call(self._forget(owner, session_id, run_id))

    async def ping(self) -> None:
        await self._work.call(self._memory.ping())

    async def _add(self, owner: str, turn: Turn) -> None:
        places = list(dict.fromkeys(map(place_of, turn.points)))
        written = await asyncio.to_thread(turn_events, turn, places, conversational=self._write)
        session = self._derive(owner, turn.session_id)
        where = session if self._write else turns_of(session)
        # one moment for all of it: whoever deletes the session meanwhile deletes all or none
        at = self._memory.stamp()
        for part, (payload, marks) in enumerate(written):
            once = token(owner, turn.session_id, turn.run_id, str(part))
            await self._memory.create(owner, where, payload, marks=marks, at=at, token=once)
        note = turn_note(turn, at, places)
        await together(
            self._notes.write(owner, note),
            *(self._points.write(owner, place, note) for place in places[:MAX_PLACES]),
        )

    async def _find(self, owner: str, points: Sequence[str]) -> tuple[Session, str] | None:
        async for stands in self._points.look_up(owner, points):
            names = list(dict.fromkeys(stand.session_id for stand in stands))[:CANDIDATES]
            entries = dict(
                zip(
                    names,
                    await together(*(self._notes.entry(owner, name) for name in names)),
                    strict=True,
                )
            )
            standing = [
                stand
                for stand in stands
                if stand.session_id in entries and _is_of(stand, entries[stand.session_id])
            ]
            if standing:  # the newest first, of those where nothing came after if there are any
                newest = [s for s in standing if _is_last(s, entries[s.session_id])]
                best = (newest or standing)[0]
                if session := entries[best.session_id].session:
                    return session, best.run_id
        return None

    async def _begin(
        self, owner: str, session: Session, turns: Sequence[Turn], branch_of: str | None
    ) -> None:
        entry, entries = await together(
            self._notes.entry(owner, session.session_id),
            self._notes.in_list(owner, session.session_id),
        )
        if entry.session or (entries.session and not entries.begun):
            return
        named = None if branch_of is None else await self._notes.entry(owner, branch_of)
        if named is not None and named.session is None:
            return  # it was deleted meanwhile
        cleared_at = max(entry.cleared_at or 0, entries.cleared_at or 0)
        batch = secrets.token_hex(8)
        turns = [replace(turn, session_id=session.session_id) for turn in turns]
        if turns:
            written = await asyncio.to_thread(begin_events, session.session_id, turns, batch)
            where = turns_of(self._derive(owner, session.session_id))
            for payload, marks in written:
                at = self._memory.stamp(cleared_at + 1)
                await self._memory.create(owner, where, payload, marks=marks, at=at)
        at = self._memory.stamp(cleared_at + 1)
        session = replace(session, title=well_formed(session.title))
        note = begin_note(session, at, batch=batch, branch_of=branch_of)
        await self._notes.write_listed(owner, note)
        if branch_of is not None:
            await self._notes.name_branch(owner, branch_of, session.session_id)
        await self._notes.write_own(owner, note)

    async def _sessions(self, owner: str, limit: int, before: tuple[float, str]) -> Page[Session]:
        entries = await self._notes.entries(owner)
        found = {_use(session): entry for entry in entries.values() if (session := entry.session)}
        uses = sorted((use for use in found if use < before), reverse=True)
        page = await together(*(self._listed(owner, found[use]) for use in uses[:limit]))
        return Page(page, position(*uses[limit - 1]) if len(uses) > limit else None)

    async def _listed(self, owner: str, entry: Entry) -> Session:
        """The session of an entry in the list, with what only its own log has."""
        session = entry.session
        assert session is not None
        if entry.asks_elsewhere:
            own = (await self._notes.entry(owner, session.session_id)).session
            session = replace(session, inputs=own.inputs if own else ())
        return session

    async def _read(self, owner: str, session_id: str) -> tuple[Session | None, list[Group]]:
        """A session and all its messages: the service can neither sort nor start in between."""
        session = self._derive(owner, session_id)
        ours = turns_of(session)
        entry, events = await together(
            self._notes.entry(owner, session_id), self._events(owner, session, payloads=True)
        )
        records: list[Event] = []
        if entry.begun or not self._write:
            records = await self._events(owner, ours, payloads=True)
        listed = Entry()
        if entry.session is None:  # 0.1.0 wrote into the list only
            listed = await self._notes.in_list(owner, session_id)
        cleared_at = max(entry.cleared_at or 0, listed.cleared_at or 0)
        known = entry.session or (listed.session if listed.at > cleared_at else None)
        groups = await asyncio.to_thread(
            conversation,
            _since(cleared_at, events),
            _since(cleared_at, records),
            batch=entry.begun.note.batch if entry.begun else None,
            forgotten=entry.forgotten,
            agent=known.agent if known else DEFAULT_AGENT,
        )
        if entry.session and not entry.begun and groups and groups[0].at < entry.session.created_at:
            listed = await self._notes.in_list(owner, session_id)  # begun by 0.1.0, too
            if listed.session and known:
                first = listed.session
                known = replace(known, title=first.title, created_at=first.created_at)
        return known or unnoted(session_id, groups), groups

    async def _events(self, owner: str, session: str, *, payloads: bool) -> list[Event]:
        events = self._memory.events(owner, session, payloads=payloads)
        return [lean(event) async for event in events]

    async def _rename(self, owner: str, session_id: str, title: str) -> Session | None:
        session = (await self._notes.entry(owner, session_id)).session
        if session is None:
            session, _ = await self._read(owner, session_id)
        if session is None:
            return None
        note = Note(
            kind="title",
            session_id=session_id,
            at=self._memory.stamp(),
            title=title,
            created_at=session.created_at,
            updated_at=session.updated_at,
            agent=session.agent,
        )
        await self._notes.write(owner, note)
        return replace(session, title=title)

    async def _delete(self, owner: str, session_id: str) -> bool:
        session = self._derive(owner, session_id)
        entry, listed, events, records = await together(
            self._notes.entry(owner, session_id),
            self._notes.in_list(owner, session_id),
            self._events(owner, session, payloads=False),
            self._events(owner, turns_of(session), payloads=False),
        )
        cleared_at = max(entry.cleared_at or 0, listed.cleared_at or 0)
        left = _since(cleared_at, [*events, *records])
        if entry.session is None and listed.session is None and not left:
            return False
        horizon = self._memory.stamp() + CLOCK_SKEW_MILLISECONDS
        stamps = (*map(stamp, left), entry.at, listed.at)
        latest = max((at for at in stamps if at <= horizon), default=0)
        if (name := entry.branch_of) is not None:
            await self._notes.forget_branch(owner, name, session_id)
        note = Note(kind="clear", session_id=session_id, at=self._memory.stamp(latest + 1))
        await self._notes.write(owner, note)
        self._clearing.go_on(owner, session_id, note.at)
        return True

    async def _forget(self, owner: str, session_id: str, run_id: str) -> bool:
        """Hide the turn by a note. Of several that do so at once, the last sees what is left."""
        session, groups = await self._read(owner, session_id)
        gone = [group for group in groups if group.turn and group.turn.run_id == run_id]
        left = [group for group in groups if group not in gone]
        if session is None or not gone:
            return False
        if left:
            title = title_without(session, gone, left)
            note = Note(
                kind="forget",
                session_id=session_id,
                at=self._memory.stamp(),
                run_id=run_id,
                title=title or "",
                created_at=session.created_at,
                updated_at=session.updated_at,
                agent=session.agent,
                retitles=title is not None,
            )
            await self._notes.write_listed(owner, note)
            await self._notes.write_own(owner, note)
            self._clearing.forget_run(owner, session_id, run_id)
            session, left = await self._read(owner, session_id)
        if not left:
            await self._delete(owner, session_id)
        elif session is not None:
            ids = {group.id for group in left}
            gone = [group for group in groups if group.id not in ids]
            if (title := title_without(session, gone, left)) is not None:
                await self._rename(owner, session_id, title)
        return True


def _is_of(stand: Stand, entry: Entry) -> bool:
    """Whether the session that lives under that name has the run, at that point."""
    return entry.has(stand.run_id, stand.place, stand.at, CLOCK_SKEW_MILLISECONDS)


def _is_last(stand: Stand, entry: Entry) -> bool:
    return entry.newest is not None and entry.newest.note.run_id == stand.run_id


def _use(session: Session) -> tuple[float, str]:
    return float(session.updated_at), session.session_id


def _since(cleared_at: int, events: Sequence[Event]) -> Sequence[Event]:
    return [event for event in events if stamp(event) > cleared_at]
