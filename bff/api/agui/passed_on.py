"""Events of an AG-UI agent's own, for its clients: as they are, where their version has them.

Clients check every event against their version's schema and throw at the first that does not fit.
What would not fit is a CUSTOM event under its own name, so that nothing is lost. Agents in Python
may write names in snake case and null for what is not there: clients take neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bff.api.agui.parts import content_for, parts_of
from bff.api.agui.versions import ACTIVITIES, FIRST, REASONING, SUBAGENTS, Version
from bff.api.foreign_messages import Field
from bff.events import JSON, dumps
from bff.messages import part_fields, text_of

Fields = dict[str, Any]


class PassedOn:
    """The agent's own events of one run. Clients throw where steps and subagents do not pair."""

    def __init__(self, version: Version) -> None:
        self._version = version
        self._open: dict[tuple[str, str], Fields] = {}
        """What has begun, each with the event that would end it."""
        self._subagents: set[str] = set()

    def event(self, name: str | None, value: JSON) -> Fields:
        """The event that an agent's frame is to a client."""
        event = own_event(name, value, self._version)
        kind, _, step = event["type"].rpartition("_")
        if kind not in ("STEP", "SUBAGENT") or self._pairs(kind, step, event):
            return event
        return {"type": "CUSTOM", "name": name, "value": value}

    def _pairs(self, kind: str, step: str, event: Fields) -> bool:
        id = event["subagentRunId"] if kind == "SUBAGENT" else _name_of_step(event)
        if step != "STARTED":
            return self._open.pop((kind, id), None) is not None
        if (kind, id) in self._open or id in self._subagents:
            return False
        if kind == "SUBAGENT":
            self._subagents.add(id)
        names = ("stepName", "subagentRunId")
        kept = {name: event[name] for name in names if name in event}
        self._open[kind, id] = {"type": f"{kind}_FINISHED", **kept}
        return True

    def close(self) -> list[Fields]:
        """The ends of what is still open, the last first."""
        ends = list(self._open.values())[::-1]
        self._open.clear()
        return ends


def _name_of_step(event: Fields) -> str:
    return dumps([event.get("subagentRunId"), event["stepName"]])


def own_event(name: str | None, value: JSON, version: Version) -> Fields:
    """The event that an agent's frame is to a client."""
    if name is not None and name.isupper():
        event = _own(name, value, version)
        if event is not None:
            return {"type": name, **event}
    return {"type": "CUSTOM", "name": name or "custom", "value": value}


def _own(name: str, value: JSON, version: Version) -> Fields | None:
    """The event's fields; None where this version has no such event, or it would not fit."""
    match name, value:
        case "STATE_SNAPSHOT", _:
            return {"snapshot": value}
        case "STATE_DELTA", list():
            return {"delta": value} if version < FIRST or _is_patch(value) else None
        case "MESSAGES_SNAPSHOT", list():
            shown = (_message(item, version) for item in value)
            return {"messages": [message for message in shown if message is not None]}
        case (("ACTIVITY_SNAPSHOT" | "ACTIVITY_DELTA"), dict()) if version >= ACTIVITIES:
            return _activity(name, _camel(value), version)
        case "RAW", {"event": _}:
            return _camel(value)
        case (("STEP_STARTED" | "STEP_FINISHED"), dict()):
            event = _camel(value)
            return event if isinstance(event.get("stepName"), str) else None
        case (("SUBAGENT_STARTED" | "SUBAGENT_FINISHED" | "SUBAGENT_ERROR"), dict()):
            event = _camel(value)
            known = version >= SUBAGENTS and isinstance(event.get("subagentRunId"), str)
            needed = {"SUBAGENT_STARTED": "name", "SUBAGENT_ERROR": "message"}.get(name)
            return (
                event if known and isinstance(event.get(needed or "subagentRunId"), str) else None
            )
    return None


def _activity(name: str, event: Fields, version: Version) -> Fields | None:
    named = isinstance(event.get("messageId"), str) and isinstance(event.get("activityType"), str)
    if name == "ACTIVITY_SNAPSHOT":
        return event if named and isinstance(event.get("content"), dict) else None
    patch = event.get("patch")
    fits = isinstance(patch, list) and (version < FIRST or _is_patch(patch))
    return event if named and fits else None


def _camel(fields: Mapping[str, Any]) -> Fields:
    """The fields as the protocol writes them, without those that are not there."""
    return {
        _SNAKE.sub(lambda found: found[1].upper(), name): value
        for name, value in fields.items()
        if value is not None
    }


_SNAKE = re.compile(r"(?<=[a-z])_([a-z])")


def _is_patch(operations: Sequence[JSON]) -> bool:
    """Whether this is JSON Patch (RFC 6902), as clients since 1.0 check it."""
    return all(_is_operation(operation) for operation in operations)


def _is_operation(operation: JSON) -> bool:
    match operation:
        case {"op": "add" | "replace" | "test", "path": path, "value": _}:
            return _is_pointer(path)
        case {"op": "remove", "path": path}:
            return _is_pointer(path)
        case {"op": "move" | "copy", "from": source, "path": path}:
            return _is_pointer(path) and _is_pointer(source)
    return False


def _is_pointer(path: JSON) -> bool:
    return isinstance(path, str) and _POINTER.fullmatch(path) is not None


_POINTER = re.compile(r"(/([^/~]|~[01])*)*")


# Messages of a snapshot


def _message(item: JSON, version: Version) -> Fields | None:
    """A message of the agent's; None for what is none, or of a kind that the version lacks."""
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return None
    message = _camel(item)
    content = message.get("content")
    match message.get("role"):
        case "user":
            return {**message, "content": _content(content, version)}
        case "assistant":
            calls = [call for call in _list(message.get("toolCalls")) if _is_call(call)]
            shown = {n: v for n, v in message.items() if n not in ("content", "toolCalls")}
            if content is not None:
                shown["content"] = _text(content)
            return {**shown, "toolCalls": [_camel(call) for call in calls]} if calls else shown
        case "tool":
            told = content if version >= FIRST and isinstance(content, list) else _text(content)
            return (
                {**message, "content": told} if isinstance(message.get("toolCallId"), str) else None
            )
        case "system" | "developer":
            return {**message, "content": _text(content)}
        case "reasoning" if version >= REASONING:
            return {**message, "content": _text(content)}
        case "activity" if version >= ACTIVITIES:
            fits = isinstance(message.get("activityType"), str) and isinstance(content, dict)
            return message if fits else None
    return None


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


def _is_call(call: JSON) -> bool:
    match call:
        case {"id": str(), "type": "function", "function": {"name": str(), "arguments": str()}}:
            return True
    return False


def _text(content: JSON) -> str:
    """Content where the protocol has text only."""
    if isinstance(content, str):
        return content
    return text_of(parts_of(Field("", judged=False), _list(content)))


def _content(content: JSON, version: Version) -> JSON:
    if not isinstance(content, list):
        return _text(content)
    if version >= FIRST:
        return [_camel(part) for part in content if _is_part(part)]
    parts = parts_of(Field("", judged=False), content)
    return content_for([part_fields(part) for part in parts], version)


def _is_part(part: JSON) -> bool:
    match part:
        case {"type": "text", "text": str()}:
            return True
        case {
            "type": "image" | "audio" | "video" | "document",
            "source": {"type": "data", "value": str(), "mimeType": str()}
            | {"type": "url" | "file", "value": str()},
        }:
            return True
    return False
