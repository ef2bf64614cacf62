"""What is known of sessions by their notes: asked, added to, and claimed in.

A session's own log answers in one call, the owner's has all sessions. Whoever reads them begins
what they leave to be done.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from bff.history import Derive
from bff.history.agentcore.clearing import Clearing
from bff.history.agentcore.client import OWNERS_LOG, Logs, Memory, session_log
from bff.history.agentcore.notes import Entry, Note, fold
from bff.history.aws import Work, code_of, together

NOTES_TO_TIDY = 20
"""Notes that no longer matter are removed when there are so many."""
LOOK_AGAIN_SECONDS = 0.1
"""Before another look for a claim that the service does not list yet."""
TOKEN_TAKEN = {"ConflictException", "ValidationException", "InvalidInputException"}
"""What the service may answer to a token that came with another body, if it does not ignore it."""

_log = logging.getLogger(__name__)


class SessionNotes:
    def __init__(
        self, memory: Memory, logs: Logs, clearing: Clearing, work: Work, derive: Derive
    ) -> None:
        self._memory = memory
        self._logs = logs
        self._clearing = clearing
        self._work = work
        self._derive = derive

    async def write(self, owner: str, note: Note) -> None:
        """Write a note into both logs."""
        await together(self.write_own(owner, note), self.write_listed(owner, note))

    async def write_listed(self, owner: str, note: Note) -> None:
        """Write a note into the list alone, of what counts once the session's own log has it."""
        await self._logs.write(owner, OWNERS_LOG, note.listed())

    async def write_own(self, owner: str, note: Note) -> None:
        """Write it into the session's own log, last of all: who finds it there is done."""
        await self._logs.write(owner, session_log(self._derive(owner, note.session_id)), note)

    async def entry(self, owner: str, session_id: str) -> Entry:
        """What the session's own log says; whatever it leaves to be done is begun."""
        log = session_log(self._derive(owner, session_id))
        entries = fold(await self._logs.read(owner, log))
        self._tend(owner, log, entries)
        return entries.get(session_id, Entry())

    async def entries(self, owner: str) -> dict[str, Entry]:
        """The same of all the owner's sessions, by the owner's log."""
        entries = fold(await self._logs.read(owner, OWNERS_LOG))
        self._tend(owner, OWNERS_LOG, entries)
        return entries

    def _tend(self, owner: str, log: str, entries: Mapping[str, Entry]) -> None:
        for session_id, entry in entries.items():
            if entry.cleared_at is not None:
                self._clearing.go_on(owner, session_id, entry.cleared_at)
        superseded = [id for entry in entries.values() for id in entry.superseded]
        if len(superseded) > NOTES_TO_TIDY:
            self._work.sweep((owner, log), self._logs.remove(owner, log, superseded))

    async def in_list(self, owner: str, session_id: str) -> Entry:
        return (await self.entries(owner)).get(session_id, Entry())

    async def branches(self, owner: str, name: str) -> Sequence[str]:
        """The sessions that were begun as branches of that name, oldest first."""
        found = [
            (entry.session.created_at, session_id)
            for session_id, entry in (await self.entries(owner)).items()
            if entry.session and entry.branch_of == name
        ]
        return [session_id for _, session_id in sorted(found)]

    async def name_branch(self, owner: str, name: str, branch: str) -> None:
        at = self._memory.stamp()
        await self.write(owner, Note(kind="branch", session_id=name, at=at, branch=branch))

    async def forget_branch(self, owner: str, name: str, branch: str) -> None:
        """A session that went by this branch goes by the newest one left."""
        named, branches = await together(self.entry(owner, name), self.branches(owner, name))
        if named.session is None or named.session.branch != branch:
            return
        left = [other for other in branches if other != branch]
        note = Note(
            kind="branch",
            session_id=name,
            at=self._memory.stamp(),
            branch=left[-1] if left else "",
            of=branch,
        )
        await self.write(owner, note)

    async def claim(
        self, owner: str, session_id: str, run_id: str, input_ids: Sequence[str]
    ) -> bool:
        """Write a claim and see who was first.

        All who claim the same questions write with the same token, of which the service takes the
        first; should it take several, the oldest has them.
        """
        entry = await self.entry(owner, session_id)
        if not entry.asks(input_ids) or entry.newest is None:
            return entry.session is not None and entry.claimed_by == run_id
        asked = entry.newest.note
        note = Note(
            kind="claim",
            session_id=session_id,
            at=self._memory.stamp(asked.at + 1),
            run_id=run_id,
            of=asked.run_id,
        )
        first = token(owner, session_id, "claim", asked.run_id, str(asked.at))
        log = session_log(self._derive(owner, session_id))
        try:
            await self._logs.write(owner, log, note, token=first)
        except ClientError as error:
            if code_of(error) not in TOKEN_TAKEN:
                raise
        while (claim := entry.claims.get(asked.run_id)) is None:
            entry = await self.entry(owner, session_id)
            if entry.newest is None or asked.run_id not in entry.turns:
                return False  # the session has been cleared
            if asked.run_id not in entry.claims:
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
        if claim.note.run_id != run_id:
            return False
        try:
            await self._logs.write(owner, OWNERS_LOG, note)
        except (ClientError, BotoCoreError, OSError) as error:
            # the list shows the questions until the next turn; the session itself does not
            _log.warning("a claim is missing from the list of sessions: %s", type(error).__name__)
        return True


def token(*what: str) -> str:
    """The same for the same, so that the service takes it once."""
    return hashlib.sha256("/".join(what).encode()).hexdigest()
