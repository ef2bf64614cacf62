"""OpenAI's messages, as chat completions send them, in our own shapes.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages. All user messages
behind the last assistant's are the new message, since some clients send a picture and its text as
two; results of tools that stand there are answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from bff.api.foreign_messages import (
    Field,
    checked_message,
    file_at,
    file_in,
    list_of_messages,
    parts_at,
    string_of,
    text_at,
)
from bff.errors import Invalid
from bff.events import JSON, dumps
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

NOTHING_SAID = "\n"
"""The text of a complete answer that has none: a picture alone, say.

Where text is missing or empty, some clients of chat completions and Responses call the agent again:
Pydantic AI, and OpenAI's Agents SDK for JavaScript, up to ten times. Transcripts are compared
without white space, so that it makes no difference there.
"""

_CLIENTS = ("user", "system")
"""Whose messages may stand behind the new one: any other role's is the last word, known or not."""


def conversation_of(messages: JSON, **fields: Any) -> Conversation:
    """What a list of messages says, and the conversation's other fields.

    Raises `Invalid` for what is wrong with its new message.
    """
    items = list_of_messages(messages)
    roles = [_role(index, item) for index, item in enumerate(items)]
    end = max((i for i, role in enumerate(roles) if role not in _CLIENTS), default=-1)
    called = max((i for i, role in enumerate(roles) if role == "assistant"), default=-1)
    before = [
        message
        for index, item in enumerate(items)
        if (index <= end or roles[index] == "system")
        and (message := _message(Field(f"messages.{index}", judged=False), roles[index], item))
    ]
    new = []
    for index in range(end + 1, len(items)):
        if roles[index] == "user":
            field = Field(f"messages.{index}", judged=True)
            if message := _message(field, "user", items[index]):
                new.append(message)
    answers = tuple(
        Answer(message.tool_call_id, payload=message.text)
        for index in range(called + 1, end + 1)
        if roles[index] == "tool"
        and (message := _message(Field("", judged=False), "tool", items[index]))
        and message.tool_call_id is not None
    )
    return Conversation(before=tuple(before), new=tuple(new), answers=answers, **fields)


def _role(index: int, item: JSON) -> str:
    """A message's role, `developer` being what `system` was before. Raises `Invalid`."""
    role = item.get("role") if isinstance(item, dict) else None
    if not isinstance(role, str):
        raise Invalid.of(f"messages.{index}.role", "required")
    return "system" if role == "developer" else role


def _message(field: Field, role: str, item: dict[str, Any]) -> ChatMessage | None:
    """One message; None for one that says nothing here."""
    content = field.at("content")
    match role:
        case "user":
            parts = tuple(parts_of(content, item.get("content")))
            if field.judged:
                parts = checked_message(content.name, parts)
            return ChatMessage(role="user", parts=parts)
        case "system":
            return ChatMessage(role="system", parts=tuple(parts_of(content, item.get("content"))))
        case "assistant":
            return ChatMessage(
                role="assistant",
                parts=tuple(parts_of(content, item.get("content") or "")),
                tool_calls=tuple(_tool_calls(item.get("tool_calls"))),
            )
        case "tool":
            return ChatMessage(
                role="tool",
                parts=tuple(parts_of(content, item.get("content") or "")),
                tool_call_id=string_of(item, "tool_call_id"),
            )
    return None


def parts_of(field: Field, content: JSON) -> Iterator[Part]:
    """The parts of a message's content, of chat completions or Responses."""
    return parts_at(field, content, _part)


def _part(field: Field, part: JSON) -> Part | None:
    match part:
        case {"type": "text" | "input_text" | "output_text", "text": text}:
            return TextPart(text_at(field.at("text"), text))
        case {"type": "refusal", "refusal": str(text)}:
            return TextPart(text)
        case {"type": "image_url" | "input_image", "image_url": {"url": url} | str(url)}:
            return file_at(field.at("image_url"), url, kind="image")
        case {"type": "video_url", "video_url": {"url": url} | str(url)}:
            return file_at(field.at("video_url"), url, kind="video")
        case {"type": "audio_url", "audio_url": {"url": url} | str(url)}:
            return file_at(field.at("audio_url"), url, kind="audio")
        case {"type": "input_image", "file_id": str(file_id)}:
            return FilePart("image", file_id=file_id)
        case {"type": "input_audio", "input_audio": {"data": data, "format": str(format)}}:
            mime_type = "audio/mpeg" if format == "mp3" else f"audio/{format}"
            return file_in(field.at("input_audio.data"), data, mime_type=mime_type, kind="audio")
        case {"type": "file", "file": dict(file)}:
            return _file(field.at("file"), file)
        case {"type": "input_file"}:
            return _file(field, part)
        case str() if not field.judged:
            return TextPart(part)
    field.refuse(
        "must be a part of type text, image_url, input_audio, video_url, audio_url or file "
        "(input_text, input_image, input_audio or input_file in Responses)"
    )
    return None


def _file(field: Field, file: dict[str, Any]) -> FilePart | None:
    filename = string_of(file, "filename")
    if file_id := string_of(file, "file_id"):
        return FilePart("document", file_id=file_id, filename=filename)
    data, url = file.get("file_data"), file.get("file_url")
    if data and not (isinstance(data, str) and data[:8].lower() == "https://"):
        return file_in(field.at("file_data"), data, filename=filename)
    if data or not url:
        return file_at(field.at("file_data"), data, filename=filename)
    return file_at(field.at("file_url"), url, filename=filename)


def _tool_calls(calls: JSON) -> Iterator[ToolCall]:
    """The calls of an assistant's message, as far as they can be read."""
    for call in calls if isinstance(calls, list) else ():
        match call:
            case {"id": str(id), "function": {"name": str(name), **function}}:
                yield ToolCall(id, name, arguments_of(function.get("arguments")))


def arguments_of(text: JSON) -> JSON:
    """A call's arguments as JSON; the text itself where it is none."""
    if not isinstance(text, str):
        return {} if text is None else text
    try:
        return json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return text


def arguments_text(args: JSON) -> str:
    """A call's arguments as text: JSON, or the agent's own words; none are an empty object."""
    if args is None or args == "":
        return "{}"
    return args if isinstance(args, str) else dumps(args)


def metadata_of(
    metadata: dict[str, JSON] | None, **people: str | None
) -> tuple[dict[str, JSON], str | None]:
    """A request's metadata, beside it whom its fields name, and the session named in it.

    Of chat completions or Responses. Raises `Invalid`.
    """
    found = dict(metadata or {})
    session = found.pop("session_id", None)
    if not isinstance(session, str | None):
        raise Invalid.of("metadata.session_id", "must be text")
    return found | {field: person for field, person in people.items() if person}, session


def client_tools(tools: JSON) -> tuple[ClientTool, ...]:
    """The client's functions, of chat completions or Responses. Raises `Invalid`."""
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise Invalid.of("tools", "must be a list")
    return tuple(
        found for index, tool in enumerate(tools) if (found := _client_tool(f"tools.{index}", tool))
    )


def _client_tool(field: str, tool: JSON) -> ClientTool | None:
    match tool:
        case {"type": "function", "function": {"name": str(name), **rest}}:
            pass
        case {"type": "function", "name": str(name), **rest}:
            pass
        case {"type": str(type)} if type != "function":
            return None  # OpenAI's own tools: nobody here can run them
        case _:
            raise Invalid.of(field, "must be a function with a name")
    description = rest.get("description")
    return ClientTool(
        name,
        description if isinstance(description, str) else None,
        rest.get("parameters"),
        strict=rest.get("strict") is True,
    )


def without_meaning(messages: JSON, name: str = "messages") -> list[str]:
    """The fields of the last user messages that mean nothing here, which no agent is told.

    Of chat completions or Responses; what is wrong with the messages is for others to say.
    """
    found: dict[str, None] = {}
    for item in reversed(messages if isinstance(messages, list) else []):
        if not isinstance(item, dict) or item.get("role") != "user":
            break
        found |= dict.fromkeys(_without_meaning(item))
    return [f"{name}.{field}" for field in found]


_READ = frozenset({"type", "id", "status", "role", "content"})


def _without_meaning(message: dict[str, Any]) -> Iterator[str]:
    yield from (name for name in message if name not in _READ and message[name] is not None)
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        match part:
            case {"image_url": {"detail": detail}} | {"detail": detail}:
                if detail not in (None, "auto"):
                    yield "detail"


def hosted_tools(tools: JSON) -> Sequence[str]:
    """The types of tools that only OpenAI could run."""
    items = tools if isinstance(tools, list) else []
    types = [tool.get("type") for tool in items if isinstance(tool, dict)]
    return [f"tools.{type}" for type in dict.fromkeys(types) if type not in ("function", None)]
