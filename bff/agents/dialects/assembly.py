"""What one run's answer has come to so far; every dialect writes into it.

It holds the memory that saying things once needs: text, reasoning, tool calls, questions, files,
usage. The dialects themselves remember nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bff.agents.dialects.speakers import Speakers, Voice
from bff.agents.dialects.text_once import TextOnce
from bff.agents.dialects.tool_calls import ToolCalls
from bff.agents.dialects.untyped import is_theirs, only_text, rows_of
from bff.agents.dialects.usage import Usage
from bff.events import JSON, Custom, Event, File, Input, Source, dumps

_MOST_QUESTIONS = 1000
_MOST_SIDE_BY_SIDE = 5
"""Messages without a name that may begin before one of them goes on."""
_DEEPEST = 8
"""Envelopes around envelopes around one event."""

_MOST_CUSTOMS = 10_000
"""So many are remembered for an answer that has nothing else."""
_ATTACHED_BYTES = 200

_NOTHING: dict[str, JSON] = {}

REDACT = "redact"
"""Name of the `custom` that announces a text in place of what was said before."""

Read = Callable[["Assembly", JSON, str | None], None]
Known = Callable[[dict[str, JSON]], bool]
Reader = Callable[["Assembly", dict[str, JSON]], bool]
"""Reads a frame; false if it is of another dialect that uses the same word."""


def called(frame: dict[str, JSON]) -> str | None:
    """What a frame is called by its own word, if that is a name."""
    for key in ("type", "event"):
        name = frame.get(key)
        if isinstance(name, str) and name != REDACT and _NAME.fullmatch(name):
            return name
    return None


_NAME = re.compile(r"[A-Za-z][\w.:/-]{0,63}")


class InBandError(Exception):
    """The agent said in its answer that it failed; the text is for the operator."""


class Assembly:
    """Events waiting to be handed on in `out`, and what must be remembered to say nothing twice."""

    __slots__ = (
        "_asked_about",
        "_attached",
        "_customs",
        "_depth",
        "_ids",
        "_ids_are_events",
        "_inputs",
        "_read",
        "checkpoint",
        "dialects",
        "frames",
        "junk",
        "known",
        "latest",
        "nodes",
        "noted",
        "out",
        "role",
        "speakers",
        "state",
        "stopped",
        "streamed",
        "streaming",
        "streams",
        "strings",
        "structured",
        "text",
        "tools",
        "unfinished",
        "unidentified",
        "usage",
        "voice",
    )

    tools: ToolCalls
    usage: Usage
    streams: dict[str, str]
    """The messages that stream side by side, where only their start says their id."""
    nodes: set[str]
    """Names of a graph's nodes: a user's message with one of them is the node's."""
    noted: dict[str, list[str]]
    """Texts that may be the answer if nothing else is, by where they stood."""
    _asked_about: set[str]
    _attached: set[str]
    _customs: list[JSON]
    _inputs: dict[str, Input]
    _ids: set[str] | None
    """Ids beside texts, until one comes again: then they are messages', else events'."""

    def __init__(self, read: Read, known: Known, *, streamed: bool) -> None:
        self.frames = 0
        """How many have come of a stream."""
        self.streamed = streamed
        """Whether the answer comes in pieces; else it is one document."""
        self.known = known
        """Whether an object is a frame of some dialect."""
        self.out: list[Event] = []
        self.speakers = Speakers(self.out, self.redact)
        self.voice = self.speakers.main
        self.text = self.voice.text
        self.dialects: set[str] = set()
        """Which were recognised."""
        self.strings: str | None = None
        """What this answer's bare strings are: `text`, `json` or `sse`; `texts` where what stands
        under a key is JSON."""
        self.junk = 0
        """Frames that were Python's print of an object and could not be read: never told."""
        self.unfinished = False
        """An AG-UI run was announced and has not ended."""
        self.role = "assistant"
        """Whose message the agent is streaming, in dialects that say it only at its start."""
        self.streaming: str | None = None
        """Its id: a chunk that has none goes on with the last."""
        self.stopped: str | None = None
        """Why the model's last message ended, where it said so."""
        self.state = _NOTHING
        """What a graph's latest state holds beside its messages."""
        self.latest: JSON = None
        """What is the answer if nothing else is: a last frame's message, a state without any."""
        self.checkpoint = _NOTHING
        """A graph's latest stored state."""
        self.unidentified: JSON = None
        """A question whose id may still be told."""
        self.structured: JSON = None
        """An answer that is no text, in the framework's own place for one."""
        self._read = read
        self._depth = 0
        self._ids_are_events = False

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """What few answers need is made when it is first asked for: an empty set is 216 bytes,
            and a stream of nothing but text would hold 1.7 KiB of such."""
            if name not in _MADE_LATE:
                raise AttributeError(name, name=name, obj=self)
            made = _MADE_LATE[name](self)
            setattr(self, name, made)
            return made

    @property
    def thinking(self) -> TextOnce:
        """Where the voice's reasoning goes."""
        return self.voice.thinking

    @property
    def has_content(self) -> bool:
        return bool(
            self.speakers.heard
            or self.tools.told
            or self.tools.open_calls()
            or self._customs
            or self._inputs
            or self._attached
        )

    @property
    def deep(self) -> bool:
        """Whether nothing more is unpacked."""
        return self._depth >= _DEEPEST

    @property
    def inside(self) -> bool:
        """Whether an envelope is being read."""
        return self._depth > 0

    def read(self, value: JSON, name: str | None = None) -> None:
        """Read what an envelope held; envelopes too deep in one another are kept as they are."""
        if self.deep:
            self.custom(value)
            return
        self._depth += 1
        try:
            self._read(self, value, name)
        finally:
            self._depth -= 1

    def speak(
        self,
        name: str,
        value: JSON,
        read: Callable[[JSON], None] | None = None,
        *,
        announced: bool = True,
    ) -> None:
        """Read what one of several speakers said; `announced` tells that its ends will be."""
        outer = self.voice
        path = f"{outer.name}/{name}" if outer.strict else name
        self.enter(self.speakers.voice(path, announced=announced))
        try:
            (read or self.read)(value)
        finally:
            self.enter(outer)

    def enter(self, voice: Voice) -> None:
        self.speakers.enter(voice)
        self.voice, self.text = voice, voice.text
        self.tools.speaker = voice.name if voice.strict else ""

    def enter_message(self, id: str | None, *, announced: bool) -> None:
        """What follows belongs to that message; `announced` tells that its end will be."""
        if id is not None and id != self.voice.message:
            self.speakers.enter_message(id, announced=announced)
            if self.voice is not self.speakers.current:
                self.enter(self.speakers.current)

    def is_message(self, id: JSON) -> bool:
        """Whether an id beside a text is a message's; those that never come again are events'."""
        if not isinstance(id, str) or not id or self._ids_are_events:
            return False
        if self._ids is not None:
            if id in self._ids:
                self._ids = None
            elif len(self._ids) >= _MOST_SIDE_BY_SIDE:
                self._ids_are_events = True
                self.speakers.release()
                self.enter(self.speakers.main)
                return False
            else:
                self._ids.add(id)
        return True

    def custom(self, value: JSON, name: str | None = None, *, content: bool = True) -> None:
        """Keep what is none of the others; an agent's state alone is no content.

        Its name is the one given, or what the frame itself is called.
        """
        if name is None and isinstance(value, dict):
            name = called(value)
        if content and value not in ("", None, [], {}) and not self.speakers.heard:
            if len(self._customs) < _MOST_CUSTOMS:
                self._customs.append(value)
            else:  # the last is what is shown of so many
                self._customs[-1] = value
        self.out.append(Custom(value, name))

    def note(self, place: str, text: str) -> None:
        """Remember a text that may be the answer; the latest place is the surest."""
        if text:
            texts = self.noted.pop(place, [])
            texts.append(text)
            self.noted[place] = texts

    def redact(self, text: str) -> None:
        """Announce a text in place of what was said before."""
        self.out.append(Custom({"content": text}, REDACT))

    def ask(self, question: Input) -> None:
        """Put a question, once however often it is told."""
        if question.id in self._inputs or len(self._inputs) >= _MOST_QUESTIONS:
            return
        if question.tool is not None:
            self._asked_about.add(question.tool.id)
        if self.streamed and self.frames == 1:
            question = replace(question, first=True)
        self._inputs[question.id] = question
        self.pause()
        self.out.append(question)

    def asks_about(self, call_id: str) -> bool:
        """Whether a question about that call was put."""
        return call_id in self._asked_about

    @property
    def asks(self) -> bool:
        return bool(self._inputs)

    @property
    def questions(self) -> tuple[Input, ...]:
        """What the agent asked, in that order."""
        return tuple(self._inputs.values())

    def attach(self, what: File | Source) -> None:
        """Tell a file or a source, once."""
        data = what.url or getattr(what, "data", None) or ""
        key = hashlib.sha256(data.encode("utf-8", "surrogatepass")).hexdigest()
        if key not in self._attached:
            self._attached.add(key)
            self.out.append(what)

    def pause(self) -> None:
        """The next text is another piece than the last."""
        self.voice.pause()

    def end(self, *, whole: bool) -> None:
        """Tell what only the end makes sure of; an answer that is not `whole` is told as it is."""
        self.enter(self.speakers.main)
        if whole:
            self.tools.settle()
            rest = {n: value for n, value in self.state.items() if isinstance(value, dict | list)}
            if any(rest.values()):
                self.custom(rest, content=False)
        self.speakers.finish()
        if whole and not self._inputs:
            if not self.speakers.heard:
                self._answer_without_text()
            elif self.structured is not None and not isinstance(self.structured, str):
                self.custom({"structured_response": self.structured}, content=False)

    def _answer_without_text(self) -> None:
        """An answer that has no text says what it has: what its last tool found, or JSON.

        The JSON is told as `custom`, too: no view of an answer is empty.
        """
        found: JSON = self.structured
        if found is None and self.noted:
            for noted in self.noted[next(reversed(self.noted))]:
                self.speakers.main.text.plain(noted, "noted")
            self.speakers.main.text.end()
            return
        if found is None and self._customs:
            found = self._customs[0] if len(self._customs) == 1 else self._customs
        if found is None and isinstance(self.latest, str | dict):
            found = self.latest
        if found is None and self.tools.last_result and not self._attached:
            self.speakers.main.text.whole(self.tools.last_result, "tool")
            return
        found = found or self._of_state()
        if found is None:
            return
        text = only_text(found)
        if text is None and found is self._customs:
            text = rows_of(self._customs)
        elif text is None:
            text = dumps(found)
        if found is not self._customs and found not in self._customs and found != text:
            self.custom(found)
        self.speakers.main.text.whole(text, "answer")

    def _of_state(self) -> JSON:
        """What a graph's last state holds that has no messages in it."""
        told = {
            name: value
            for name, value in self.state.items()
            if isinstance(value, str | dict | list) and value and not is_theirs(name)
        }
        return told or None

    def held(self, received: int) -> int:
        """About how much of so many bytes is still remembered: the same may have come often."""
        waiting = self._customs and not self.speakers.heard
        said = self.speakers.length + _ATTACHED_BYTES * len(self._attached)
        return received if waiting else said

    def take(self) -> list[Event]:
        """What is ready, once."""
        if self.speakers.many:
            self.speakers.settle()
            self.speakers.taken()
        events = self.out[:]
        del self.out[:]
        return events


_MADE_LATE: Mapping[str, Callable[[Assembly], object]] = {
    "tools": lambda answer: ToolCalls(answer.out, answer.pause),
    "usage": lambda answer: Usage(),
    "streams": lambda answer: {},
    "nodes": lambda answer: set(),
    "noted": lambda answer: {},
    "_asked_about": lambda answer: set(),
    "_attached": lambda answer: set(),
    "_customs": lambda answer: [],
    "_inputs": lambda answer: {},
    "_ids": lambda answer: set(),
}
