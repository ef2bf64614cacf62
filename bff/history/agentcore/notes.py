"""What AgentCore Memory does not keep of a session: its name, its title, that it was cleared.

The memory knows sessions by derived ids and has no list by last use, so we keep notes of our own: a
log of small facts per owner, folded into the list of sessions. A note is only ever added, so tasks
that write at the same time lose nothing; a note that no longer matters may be removed. They lie in
a session of the owner's own, or, where nothing may be written to the memory, in this process.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol

from bff.events import dumps
from bff.history import Session

MAX_OWNERS = 1000
MAX_NOTES = 1000
"""Bounds of what a process keeps by itself; the oldest goes first."""


NoteKind = Literal["turn", "title", "clear"]


@dataclass(frozen=True, slots=True)
class Note:
    """One fact about a session: it had a turn, it was given a title, it was cleared.

    `at` is when the note was made, in milliseconds, and orders notes.
    """

    kind: NoteKind
    session_id: str
    at: int
    title: str = field(default="", repr=False)
    created_at: float = 0.0
    updated_at: float = 0.0

    def encode(self) -> str:
        return dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Note:
        """Raises `ValueError` for text that is no note."""
        fields = json.loads(text)
        try:
            return cls(**fields)
        except TypeError:
            raise ValueError("not a note") from None


@dataclass(slots=True)
class Entry:
    """What the notes say of one session name."""

    session: Session | None = None
    cleared_at: int | None = None
    """What was written up to then, in milliseconds, is hidden and being swept."""
    needed: dict[str, str] = field(default_factory=dict)
    """By what they are needed for: ids of the notes that still matter."""
    notes: set[str] = field(default_factory=set)

    @property
    def superseded(self) -> set[str]:
        return self.notes - set(self.needed.values())

    def apply(self, id: str, note: Note) -> None:
        self.notes.add(id)
        match note.kind, self.session:
            case "clear", _:
                self.session = None
                self.cleared_at = note.at
                self.needed = {"clear": id}
            case _, None:
                self.session = Session(
                    session_id=note.session_id,
                    title=note.title,
                    created_at=note.created_at,
                    updated_at=note.updated_at,
                )
                self.needed["first"] = self.needed["last"] = id
            case "title", session:
                self.session = replace(session, title=note.title)
                self.needed["title"] = id
            case _, session if note.updated_at > session.updated_at:
                self.session = replace(session, updated_at=note.updated_at)
                self.needed["last"] = id
            case _:
                pass


def fold(notes: Mapping[str, Note]) -> dict[str, Entry]:
    """The sessions by name, from notes by id."""
    entries: dict[str, Entry] = {}
    for id, note in sorted(notes.items(), key=lambda item: (item[1].at, item[0])):
        entries.setdefault(note.session_id, Entry()).apply(id, note)
    return entries


class Notes(Protocol):
    """Where notes are kept, by owner."""

    async def read(self, owner: str) -> Mapping[str, Note]:
        """All of an owner's notes, by id."""
        ...

    async def write(self, owner: str, note: Note) -> None: ...

    async def remove(self, owner: str, ids: Iterable[str]) -> None:
        """Forget some; one that is gone already is no error."""
        ...


class LocalNotes:
    """Notes in this process, where the memory is not ours to write to; lost when it ends."""

    def __init__(self, *, max_owners: int = MAX_OWNERS, max_notes: int = MAX_NOTES) -> None:
        self._owners: OrderedDict[str, dict[str, Note]] = OrderedDict()
        self._max_owners = max_owners
        self._max_notes = max_notes
        self._count = 0

    async def read(self, owner: str) -> Mapping[str, Note]:
        return dict(self._owners.get(owner, {}))

    async def write(self, owner: str, note: Note) -> None:
        notes = self._owners.setdefault(owner, {})
        self._owners.move_to_end(owner)
        self._count += 1
        notes[str(self._count)] = note
        entry = fold({i: n for i, n in notes.items() if n.session_id == note.session_id})
        await self.remove(owner, entry[note.session_id].superseded)
        while len(notes) > self._max_notes:
            del notes[next(iter(notes))]
        while len(self._owners) > self._max_owners:
            self._owners.popitem(last=False)

    async def remove(self, owner: str, ids: Iterable[str]) -> None:
        notes = self._owners.get(owner, {})
        for id in ids:
            notes.pop(id, None)


def note_of(event: Mapping[str, Any]) -> Note | None:
    """The note in an event of the owner's session for notes."""
    match event.get("payload"):
        case [{"blob": str(text)}]:
            try:
                return Note.decode(text)
            except ValueError:
                return None
    return None
