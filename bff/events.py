"""The vocabulary of a run, and its native JSON both ways.

A run is a numbered list of events; every protocol the service speaks is a view of that list.
Agents of any dialect are decoded into these shapes, once, and nothing behind this module knows
what an agent sent. An event is rendered to JSON once, when it is numbered (`record`), and that text
is what every follower, log and cache passes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from json.encoder import encode_basestring
from typing import Literal

from bff.frozen import dataclass
from bff.json_text import JSON as JSON
from bff.json_text import dumps as dumps
from bff.json_text import loads, portable
from bff.json_text import well_formed as well_formed

RunEnd = Literal["complete", "cancelled", "input_required"]
InputKind = Literal["approval", "input", "tool"]


@dataclass(frozen=True, slots=True)
class Start:
    """Always a run's first event. `session_id` is the client's own name for the session."""

    run_id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Message:
    """Text to append to the answer."""

    content: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning text to append."""

    content: str


@dataclass(frozen=True, slots=True)
class ToolStart:
    """A tool call whose arguments are complete; comes before its result."""

    id: str
    tool: str
    args: JSON


@dataclass(frozen=True, slots=True)
class ToolEnd:
    """A tool's result as text, or its error."""

    id: str
    tool: str
    result: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What the agent cites."""

    url: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file the agent made: at a `url`, or whole in `data` (base64)."""

    mime_type: str
    url: str | None = None
    data: str | None = None
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class Custom:
    """A frame of the agent's that is none of the others: kept, never dropped.

    `name` is the frame's own, where it has one: AG-UI's type, a `data-…` part's name.
    """

    value: JSON
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The call that a question is about."""

    id: str
    name: str
    args: JSON


@dataclass(frozen=True, slots=True)
class Input:
    """A question of the agent's: the run ends with it, and a later run brings the answer.

    `approval` asks whether `tool` may be used, `input` asks for what `schema` (JSON Schema)
    describes, `tool` is a call that the client has to run. `value` is what the agent gave, whole;
    `expires_at` is RFC 3339. It is `first` if the agent's stream began with it: that is not kept.
    """

    id: str
    kind: InputKind
    message: str | None = None
    tool: ToolUse | None = None
    schema: JSON = None
    value: JSON = None
    expires_at: str | None = None
    first: bool = field(default=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """Terminal: the run ended as it should.

    Usage, where known, is `input_tokens`, `output_tokens` and `total_tokens`. A run that ended in
    questions is `input_required`, and `inputs` holds all that are open.
    """

    status: RunEnd = "complete"
    usage: Mapping[str, int] | None = None
    inputs: Sequence[Input] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """Terminal: the run ended otherwise. `problem` is a problem document (RFC 9457)."""

    problem: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Gap:
    """Stands where events `first` to `last`, both inclusive, are no longer kept."""

    first: int
    last: int

    @property
    def message(self) -> str:
        """In words, for formats that have no place for a gap and end with an error."""
        return f"Events {self.first} to {self.last} of this run are no longer kept."


Event = (
    Start
    | Message
    | Thinking
    | ToolStart
    | ToolEnd
    | Source
    | File
    | Custom
    | Input
    | Done
    | Failed
    | Gap
)


JOINED_AT_ONCE = 64
"""Pieces of a text that is kept, before they are joined: one has 49 bytes beside its characters."""
RECORD_BYTES = 200
"""About what a record takes besides its text."""


class Record:
    """One numbered event with its JSON text; the event itself is decoded only if someone asks."""

    __slots__ = ("_event", "data", "id", "name")

    def __init__(self, id: int, name: str, data: str, event: Event | None = None) -> None:
        self.id = id
        self.name = name
        self.data = data
        self._event = event

    @property
    def event(self) -> Event:
        return decode(self.name, self.data) if self._event is None else self._event

    @property
    def content(self) -> str:
        """The content of a `message` or `thinking` as JSON text, for formats that quote it."""
        return self.data[len('{"content":') : -1]

    @property
    def terminal(self) -> bool:
        return self.name == "done" or self.name == "error"

    @property
    def size(self) -> int:
        """About what it costs to keep, in bytes."""
        return len(self.data) + RECORD_BYTES

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return (self.id, self.name, self.data) == (other.id, other.name, other.data)

    def __hash__(self) -> int:
        return hash((self.id, self.name))

    def __repr__(self) -> str:
        return f"<{self.id} {self.name} {self.data}>"


def record(id: int, event: Event) -> Record:
    """Number an event and render it."""
    if type(event) is Message:  # nearly all of them, and its pattern takes as long as its text
        text = encode_basestring(event.content)
        data = f'{{"content":{text if text.isascii() else portable(text)}}}'
    else:
        data = encode(event)
    return Record(id, NAMES[type(event)], data, event)


def size_of(records: Sequence[Record]) -> int:
    """About what the records cost to keep, in bytes."""
    size = RECORD_BYTES * len(records)
    for item in records:
        size += len(item.data)
    return size


def forget_texts(records: Sequence[Record]) -> None:
    """Keep a text as JSON only, once those who keep up have had the event: nearly all that a run
    says is text, and a run is kept for a while."""
    for item in records:
        if item.name == "message" or item.name == "thinking":
            item._event = None


def gap(first: int, last: int) -> Record:
    """The record that stands for lost events; its id is the last, where following goes on."""
    return record(last, Gap(first, last))


NAMES: Mapping[type[Event], str] = {
    Start: "start",
    Message: "message",
    Thinking: "thinking",
    ToolStart: "tool_start",
    ToolEnd: "tool_end",
    Source: "source",
    File: "file",
    Custom: "custom",
    Input: "input",
    Done: "done",
    Failed: "error",
    Gap: "gap",
}


def encode(event: Event) -> str:
    """The event's `data:` as JSON text: one line, valid UTF-8, no NaN, whatever the agent sent."""
    match event:
        case Message(content) | Thinking(content):
            return '{"content":' + portable(encode_basestring(content)) + "}"
        case Start(run_id, session_id):
            return dumps({"run_id": run_id, "session_id": session_id})
        case ToolStart(id, tool, args):
            return dumps({"id": id, "tool": tool, "args": args})
        case ToolEnd(id, tool, result, error):
            outcome = {"result": result} if error is None else {"error": error}
            return dumps({"id": id, "tool": tool, **outcome})
        case Source(url, title):
            return dumps(_present({"url": url, "title": title}))
        case File(mime_type, url, data, filename):
            where = {"url": url, "data": data}
            return dumps(_present({**where, "mimeType": mime_type, "filename": filename}))
        case Custom(value, name):
            return dumps({"value": value} if name is None else {"name": name, "value": value})
        case Input():
            return dumps(input_fields(event))
        case Done(status, usage, inputs):
            end = _present({"status": status, "usage": usage})
            return dumps({**end, "inputs": [input_fields(i) for i in inputs]} if inputs else end)
        case Failed(problem):
            return dumps(problem)
        case Gap(first, last):
            return dumps({"from": first, "to": last})


def input_fields(question: Input) -> dict[str, JSON]:
    """A question as JSON has it, in events, replies and problem documents alike."""
    tool = question.tool and {
        "id": question.tool.id,
        "name": question.tool.name,
        "args": question.tool.args,
    }
    return _present(
        {
            "id": question.id,
            "kind": question.kind,
            "message": question.message,
            "tool": tool,
            "schema": question.schema,
            "value": question.value,
            "expires_at": question.expires_at,
        }
    )


def input_of(fields: Mapping[str, JSON]) -> Input:
    """The question that `input_fields` wrote."""
    tool = fields.get("tool")
    return Input(
        id=fields["id"],
        kind=fields["kind"],
        message=fields.get("message"),
        tool=None if tool is None else ToolUse(tool["id"], tool["name"], tool["args"]),
        schema=fields.get("schema"),
        value=fields.get("value"),
        expires_at=fields.get("expires_at"),
    )


def given_args(args: JSON) -> JSON:
    """A call's arguments for clients, which read members of them: none are an empty object."""
    return {} if args is None else args


def _present(fields: dict[str, JSON]) -> dict[str, JSON]:
    return {name: value for name, value in fields.items() if value is not None}


def decode(name: str, data: str) -> Event:
    """The event that `encode` rendered. Raises `ValueError` for a name that is none of ours."""
    fields = loads(data)
    make = _DECODERS.get(name)
    if make is None:
        raise ValueError(f"unknown event {name!r}")
    return make(fields)


_DECODERS: Mapping[str, Callable[[dict[str, JSON]], Event]] = {
    "start": lambda f: Start(f["run_id"], f["session_id"]),
    "message": lambda f: Message(f["content"]),
    "thinking": lambda f: Thinking(f["content"]),
    "tool_start": lambda f: ToolStart(f["id"], f["tool"], f["args"]),
    "tool_end": lambda f: ToolEnd(f["id"], f["tool"], f.get("result"), f.get("error")),
    "source": lambda f: Source(f["url"], f.get("title")),
    "file": lambda f: File(f["mimeType"], f.get("url"), f.get("data"), f.get("filename")),
    "custom": lambda f: Custom(f["value"], f.get("name")),
    "input": lambda f: input_of(f),
    "done": lambda f: Done(
        f["status"], f.get("usage"), tuple(input_of(item) for item in f.get("inputs", ()))
    ),
    "error": Failed,
    "gap": lambda f: Gap(f["from"], f["to"]),
}
