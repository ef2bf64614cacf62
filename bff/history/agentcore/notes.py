"""What AgentCore Memory does not keep of a session: its title, where it stands, what it asks.

The memory knows sessions by derived ids, has no list by last use and no conditional write, so we
keep notes of our own: logs of small facts, folded into what is known now. A note is only ever
added, so tasks that write at the same time lose nothing, and facts that exclude each other are
decided in the folding; a note that no longer matters may be removed. Each note lies twice: in the
session's own log, which is short and answers at once, and in the owner's, the list of sessions.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, Self

from bff.events import JSON, dumps
from bff.history import ForkedFrom, Session, Turn
from bff.history.paging import first_title
from bff.history.questions import input_ids, input_key
from bff.settings import DEFAULT_AGENT

INLINE_CHARACTERS = 4_000
"""Questions that take more are written compressed, …"""
LISTED_CHARACTERS = 20_000
"""… and if they take more than this, the list of sessions only says that there are some."""
PIECE_CHARACTERS = 90_000
"""Of a note's text, which is ASCII, in one payload item; the service takes 100 KB."""

NoteKind = Literal["turn", "title", "clear", "begin", "claim", "branch", "forget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One fact about a session: it had a turn, was given a title, was begun with a transcript, …

    `at` is when the note was made, in milliseconds, and orders notes. 0.1.0 wrote no more of a note
    than `updated_at` and what stands before it.
    """

    kind: NoteKind
    session_id: str
    at: int
    title: str = field(default="", repr=False)
    created_at: float = 0.0
    """Of a turn, when it was asked."""
    updated_at: float = 0.0
    """Of a turn, when it was answered."""
    run_id: str = ""
    agent: str = DEFAULT_AGENT
    failed: bool = False
    inputs: Sequence[JSON] = field(default=(), repr=False)
    asks: bool = False
    """There are questions, but only the session's own log has them."""
    point: str | None = None
    places: Sequence[str] = ()
    """The memory sessions in which the turn is found by its points."""
    forked_from: Sequence[str | None] = ()
    batch: str = ""
    """Of a beginning: the mark of the events that hold its turns."""
    branch: str = ""
    of: str = ""
    """Of a claim, the run whose questions it takes; of a beginning, the session whose branch it is;
    of a branch that takes a forgotten one's place, the forgotten one."""
    retitles: bool = False
    """Of a turn that is forgotten: the title was the turn's, and is `title` from then on."""

    def encode(self) -> str:
        """As ASCII text, without what is as always."""
        kept = {
            each.name: value
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default
        }
        if inputs := kept.pop("inputs", None):
            text = dumps(list(inputs))
            if len(text) > INLINE_CHARACTERS:
                kept["packed"] = base64.b85encode(zlib.compress(text.encode())).decode()
            else:
                kept["inputs"] = list(inputs)
        return json.dumps(json.loads(dumps(kept)), separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Raises `ValueError` for text that is no note."""
        try:
            kept = json.loads(text)
            if packed := kept.pop("packed", None):
                kept["inputs"] = json.loads(zlib.decompress(base64.b85decode(packed)))
            return cls(**kept)
        except (TypeError, AttributeError, RecursionError, zlib.error):
            raise ValueError("not a note") from None

    def listed(self) -> Self:
        """The note as the owner's log has it."""
        if len(dumps(list(self.inputs))) <= LISTED_CHARACTERS:
            return self
        return replace(self, inputs=(), asks=True)


def turn_note(turn: Turn, at: int, places: Sequence[str]) -> Note:
    return Note(
        kind="turn",
        session_id=turn.session_id,
        at=at,
        title=first_title(turn.message),
        created_at=turn.asked_at,
        updated_at=turn.answered_at,
        run_id=turn.run_id,
        agent=turn.agent,
        failed=turn.status == "failed",
        inputs=tuple(turn.inputs),
        point=turn.points[0] if turn.points else None,
        places=tuple(places),
    )


def begin_note(session: Session, at: int, *, batch: str, branch_of: str | None) -> Note:
    fork = session.forked_from
    return Note(
        kind="begin",
        session_id=session.session_id,
        at=at,
        title=session.title,
        created_at=session.created_at,
        updated_at=session.updated_at,
        agent=session.agent,
        point=session.point,
        forked_from=(fork.session_id, fork.run_id) if fork else (),
        batch=batch,
        of=branch_of or "",
    )


class Kept(NamedTuple):
    """A note and the id it lies under."""

    id: str
    note: Note


@dataclass(slots=True)
class Entry:
    """What the notes say of one session name."""

    cleared: Kept | None = None
    """What was written up to then is hidden and being swept."""
    first: Kept | None = None
    begun: Kept | None = None
    titled: Kept | None = None
    last: Kept | None = None
    """The turn that was answered last; …"""
    newest: Kept | None = None
    """… the one that was asked last, after which the session stands; …"""
    told: Kept | None = None
    """… one that did not fail."""
    branch: Kept | None = None
    claims: dict[str, Kept] = field(default_factory=dict)
    """By the run whose questions they take: of several that do, the first one has them."""
    turns: dict[str, Note] = field(default_factory=dict)
    """By run: those whose notes are still there."""
    forgotten: dict[str, Kept] = field(default_factory=dict)
    """By run: the notes that hide its turn, for as long as the session lives."""
    ids: set[str] = field(default_factory=set)
    at: int = 0
    """When the last note was made."""

    @property
    def session(self) -> Session | None:
        """None if the notes know none."""
        if self.first is None:
            return None
        base = self.begun.note if self.begun else self.first.note
        newest = self.newest.note if self.newest else None
        return Session(
            session_id=base.session_id,
            title=self.titled.note.title if self.titled else base.title,
            created_at=base.created_at,
            updated_at=max(kept.note.updated_at for kept in (self.first, self.last) if kept),
            agent=base.agent,
            inputs=tuple(self.open_inputs),
            claimed_by=self.claimed_by,
            forked_from=_fork_of(base),
            last_run_id=(newest and newest.run_id not in self.forgotten and newest.run_id) or None,
            point=newest.point if newest else base.point,
            branch=(self.branch and self.branch.note.branch) or None,
            told=self.begun is None or self.told is not None,
        )

    @property
    def open_inputs(self) -> Sequence[JSON]:
        if self.newest is None or self._settled(self.newest.note):
            return ()
        return self.newest.note.inputs

    def _settled(self, asked: Note) -> bool:
        """Whether what a turn asked is nobody's to answer any more."""
        return asked.run_id in self.claims or asked.run_id in self.forgotten

    @property
    def asks_elsewhere(self) -> bool:
        """Whether questions are open that only the session's own log has."""
        newest = self.newest.note if self.newest else None
        return newest is not None and newest.asks and not self._settled(newest)

    def asks(self, ids: Sequence[str]) -> bool:
        """Whether exactly these questions are open."""
        key = input_key(ids)
        return key is not None and key == input_key(input_ids(self.open_inputs))

    @property
    def claimed_by(self) -> str | None:
        """The run that took the last questions that were taken."""
        last = self._last_claim
        return last.note.run_id if last else None

    @property
    def branch_of(self) -> str | None:
        return (self.begun and self.begun.note.of) or None

    @property
    def cleared_at(self) -> int | None:
        return self.cleared.note.at if self.cleared else None

    @property
    def superseded(self) -> set[str]:
        """Ids of the notes that no longer matter."""
        needed = (
            *(self.cleared, self.first, self.begun, self.titled, self.last, self.newest),
            *(self.told, self.branch, self._last_claim),
            self.claims.get(self.newest.note.run_id) if self.newest else None,
            *self.forgotten.values(),
        )
        return self.ids - {kept.id for kept in needed if kept}

    def has(self, run_id: str, place: str, at: int, skew: int) -> bool:
        """Whether a run that is said, since `at`, to stand at a place is one of this session's."""
        if self.first is None or at <= (self.cleared_at or 0) or at < self.first.note.at - skew:
            return False
        if run_id in self.forgotten:
            return False
        note = self.turns.get(run_id)
        return note is None or place in note.places

    @property
    def _last_claim(self) -> Kept | None:
        return max(self.claims.values(), key=lambda kept: kept.note.at, default=None)

    def apply(self, id: str, note: Note) -> None:
        """Take in a note; they come in their order."""
        self.ids.add(id)
        self.at = max(self.at, note.at)
        kept = Kept(id, note)
        match note.kind:
            case "turn":
                self._apply_turn(kept)
            case "begin":
                self.first = self.first or kept
                self.begun = self.begun or kept
            case "title":
                self.first = self.first or kept
                self.titled = kept
            case "claim":
                self.claims.setdefault(note.of, kept)
            case "branch" if note.of and self.branch and self.branch.note.branch != note.of:
                pass  # the session goes by another one meanwhile
            case "branch":
                self.branch = kept
            case "forget":
                self.forgotten.setdefault(note.run_id, kept)
                if note.retitles:
                    self.titled = kept
            case _:
                pass

    def _apply_turn(self, kept: Kept) -> None:
        note = kept.note
        if note.run_id in self.turns or note.run_id in self.forgotten:
            return  # the same run again
        if note.run_id:
            self.turns[note.run_id] = note
        self.first = self.first or kept
        if self.last is None or note.updated_at > self.last.note.updated_at:
            self.last = kept
        if self.newest is None or note.created_at >= self.newest.note.created_at:
            self.newest = kept
        if not note.failed:
            self.told = kept


def _fork_of(note: Note) -> ForkedFrom | None:
    match note.forked_from:
        case [str(session_id), run_id]:
            return ForkedFrom(session_id=session_id, run_id=run_id)
        case _:
            return None


def fold(notes: Mapping[str, Note]) -> dict[str, Entry]:
    """What is known of sessions by name, from notes by id."""
    entries: dict[str, Entry] = {}
    for id, note in sorted(notes.items(), key=lambda item: (item[1].at, item[0])):
        entry = entries.setdefault(note.session_id, Entry())
        if note.kind == "clear":  # it begins anew
            entries[note.session_id] = Entry(cleared=Kept(id, note), ids={id, *entry.ids})
        else:
            entry.apply(id, note)
    return entries


def note_items(note: Note) -> list[Any]:
    """The payload of the event that holds a note."""
    text = note.encode()
    return [
        {"blob": text[at : at + PIECE_CHARACTERS]} for at in range(0, len(text), PIECE_CHARACTERS)
    ]


def note_of(event: Mapping[str, Any]) -> Note | None:
    """The note in an event of a log, None in any other event."""
    try:
        return Note.decode("".join(_blobs(event)))
    except ValueError:
        return None


def _blobs(event: Mapping[str, Any]) -> Iterator[str]:
    for item in event.get("payload", ()):
        if not isinstance(blob := item.get("blob"), str):
            raise ValueError("not a note")
        yield blob
