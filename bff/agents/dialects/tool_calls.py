"""Tool calls put together from their pieces and told once each.

A call's name comes first and its arguments piece by piece, under an id or only an index; or all at
once, often both; and its result under the same id, or under the tool's name alone. A call is told
when its arguments are complete, and always before its result.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from bff.agents.json_values import MAX_FRAME_BYTES, FrameError, parse
from bff.events import JSON, Event, ToolEnd, ToolStart

_EAGER_TRIES = 32
"""How often a call's growing arguments are tried for being complete before something says so."""
_MOST_CALLS = 10_000
_MOST_PENDING = 256


class Call:
    """One tool call as far as it is known."""

    __slots__ = (
        "args",
        "ended",
        "id",
        "message",
        "name",
        "pieces",
        "source",
        "speaker",
        "started",
        "tries",
        "waits",
    )

    def __init__(
        self, id: str, name: str, source: str, message: str | None, speaker: str = ""
    ) -> None:
        self.id = id
        self.speaker = speaker
        self.name = name
        self.message = message
        """The message the call stands in, where messages have names."""
        self.args: JSON = None
        self.source = source
        """Who tells the arguments; the others repeat it."""
        self.pieces: list[str] = []
        self.tries = 0
        self.started = False
        self.ended = False
        self.waits = False
        """Whether the model stopped for it, in dialects that do not always tell results."""


class ToolCalls:
    """The tool calls of one run."""

    __slots__ = (
        "_by_place",
        "_calls",
        "_count",
        "_in_message",
        "_last",
        "_out",
        "_pause",
        "_pending",
        "_results",
        "_size",
        "_told",
        "_unended",
        "_unnamed",
        "last_result",
        "speaker",
        "told",
    )

    def __init__(self, out: list[Event], pause: Callable[[], None]) -> None:
        self._out = out
        self._pause = pause
        self.speaker = ""
        """Whose calls these are now; several may use the same ids."""
        self.last_result: str | None = None
        self._calls: dict[str, Call] = {}
        """The latest call of each id: a careless agent uses one again."""
        self._unended: dict[Call, None] = {}
        """Those of them without a result, in the order they were made."""
        self._told: set[str] = set()
        self._in_message: dict[tuple[str, str], Call] = {}
        self._results: set[str] = set()
        self._count = 0
        self._by_place: dict[str, Call] = {}
        self._pending: list[Call] = []
        self._size = 0
        self._last: Call | None = None
        self._unnamed = 0
        self.told = False
        """Whether any result was told."""

    def piece(
        self,
        source: str,
        place: str,
        id: str | None,
        name: str | None,
        text: str,
        message: str | None = None,
    ) -> None:
        """Add to a call's arguments; `place` stands for the id in later pieces."""
        if self.speaker:
            place = f"{self.speaker} {place}"
        call = self._find(id, message) if id else self._by_place.get(place)
        if call is None:
            if not (id or name):
                return  # a piece of nothing
            call = self._open(id, name, source, message)
        elif call.source != source:
            return
        self._by_place[place] = call
        if name and not call.name:
            call.name = name
        if call.started or not text:
            return
        self._size += len(text)
        if self._size > MAX_FRAME_BYTES:
            raise FrameError(f"tool arguments over {MAX_FRAME_BYTES:,} characters")
        call.pieces.append(text)
        if text.rstrip().endswith("}") and call.tries < _EAGER_TRIES:
            call.tries += 1
            args = _object("".join(call.pieces))
            if args is not None:
                self._start(call, args)

    def so_far(self, source: str, id: str, name: str, text: str) -> None:
        """All of a call's arguments up to now, for agents that repeat them from the start."""
        call = self._known(id) or self._open(id, name, source)
        if call.source == source and not call.started:
            call.pieces[:] = [text]

    def whole(
        self, source: str, id: str | None, name: str, args: JSON, message: str | None = None
    ) -> None:
        """A complete call."""
        if isinstance(args, str):
            args = parse(args.strip())
        call = self._find(id, message, args) if id else None
        if call is None:
            call = self._open(id, name, source, message)
        if not call.started:
            call.name = call.name or name
            self._start(call, args)

    def announced(self, source: str, id: str | None, name: str, args: JSON) -> None:
        """A call as somebody's own event tells it, perhaps anew when its arguments have grown."""
        call = self._known(id) if id else self._newest_pending(name)
        if isinstance(args, str):
            text = args.strip()
            args = parse(text)
            if not text or (text[0] == "{" and args is text):
                call = call or self._open(id, name, source)
                if call.source == source and not call.started:
                    call.pieces[:] = [text]
                return
        if call is None:
            call = self._open(id, name, source)
        if not call.started and (args is not None or call.source == source):
            call.name = call.name or name
            self._start(call, args)

    def is_last(self, name: str, args: JSON) -> bool:
        """Whether the call told last is open and just that one, which its event then repeats."""
        if isinstance(args, str):
            args = parse(args.strip())
        last = self._last
        if last is None or last.ended or last.name != name:
            return False
        return args in (None, {}, last.args)

    def _newest_pending(self, name: str) -> Call | None:
        return next((call for call in reversed(self._pending) if call.name == name), None)

    def complete(self, place: str) -> None:
        """Nothing more comes for the call at that place."""
        if self.speaker:
            place = f"{self.speaker} {place}"
        call = self._by_place.pop(place, None)
        if call is not None and not call.started:
            self._settle(call, cut_off=False)

    def outcome(
        self, id: str | None, name: str | None, text: str, *, failed: bool, key: str | None = None
    ) -> None:
        """What a call came to: its result, or what went wrong in the same words."""
        self.result(id, name, None if failed else text, text if failed else None, key=key)

    def result(
        self,
        id: str | None,
        name: str | None,
        result: str | None,
        error: str | None = None,
        *,
        key: str | None = None,
    ) -> None:
        """A call's result, told once; `key` names the message it comes in."""
        if key in self._results:
            return
        call = self._known(id) if id else self._oldest_open(name)
        if call is None:
            call = self._open(id, name, "result")
        if call.ended:
            return
        if not call.started:
            call.name = call.name or name or "tool"
            self._settle(call, cut_off=False)
        if key:
            self._results.add(key)
        call.ended = True
        self._unended.pop(call, None)
        self.told = True
        self.last_result = result
        self._pause()
        self._out.append(ToolEnd(call.id, call.name, result, error))

    def settle(self) -> None:
        """Tell the calls whose arguments are complete though nothing said so."""
        for call in tuple(self._pending):
            self._settle(call, cut_off=True)

    def known(self, name: str) -> bool:
        """Whether a call of that tool is open."""
        return any(call.name == name for call in self._unended)

    def open_calls(self) -> list[Call]:
        """The calls that were told and have no result."""
        return [call for call in self._unended if call.started]

    def wait(self) -> None:
        """The model stopped for the calls that have no result yet."""
        for call in self.open_calls():
            call.waits = call.speaker == self.speaker or call.waits

    def go_on(self) -> None:
        """The model goes on: its calls had their results, told or not."""
        for call in self.open_calls():
            call.waits = call.waits and call.speaker != self.speaker

    def waiting(self) -> list[Call]:
        """The calls for which a model stopped and did not go on."""
        return [call for call in self.open_calls() if call.waits]

    def find(self, id: str) -> Call | None:
        """The call of that id, whoever made it."""
        return self._known(id)

    def like(self, name: str, args: JSON) -> Call | None:
        """The latest open call of that tool with those arguments."""
        return next(
            (c for c in reversed(self.open_calls()) if c.name == name and c.args == args), None
        )

    def _known(self, id: str) -> Call | None:
        """The call of that id: the speaker's own, or one that nobody else in particular made."""
        if not self.speaker:
            return self._calls.get(id)
        call = self._calls.get(f"{self.speaker}\n{id}") or self._calls.get(id)
        return call if call is None or call.speaker in ("", self.speaker) else None

    def _find(self, id: str, message: str | None, args: JSON = None) -> Call | None:
        """The call of that id, unless another message uses the id of a call that is over again."""
        call = self._known(id)
        if call is None or message is None:
            return call
        known = self._in_message.get((id, message))
        if known is not None:
            return known
        if call.ended and call.message not in (None, message) and args != call.args:
            return None
        if len(self._in_message) < _MOST_CALLS:
            self._in_message[id, message] = call
        return call

    def _open(
        self, id: str | None, name: str | None, source: str, message: str | None = None
    ) -> Call:
        self._count += 1
        if self._count > _MOST_CALLS or len(self._pending) >= _MOST_PENDING:
            raise FrameError(f"over {_MOST_CALLS:,} tool calls, or {_MOST_PENDING} unfinished ones")
        if not id:
            self._unnamed += 1
            id = f"call-{self._unnamed}"
        told = id if id not in self._told else f"{id}-{self._count}"
        self._told.add(told)
        call = Call(told, name or "", source, message, self.speaker)
        key = f"{self.speaker}\n{id}" if self.speaker else id
        before = self._calls.get(key)
        self._calls[key] = call
        if before is not None and self._calls.setdefault(id, call) is not before:
            self._unended.pop(before, None)  # nothing can name it any more
        self._calls.setdefault(id, call)
        self._unended[call] = None
        if message is not None:
            self._in_message[id, message] = call
        self._pending.append(call)
        return call

    def _oldest_open(self, name: str | None) -> Call | None:
        mine = ("", self.speaker) if self.speaker else None
        waiting = (call for call in self._unended if mine is None or call.speaker in mine)
        return next((call for call in waiting if not name or call.name == name), None)

    def _settle(self, call: Call, *, cut_off: bool) -> None:
        """Tell a call with what it has; if it may be cut off, only when that is whole JSON."""
        text = "".join(call.pieces).strip()
        args: JSON = parse(text) if text else {}
        if cut_off and args is text:
            return
        self._start(call, args)

    def _start(self, call: Call, args: JSON) -> None:
        call.started = True
        self._last = call
        call.args = args
        call.pieces.clear()
        if call in self._pending:
            self._pending.remove(call)
        self._pause()
        self._out.append(ToolStart(call.id, call.name, {} if args in (None, "") else args))


def _object(text: str) -> JSON:
    """The JSON object the text is, or None."""
    if not text.lstrip().startswith("{"):
        return None
    value = parse(text.strip())
    return value if isinstance(value, dict) else None


def as_text(content: JSON) -> str:
    """A tool's result as text: text itself, the text of content blocks, or JSON."""
    match content:
        case str():
            return content
        case None:
            return ""
        case {"text": str(text), **rest} if not rest or set(rest) <= _BLOCK_KEYS:
            return text
        case {"json": value, **rest} if not rest:
            return as_text(value)
        case list() if content:
            texts = [_block_text(block) for block in content]
            if all(text is not None for text in texts):
                return "".join(text for text in texts if text is not None)
    return json.dumps(content, ensure_ascii=False)


_BLOCK_KEYS = frozenset({"text", "type", "index", "id", "annotations"})


def _block_text(block: JSON) -> str | None:
    match block:
        case str():
            return block
        case {"text": str(text)}:
            return text
        case {"json": value, **rest} if not rest:
            return as_text(value)
    return None
