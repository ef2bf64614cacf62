"""Text said once, however many ways the agent says it.

Agents repeat themselves: token by token, then the message, then the state that holds the message,
then the result. Text comes in here as a delta (append it), as a whole (one message or the answer,
complete) or plainly (an agent's own convention, which may be either), with the source it came from.
A whole is compared with what other sources said and only what is missing of it is passed on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bff.events import Event, well_formed

_SURE_CHARACTERS = 5
"""Shorter text may be equal to what was said before by chance: a token."""
_MIRROR_TOKENS = 256
"""How far one of two sources that say each token may run ahead of the other."""

_MOST_SEGMENTS = 256
"""How far back a message is looked for that comes once more."""


class Segment:
    """Text said in one piece: a message, or what stands between two tool calls."""

    __slots__ = ("count", "length", "pieces", "sources")

    def __init__(self, source: str) -> None:
        self.pieces: list[str] = []
        self.count = 0
        self.length = 0
        self.sources = {source}
        """Who said it; each source may say a segment once."""

    def add(self, text: str) -> None:
        self.pieces.append(text)
        self.count += 1
        self.length += len(text)

    @property
    def text(self) -> str:
        if len(self.pieces) > 1:
            self.pieces[:] = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""


class TextOnce:
    """One kind of text, the answer or the reasoning."""

    def __init__(self, out: list[Event], event: Callable[[str], Event]) -> None:
        self._out = out
        self._event = event
        self._segments: list[Segment] = []
        self._by_key: dict[str, Segment] = {}
        self._open: Segment | None = None
        self._held: tuple[str, str] | None = None
        self._half = ""
        self._mirrors: dict[str, deque[str]] = {}
        self.heard = False
        """Whether anything but white space was said."""

    def delta(self, text: str, source: str, key: str | None = None) -> None:
        """Append. `key` names the message the text belongs to, where messages have names."""
        if not text:
            return
        self._release()
        segment = self._by_key.get(key) if key else self._open
        if segment is None:
            segment = self._begin(source, key)
        segment.add(text)
        self._say(text)

    def whole(self, text: str, source: str, key: str | None = None) -> None:
        """Say what is missing of a complete message or answer."""
        self._held = None
        known = self._by_key.get(key) if key else None
        if known is not None:
            rest = missing(known.text, text)
            known.add(rest)
        else:
            rest = self._unsaid(text, source, key)
        self._say(rest)
        self._open = None

    def plain(self, text: str, source: str) -> None:
        """Say text that may be a token or, if it comes last, the answer once more."""
        segment = self._open or (self._segments[-1] if self._segments else None)
        if segment is not None and source not in segment.sources:
            self.whole(text, source)
            return
        if segment is not None and segment.count > 1 and self._repeats(text):
            self._release()
            self._held = (text, source)
            return
        self.delta(text, source)

    def mirrored(self, text: str, source: str, other: str, *, token: bool) -> None:
        """Say text that a second source may say as well, right before or after.

        `token` tells that it is certainly one; else it may be the answer once more.
        """
        if not text:
            return
        ahead = self._mirrors.get(other)
        if ahead and text in ahead:
            while ahead.popleft() != text:
                pass
            return
        mine = self._mirrors.get(source)
        if mine is None:
            mine = self._mirrors[source] = deque(maxlen=_MIRROR_TOKENS)
        mine.append(text)
        if token:
            self.delta(text, "tokens")
        else:
            self.plain(text, "tokens")

    def pause(self) -> None:
        """A message ends or a tool is called: the next text is another segment."""
        self._held = None
        self._open = None
        for tokens in self._mirrors.values():
            tokens.clear()

    def end(self) -> None:
        """Nothing follows: what was held back as a repetition was one."""
        self._held = None
        if self._half:
            half, self._half = self._half, ""
            self._out.append(self._event(half))

    def _begin(self, source: str, key: str | None) -> Segment:
        segment = Segment(source)
        self._segments.append(segment)
        if key:
            self._by_key[key] = segment
        else:
            self._open = segment
        return segment

    def _release(self) -> None:
        """Say what was held back: more text came, so it was a token."""
        if self._held is not None:
            (text, source), self._held = self._held, None
            self.delta(text, source)

    def _say(self, text: str) -> None:
        if not text:
            return
        if self._half:
            text, self._half = well_formed(self._half + text), ""
        if "\ud800" <= text[-1] <= "\udbff":  # half a character; the next text has the other
            text, self._half = text[:-1], text[-1]
            if not text:
                return
        if not self.heard and not text.isspace():
            self.heard = True
        self._out.append(self._event(text))

    def _unsaid(self, text: str, source: str, key: str | None) -> str:
        """The part of a whole that the last segments have not said, and who may repeat it now."""
        wanted = squeezed(text)
        if not wanted:
            return text if not self._segments else ""
        said = ""
        begun: list[Segment] = []
        claimed: list[Segment] = []
        for segment in reversed(self._segments):
            if source in segment.sources or segment.length > _longest(text):
                break
            said = squeezed(segment.text) + said
            claimed.append(segment)
            if wanted == said or (len(said) >= _SURE_CHARACTERS and wanted.startswith(said)):
                begun = claimed[:]
            if len(said) >= len(wanted):
                break
        begun = begun or self._same(wanted, source)
        if not begun:
            self._begin(source, key).add(text)
            return text
        for segment in begun:
            segment.sources.add(source)
        rest = missing("".join(segment.text for segment in reversed(begun)), text)
        begun[0].add(rest)
        if key:
            self._by_key[key] = begun[0]
        return rest

    def _same(self, wanted: str, source: str) -> list[Segment]:
        """An earlier segment that said just this: a whole conversation comes once more."""
        for segment in self._segments[-_MOST_SEGMENTS:]:
            might = len(wanted) <= segment.length <= _longest(wanted)
            if might and source not in segment.sources and squeezed(segment.text) == wanted:
                return [segment]
        return []

    def _repeats(self, text: str) -> bool:
        """Whether the text is the last segments, or all of them, once more."""
        longest = _longest(text)
        if self._segments[-1].length > longest or len(text.strip()) < _SURE_CHARACTERS:
            return False
        wanted, said = text.strip(), ""
        for segment in reversed(self._segments):
            if len(said) > longest:
                break
            said = segment.text + said
            if said.strip() == wanted:
                return True
        return False


def _longest(text: str) -> int:
    """What is longer cannot be the same but for white space, and is not worth comparing."""
    return 2 * len(text) + 64


def missing(said: str, whole: str) -> str:
    """What `whole` has beyond `said`, where it repeats it but for white space; else all of it."""
    if whole.startswith(said):
        rest = whole[len(said) :]
        return "" if said and rest.isspace() else rest
    if len(said) > _longest(whole):
        return "" if whole.strip() in said else whole
    have, wanted = squeezed(said), squeezed(whole)
    if wanted in have:
        return ""
    if not wanted.startswith(have):
        return whole
    left = len(have)
    for at, character in enumerate(whole):
        if left == 0:
            rest = whole[at:]
            return rest.lstrip() if said[-1:].isspace() else rest
        left -= not character.isspace()
    return ""


def squeezed(text: str) -> str:
    """The text without its white space, in which frames that say the same differ."""
    return "".join(text.split())
