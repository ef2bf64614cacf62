"""Frames to events, whatever framework the agent was written in.

Which dialect a frame is in is judged frame by frame, since agents mix them. Everything here is
pure: `Decoder` takes bytes and gives events, so a test may cut the bytes anywhere.
docs/agents.md has the table of what becomes what.
"""

from __future__ import annotations

from bff.agents.dialects import (
    agent_framework,
    agno,
    agui,
    ai_sdk,
    bedrock_agents,
    camel,
    chat_messages,
    envelopes,
    gemini,
    genkit,
    haystack,
    langchain,
    langgraph,
    letta,
    mistral,
    named_data,
    named_events,
    named_tools,
    openai,
    openai_threads,
    spring_ai,
    strands,
    strings,
    untyped,
)
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.event_names import role_of
from bff.agents.dialects.failures import is_error
from bff.agents.dialects.loose import read_loose, say
from bff.agents.dialects.questions import ask_strands, is_strands
from bff.agents.dialects.readers import BY_KEY, BY_TYPE, CLASSES, SURE_KEYS
from bff.agents.dialects.returned import is_returned, sole_text
from bff.agents.frames import Document, open_frames
from bff.agents.json_values import FrameError
from bff.agents.lines import TEXT
from bff.events import JSON, Done, Event, Message, RunEnd

MAX_ANSWER = 32 * 1024 * 1024
"""Characters of one answer: all that is said is remembered, to say nothing twice."""
_LOOKS = 8
"""How often that is looked at, at least, before it may be reached."""


class Decoder:
    """One answer's bytes to its events.

    `failure` is set once the agent has failed, in words for the operator; what was decoded before
    that has been returned, and nothing follows.
    """

    __slots__ = ("_answer", "_frames", "_look_at", "_received", "failure")

    def __init__(self, content_type: str) -> None:
        self.failure: str | None = None
        self._received = 0
        self._look_at = MAX_ANSWER // _LOOKS
        try:
            self._frames = open_frames(content_type)
        except FrameError as error:
            self.failure = str(error)
        streamed = self.failure is None and not isinstance(self._frames, Document)
        self._answer = Assembly(read_value, is_known, streamed=streamed)

    @property
    def dialects(self) -> list[str]:
        """Which dialects were recognised; objects that are no framework's are `untyped`."""
        found = sorted(self._answer.dialects)
        return found or (["untyped"] if self._answer.has_content else [])

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that these bytes complete."""
        answer = self._answer
        self._received += len(chunk)
        if self.failure is None:
            try:
                if self._received > self._look_at:
                    self._check_size()
                for name, value in self._frames.feed(chunk):
                    answer.frames += 1
                    answer.streamed = True  # whatever its type said
                    if type(value) is dict:
                        _read_object(answer, name, value)
                    else:
                        read_value(answer, value, name)
                    if answer.speakers.many:
                        answer.speakers.settle()  # as if each frame came by itself
            except (FrameError, InBandError) as error:
                self.failure = str(error)
                answer.end(whole=False)  # whoever waits for the word is heard
        return answer.take()

    def _check_size(self) -> None:
        """Refuse to remember any more of an answer that never ends."""
        held = self._answer.held(self._received)
        if held > MAX_ANSWER:
            raise FrameError(f"an answer of more than {MAX_ANSWER:,} characters")
        self._look_at = self._received + (MAX_ANSWER - held) // _LOOKS

    def end(self) -> list[Event]:
        """The last events: `Done` closes them unless there is a `failure`."""
        answer = self._answer
        if self.failure is None:
            try:
                frames = self._frames.end()
                if len(frames) == 1 and not answer.frames and (text := sole_text(frames[0])):
                    answer.dialects.add("strands")
                    return [Message(text), Done()]
                answer.streamed |= len(frames) > 1
                for name, value in frames:
                    read_value(answer, value, name)
                agui.read_end(answer)
                langgraph.read_end(answer)
                strands.read_end(answer)
            except (FrameError, InBandError) as error:
                self.failure = str(error)
        answer.end(whole=self.failure is None)
        if self.failure is None and answer.unfinished:
            self.failure = "its stream ended after RUN_STARTED without RUN_FINISHED"
        if self.failure is None and not answer.has_content:
            self.failure = "its answer has no content" + (
                f", only {answer.junk} Python objects printed as strings; yield what JSON can hold"
                if answer.junk
                else ""
            )
        if self.failure is None:
            questions = answer.questions
            status: RunEnd = "input_required" if questions else "complete"
            answer.out.append(Done(status, answer.usage.total(), questions))
        return answer.take()


def read_value(answer: Assembly, value: JSON, name: str | None = None) -> None:
    """Write one frame into the answer. Raises `InBandError`, `FrameError`."""
    kind = type(value)
    if kind is dict:
        _read_object(answer, name, value)
    elif kind is str:
        _read_string(answer, name, value)
    elif kind is list:
        if value and (name is None or not named_data.read_list(answer, name, value)):
            _read_list(answer, name, value)
    elif kind is int or kind is float:
        if name is None or not named_data.read_text(answer, name, str(value)):
            answer.text.plain(str(value), "string")
    elif value is not None:
        answer.custom(value, name, content=name is None)


def is_known(frame: dict[str, JSON]) -> bool:
    """Whether an object is a frame of some dialect, and no text that looks like JSON."""
    kind, event = frame.get("type"), frame.get("event")
    return (
        (isinstance(kind, str) and _is_type(kind, frame))
        or _is_named(frame)
        or (isinstance(event, str) and ("data" in frame or agno.is_ours(event)))
        or not SURE_KEYS.isdisjoint(frame.keys())
        or strands.speaks(frame)
        or strands.is_message(frame)
        or strands.is_converse(frame)
        or langgraph.is_update(frame)
        or langchain.are_messages(frame.get("messages"))
        or "__interrupt__" in frame
        or chat_messages.is_message(frame)
        or chat_messages.is_held(frame)
        or mistral.is_response(frame)
        or gemini.is_returned(frame)
        or langchain.is_returned(frame)
        or bedrock_agents.is_event(frame)
        or letta.is_message(frame)
        or spring_ai.is_message(frame)
        or camel.is_response(frame)
        or genkit.is_message(frame)
        or genkit.is_message(frame.get("message"))
        or {"statusCode", "body"} <= frame.keys()
    )


def _is_type(kind: str, frame: dict[str, JSON]) -> bool:
    if kind == "model":  # of OpenAI's Agents SDK, and of many a typed answer
        return "providerData" in frame
    return kind in BY_TYPE or kind.startswith(("response.", "data-"))


def _is_answer(item: JSON) -> bool:
    return envelopes.is_frame(item, is_known) or (
        isinstance(item, dict) and untyped.is_envelope(item)
    )


def _is_named(frame: dict[str, JSON]) -> bool:
    role = named_events.role(None, frame)
    return role is not None and (role != "text" or untyped.is_envelope(frame))


def _read_string(answer: Assembly, name: str | None, text: str) -> None:
    if name is TEXT:
        answer.dialects.add("text")
        answer.text.delta(text, TEXT)
        return
    if (text[:1] in strings.ODD or "=" in text) and not answer.deep:
        inner = strings.frames_in(answer, text)
        if inner is not None:
            for frame in inner:
                if answer.strings == "sse" and isinstance(frame.value, str) and not frame.name:
                    named_data.say(answer, name, frame.value)  # what it looks like proves nothing
                else:
                    answer.read(frame.value, frame.name or name)
            return
    named_data.say(answer, name, text)


def _read_list(answer: Assembly, name: str | None, items: list[JSON]) -> None:
    if name == "messages/partial" and langchain.are_messages(items):
        langgraph.read_partial(answer, items)
        return
    item = langgraph.stream_item(items)
    if item is not None:
        mode, value = item
        if mode is None:
            answer.read(value)
        else:
            langgraph.read_mode(answer, mode, value)
        return
    if len(items) == 2 and isinstance(items[0], dict) and isinstance(items[1], dict):
        message, metadata = items
        if "type" not in metadata and langchain.is_message(langchain.unwrapped(message)):
            langgraph.read_mode(answer, "messages", items)
            return
    if is_strands(items):
        ask_strands(answer, items)
    elif haystack.are_messages(items):
        for message in items:
            haystack.read_message(answer, message)
    elif agent_framework.are_messages(items):
        agent_framework.read_response(answer, {"messages": items})
    elif agent_framework.are_contents(items):
        agent_framework.read(answer, {"type": "update", "contents": items})
    elif langchain.are_messages(items):
        langchain.read_messages(answer, items, "update", chunks=True)
    elif genkit.are_parts(items):
        genkit.read_parts(answer, items)
    elif (text := untyped.text_of(items)) is not None:
        answer.text.plain(text, "list")
    elif all(_is_answer(item) for item in items) or envelopes.are_frames(items, is_known):
        for item in items:
            answer.read(item)
    else:
        answer.custom(items)


def _read_object(answer: Assembly, name: str | None, frame: dict[str, JSON]) -> None:
    if len(frame) == 1 and name is None:  # most frames of most agents: one text, one key
        (key,) = frame
        value = frame[key]
        if type(value) is str and key in untyped.TEXT_KEYS:
            say(answer, key, value, alone=True)
            return
        if key == "event" and type(value) is dict and strands.read_event(answer, value):
            return
        if key == "result" and is_returned(value):
            strands.read_message(answer, value, key)
            return
    if name is not None and name in CLASSES and "type" not in frame:
        frame = {"type": name, **frame}
    kind = frame.get("type")
    if type(kind) is str:
        for reader in BY_TYPE.get(kind, ()):
            if reader(answer, frame):
                return
        if _read_prefixed(answer, kind, frame):
            return
        if len(frame) == 2 and name is None and role_of(kind) == "text":  # many agents' token
            key = next(key for key in frame if key != "type")
            if type(frame[key]) is str and key in untyped.TEXT_KEYS:
                say(answer, key, frame[key], alone=answer.strings == "texts")
                return
    for key in frame:
        if key in BY_KEY and not _is_beside_text(frame, key):
            for reader in BY_KEY[key]:
                if reader(answer, frame):
                    return
    if name is not None and name.startswith("thread.") and openai_threads.read(answer, name, frame):
        return
    if "event" in frame and _read_event(answer, frame):
        return
    if strands.is_token(frame):
        strands.read_token(answer, frame)
        return
    role = frame.get("role")
    if "tool_calls" in frame or role == "tool" or (role and type(frame.get("content")) is not str):
        if chat_messages.is_message(frame):
            chat_messages.read(answer, frame)
            return
        if langchain.is_returned(frame):
            langchain.read_returned(answer, frame, "update")
            return
        if genkit.is_message(frame):
            genkit.read_message(answer, frame)
            return
    if "message" in frame and genkit.read_held(answer, frame):
        return
    inner = envelopes.inner(frame, is_known)
    if inner is not None and not answer.deep:
        envelopes.read(answer, frame, inner, name)
        return
    if strands.read_event(answer, frame):
        return
    if name in langgraph.MODES:
        langgraph.read_mode(answer, name, frame)
        return
    if name is None and isinstance(frame.get("event"), str):
        name = frame["event"]
    wrapper, frame = named_tools.unwrapped(frame)
    use = named_events.role(wrapper or name, frame)
    if use is not None and named_events.read(answer, use, frame, name):
        return
    if haystack.read(answer, frame):
        return
    wrong = is_error(frame)
    if wrong is not None:
        raise InBandError(wrong)
    if strands.is_mark(frame):
        strands.read_strands(answer, frame)
        return
    if any(key in frame and not _is_beside_text(frame, key) for key in langgraph.IN_STATES):
        langgraph.read_state(answer, frame)
        return
    if langgraph.is_update(frame):
        for node, update in frame.items():
            langgraph.read_update(answer, node, update)
        return
    messages = frame.get("messages")
    if langchain.are_messages(messages) or (messages == [] and untyped.text_key(frame) is None):
        langgraph.read_state(answer, frame)
        return
    read_loose(answer, name, frame)


def _is_beside_text(frame: dict[str, JSON], key: str) -> bool:
    """Whether a framework's key holds nothing and stands beside a text: it proves no framework."""
    return frame[key] in _NOTHING and untyped.text_key(frame) is not None


_NOTHING: tuple[JSON, ...] = (None, [], {})


def _read_prefixed(answer: Assembly, kind: str, frame: dict[str, JSON]) -> bool:
    """Types of which only the beginning is fixed."""
    if kind.startswith("response."):
        return openai.read_response_event(answer, frame)
    if kind.startswith("data-"):
        return ai_sdk.read_data(answer, frame)
    if "-event-" in kind and isinstance(frame.get("payload"), dict):
        answer.speak(kind.partition("-event-")[0], frame["payload"])
        return True
    return False


def _read_event(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A frame that names or holds an event under `event`."""
    event = frame["event"]
    if isinstance(event, dict) and event:
        envelopes.read(answer, frame, event, None)
        return True
    if isinstance(event, str):
        if event.startswith("on_") and "data" in frame:
            langgraph.read_astream_event(answer, event, frame)
            return True
        if agno.read(answer, frame):
            return True
        if "data" in frame:
            answer.read(frame["data"], event)
            return True
    return False
