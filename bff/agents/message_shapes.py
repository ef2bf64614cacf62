"""Messages in the shapes that agents read them in.

Each function is one vocabulary: OpenAI's chat completions, LangChain's messages and AG-UI's; that
of Bedrock Converse is in `converse_blocks.py`. Files arrive here resolved: inline, or as an address
the agent can read. Shapes: https://platform.openai.com/docs/api-reference/chat,
https://docs.ag-ui.com/concepts/messages
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bff.events import JSON, dumps
from bff.messages import ChatMessage, FilePart, Part, TextPart, only_text, part_fields


def said_as_text(messages: Iterable[ChatMessage]) -> str:
    """A transcript for agents that read one text: a line a message, who said it first."""
    lines = []
    for message in messages:
        who = _SPEAKERS.get(message.role)
        names = "".join(f" [{file.filename or file.kind}]" for file in message.files)
        if who and (message.text or names):
            lines.append(f"{who}: {message.text}{names}")
    return "\n".join(lines)


_SPEAKERS = {"user": "User", "assistant": "Assistant", "tool": "Tool"}


def openai_messages(messages: Iterable[ChatMessage]) -> list[dict[str, JSON]]:
    """As chat completions has them."""
    return [_openai_message(message) for message in messages]


def _openai_message(message: ChatMessage) -> dict[str, JSON]:
    fields: dict[str, JSON] = {"role": message.role, "content": _openai_content(message)}
    if message.tool_calls:
        fields["tool_calls"] = [
            _function_call(call.id, call.name, call.args) for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _function_call(id: str, name: str, args: JSON) -> dict[str, JSON]:
    arguments = args if isinstance(args, str) else dumps(args)
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _openai_content(message: ChatMessage) -> JSON:
    if only_text(message.parts):
        return message.text
    return [_openai_part(part) for part in message.parts]


def _openai_part(part: Part) -> dict[str, JSON]:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case FilePart(kind="image"):
            return {"type": "image_url", "image_url": {"url": _address(part)}}
        case FilePart(kind="audio", data=str(data)):
            sound = {"data": data, "format": _AUDIO_FORMATS.get(part.mime_type or "", "wav")}
            return {"type": "input_audio", "input_audio": sound}
    name = {} if part.filename is None else {"filename": part.filename}
    if part.file_id is not None:
        return {"type": "file", "file": {"file_id": part.file_id, **name}}
    if part.data is not None:
        return {"type": "file", "file": {"file_data": _address(part), **name}}
    return {"type": "file", "file": {"file_url": part.url, **name}}


_AUDIO_FORMATS = {"audio/mpeg": "mp3", "audio/mp3": "mp3"}


def _address(part: FilePart) -> JSON:
    """Where the file is, inline data as a `data:` URL."""
    if part.data is not None:
        return f"data:{part.mime_type or 'application/octet-stream'};base64,{part.data}"
    return part.url or part.file_id


def langchain_messages(messages: Iterable[ChatMessage]) -> list[dict[str, JSON]]:
    """As LangChain's `convert_to_messages` takes them, content in its standard blocks."""
    return [_langchain_message(message) for message in messages]


def _langchain_message(message: ChatMessage) -> dict[str, JSON]:
    content: JSON = message.text
    if not only_text(message.parts):
        content = [_langchain_block(part) for part in message.parts]
    fields: dict[str, JSON] = {"role": message.role, "content": content}
    if message.id is not None:
        fields["id"] = message.id
    if message.tool_calls:
        fields["tool_calls"] = [
            {"type": "tool_call", "id": call.id, "name": call.name, "args": call.args}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _langchain_block(part: Part) -> dict[str, JSON]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    block: dict[str, JSON] = {"type": "file" if part.kind == "document" else part.kind}
    if part.data is not None:
        block["base64"] = part.data
    elif part.url is not None:
        block["url"] = part.url
    else:
        block["file_id"] = part.file_id
    if part.mime_type is not None:
        block["mime_type"] = part.mime_type
    if part.filename is not None:
        block["filename"] = part.filename
    return block


def agui_messages(messages: Sequence[ChatMessage], *, run_id: str) -> list[dict[str, JSON]]:
    """As AG-UI 1.0 has them; a message without an id is given one of this run's."""
    return [_agui_message(message, f"{run_id}-i{n}") for n, message in enumerate(messages, start=1)]


def _agui_message(message: ChatMessage, id: str) -> dict[str, JSON]:
    fields: dict[str, JSON] = {**(message.as_sent or {}), "id": message.id or id}
    fields.setdefault("role", message.role)
    if message.as_sent is None or not _is_as_agents_take_it(message.as_sent, message.parts):
        fields["content"] = (
            message.text
            if only_text(message.parts)
            else [_agui_part(part) for part in message.parts]
        )
    if message.tool_calls and message.as_sent is None:
        fields["toolCalls"] = [
            _function_call(call.id, call.name, call.args) for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        fields["toolCallId"] = message.tool_call_id
    return fields


def _is_as_agents_take_it(sent: Mapping[str, JSON], parts: Sequence[Part]) -> bool:
    """Whether an AG-UI client's content can stay as it is.

    Parts of older versions and files of ours cannot, nor files that this agent gets otherwise.
    """
    content = sent.get("content")
    if not isinstance(content, list):
        return True
    items = [item for item in content if isinstance(item, dict)]
    inline = sum(isinstance(part, FilePart) and part.data is not None for part in parts)
    return inline == sum(_is_inline(item.get("source")) for item in items) and not any(
        item.get("type") == "binary" or "type" not in item or _is_for_us(item.get("source"))
        for item in items
    )


def _is_inline(source: JSON) -> bool:
    return isinstance(source, dict) and source.get("type") == "data"


def _is_for_us(source: JSON) -> bool:
    """Whether a file stands there as only this service takes it."""
    match source:
        case {"type": "file", **rest}:
            return "provider" not in rest
        case {"type": "url", "value": str(value)}:
            return not value.startswith("https://")
        case {"type": "data", "value": str(value)}:
            return value[:5].lower() == "data:"
    return False


def _agui_part(part: Part) -> dict[str, JSON]:
    """A part of 1.0, which has no place for a file's name but `metadata`."""
    fields = part_fields(part)
    if "filename" in fields:
        fields["metadata"] = {"filename": fields.pop("filename")}
    return fields
