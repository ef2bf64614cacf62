"""The `input` of OpenAI's Responses, in our own shapes.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-input. It is text,
or a list of items: messages, calls and their outputs, answers to approvals, and references to what
an earlier response has said, which name the run that said it. As in chat completions, all user
messages behind the assistant's last word are the new message.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bff.api.foreign_messages import MAX_MESSAGES, Field, checked_message, string_of
from bff.api.openai.messages import arguments_of, parts_of
from bff.errors import Invalid, NotFound
from bff.events import JSON, dumps
from bff.messages import Answer, ChatMessage, TextPart, ToolCall, text_of

_RESPONSE_ID = re.compile(r"resp_([0-9a-f]{1,64})")
_ITEM_ID = re.compile(r"(?:msg|rs|fc|mcp|mcpr|ig)_([0-9a-f]{1,64})_[A-Za-z0-9_-]+")
_APPROVAL_ID = re.compile(r"mcpr_([0-9a-f]{1,64})_([A-Za-z0-9_-]+)")

_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_CLIENTS = ("user", "system", "mcp_approval_response")
"""What does not end the assistant's turn; everything else is the assistant's or a tool's word."""
_UNDERSTOOD = (
    "assistant",
    "item_reference",
    "reasoning",
    "mcp_call",
    "mcp_list_tools",
    "mcp_approval_request",
    "image_generation_call",
    *_CLIENTS,
    *_CALLS,
    *_OUTPUTS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseInput:
    """What an input says.

    `answered` are its `answers` as the items they came in, `asked_by` is the run whose approvals
    they are, `behind` the run whose answer it refers to and goes on from.
    """

    before: tuple[ChatMessage, ...]
    new: tuple[ChatMessage, ...]
    answers: tuple[Answer, ...]
    answered: Sequence[JSON]
    asked_by: str | None
    behind: str | None
    ignored: Sequence[str]


def response_id(run_id: str) -> str:
    return f"resp_{run_id.removeprefix('run_')}"


def run_of_response(id: str) -> str | None:
    """The run that a response's id names; None for what is no such id."""
    found = _RESPONSE_ID.fullmatch(id)
    return found and f"run_{found[1]}"


def approval_id(run_id: str, input_id: str) -> str:
    """A question's id as an item's, which names the run that asked as all items' do."""
    told = base64.urlsafe_b64encode(input_id.encode()).rstrip(b"=").decode()
    return f"mcpr_{run_id.removeprefix('run_')}_{told}"


def _input_id(approval: str) -> str:
    """The question that an approval's id names; any other id is taken as it is."""
    if found := _APPROVAL_ID.fullmatch(approval):
        text = found[2]
        try:
            return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        except (binascii.Error, ValueError):
            pass
    return approval


def _asked_by(answered: Sequence[JSON]) -> str | None:
    """The run that the approvals' ids name."""
    for item in answered:
        approval = item.get("approval_request_id") if isinstance(item, dict) else None
        if found := _APPROVAL_ID.fullmatch(str(approval)):
            return f"run_{found[1]}"
    return None


def read_input(value: JSON, *, instructions: JSON = None) -> ResponseInput:
    """Read an input. Raises `Invalid` for what is wrong with its new message, `NotFound` for a
    reference that names nothing of ours."""
    items = _items(value)
    kinds = [_kind(index, item) for index, item in enumerate(items)]
    spoken = [index for index, kind in enumerate(kinds) if kind not in _CLIENTS]
    end = max(spoken, default=-1)
    called = max((index for index in spoken if kinds[index] not in _OUTPUTS), default=-1)
    known, behind = _referred(items, kinds)
    before = _instructions(instructions)
    new: list[ChatMessage] = []
    for index, (kind, item) in enumerate(zip(kinds, items, strict=True)):
        if kind == "user" and index > end:
            field = Field(f"input.{index}.content", judged=True)
            parts = checked_message(field.name, tuple(parts_of(field, item.get("content"))))
            new.append(ChatMessage(role="user", parts=parts))
        elif kind == "system" or index > known:
            _add(before, kind, item)
    answers: list[Answer] = []
    answered: list[JSON] = []
    for index in range(called + 1, len(items)):
        if answer := _answer(f"input.{index}", kinds[index], items[index]):
            answers.append(answer)
            answered.append(items[index])
    return ResponseInput(
        before=tuple(before),
        new=tuple(new),
        answers=tuple(answers),
        answered=answered,
        asked_by=_asked_by(answered),
        behind=behind,
        ignored=[f"input.{kind}" for kind in dict.fromkeys(kinds) if kind not in _UNDERSTOOD],
    )


def _items(value: JSON) -> list[dict[str, Any]]:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_MESSAGES:
        raise Invalid.of("input", f"must be text, or a list of 1 to {MAX_MESSAGES:,} items")
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise Invalid.of(f"input.{index}", "must be an object")
    return value


def _kind(index: int, item: dict[str, Any]) -> str:
    """What an item is: a message's role, else its type. Raises `Invalid`."""
    kind = item.get("type", "message")
    if kind != "message":
        if not isinstance(kind, str):
            raise Invalid.of(f"input.{index}.type", "must be text")
        return kind
    match item.get("role"):
        case "developer" | "system":
            return "system"
        case "user" | "assistant" as role:
            return str(role)
    raise Invalid.of(f"input.{index}.role", "must be user, assistant, system or developer")


def _referred(items: list[dict[str, Any]], kinds: list[str]) -> tuple[int, str | None]:
    """The last item that refers to a run of ours, and the run. Raises `NotFound`."""
    unknown: int | None = None
    for index in reversed(range(len(items))):
        if kinds[index] == "item_reference":
            if found := _ITEM_ID.fullmatch(str(items[index].get("id"))):
                return index, f"run_{found[1]}"
            unknown = index
    if unknown is not None:
        message = "names no item of a response of this service"
        raise NotFound.of(f"input.{unknown}.id", message)
    return -1, None


def _instructions(instructions: JSON) -> list[ChatMessage]:
    match instructions:
        case None | "" | []:
            return []
        case str():
            return [ChatMessage(role="system", parts=(TextPart(instructions),))]
        case list():
            found: list[ChatMessage] = []
            for item in instructions:
                if isinstance(item, dict) and isinstance(item.get("role"), str):
                    _add(found, "system", item)
            return found
    raise Invalid.of("instructions", "must be text, or a list of items")


def _add(messages: list[ChatMessage], kind: str, item: dict[str, Any]) -> None:
    """Add an item of what was said before, as far as it can be read."""
    field = Field("", judged=False)
    match kind:
        case "user" | "assistant" | "system":
            parts = tuple(parts_of(field, item.get("content")))
            messages.append(ChatMessage(role=kind, parts=parts))
        case "function_call" | "custom_tool_call":
            id, name = string_of(item, "call_id"), string_of(item, "name")
            if id and name:
                args = item.get("input") if kind == "custom_tool_call" else item.get("arguments")
                call = ToolCall(id, name, arguments_of(args))
                if messages and messages[-1].role == "assistant":
                    last = messages.pop()
                    messages.append(replace(last, tool_calls=(*last.tool_calls, call)))
                else:
                    messages.append(ChatMessage(role="assistant", tool_calls=(call,)))
        case "function_call_output" | "custom_tool_call_output":
            if id := string_of(item, "call_id"):
                text = TextPart(_output(item.get("output")))
                messages.append(ChatMessage(role="tool", parts=(text,), tool_call_id=id))


def _answer(field: str, kind: str, item: dict[str, Any]) -> Answer | None:
    """What an item answers: a call of the client's own, or an approval. Raises `Invalid`."""
    if kind in _OUTPUTS:
        id = string_of(item, "call_id")
        if id is None:
            raise Invalid.of(f"{field}.call_id", "required")
        return Answer(id, payload=_output(item.get("output")))
    if kind != "mcp_approval_response":
        return None
    id, approve = string_of(item, "approval_request_id"), item.get("approve")
    if id is None:
        raise Invalid.of(f"{field}.approval_request_id", "required")
    if not isinstance(approve, bool):
        raise Invalid.of(f"{field}.approve", "must be true or false")
    return Answer(_input_id(id), approved=approve, reason=string_of(item, "reason"))


def _output(output: JSON) -> str:
    """What a tool gave, as text."""
    match output:
        case str():
            return output
        case list():
            return text_of(parts_of(Field("", judged=False), output)) or dumps(output)
    return dumps(output)
