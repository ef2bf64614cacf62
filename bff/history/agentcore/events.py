"""What the sessions of an AgentCore Memory hold, read as a conversation; pure.

A turn of ours is one event (several if it is large): the question and the answer as conversational
payloads, which the memory's own strategies understand, tool calls as a blob, the rest as metadata.
Agents write to the same sessions in their own ways: plain conversational text, Strands' session
manager with a JSON dump of each message, LangGraph's checkpointer with blobs that are no message.
RunRequest is made here, since the service promises none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bff.events import dumps, well_formed
from bff.history import StoredMessage, Turn
from bff.history.paging import messages_of

Event = Mapping[str, Any]
"""An event as ListEvents answers it."""

TEXT_CHARACTERS = 9000
"""What one conversational payload takes in the service model that aioboto3 knows; since raised."""
EVENT_ITEMS = 100
EVENT_BYTES = 700_000
"""Less than the 10 MB the service takes: aiohttp warns of a blocked loop over 1 MiB."""

_METADATA = re.compile(r"[a-zA-Z0-9\s._:/=+@-]{0,256}")


@dataclass(frozen=True, slots=True)
class Group:
    """Messages that belong together, with what orders them among others."""

    at: float
    id: str
    messages: Sequence[StoredMessage]


def turn_events(turn: Turn) -> list[tuple[list[Any], dict[str, Any]]]:
    """Payload and metadata of the events that hold a turn. Raises `ValueError` for ids it can't."""
    calls = dumps(list(turn.tool_calls)) if turn.tool_calls else ""
    items = [
        *(_conversational("USER", piece) for piece in _pieces(turn.message)),
        *(_conversational("ASSISTANT", piece) for piece in _pieces(turn.answer)),
        *({"blob": piece} for piece in _pieces(calls)),
    ]
    payloads: list[list[Any]] = [[]]
    room = EVENT_BYTES
    for item in items:
        size = len(json.dumps(item))
        if payloads[-1] and (size > room or len(payloads[-1]) == EVENT_ITEMS):
            payloads.append([])
            room = EVENT_BYTES
        payloads[-1].append(item)
        room -= size
    return [
        (
            payload,
            metadata(
                run=turn.run_id,
                session=turn.session_id,
                status=turn.status,
                asked=repr(float(turn.asked_at)),
                answered=repr(float(turn.answered_at)),
                part=f"{number} of {len(payloads)}",
            ),
        )
        for number, payload in enumerate(payloads)
    ]


def metadata(**values: str) -> dict[str, Any]:
    for name, value in values.items():
        if not _METADATA.fullmatch(value):
            raise ValueError(f"{name} is not what event metadata takes")
    return {f"bff.{name}": {"stringValue": value} for name, value in values.items()}


def mark(event: Event, name: str) -> str | None:
    """A value of our own metadata, None in what others wrote."""
    value: str | None = event.get("metadata", {}).get(f"bff.{name}", {}).get("stringValue")
    return value


def lean(event: Event) -> Event:
    """The event without what no reader needs: LangGraph's checkpoints, which grow with each turn.

    A blob of Strands' is a JSON list, one of LangGraph's an object.
    """
    if mark(event, "run"):
        return event
    kept = [
        item
        for item in event.get("payload", ())
        if "blob" not in item or str(item["blob"]).startswith("[")
    ]
    return {**event, "payload": kept}


def stamp(event: Event) -> int:
    """When it was written, in milliseconds. Ours say so themselves, in case it is rounded."""
    own = mark(event, "stamp")
    return int(own) if own else round(event["eventTimestamp"].timestamp() * 1000)


def _order(event: Event) -> tuple[int, int, str]:
    number, _, rest = event["eventId"].partition("#")
    return stamp(event), int(number) if number.isdecimal() else 0, rest


def _pieces(text: str) -> Iterator[str]:
    text = well_formed(text)
    return (text[at : at + TEXT_CHARACTERS] for at in range(0, len(text), TEXT_CHARACTERS))


def _conversational(role: str, text: str) -> dict[str, Any]:
    return {"conversational": {"role": role, "content": {"text": text}}}


def conversation(events: Sequence[Event]) -> list[Group]:
    """The messages in a session's events, in order, whatever order the events came in."""
    ours: dict[str, dict[str, Event]] = {}
    agents = _AgentMessages()
    for event in sorted(events, key=_order):
        if run_id := mark(event, "run"):
            # the same part twice is the same call repeated: the first one counts
            ours.setdefault(run_id, {}).setdefault(mark(event, "part") or "", event)
        else:
            agents.add(event)
    groups = agents.groups()
    for run_id, parts in ours.items():
        if turn := _turn(run_id, parts):
            groups.append(Group(turn.asked_at, run_id, messages_of(turn)))
    return sorted(groups, key=lambda group: (group.at, group.id))


def _turn(run_id: str, parts: Mapping[str, Event]) -> Turn | None:
    """The turn, if all of its parts have been written."""
    first = next(iter(parts.values()))
    count = int((mark(first, "part") or "").rpartition(" ")[2] or 1)
    whole = [parts[name] for n in range(count) if (name := f"{n} of {count}") in parts]
    if len(whole) < count:
        return None
    texts: dict[str, list[str]] = {"USER": [], "ASSISTANT": []}
    calls: list[str] = []
    for event in whole:
        for item in event.get("payload", ()):
            match item:
                case {"conversational": {"role": "USER" | "ASSISTANT" as role, "content": content}}:
                    texts[role].append(content.get("text", ""))
                case {"blob": str(piece)}:
                    calls.append(piece)
    return Turn(
        run_id=run_id,
        session_id=mark(first, "session") or "",
        message="".join(texts["USER"]),
        answer="".join(texts["ASSISTANT"]),
        status=mark(first, "status") or "complete",
        asked_at=float(mark(first, "asked") or 0),
        answered_at=float(mark(first, "answered") or 0),
        tool_calls=json.loads("".join(calls)) if calls else [],
    )


@dataclass(slots=True)
class _AgentMessages:
    """What agents wrote themselves. Strands splits an answer at its tool calls: it is joined."""

    _groups: list[Group] = field(default_factory=list)
    _calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    _open: bool = False
    """Whether the last message is an answer that Strands may go on with."""

    def groups(self) -> list[Group]:
        return self._groups

    def add(self, event: Event) -> None:
        for index, item in enumerate(event.get("payload", ())):
            match item:
                case {"conversational": {"role": role, "content": {"text": str(text)}}}:
                    if dumped := _strands(text):
                        self._add_dump(event, index, dumped)
                    elif role in ("USER", "ASSISTANT"):
                        self._append(event, index, role.lower(), text)
                        self._open = False
                case {"blob": str(text)}:
                    # a message too long for a conversational payload: [dump, role]
                    match _json(text):
                        case [str(dump), str()] if dumped := _strands(dump):
                            self._add_dump(event, index, dumped)

    def _add_dump(self, event: Event, index: int, message: Mapping[str, Any]) -> None:
        text: list[str] = []
        calls: list[dict[str, Any]] = []
        for block in message["content"]:
            match block:
                case {"text": str(words)}:
                    text.append(words)
                case {"toolUse": {"toolUseId": str(id), "name": str(name), **rest}}:
                    calls.append({"id": id, "tool": name, "args": rest.get("input", {})})
                case {"toolResult": {"toolUseId": str(id), **rest}} if id in self._calls:
                    outcome = "error" if rest.get("status") == "error" else "result"
                    self._calls[id][outcome] = _result(rest.get("content"))
        self._calls.update((call["id"], call) for call in calls)
        if message["role"] == "assistant":
            if self._open:
                self._extend("".join(text), calls)
            elif text or calls:
                self._append(event, index, "assistant", "".join(text), calls)
                self._open = True
        elif text:
            self._append(event, index, "user", "".join(text))
            self._open = False

    def _append(
        self, event: Event, index: int, role: Any, text: str, calls: Sequence[Any] = ()
    ) -> None:
        at = stamp(event) / 1000
        message = StoredMessage(role, text, event["eventId"], at, None, list(calls))
        # an event's items stay in their order, and the position stays a plain id
        self._groups.append(Group(at, f"{event['eventId']}.{index:03}", [message]))

    def _extend(self, text: str, calls: Sequence[Any]) -> None:
        group = self._groups[-1]
        (message,) = group.messages
        more = replace(
            message, content=message.content + text, tool_calls=[*message.tool_calls, *calls]
        )
        self._groups[-1] = replace(group, messages=[more])


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _strands(text: str) -> Mapping[str, Any] | None:
    """The message in a dump of Strands' SessionMessage, None for any other text."""
    if not text.startswith("{"):
        return None
    match _json(text):
        case {"message_id": _, "redact_message": {"content": list()} as message}:
            pass  # what was redacted is not shown
        case {"message_id": _, "message": {"content": list()} as message}:
            pass
        case _:
            return None
    return message if message.get("role") in ("user", "assistant") else None


def _result(content: Any) -> str:
    blocks = content if isinstance(content, list) else [content]
    return "\n".join(
        block["text"] if isinstance(block, dict) and "text" in block else dumps(block)
        for block in blocks
    )
