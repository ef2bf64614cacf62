"""Text said once, however many ways the agent says it.

Agents repeat themselves: token by token, then the message, then the state that holds the message,
then the result; two vocabularies side by side; or all of the text so far in every frame. Text comes
in here as a delta (append it), as a whole (one message or the answer, complete) or plainly (an
agent's own convention, which may be either), with the source it came from. What another source has
said already is not said again; where a source goes its own way, all that it said is said.
"""

from __future__ import annotations

from collections.abc import Callable

from bff.agents.dialects.repetition import (
    SURE_CHARACTERS,
    is_sure,
    is_sure_pair,
    longest,
    missing,
    squeezed,
)
from bff.agents.dialects.segments import Memory, Segment
from bff.events import Event, well_formed

_TWINS = {"converse", "strands"}
"""Sources that never say anything but the same."""
_NONE: frozenset[str] = frozenset()  # which Python makes anew each time, of 216 bytes
_LONGEST_PENDING = 4096
"""How far, in characters, one of several sources that say the same may run ahead."""
_SURE_END = 16
"""Characters of a whole that a stream may not end with by chance."""
_MOST_SEGMENTS = 256
"""How far back a message is looked for that comes once more."""


Replaced = Callable[[str], None]
"""Told the new text of a message that was said otherwise before."""


class TextOnce:
    """One speaker's text of one kind."""

    __slots__ = (
        "_apart",
        "_event",
        "_grows",
        "_half",
        "_held",
        "_last",
        "_memory",
        "_open",
        "_out",
        "_replaced",
        "_speaker",
        "ends_line",
        "speaking",
    )

    def __init__(
        self,
        out: list[Event],
        event: Callable[[str], Event],
        memory: Memory,
        speaker: str = "",
        replaced: Replaced | None = None,
    ) -> None:
        self._out = out
        self._event = event
        self._memory = memory
        self._speaker = speaker
        self._replaced = replaced
        self._open: Segment | None = None
        self._last: Segment | None = None
        self._held: tuple[str, str, bool] | None = None
        """Text, its source, and whether it may be all of the text so far, grown."""
        self._grows: str | None = None
        """The source that repeats all of its text in each frame."""
        self._apart = _NONE
        """Sources that say something of their own beside the others."""
        self._half = ""
        self.ends_line = True
        """Whether what was said last ended a line."""
        self.speaking = False
        """Whether more may follow of what was said last."""

    def delta(self, text: str, source: str, key: str | None = None) -> None:
        """Append. `key` names the message the text belongs to, where messages have names."""
        if not text:
            return
        if self._held is not None:
            self._release()
        segment = self._memory.by_key.get(key) if key else self._open
        if segment is None:
            late = None if key else self._last
            if late is None or late.owner == source or not _lags(late, source):
                segment = self._begin(source, key)
            else:
                segment = late
        if segment.owner == source and segment.pending is None:
            segment.add(text)
            self._say(text)
        elif source in self._apart or segment.owner in self._apart:
            if segment.owner != source:
                segment = self._begin(source, key)
            segment.add(text)
            self._say(text)
        else:
            self._beside(segment, text, source)

    def piece(self, text: str, source: str, key: str) -> None:
        """Append to a message, unless it begins with what was just said: it is that, once more."""
        if key in self._memory.by_key or not self._memory.segments or not self._repeats(text):
            self.delta(text, source, key)

    def whole(
        self, text: str, source: str, key: str | None = None, *, placed: bool = False
    ) -> None:
        """Say what is missing of a complete message or answer; `placed` is a key by its place."""
        held, so_far = self._held, self._open
        if held and so_far and text.startswith(so_far.text + held[0]):
            self._release()  # it was a token of this
        self._held = None
        known = self._memory.by_key.get(key) if key else None
        if known is not None:
            rest = missing(known.text, text)
            if rest and rest == text and known.length and self._replaced and not placed:
                self._replaced(text)
            known.add(rest)
        else:
            rest = self._unsaid(text, source, key)
        self._say(rest)
        self._open = None
        self.speaking = False

    def last(self, text: str, source: str) -> None:
        """What somebody's own last frame says, who may have said it in such a frame before."""
        if self._memory.segments and self._repeats(text):
            self.pause()
        else:
            self.whole(text, source)

    def recall(self, text: str, key: str) -> None:
        """Take the text of a message as said, unless it is known: an earlier run said it."""
        if key not in self._memory.by_key and text:
            self._begin("recalled", key).add(text)

    def plain(self, text: str, source: str) -> None:
        """Say text that may be a token or, if it comes last, the answer once more."""
        segment = self._open or self._last
        if segment is None and not any(map(self._may_repeat, self._memory.segments)):
            self.delta(text, source)
            return
        if segment is None or source not in segment.sources:
            if segment is not None and self._may_mirror(segment, text, source):
                self._beside(segment, text, source)
            else:
                self.whole(text, source)
            return
        if segment.pending is not None and source in segment.pending and text:
            self._beside(segment, text, source)
            return
        if self._grows == source:
            self._grown(text, source)
            return
        if self._held is not None and self._held[2]:
            held = self._held[0]
            if (
                source == self._held[1]
                and len(text) > len(held)
                and text.startswith(held)
                and is_sure(held, SURE_CHARACTERS)
            ):
                self._grows, self._held = source, None
                self._grown(text, source)
                return
            self._release()
        elif segment.count == 1 and segment is self._open and len(text) > segment.length:
            if text.startswith(segment.text) and not segment.text.isspace():
                self._held = text, source, True
                return
        elif segment.count > 1 and self._repeats(text):
            self._release()
            self._held = text, source, False
            return
        self.delta(text, source)

    def _may_repeat(self, segment: Segment) -> bool:
        """Whether what this speaker says may be that once more: not if another one said it."""
        return not self._speaker or segment.speaker in ("", self._speaker)

    def _may_mirror(self, segment: Segment, text: str, source: str) -> bool:
        """Whether a new source seems to say what a segment began with, token by token."""
        return (
            0 < len(text) <= segment.length < _LONGEST_PENDING
            and segment.text.startswith(text)
            and self._apart.isdisjoint((source, segment.owner))
        )

    def pause(self) -> None:
        """A message ends or a tool is called: the next text is another segment."""
        if self._held is not None:
            self._decide()
        self._open = None
        self.speaking = False

    def end(self) -> None:
        """Nothing follows: what was held back as a repetition was one."""
        if self._held is not None:
            self._decide()
        if self._half:
            half, self._half = self._half, ""
            self._out.append(self._event(half))

    def _begin(self, source: str, key: str | None) -> Segment:
        segment = self._last = Segment(source, self._speaker)
        self._memory.segments.append(segment)
        if key:
            self._memory.by_key[key] = segment
        else:
            self._open = segment
        return segment

    def _beside(self, segment: Segment, text: str, source: str) -> None:
        """Text of one of several sources that may be saying the same, each at its own place."""
        pending = segment.pending
        if pending is None:
            pending = segment.pending = {segment.owner: ""}
        segment.said_by(source)
        left = pending.get(source)
        if left is None:
            left = segment.text
        if left.startswith(text):
            pending[source] = left[len(text) :]
        elif text.startswith(left):
            rest = text[len(left) :]
            segment.add(rest)
            for other in tuple(pending):
                pending[other] += rest
                if len(pending[other]) > _LONGEST_PENDING:
                    del pending[other]  # it repeated a beginning by chance, or gave up
            pending[source] = ""
            self._say(rest)
        elif {source, segment.owner} == _TWINS:  # one of the two left something out
            _, found, after = left.partition(text)
            pending[source] = after if found else ""
            if not found:
                segment.add(text)
                self._say(text)
        else:  # it goes its own way; what it had in common with the other by chance is its own too
            self._apart |= {source}
            pending.pop(source, None)
            repeated = segment.text[: segment.length - len(left)]
            own = self._begin(source, None)
            own.add(repeated + text)
            self._say(repeated + text)

    def _grown(self, text: str, source: str) -> None:
        """All of the text so far, from a source known to repeat it in each frame."""
        segment = self._open
        if segment is not None and text.startswith(segment.text):
            rest = text[segment.length :]
            segment.add(rest)
            self._say(rest)
        elif segment is None or not segment.text.startswith(text):
            self._open = None
            self.delta(text, source)

    def _release(self) -> None:
        """Say what was held back: more text came, so it was a token."""
        if self._held is not None:
            (text, source, _), self._held = self._held, None
            self.delta(text, source)

    def _decide(self) -> None:
        """Nothing more comes that could tell what the held text is."""
        if self._held is None or not self._held[2]:
            self._held = None
        elif self._open is not None and is_sure_pair(self._open.text):
            (text, source, _), self._held = self._held, None
            self._grown(text, source)
        else:
            self._release()

    def _say(self, text: str) -> None:
        if not text:
            return
        self.speaking = True
        if self._half:
            text, self._half = well_formed(self._half + text), ""
        last = text[-1]
        if "\ud800" <= last <= "\udbff":  # half a character; the next text has the other
            text, self._half = text[:-1], last
            if not text:
                return
            last = text[-1]
        if not self._memory.heard and not text.isspace():
            self._memory.heard = True
        self.ends_line = last == "\n"
        self._out.append(self._event(text))

    def _unsaid(self, text: str, source: str, key: str | None) -> str:
        """The part of a whole that the last segments have not said, and who may repeat it now."""
        wanted = squeezed(text)
        if not wanted:
            return text if not self._memory.segments else ""
        said = ""
        begun: list[Segment] = []
        claimed: list[Segment] = []
        for segment in reversed(self._memory.segments):
            if not self._may_repeat(segment):
                continue
            mine = segment.speaker == self._speaker
            if (mine and source in segment.sources) or segment.length > longest(text):
                break
            said = squeezed(segment.text) + said
            claimed.append(segment)
            if (wanted == said and mine) or (
                len(said) >= SURE_CHARACTERS and wanted.startswith(said)
            ):
                begun = claimed[:]
            if len(said) >= len(wanted):
                break
        begun = begun or self._same(wanted, source)
        if not begun and self._ends_with(text, source):
            return ""
        if not begun:
            self._begin(source, key).add(text)
            return text
        for segment in begun:
            segment.said_by(source)
        rest = missing("".join(segment.text for segment in reversed(begun)), text)
        begun[0].add(rest)
        if key:
            self._memory.by_key[key] = begun[0]
        return rest

    def _ends_with(self, text: str, source: str) -> bool:
        """Whether what is streaming ended with just this: its last message, once more."""
        segment = self._open
        if segment is None or source in segment.sources or len(text) < _SURE_END:
            return False
        if segment.length <= len(text) or not segment.text.endswith(text):
            return False
        segment.said_by(source)
        return True

    def _same(self, wanted: str, source: str) -> list[Segment]:
        """An earlier segment that said just this: a whole conversation comes once more."""
        for segment in self._memory.segments[-_MOST_SEGMENTS:]:
            might = self._may_repeat(segment) and len(wanted) <= segment.length <= longest(wanted)
            if might and source not in segment.sources and squeezed(segment.text) == wanted:
                return [segment]
        return []

    def _repeats(self, text: str) -> bool:
        """Whether the text is the last segments, or all of them, once more."""
        most = longest(text)
        segments = self._memory.segments
        if segments[-1].length > most or len(text.strip()) < SURE_CHARACTERS:
            return False
        wanted, said = text.strip(), ""
        for segment in reversed(segments):
            if len(said) > most:
                break
            said = segment.text + said
            if said.strip() == wanted:
                return True
        return False


def _lags(segment: Segment, source: str) -> bool:
    """Whether that source has still to repeat the end of a segment that another one closed."""
    return segment.pending is not None and bool(segment.pending.get(source))
