"""Real answers as another author would have passed them on: what is said stays the same.

Each recorded stream is changed in one way that people really do: its frames put into envelopes,
encoded twice, sent in another format or under another type, with comments, heartbeats or the whole
text once more between or behind them. Nothing of that is news.
"""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.events import Event, Input, Message, Thinking, ToolEnd, ToolStart
from tests.agents.not_yet import NOT_YET
from tests.agents.recordings import Recording, decoded, recordings

EVENTS = "text/event-stream"
SLICE = 12
"""Every how many recordings one is taken, each way beginning with another: all take a minute."""

Sent = tuple[bytes, str]
Way = Callable[[Sequence[Any], str], Sent]


def lines(values: Sequence[Any], before: str = "data: ", after: str = "\n\n") -> bytes:
    return "".join(
        f"{before}{json.dumps(value, ensure_ascii=False)}{after}" for value in values
    ).encode()


def each(change: Callable[[Any], Any]) -> Way:
    return lambda frames, text: (lines([change(frame) for frame in frames]), EVENTS)


def between(value: Any) -> Way:
    return lambda frames, text: (
        lines([value, *(part for frame in frames for part in (frame, value))]),
        EVENTS,
    )


def behind(last: Callable[[str], Any]) -> Way:
    return lambda frames, text: (lines([*frames, last(text)]), EVENTS)


def sent(content_type: str, *, before: str = "data: ", after: str = "\n\n") -> Way:
    return lambda frames, text: (lines(frames, before, after), content_type)


def over_lines(frames: Sequence[Any], text: str) -> Sent:
    """JSON as people like to read it, over several `data:` lines."""
    body = "".join(
        "".join(f"data: {line}\n" for line in json.dumps(frame, indent=1).splitlines()) + "\n"
        for frame in frames
    )
    return body.encode(), EVENTS


OF_OBJECTS: dict[str, Way] = {
    "under data": each(lambda frame: {"data": frame}),
    "under chunk": each(lambda frame: {"chunk": frame}),
    "under event": each(lambda frame: {"event": frame}),
    "under payload": each(lambda frame: {"payload": frame}),
    "as a chunk": each(lambda frame: {"type": "chunk", "data": frame}),
    "as an event": each(lambda frame: {"type": "event", "data": frame, "session_id": "s"}),
    "as a message": each(lambda frame: {"event": "message", "data": frame}),
    "with a number": each(lambda frame: {"seq": 1, "timestamp": 1.5, "data": frame}),
    "in two envelopes": each(lambda frame: {"event": "message", "data": {"chunk": frame}}),
    "as events in strings": each(lambda frame: f"data: {json.dumps(frame)}\n\n"),
    "as named events in strings": each(
        lambda frame: f"event: message\ndata: {json.dumps(frame)}\n\n"
    ),
    "with data twice": sent(EVENTS, before="data: data: "),
}
OF_ALL: dict[str, Way] = {
    "with carriage returns": sent(EVENTS, after="\r\n\r\n"),
    "without a space": sent(EVENTS, before="data:"),
    "with comments": sent(EVENTS, before=": keep-alive\n\nid: 7\ndata: "),
    "with names": sent(EVENTS, before="event: message\ndata: "),
    "with a mark": lambda frames, text: (b"\xef\xbb\xbf" + lines(frames), EVENTS),
    "with an end": lambda frames, text: (lines(frames) + b"data: [DONE]\n\n", EVENTS),
    "over lines": over_lines,
    "called JSON": sent("application/json"),
    "called text": sent("text/plain"),
    "called bytes": sent("application/octet-stream"),
    "called nothing": sent(""),
    "as JSON lines": sent("application/x-ndjson", before="", after="\n"),
    "as JSON lines called JSON": sent("application/json", before="", after="\n"),
    "as JSON lines called events": sent(EVENTS, before="", after="\n"),
    "among nulls": between(None),
    "among empty strings": between(""),
    "among heartbeats": between({"type": "heartbeat"}),
    "among pings": between({"type": "ping", "ts": 1}),
    "among empty texts": between({"type": "text", "content": ""}),
    "behind a start": lambda frames, text: (lines([{"type": "start"}, *frames]), EVENTS),
    "before a string that ends it": behind(lambda text: "[DONE]"),
    "before a usage": behind(lambda text: {"usage": {"input_tokens": 1, "output_tokens": 2}}),
    "before it all in a status": behind(lambda text: {"status": "success", "response": text}),
    "before it all as final": behind(lambda text: {"final_response": text}),
}
EXCEPT = {
    "langgraph/yield-sse-in-sse": "its own end has the text once more",
    "langgraph/mode-checkpoints": "told at the end only, if nothing else is",
    "langgraph/modes-custom-checkpoints": "the same",
    "langgraph/empty-values": "says nothing",
    "claude/template": "names its session first, in an object of no known shape",
    "reports/twice-encoded-frames": "encoded once more it would be a model's own JSON",
    "reports/dict-as-an-answer": "a model's own print of a dict",
    "reports/any-key-streamed": "of no known shape: nothing tells it from a typed answer",
    "reports/dspy-stream": "the same",
    "reports/only-a-printed-result": "the same result twice",
    "pydantic-ai/raises": "its frames are noted for the end, which does not come",
    "strands/raises": "the same",
}
"""Recordings that one or another of these ways really changes."""


def frames_of(recording: Recording) -> list[Any] | None:
    """The frames of a stream that has nothing but data."""
    frames: list[Any] = []
    for block in recording.body.replace(b"\r\n", b"\n").split(b"\n\n"):
        if not block.strip():
            continue
        if b"\n" in block or not block.startswith(b"data: "):
            return None
        try:
            frames.append(json.loads(block.removeprefix(b"data: ")))
        except ValueError:
            return None
    return frames or None


STREAMS = [
    (recording, frames)
    for recording in recordings()
    if recording.id not in NOT_YET.keys() | EXCEPT.keys()
    and recording.content_type.startswith(EVENTS)
    and not recording.headers
    and (frames := frames_of(recording))
]
FRAMED = [(r, frames) for r, frames in STREAMS if not any(isinstance(f, str) for f in frames)]


def seen(events: Sequence[Event], failure: str | None) -> dict[str, object]:
    """What a reader sees of an answer."""
    return {
        "text": "".join(event.content for event in events if isinstance(event, Message)),
        "thinking": "".join(event.content for event in events if isinstance(event, Thinking)),
        "calls": [(e.tool, e.args) for e in events if isinstance(e, ToolStart)],
        "found": [(e.tool, e.result, e.error) for e in events if isinstance(e, ToolEnd)],
        "asked": [event.id for event in events if isinstance(event, Input)],
        "failed": failure is not None,
    }


def check(recording: Recording, frames: Sequence[Any], way: Way, name: str) -> None:
    whole = seen(*decoded(recording.body, recording.content_type, {}))
    text = str(whole["text"])
    if name.startswith("before it all") and (whole["failed"] or whole["asked"] or not text.strip()):
        return  # nobody says a failure or a question once more
    body, content_type = way(frames, text)
    assert seen(*decoded(body, content_type, {})) == whole, f"{recording.id} {name}"


@pytest.mark.parametrize("name", OF_OBJECTS)
def test_objects_passed_on_in_another_way__say_the_same(name: str) -> None:
    for recording, frames in FRAMED[list(OF_OBJECTS).index(name) :: SLICE]:
        check(recording, frames, OF_OBJECTS[name], name)


@pytest.mark.parametrize("name", OF_ALL)
def test_frames_passed_on_in_another_way__say_the_same(name: str) -> None:
    for recording, frames in STREAMS[list(OF_ALL).index(name) % SLICE :: SLICE]:
        check(recording, frames, OF_ALL[name], name)


ENVELOPES: list[Callable[[Any], Any]] = [
    lambda frame: frame,
    lambda frame: {"data": frame},
    lambda frame: {"type": "chunk", "data": frame},
    lambda frame: {"event": "message", "data": frame},
    lambda frame: {"session_id": "s", "event": frame},
    lambda frame: {"data": {"data": {"timestamp": 1.5, "data": frame}}},
    lambda frame: f"data: {json.dumps({'data': frame})}\n\n",
]
BEATS: list[Any] = [
    *("", {}, [], {"type": "ping"}, {"event": "keepalive"}, {"data": None}, {"content": ""}),
    {"type": "status", "status": "working"},
]
LASTS: list[Callable[[str], Any]] = [
    lambda text: {},
    lambda text: {"done": True},
    lambda text: {"event": "end"},
    lambda text: {"final_response": text},
    lambda text: {"type": "done", "usage": {"input_tokens": 1, "output_tokens": 1}},
    lambda text: {"event": "done", "data": json.dumps({"content": text})},
]
FORMATS = [
    ("data: ", "\n\n", EVENTS),
    ("data:", "\r\n\r\n", EVENTS),
    (": x\n\nid: 1\ndata: ", "\n\n", f"{EVENTS}; charset=utf-8"),
    ("data: ", "\n", EVENTS),
    ("", "\n", "application/x-ndjson"),
    ("data: ", "\n\n", "application/json"),
]


@settings(max_examples=150, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_frames_passed_on_in_several_ways_at_once__say_the_same(seed: int) -> None:
    dice = random.Random(seed)
    recording, frames = dice.choice(FRAMED)
    whole = seen(*decoded(recording.body, recording.content_type, {}))
    envelope, beat, last = dice.choice(ENVELOPES), dice.choice(BEATS), dice.choice(LASTS)
    before, after, content_type = dice.choice(FORMATS)
    sent = [part for f in frames for part in ([beat] * dice.randrange(2) + [envelope(f)])]
    if not whole["failed"] and not whole["asked"] and str(whole["text"]).strip():
        sent.append(last(str(whole["text"])))
    body = lines(sent, before, after)
    cuts = [dice.randrange(len(body) + 1) for _ in range(dice.randrange(20))]

    assert seen(*decoded(body, content_type, {}, cuts)) == whole, recording.id
