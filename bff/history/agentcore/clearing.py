"""Clearing a session, behind the request: the service has no call for it.

The session is hidden by a note in both of its logs. Then its events are deleted one by one, within
the service's rate, with all that leads to them; last of all the note, once no reader can be under
way that has seen what it hides. Whoever finds such a note goes on with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from bff.history import Derive
from bff.history.agentcore.client import OWNERS_LOG, Logs, Memory, session_log, turns_of
from bff.history.agentcore.events import mark, places_in, stamp
from bff.history.agentcore.notes import Note
from bff.history.agentcore.points import Points
from bff.history.aws import Work, together

MAX_SWEPT = 10_000
"""Finished sweeps that are remembered; one that is forgotten is looked at again."""
LINGER_SECONDS = 15.0
"""How long a cleared session's note outlives the sweep: longer than a read or a write may take, so
that no read sees what was cleared and misses the note, and no turn comes after it."""


class Clearing:
    def __init__(
        self, memory: Memory, logs: Logs, points: Points, work: Work, derive: Derive
    ) -> None:
        self._memory = memory
        self._logs = logs
        self._points = points
        self._work = work
        self._derive = derive
        self._swept: dict[tuple[str, str, int], float] = {}
        """When a sweep was done, by owner, session and the moment it was cleared at."""

    def go_on(self, owner: str, session_id: str, cleared_at: int) -> None:
        """Sweep, unless that is done; then the notes that hide what was swept may go, in time."""
        key = (owner, session_id, cleared_at)
        done_at = self._swept.get(key)
        if done_at is None:
            self._work.sweep(key, self._sweep(owner, session_id, cleared_at))
        elif self._memory.clock() > done_at + LINGER_SECONDS:
            self._work.sweep(key, self._sweep_last(owner, session_id, cleared_at))

    def forget_run(self, owner: str, session_id: str, run_id: str) -> None:
        """Sweep what we wrote of a turn that is forgotten; its note hides the rest as well.

        What the agent wrote stays, and so does the record that tells which of it is the turn's.
        """
        self._work.sweep((owner, session_id, run_id), self._sweep_run(owner, session_id, run_id))

    async def _sweep_run(self, owner: str, session_id: str, run_id: str) -> None:
        session = self._derive(owner, session_id)
        ours = [
            event
            async for event in self._memory.events(owner, session, payloads=False)
            if mark(event, "run") == run_id
        ]
        for point in {point for event in ours for point in places_in(event)}:
            await self._points.forget_run(owner, point, session_id, run_id)
        for event in ours:
            await self._memory.delete(owner, session, event["eventId"])

    async def _sweep(self, owner: str, session_id: str, cleared_at: int) -> None:
        """Delete what was written up to then, and the notes of it."""
        await self._sweep_all_events(owner, session_id, cleared_at)
        await self._remove_notes(owner, session_id, cleared_at)
        self._swept[(owner, session_id, cleared_at)] = self._memory.clock()
        while len(self._swept) > MAX_SWEPT:
            del self._swept[next(iter(self._swept))]

    async def _sweep_last(self, owner: str, session_id: str, cleared_at: int) -> None:
        """Delete what came late of a turn that was being written, and then what hides it."""
        await self._sweep_all_events(owner, session_id, cleared_at)
        await self._remove_notes(owner, session_id, cleared_at + 1)

    async def _sweep_all_events(self, owner: str, session_id: str, cleared_at: int) -> None:
        session = self._derive(owner, session_id)
        for place in (session, turns_of(session)):
            await self._sweep_events(owner, place, session_id, cleared_at)

    async def _sweep_events(self, owner: str, place: str, session_id: str, cleared_at: int) -> None:
        gone: set[str] = set()  # a list may lag behind
        while old := [
            event
            async for event in self._memory.events(owner, place, payloads=False)
            if stamp(event) <= cleared_at and event["eventId"] not in gone
        ]:
            for point in {point for event in old for point in places_in(event)}:
                await self._points.forget(owner, point, session_id, cleared_at)
            for event in old:
                await self._memory.delete(owner, place, event["eventId"])
                gone.add(event["eventId"])

    async def _remove_notes(self, owner: str, session_id: str, before: int) -> None:
        logs = (session_log(self._derive(owner, session_id)), OWNERS_LOG)
        for log, notes in zip(
            logs, await together(*(self._logs.read(owner, log) for log in logs)), strict=True
        ):
            await self._logs.remove(owner, log, _older(notes, session_id, before))


def _older(notes: Mapping[str, Note], session_id: str, before: int) -> list[str]:
    return [id for id, note in notes.items() if note.session_id == session_id and note.at < before]
