"""The AI SDK's UI messages in our own shapes, and a chat of ours as such messages.

https://ai-sdk.dev/docs/reference/ai-sdk-core/ui-message. A page answers a question by sending the
assistant's message back, last of all, with the state of a tool part changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bff.api.foreign_messages import (
    Field,
    checked_message,
    file_at,
    kind_of,
    list_of_messages,
    placed,
    string_of,
    text_at,
)
from bff.errors import Invalid
from bff.events import JSON, Input, ToolUse, dumps, given_args, input_of, well_formed
from bff.files.stored import content_path
from bff.history import StoredMessage
from bff.messages import (
    Answer,
    ChatMessage,
    ClientTool,
    Conversation,
    FilePart,
    Part,
    TextPart,
    ToolCall,
)


class Said(NamedTuple):
    """What a page says.

    `continues` is the id of the message of ours that its answers go on with. `results` are what it
    settled in our last message before the user's new one. `ignored` are the kinds of parts of that
    one that no agent is told.
    """

    conversation: Conversation
    continues: str | None = None
    results: tuple[Answer, ...] = ()
    ignored: tuple[str, ...] = ()


def conversation_of(messages: JSON, *, system: JSON = None, **fields: Any) -> Said:
    """Read a page's messages; raises `Invalid` for what is wrong with the new one."""
    items = list_of_messages(messages)
    roles = [_role(index, item) for index, item in enumerate(items)]
    last = max((i for i, role in enumerate(roles) if role == "assistant"), default=-1)
    before = [
        message
        for index, item in enumerate(items)
        if index <= last or roles[index] == "system"
        for message in _messages(Field(f"messages.{index}", judged=False), roles[index], item)
    ]
    new = [
        message
        for index in range(last + 1, len(items))
        if roles[index] == "user"
        for message in _messages(Field(f"messages.{index}", judged=True), "user", items[index])
    ]
    if isinstance(system, str) and system:
        before.insert(0, ChatMessage(role="system", parts=(TextPart(well_formed(system)),)))
    settled = tuple(_answers(items[last])) if last >= 0 else ()
    if new:
        conversation = Conversation(before=tuple(before), new=tuple(new), **fields)
        return Said(conversation, results=settled, ignored=_ignored(items[last + 1 :]))
    conversation = Conversation(before=tuple(before), answers=settled, **fields)
    return Said(conversation, continues=string_of(items[last], "id") if last >= 0 else None)


def _ignored(messages: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    parts = [
        part for item in messages for part in item.get("parts") or () if item.get("role") == "user"
    ]
    kinds = dict.fromkeys(str(part.get("type")) for part in parts if isinstance(part, dict))
    return tuple(f"parts.{kind}" for kind in kinds if kind not in ("text", "file"))


def _role(index: int, item: JSON) -> str:
    role = item.get("role") if isinstance(item, dict) else None
    if role not in ("user", "assistant", "system"):
        raise Invalid.of(f"messages.{index}.role", "must be user, assistant or system")
    return str(role)


def _messages(field: Field, role: str, item: dict[str, Any]) -> Iterator[ChatMessage]:
    """A message of theirs; with the results of its tools, which are messages of their own here."""
    place = field.at("parts")
    parts = item.get("parts")
    if not isinstance(parts, list):
        place.refuse("must be a list of parts")
        parts = []
    found: list[Part] = []
    calls: list[ToolCall] = []
    results: list[ChatMessage] = []
    for index, part in enumerate(parts):
        match part:
            case {"type": "text", "text": text}:
                if said := text_at(place.at(index), text):
                    found.append(TextPart(said))
            case {"type": "file"}:
                if file := _file(place.at(index), part):
                    found.append(placed(place.at(index), file))
            case {"type": str(type), "toolCallId": str(call)} if _is_tool(type):
                calls.append(ToolCall(call, _tool_name(part), part.get("input")))
                if (told := _result(part)) is not None:
                    words = (TextPart(told),)
                    results.append(ChatMessage(role="tool", tool_call_id=call, parts=words))
            case _:
                pass
    id = string_of(item, "id")
    match role:
        case "user":
            said_parts = checked_message(place.name, tuple(found)) if field.judged else tuple(found)
            yield ChatMessage(role="user", parts=said_parts, id=id)
        case "system":
            yield ChatMessage(role="system", parts=tuple(found))
        case _:
            yield ChatMessage(role="assistant", parts=tuple(found), id=id, tool_calls=tuple(calls))
            yield from results


def _is_tool(type: str) -> bool:
    return type == "dynamic-tool" or type.startswith("tool-")


def _tool_name(part: Mapping[str, Any]) -> str:
    name = part.get("toolName")
    return name if isinstance(name, str) else str(part["type"]).removeprefix("tool-")


def _result(part: Mapping[str, Any]) -> str | None:
    """What a tool part holds as its outcome, as text."""
    match part:
        case {"state": "output-available", "output": output}:
            return output if isinstance(output, str) else dumps(output)
        case {"state": "output-error", "errorText": str(text)}:
            return text
    return None


def _file(field: Field, part: Mapping[str, Any]) -> FilePart | None:
    mime_type = string_of(part, "mediaType")
    filename = string_of(part, "filename")
    return file_at(field.at("url"), part.get("url"), mime_type=_whole(mime_type), filename=filename,
                   kind=kind_of(mime_type) if mime_type else None)  # fmt: skip


def _whole(mime_type: str | None) -> str | None:
    """A MIME type; None for the half of one that v7 may send."""
    return mime_type if mime_type and "/" in mime_type else None


def _answers(item: Mapping[str, Any]) -> Iterator[Answer]:
    """What the page answers in the last step of our message."""
    parts = [part for part in item.get("parts") or () if isinstance(part, dict)]
    steps = [index for index, part in enumerate(parts) if part.get("type") == "step-start"]
    for part in parts[steps[-1] if steps else 0 :]:
        match part:
            case {
                "state": "approval-responded",
                "approval": {"id": str(id), "approved": bool(yes)},
            }:
                yield Answer(id, approved=yes, reason=string_of(part["approval"], "reason"))
            case {"state": "output-available", "toolCallId": str(id)}:
                if part.get("providerExecuted") is not True:
                    yield Answer(id, payload=part.get("output"))
            case {"state": "output-error", "toolCallId": str(id)}:
                if part.get("providerExecuted") is not True:
                    yield Answer(id, "cancelled", payload=part.get("errorText"))


def client_tools(tools: JSON) -> tuple[ClientTool, ...]:
    """The page's own tools: by name, as assistant-ui sends them, or in a list."""
    match tools:
        case dict():
            found = [(name, tool) for name, tool in tools.items() if isinstance(tool, dict)]
        case list():
            found = [(tool.get("name"), tool) for tool in tools if isinstance(tool, dict)]
        case _:
            found = []
    return tuple(
        ClientTool(
            name, string_of(tool, "description"), tool.get("parameters", tool.get("inputSchema"))
        )
        for name, tool in found
        if isinstance(name, str)
    )


# A chat of ours as UI messages


def ui_messages(messages: Sequence[StoredMessage], inputs: Sequence[JSON]) -> list[dict[str, Any]]:
    """The chat from its beginning; a run that answered questions goes on with their message."""
    shown: list[dict[str, Any]] = []
    by_run: dict[str, dict[str, Any]] = {}
    for message in messages:
        asked = by_run.get(message.continues or "")
        if message.role == "user":
            if asked is None:
                shown.append(_user(message))
            continue
        if asked is not None:
            calls = _take_results(asked, message)
            asked["parts"] += _assistant_parts(message, calls)
            by_run[message.run_id] = asked
            continue
        by_run[message.run_id] = {
            "id": message.run_id,
            "role": "assistant",
            "metadata": {"runId": message.run_id},
            "parts": _assistant_parts(message, message.tool_calls),
        }
        shown.append(by_run[message.run_id])
    if inputs and shown and shown[-1]["role"] == "assistant":
        _ask(shown[-1], [input_of(question) for question in inputs])
    return shown


def _user(message: StoredMessage) -> dict[str, Any]:
    parts = [_part(part) for part in message.parts] or [{"type": "text", "text": message.content}]
    return {"id": f"{message.run_id}-user", "role": "user", "parts": parts}


def _assistant_parts(
    message: StoredMessage, calls: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "step-start"}]
    parts += [_tool_part(call) for call in calls]
    if message.content:
        parts.append({"type": "text", "text": message.content, "state": "done"})
    sources = enumerate(message.parts, start=1)
    parts += [_part(part, f"{message.run_id}-{number}") for number, part in sources]
    return parts


def _tool_part(call: Mapping[str, Any]) -> dict[str, Any]:
    part = {
        "type": "dynamic-tool",
        "toolName": call["tool"],
        "toolCallId": call["id"],
        "input": given_args(call["args"]),
        "providerExecuted": True,
    }
    if "error" in call:
        return {**part, "state": "output-error", "errorText": call["error"]}
    return {**part, "state": "output-available", "output": call.get("result", "")}


def _part(part: Mapping[str, Any], id: str = "") -> dict[str, Any]:
    """A part of a stored message: text, a file, or a source."""
    match part:
        case {"type": "text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": "source", "url": url}:
            title = {"title": part["title"]} if "title" in part else {}
            return {"type": "source-url", "sourceId": id, "url": url, **title}
        case {"source": {"type": kind, "value": value} as source}:
            mime_type = source.get("mimeType", f"{part['type']}/*")
            url = {
                "data": f"data:{mime_type};base64,{value}",
                "file": content_path(value),
            }.get(kind, value)
            name = {"filename": part["filename"]} if "filename" in part else {}
            return {"type": "file", "mediaType": mime_type, "url": url, **name}
    return {"type": "data-part", "data": dict(part)}


def _take_results(asked: dict[str, Any], message: StoredMessage) -> list[Mapping[str, Any]]:
    """Give calls that an earlier run told their results; the calls that are left are new."""
    told = {part.get("toolCallId"): part for part in asked["parts"]}
    rest: list[Mapping[str, Any]] = []
    for call in message.tool_calls:
        if (part := told.get(call["id"])) is not None:
            part.clear()  # a part with an output and an error is none
            part.update(_tool_part(call))
        else:
            rest.append(call)
    return rest


def _ask(shown: dict[str, Any], questions: Sequence[Input]) -> None:
    """Show open questions as the tool parts that they are asked in."""
    for question in questions:
        call = call_of(question)
        shown["parts"] = [p for p in shown["parts"] if p.get("toolCallId") != call.id]
        part: dict[str, Any] = {"toolCallId": call.id, "input": given_args(call.args)}
        if question.kind == "tool":
            part = {"type": f"tool-{call.name}", **part}
        else:
            part = {"type": "dynamic-tool", "toolName": call.name, **part}
        if question.kind == "approval":
            part |= {"state": "approval-requested", "approval": {"id": question.id}}
        else:
            part["state"] = "input-available"
        shown["parts"].append(part)


def call_of(question: Input) -> ToolUse:
    """The call in which a page is asked: the one in question, or one that stands for it."""
    if question.tool is not None:
        return question.tool
    given = {"message": question.message, "schema": question.schema, "value": question.value}
    args = {name: value for name, value in given.items() if value is not None}
    return ToolUse(question.id, question.kind, args)
