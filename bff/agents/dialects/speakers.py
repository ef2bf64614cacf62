"""Who has the word, where an agent is several: nodes of a graph, agents of a swarm or a crew.

Their frames interleave, and a reader wants sentences. One speaker at a time has the floor: its text
is passed on as it comes. What the others say meanwhile waits, each in its own order, until the
floor is free: a message has ended, a tool is called. Nothing waits longer than that, and nothing
is lost: the end of the answer frees the floor for good.
"""

from __future__ import annotations

from bff.agents.dialects.segments import Memory
from bff.agents.dialects.text_once import Replaced, TextOnce
from bff.events import Event, Message, Thinking

_MESSAGE = "message "
_MOST_SPEAKERS = 1000
"""More names than these share one voice."""
_MOST_WAITING = 20_000
"""Events that may wait for the floor; then it is taken."""
_SILENT_PIECES = 16
"""A holder whose end nothing announces has ended when others said that many pieces meanwhile."""


class Voice:
    """One speaker, and what it said that still waits for the floor."""

    __slots__ = (
        *("_speakers", "_thinking", "announced", "last", "message", "name", "strict", "text"),
        "waiting",
    )

    def __init__(self, name: str, text: TextOnce, speakers: Speakers, *, announced: bool) -> None:
        self.name = name
        self.strict = bool(name) and not name.startswith(_MESSAGE)
        """Whether it is somebody: what others say or call is never taken for its own."""
        self.text = text
        self._speakers = speakers
        self._thinking: TextOnce | None = None
        self.announced = announced
        """Whether its framework says when a message of it has ended."""
        self.message: str | None = None
        """The message it is saying, where messages have names."""
        self.waiting: list[Event] = []
        self.last = 0
        """How many pieces all had said when it said its last."""

    @property
    def speaking(self) -> bool:
        thinking = self._thinking
        return self.text.speaking or (thinking is not None and thinking.speaking)

    @property
    def thinking(self) -> TextOnce:
        """Its reasoning, which most answers have none of."""
        if self._thinking is None:
            self._thinking = self._speakers.reasoning_of(self)
        return self._thinking

    def pause(self) -> None:
        """Its next text is another piece than the last."""
        self.text.pause()
        if self._thinking is not None:
            self._thinking.pause()

    def end(self) -> None:
        """It says nothing more."""
        if self._thinking is not None:
            self._thinking.end()
        self.text.end()


class Speakers:
    """All voices of an answer, and the order in which they are heard.

    `out` is the list that everything is written to; what a voice wrote there since it was entered
    is left in place or taken out to wait.
    """

    __slots__ = (
        "_holder",
        "_mark",
        "_messages",
        "_out",
        "_pieces",
        "_queued",
        "_replaced",
        "_said",
        "_spoke",
        "_thought",
        "_total",
        "_voices",
        "current",
        "main",
        "many",
    )

    def __init__(self, out: list[Event], replaced: Replaced) -> None:
        self._out = out
        self._replaced = replaced
        self._said = Memory()
        self._thought: Memory | None = None
        self._voices: dict[str, Voice] = {}
        self._messages: dict[str, Voice] = {}
        self._mark = 0
        self._holder: Voice | None = None
        self._pieces = 0
        self._queued = False
        """Whether anybody may wait for the floor."""
        self._total = 0
        self._spoke: Voice | None = None
        self.many = False
        """Whether more than the main voice was heard."""
        self.main = self.current = self._new("", announced=False)

    @property
    def heard(self) -> bool:
        """Whether the answer has any text that is not blank."""
        return self._said.heard

    @property
    def length(self) -> int:
        """Characters of what was said and thought, all of which is remembered."""
        return self._said.length + (self._thought.length if self._thought else 0)

    def voice(self, name: str, *, announced: bool = True) -> Voice:
        """The voice of that name."""
        found = self._voices.get(name)
        if found is None and len(self._voices) >= _MOST_SPEAKERS:
            return self._voices.get("…") or self._new("…", announced=announced)
        return found or self._new(name, announced=announced)

    def _new(self, name: str, *, announced: bool) -> Voice:
        strict = "" if name.startswith(_MESSAGE) else name
        text = TextOnce(self._out, Message, self._said, strict, self._replaced)
        self.many = bool(self._voices)
        voice = self._voices[name] = Voice(name, text, self, announced=announced)
        return voice

    def reasoning_of(self, voice: Voice) -> TextOnce:
        """Where that voice's reasoning goes."""
        if self._thought is None:
            self._thought = Memory()
        return TextOnce(self._out, Thinking, self._thought, voice.name if voice.strict else "")

    def enter(self, voice: Voice) -> None:
        """From here on that voice speaks."""
        if voice is not self.current:
            if self._holder is None and self.current.speaking:
                self._holder = self.current
            self.settle()
            self.current = voice

    def enter_message(self, id: str, *, announced: bool) -> None:
        """From here on that message is spoken, by whoever began it.

        Messages that follow one another share a voice; one that begins while another has not been
        heard to end gets its own.
        """
        voice = self.current
        if voice.message == id or voice.strict:
            return
        found = self._messages.get(id)
        if found is None:
            found = self.voice(_MESSAGE + id, announced=announced) if voice.speaking else voice
            if found.message is not None:
                self._messages.pop(found.message, None)
            self._messages[id] = found
            found.message = id
            found.announced = announced
        self.enter(found)

    def settle(self) -> None:
        """Pass on what the current voice wrote, or let it wait for the floor."""
        if not self.many:
            return
        out, voice, holder = self._out, self.current, self._holder
        if holder is not None and not holder.speaking:
            holder = self._holder = None
        if len(out) <= self._mark and not self._queued:  # as between two frames, mostly
            self._mark = len(out)
            return
        written = out[self._mark :]
        pieces = sum([type(event) is Message or type(event) is Thinking for event in written])
        if pieces:
            self._total += pieces
            voice.last = self._total
        if voice.waiting or (pieces and holder is not None and holder is not voice):
            voice.waiting += written
            self._queued = True
            del out[self._mark :]
            self._pieces += pieces
        elif pieces:
            if self._spoke is not voice:
                self._divide(voice, self._mark)
            self._holder, self._pieces = voice, 0
        self._mark = len(out)
        if self._queued:
            self._next()

    def finish(self) -> None:
        """The answer has ended: whoever waits is heard, in the order they came."""
        for voice in self._voices.values():
            self.enter(voice)
            voice.end()
        self.settle()
        for voice in self._voices.values():
            self._flush(voice)

    def release(self) -> None:
        """Nobody waits any longer: what seemed several messages was one."""
        self.settle()
        for voice in self._voices.values():
            self._flush(voice)
            voice.text.speaking = False
        self._holder = None

    def taken(self) -> None:
        """Everything in `out` was handed on."""
        self._mark = 0

    def _next(self) -> None:
        """Give the floor on for as long as it is free and somebody waits."""
        while True:
            holder = self._holder
            waiting = next((v for v in self._voices.values() if v.waiting), None)
            if waiting is None:
                self._queued = False
                return
            if holder is not None and holder.speaking:
                gone = not holder.announced and self._pieces >= _SILENT_PIECES
                if not gone and sum(len(v.waiting) for v in self._voices.values()) < _MOST_WAITING:
                    return
            self._holder, self._pieces = waiting, 0
            self._flush(waiting)
            if not waiting.announced and self._total - waiting.last >= _SILENT_PIECES:
                self._holder = None

    def _flush(self, voice: Voice) -> None:
        if not voice.waiting:
            return
        start = len(self._out)
        self._out.extend(voice.waiting)
        voice.waiting.clear()
        self._divide(voice, start)
        self._mark = len(self._out)

    def _divide(self, voice: Voice, start: int) -> None:
        """Put a blank line between two speakers' texts; which of them said it is not told."""
        before, self._spoke = self._spoke, voice
        if before is None or before is voice or not (before.strict and voice.strict):
            return
        for at in range(start, len(self._out)):
            event = self._out[at]
            if type(event) is Message:
                if not before.text.ends_line and not event.content.startswith("\n"):
                    self._out.insert(at, Message("\n\n"))
                return
