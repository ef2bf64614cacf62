"""What was said, in pieces as long as one source says them: what `text_once.py` remembers."""

from __future__ import annotations

from bff.events import JOINED_AT_ONCE


class Segment:
    """Text said in one piece: a message, or what stands between two tool calls."""

    __slots__ = ("_loose", "count", "length", "owner", "pending", "pieces", "sources", "speaker")

    def __init__(self, source: str, speaker: str) -> None:
        self.pieces: list[str] = []
        self._loose = 0
        """How many pieces behind are of one token: each takes 49 bytes beside its text."""
        self.count = 0
        """Pieces that are not blank; more than two are two."""
        self.length = 0
        self.speaker = speaker
        self.owner = source
        """The source that began it."""
        self.sources: tuple[str, ...] = (source,)
        """Who said it; each source may say a segment once. Few do, and a set is four times this."""
        self.pending: dict[str, str] | None = None
        """What each source has yet to repeat, once a second one says the same beside the first."""

    def said_by(self, source: str) -> None:
        if source not in self.sources:
            self.sources += (source,)

    def add(self, text: str) -> None:
        self.pieces.append(text)
        self._loose += 1
        if self._loose > JOINED_AT_ONCE:
            at = len(self.pieces) - self._loose
            self.pieces[at:] = ["".join(self.pieces[at:])]
            self._loose = 0
        if self.count < 2:
            self.count += not text.isspace()
        self.length += len(text)

    @property
    def text(self) -> str:
        if len(self.pieces) > 1:
            self.pieces[:] = ["".join(self.pieces)]
            self._loose = 0
        return self.pieces[0] if self.pieces else ""


_PIECE_BYTES = 400
"""What a piece with its key takes beside its text."""


class Memory:
    """What all speakers said, of one kind: the answer, or the reasoning."""

    __slots__ = ("by_key", "heard", "segments")

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.by_key: dict[str, Segment] = {}
        self.heard = False
        """Whether anything but white space was said."""

    @property
    def length(self) -> int:
        """Characters, or about as many bytes as it takes to remember pieces that have few."""
        return sum(segment.length + _PIECE_BYTES for segment in self.segments)
