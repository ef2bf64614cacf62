"""What agents write into their sessions themselves, as messages; pure.

Plain conversational text, Strands' session manager with a JSON dump of each message, LangGraph's
checkpointer with blobs that are no message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bff.events import dumps
from bff.history import StoredMessage, Turn
from bff.history.agentcore.events import Event, stamp


@dataclass(frozen=True, slots=True)
class Group:
    """Messages that belong together, with what orders them among others; of a run, its turn."""

    at: float
    id: str
    messages: Sequence[StoredMessage]
    turn: Turn | None = None


@dataclass(slots=True)
class AgentMessages:
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
