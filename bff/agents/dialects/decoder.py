"""Frames to events, whatever framework the agent was written in.

Which dialect a frame is in is judged frame by frame, since agents mix them. Everything here is
pure: `Decoder` takes bytes and gives events, so a test may cut the bytes anywhere.
docs/agents.md has the table of what becomes what.
"""

from __future__ import annotations

from bff.agents.dialects import agui, langchain, langgraph, named_events, strands, untyped
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.frames import TEXT, Frame, FrameError, open_frames
from bff.events import JSON, Done, Event

_DEEPEST = 8
"""Envelopes around envelopes around one event."""


class Decoder:
    """One answer's bytes to its events.

    `failure` is set once the agent has failed, in words for the operator; what was decoded before
    that has been returned, and nothing follows.
    """

    def __init__(self, content_type: str) -> None:
        self._answer = Assembly()
        self.failure: str | None = None
        try:
            self._frames = open_frames(content_type)
        except FrameError as error:
            self.failure = str(error)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that these bytes complete."""
        if self.failure is None:
            try:
                for frame in self._frames.feed(chunk):
                    read(self._answer, frame)
            except (FrameError, InBandError) as error:
                self.failure = str(error)
        return self._answer.take()

    def end(self) -> list[Event]:
        """The last events: `Done` closes them unless there is a `failure`."""
        answer = self._answer
        if self.failure is None:
            try:
                for frame in self._frames.end():
                    read(answer, frame)
                answer.end()
            except (FrameError, InBandError) as error:
                self.failure = str(error)
        if self.failure is None and answer.unfinished:
            self.failure = "its stream ended after RUN_STARTED without RUN_FINISHED"
        if self.failure is None and not answer.has_content:
            self.failure = "its answer has no content" + (
                f", only {answer.junk} Python objects printed as strings; yield what JSON can hold"
                if answer.junk
                else ""
            )
        if self.failure is None:
            answer.out.append(Done("complete", answer.usage()))
        return answer.take()


def read(answer: Assembly, frame: Frame, depth: int = 0) -> None:
    """Write one frame into the answer. Raises `InBandError`, `FrameError`."""
    name, value = frame
    match value:
        case str():
            _read_string(answer, name, value, depth)
        case dict():
            _read_object(answer, name, value, depth)
        case list():
            _read_list(answer, value, depth)
        case None:
            pass
        case _:
            answer.custom(value)


def _read_string(answer: Assembly, name: str | None, text: str, depth: int) -> None:
    if name is TEXT:
        answer.text.delta(text, TEXT)
        return
    inner = untyped.inner_events(text) if depth < _DEEPEST else None
    if inner is not None:
        for frame in inner:
            read(answer, frame, depth + 1)
        return
    if untyped.is_junk(text):
        answer.junk += 1
        return
    match named_events.role(name, {}):
        case "error":
            raise InBandError("an error event in its stream")
        case "thinking":
            answer.thinking.plain(text, "thinking")
        case "silent":
            pass
        case "custom":
            answer.custom({"event": name, "data": text}, content=False)
        case "end" | "done" if text != "[DONE]":
            answer.text.whole(text, "end")
        case _ if text != "[DONE]":
            answer.text.plain(text, name or "string")


def _read_list(answer: Assembly, items: list[JSON], depth: int) -> None:
    match items:
        case [dict(message), dict(metadata)] if "type" not in metadata and langchain.is_message(
            langchain.unwrapped(message)
        ):
            langgraph.read_mode(answer, "messages", items)
        case [str(mode), value] if mode in langgraph.MODES:
            langgraph.read_mode(answer, mode, value)
        case [list(namespace), str(mode), value] if mode in langgraph.MODES and _names(namespace):
            langgraph.read_mode(answer, mode, value)
        case [list(namespace), value] if _names(namespace) and isinstance(value, dict | list):
            read(answer, Frame(None, value), depth + 1)
        case _ if langchain.are_messages(items):
            langchain.read_messages(answer, items, "update")
        case _:
            text = untyped.text_of(items)
            if text is None:
                answer.custom(items)
            else:
                answer.text.plain(text, "list")


def _read_object(answer: Assembly, name: str | None, frame: dict[str, JSON], depth: int) -> None:
    if len(frame) == 1 and name is None:  # most frames of most agents: one text, one key
        ((key, text),) = frame.items()
        if type(text) is str and key in untyped.TEXT_KEYS:
            _say(answer, key, text)
            return
    kind = frame.get("type")
    if isinstance(kind, str):
        message = langchain.unwrapped(frame)
        if langchain.is_message(message):
            langchain.read_message(answer, message, "update")
            return
        if kind in agui.TYPES:
            agui.read(answer, frame)
            return
        if kind in langgraph.MODES and "data" in frame:
            langgraph.read_mode(answer, kind, frame["data"])
            if frame.get("interrupts"):
                answer.custom({"__interrupt__": frame["interrupts"]})
            return
    match frame:
        case {"event": dict(event)}:
            if strands.is_converse(event):
                strands.read_converse(answer, event)
            elif depth < _DEEPEST:
                read(answer, Frame(None, event), depth + 1)
            else:
                answer.custom(frame)
            return
        case {"event": str(event), "data": _}:
            if event.startswith("on_"):
                langgraph.read_astream_event(answer, event, frame)
                return
            if depth < _DEEPEST:
                read(answer, Frame(event, frame["data"]), depth + 1)
                return
    if strands.is_token(frame):
        strands.read_token(answer, frame)
        return
    if strands.is_converse(frame):
        strands.read_converse(answer, frame)
        return
    wrapper, frame = named_events.unwrapped(frame)
    role = named_events.role(name or wrapper, frame)
    if role is not None and named_events.read(answer, role, frame):
        return
    wrong = untyped.is_error(frame)
    if wrong is not None:
        raise InBandError(wrong)
    if strands.MARKS & frame.keys() and "data" not in frame:
        strands.read_strands(answer, frame)
        return
    if langgraph.is_update(frame):
        for node, update in frame.items():
            langgraph.read_update(answer, node, update)
        return
    if langchain.are_messages(frame.get("messages")) or frame.get("messages") == []:
        langgraph.read_state(answer, frame)
        return
    _read_text(answer, name, frame, depth)


def _read_text(answer: Assembly, name: str | None, frame: dict[str, JSON], depth: int) -> None:
    """An object with its text, or a richer object, under one of the usual keys."""
    for key in ("message", "result", "output", "response", "content", "data"):
        value: JSON = frame.get(key)
        if strands.is_message(value):
            strands.read_message(answer, value, key)
            answer.use_total(frame.get("usage"))
            return
        if strands.is_result(value):
            strands.read_result(answer, value)
            return
        if (
            isinstance(value, dict)
            and depth < _DEEPEST
            and untyped.text_of(value) is None
            and value
        ):
            read(answer, Frame(name, value), depth + 1)
            answer.use_total(frame.get("usage"))
            return
        if langchain.are_messages(value):
            langchain.read_messages(answer, value, "update")
            return
    if isinstance(frame.get("content"), list) and "role" in frame:
        langchain.read_messages(answer, [frame], "update")
        return
    if _read_choices(answer, frame):
        return
    if frame.get("role", "assistant") not in ("assistant", "ai", "model"):
        return  # somebody else's words
    thought = untyped.thought_of(frame)
    if thought:
        answer.thinking.plain(thought, "thinking")
    key_found = untyped.text_key(frame)
    if key_found is None:
        _keep(answer, frame, thought)
        return
    _say(answer, key_found, untyped.text_of(frame[key_found]) or "")
    answer.use_total(frame.get("usage") or frame.get("usage_metadata"))
    rest = untyped.beside(frame, key_found)
    if rest:
        answer.custom(rest)


def _say(answer: Assembly, key: str, text: str) -> None:
    if untyped.is_junk(text):
        answer.junk += 1
    elif key == "data":
        answer.text.mirrored(text, "strands", "converse", token=False)
    elif text:
        answer.text.plain(text, key)


def _keep(answer: Assembly, frame: dict[str, JSON], thought: str | None) -> None:
    """An object without a text: its usage is noted, and if it says anything else, it is kept."""
    usage = frame.get("usage") or frame.get("usage_metadata")
    answer.use_total(usage)
    silent = usage or thought is not None
    rest = untyped.beside(frame, "") if silent else frame
    if any(value not in ("", None, [], {}) for value in rest.values()):
        answer.custom(rest, content=not all(isinstance(v, bool | None) for v in rest.values()))


def _read_choices(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """OpenAI's chat completions, whole or in chunks."""
    match frame.get("choices"):
        case [{"delta": dict(delta)}, *_]:
            langchain.read_openai_delta(answer, delta)
        case [{"message": dict(message)}, *_]:
            langchain.read_messages(answer, [{**message, "role": "assistant"}], "update")
        case []:
            pass
        case _:
            return False
    answer.use_total(frame.get("usage"))
    return True


def _names(namespace: list[JSON]) -> bool:
    return all(isinstance(name, str) for name in namespace)
