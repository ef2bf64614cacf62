"""AG-UI's messages in our own shapes (https://docs.ag-ui.com/concepts/messages).

A message keeps what the client sent in `as_sent`, for agents of the protocol: they tell messages
apart by their ids and know fields that nobody here has a use for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bff.api.agui.ids import agents_id
from bff.api.agui.parts import parts_of
from bff.api.foreign_messages import Field, checked_message, string_of
from bff.api.openai.messages import arguments_of
from bff.errors import Invalid
from bff.events import JSON
from bff.messages import Answer, ChatMessage, Role, ToolCall, only_text, text_of

_ROLES: Mapping[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
}
"""Any other is known to agents of the protocol alone: reasoning, activity, and what may come."""
_NO_WORDS = ("user", "system")
"""Roles behind which there can still be a new message: instructions are nobody's answer."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the messages of a request say.

    `results` are those of tools that stand last, each of which may be an answer. `calls` are the
    ids that the client knows the agent's calls without a result by.
    """

    before: tuple[ChatMessage, ...] = ()
    new: tuple[ChatMessage, ...] = ()
    results: tuple[Answer, ...] = ()
    calls: Mapping[str, str] = field(default_factory=dict)


def read_messages(items: Sequence[JSON]) -> Said:
    """What is behind the last message that is not the user's is new, and judged.

    Raises `Invalid` for what is wrong with it.
    """
    roles = [_role(item) for item in items]
    if items and roles[-1] is None:
        raise Invalid.of(f"messages.{roles.index(None)}.role", "required")
    end = max((i for i, role in enumerate(roles) if role not in _NO_WORDS), default=-1)
    called = max((i for i, role in enumerate(roles) if role == "assistant"), default=-1)
    calls: dict[str, str] = {}
    before: list[ChatMessage] = []
    new: list[ChatMessage] = []
    for index, (item, role) in enumerate(zip(items, roles, strict=True)):
        if role is None:
            continue
        is_new = index > end and role == "user"
        message = _message(Field(f"messages.{index}", judged=is_new), role, item, calls)
        (new if is_new else before).append(message)
    results = tuple(
        result
        for item, role in zip(items[called + 1 : end + 1], roles[called + 1 : end + 1], strict=True)
        if role == "tool" and (result := _result(item)) is not None
    )
    return Said(tuple(before), tuple(new), results, calls)


def _role(item: JSON) -> str | None:
    """A message's role, ours where there is one; None for what is no message."""
    role = item.get("role") if isinstance(item, dict) else None
    return _ROLES.get(role, role) if isinstance(role, str) else None


def _message(field: Field, role: str, item: dict[str, Any], calls: dict[str, str]) -> ChatMessage:
    content = item.get("content")
    id = string_of(item, "id")
    match role:
        case "user" | "system":
            place = field.at("content")
            parts = tuple(parts_of(place, content))
            if field.judged:
                parts = checked_message(place.name, parts)
            return ChatMessage(role=_ROLES[role], parts=parts, id=id, as_sent=item)
        case "assistant":
            told = tuple(_calls(item.get("toolCalls"), calls))
            return ChatMessage(
                role="assistant",
                parts=tuple(parts_of(field, content)) if content else (),
                id=id,
                tool_calls=told,
                as_sent=_with_agents_ids(item) if told else item,
            )
        case "tool":
            known = string_of(item, "toolCallId")
            called = agents_id(known) if known else None
            calls.pop(called or "", None)
            return ChatMessage(
                role="tool",
                parts=tuple(parts_of(field, content)) if content else (),
                id=id,
                tool_call_id=called,
                as_sent=item,
            )
    return ChatMessage(role="other", id=id, as_sent=item)


def _calls(items: JSON, calls: dict[str, str]) -> Iterator[ToolCall]:
    """An assistant's calls, as far as they can be read; what the client knows them by is noted."""
    for item in items if isinstance(items, list) else ():
        match item:
            case {"id": str(known), "function": {"name": str(name), **function}}:
                id = agents_id(known)
                calls[id] = known
                yield ToolCall(id, name, arguments_of(function.get("arguments")))


def _with_agents_ids(item: dict[str, Any]) -> dict[str, Any]:
    """The message with the ids that the agent itself gave its calls."""
    return {
        **item,
        "toolCalls": [
            {**call, "id": agents_id(call["id"])}
            if isinstance(call, dict) and isinstance(call.get("id"), str)
            else call
            for call in item["toolCalls"]
        ],
    }


def _result(item: dict[str, Any]) -> Answer | None:
    """A tool's message as the answer that it may be."""
    id = string_of(item, "toolCallId")
    if id is None:
        return None
    if error := string_of(item, "error"):
        return Answer(agents_id(id), "cancelled", payload=error, is_result=True)
    content = item.get("content")
    parts = tuple(parts_of(Field("", judged=False), content)) if content else ()
    payload = text_of(parts) if only_text(parts) else content
    return Answer(agents_id(id), payload=payload, is_result=True)
