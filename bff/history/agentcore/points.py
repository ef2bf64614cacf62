"""Where transcripts stand, by point: each point is a session of the memory that no agent has.

So looking for one is one call, without a scan. Who stood there is an event; a session that was
cleared is told from one that lives by what the session's own log says. Of conversations that began
alike only the last ones are kept.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import NamedTuple

from bff.events import dumps
from bff.history.agentcore.client import Memory, place_of
from bff.history.agentcore.events import Event, stamp
from bff.history.agentcore.notes import Note
from bff.history.aws import Work, together

MAX_LOOKUPS = 40
"""Points that are looked for; a transcript of which so many are unknown counts as never seen."""
LOOKUPS_AT_ONCE = 5
MAX_EVENTS = 300
"""Of a point, that are read at most."""
EVENTS_KEPT = 20
"""Of a point; older ones are removed when they are seen."""


class Stand(NamedTuple):
    """A run that stands at a point."""

    session_id: str
    run_id: str
    asked_at: float
    at: int
    """When it was written, in milliseconds."""
    event_id: str
    place: str


class Points:
    def __init__(self, memory: Memory, work: Work) -> None:
        self._memory = memory
        self._work = work

    async def write(self, owner: str, place: str, note: Note) -> None:
        """Say that the turn which the note is of stands there."""
        said = {"session": note.session_id, "run": note.run_id, "asked": note.created_at}
        await self._memory.create(owner, place, [{"blob": dumps(said)}], at=note.at)

    async def look_up(self, owner: str, points: Sequence[str]) -> AsyncIterator[list[Stand]]:
        """Who stands at each of the points that somebody stands at, the newest first."""
        places = [place_of(point) for point in points[:MAX_LOOKUPS]]
        for at in range(0, len(places), LOOKUPS_AT_ONCE):
            some = places[at : at + LOOKUPS_AT_ONCE]
            for stands in await together(*(self._stands(owner, place) for place in some)):
                if stands:
                    yield stands

    async def forget(self, owner: str, place: str, session_id: str, cleared_at: int) -> None:
        """Remove what a cleared session has left at a point."""
        for stand in await self._read(owner, place):
            if stand.session_id == session_id and stand.at <= cleared_at:
                await self._memory.delete(owner, place, stand.event_id)

    async def forget_run(self, owner: str, place: str, session_id: str, run_id: str) -> None:
        for stand in await self._read(owner, place):
            if (stand.session_id, stand.run_id) == (session_id, run_id):
                await self._memory.delete(owner, place, stand.event_id)

    async def _stands(self, owner: str, place: str) -> list[Stand]:
        stands = sorted(
            await self._read(owner, place), key=lambda s: (s.asked_at, s.at), reverse=True
        )
        if len(stands) > EVENTS_KEPT:
            self._work.sweep((owner, place), self._tidy(owner, stands[EVENTS_KEPT:]))
        return stands[:EVENTS_KEPT]

    async def _tidy(self, owner: str, stands: Sequence[Stand]) -> None:
        for stand in stands:
            await self._memory.delete(owner, stand.place, stand.event_id)

    async def _read(self, owner: str, place: str) -> list[Stand]:
        found: list[Stand] = []
        read = 0
        async with aclosing(self._memory.events(owner, place, payloads=True)) as events:
            async for event in events:
                if stand := _stand(place, event):
                    found.append(stand)
                read += 1
                if read == MAX_EVENTS:
                    break
        return found


def _stand(place: str, event: Event) -> Stand | None:
    try:
        match event["payload"]:
            case [{"blob": str(text)}]:
                said = json.loads(text)
                return Stand(
                    str(said["session"]),
                    str(said["run"]),
                    float(said["asked"]),
                    stamp(event),
                    event["eventId"],
                    place,
                )
    except (ValueError, TypeError, KeyError):
        pass  # not of ours
    return None
