"""Conversations in an AgentCore Memory, where the agent may keep its own.

Each conversation lies where the agent would put it: actor is the owner, session is the id that was
derived for the agent. So what agents write themselves is read too (`agentcore_events`), and
clearing a session makes its agent forget. Names, titles and the list are notes (`agentcore_notes`).
The service has no call that clears a session: it is hidden by a note and its events are deleted one
by one, within the service's rate, behind the request; whoever finds such a note goes on with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from botocore.exceptions import BotoCoreError, ClientError

from bff.events import well_formed
from bff.history import CALL_TIMEOUT_SECONDS, Derive, Page, Session, StoredMessage, Turn
from bff.history.agentcore.client import Memory, MemoryNotes, Sleep
from bff.history.agentcore.events import Event, Group, conversation, lean, stamp, turn_events
from bff.history.agentcore.notes import Entry, LocalNotes, Note, NoteKind, Notes, fold
from bff.history.aws import CHECK_SECONDS, Work, code_of, open_client
from bff.history.paging import MessagePage, first_title, position, read_position
from bff.settings import SettingsError

NOTES_TO_TIDY = 20
"""Notes that no longer matter are removed when there are so many."""
MAX_SWEPT = 10_000
"""Finished sweeps that are remembered; one that is forgotten is looked at again."""
LINGER_SECONDS = 15.0
"""How long a cleared session's note outlives the sweep: longer than a read may take, so that no
read sees what was cleared and misses the note."""
CLOCK_SKEW_MILLISECONDS = 1000
"""How far ahead of ours a clock may be whose events are still cleared."""

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
    """A `History` in a memory; with `write` false it writes nothing, and keeps notes in process."""

    def __init__(self, memory: Memory, work: Work, *, write: bool, derive: Derive) -> None:
        self._memory = memory
        self._work = work
        self._write = write
        self._derive = derive
        self._swept: dict[tuple[str, str, int], float] = {}
        """When a sweep was done, by owner, session and the moment it was cleared at."""
        self._notes: Notes = MemoryNotes(memory) if write else LocalNotes()

    def __repr__(self) -> str:
        mode = "" if self._write else " read only"
        return f"<AgentCoreHistory {self._memory.id}{mode} {self._work}>"

    async def add(self, owner: str, turn: Turn) -> None:
        await self._work.call(self._add(owner, turn))

    async def session(self, owner: str, session_id: str) -> Session | None:
        raise NotImplementedError

    async def find(self, owner: str, points: Sequence[str]) -> tuple[str, str] | None:
        raise NotImplementedError

    async def begin(
        self,
        owner: str,
        session: Session,
        turns: Sequence[Turn] = (),
        *,
        branch_of: str | None = None,
    ) -> None:
        raise NotImplementedError

    async def fork_turns(
        self, owner: str, session_id: str, run_id: str | None
    ) -> Sequence[Turn] | None:
        raise NotImplementedError

    async def claim(
        self, owner: str, session_id: str, run_id: str, input_ids: Sequence[str]
    ) -> bool:
        raise NotImplementedError

    async def sessions(self, owner: str, *, limit: int, after: str | None = None) -> Page[Session]:
        before = (float("inf"), "") if after is None else read_position(after, float, str)
        entries = await self._work.call(self._entries(owner))
        found = sorted(
            (entry.session for entry in entries.values() if entry.session), key=_use, reverse=True
        )
        found = [session for session in found if _use(session) < before]
        page = found[:limit]
        return Page(page, position(*_use(page[-1])) if len(found) > limit else None)

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

    async def ping(self) -> None:
        await self._work.call(self._memory.ping())

    async def _add(self, owner: str, turn: Turn) -> None:
        if self._write:
            session = self._derive(owner, turn.session_id)
            events = await asyncio.to_thread(turn_events, turn)
            for part, (payload, marks) in enumerate(events):
                await self._memory.create(
                    *(owner, session, payload), marks=marks, token=_token(owner, turn, part)
                )
        title = first_title(turn.message)
        await self._notes.write(
            owner, self._note("turn", turn.session_id, title, turn.asked_at, turn.answered_at)
        )

    async def _entries(self, owner: str) -> dict[str, Entry]:
        """What the notes say; whatever they leave to be done is begun."""
        notes = await self._notes.read(owner)
        entries = fold(notes)
        for session_id, entry in entries.items():
            if entry.cleared_at is not None:
                self._start_sweep(owner, session_id, entry.cleared_at, entry.needed["clear"])
        superseded = [id for entry in entries.values() for id in entry.superseded]
        if len(superseded) > NOTES_TO_TIDY:
            self._work.sweep((owner, "notes"), self._notes.remove(owner, superseded))
        return entries

    async def _read(self, owner: str, session_id: str) -> tuple[Session | None, Sequence[Group]]:
        """A session and all its messages: the service can neither sort nor start in between."""
        entries, events = await asyncio.gather(
            self._entries(owner), self._events(owner, session_id, payloads=True)
        )
        entry = entries.get(session_id, Entry())
        groups = await asyncio.to_thread(conversation, _since(entry.cleared_at, events))
        return entry.session or _unnoted(session_id, groups), groups

    async def _events(self, owner: str, session_id: str, *, payloads: bool) -> list[Event]:
        session = self._derive(owner, session_id)
        events = self._memory.events(owner, session, payloads=payloads)
        return [lean(event) async for event in events]

    async def _rename(self, owner: str, session_id: str, title: str) -> Session | None:
        entries = await self._entries(owner)
        session = entries.get(session_id, Entry()).session
        if session is None:
            session, _ = await self._read(owner, session_id)
        if session is None:
            return None
        await self._notes.write(
            owner, self._note("title", session_id, title, session.created_at, session.updated_at)
        )
        return replace(session, title=title)

    async def _delete(self, owner: str, session_id: str) -> bool:
        entries, events = await asyncio.gather(
            self._entries(owner), self._events(owner, session_id, payloads=False)
        )
        entry = entries.get(session_id, Entry())
        left = _since(entry.cleared_at, events)
        if entry.session is None and not left:
            return False
        horizon = self._memory.stamp() + CLOCK_SKEW_MILLISECONDS
        latest = max((at for at in map(stamp, left) if at <= horizon), default=0)
        note = Note("clear", session_id, self._memory.stamp(latest))
        await self._notes.write(owner, note)
        self._work.sweep((owner, session_id, note.at), self._sweep(owner, session_id, note.at))
        return True

    def _start_sweep(self, owner: str, session_id: str, cleared_at: int, note_id: str) -> None:
        """Sweep, unless that is done; then the note that hides what was swept may go, in time."""
        key = (owner, session_id, cleared_at)
        done_at = self._swept.get(key)
        if done_at is None:
            self._work.sweep(key, self._sweep(owner, session_id, cleared_at))
        elif self._memory.clock() > done_at + LINGER_SECONDS:
            self._work.sweep(key, self._notes.remove(owner, [note_id]))

    async def _sweep(self, owner: str, session_id: str, cleared_at: int) -> None:
        """Delete what was written up to then, and the notes of it."""
        session = self._derive(owner, session_id)
        gone: set[str] = set()  # a list may lag behind
        while old := [
            event["eventId"]
            for event in await self._events(owner, session_id, payloads=False)
            if stamp(event) <= cleared_at and event["eventId"] not in gone
        ]:
            for event_id in old:
                await self._memory.delete(owner, session, event_id)
                gone.add(event_id)
        notes = await self._notes.read(owner)
        old = [
            id
            for id, note in notes.items()
            if note.session_id == session_id and note.at < cleared_at
        ]
        await self._notes.remove(owner, old)
        self._swept[(owner, session_id, cleared_at)] = self._memory.clock()
        while len(self._swept) > MAX_SWEPT:
            del self._swept[next(iter(self._swept))]

    def _note(
        self, kind: NoteKind, session_id: str, title: str, created_at: float, updated_at: float
    ) -> Note:
        return Note(kind, session_id, self._memory.stamp(), title, created_at, updated_at)


def _use(session: Session) -> tuple[float, str]:
    return float(session.updated_at), session.session_id


def _since(cleared_at: int | None, events: Sequence[Event]) -> Sequence[Event]:
    if cleared_at is None:
        return events
    return [event for event in events if stamp(event) > cleared_at]


def _unnoted(session_id: str, groups: Sequence[Group]) -> Session | None:
    """A session that only its messages tell of: an agent wrote them, or our note was lost."""
    messages = [message for group in groups for message in group.messages]
    if not messages:
        return None
    asked = next((message.content for message in messages if message.role == "user"), "")
    return Session(
        session_id=session_id,
        title=first_title(asked),
        created_at=messages[0].created_at,
        updated_at=messages[-1].created_at,
    )


def _token(owner: str, turn: Turn, part: int) -> str:
    return hashlib.sha256(f"{owner}/{turn.session_id}/{turn.run_id}/{part}".encode()).hexdigest()
