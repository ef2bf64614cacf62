"""What `/v1/chat`, `/v1/chat/stream` and a WebSocket's `message` take, and the words in it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from bff.api.body import FirstError, Strict
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
)
from bff.settings import MAX_MESSAGE_CHARACTERS

SESSION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"
MAX_PARTS = 100
MAX_METADATA_BYTES = 16 * 1024

_FEW = (Field(min_length=1, max_length=MAX_PARTS), FirstError())
_MANY = (Field(max_length=1000), FirstError())

Text = Annotated[str, Field(min_length=1, max_length=MAX_MESSAGE_CHARACTERS)]
Name = Annotated[str, Field(min_length=1, max_length=256)]


class TextContent(Strict):
    """A piece of text."""

    type: Literal["text"]
    text: Text


class DataSource(Strict):
    """A file inline."""

    type: Literal["data"]
    value: Annotated[str, Field(min_length=1, description="Base64.")]
    mimeType: Name


class UrlSource(Strict):
    """A file at an address, which the service never fetches."""

    type: Literal["url"]
    value: Annotated[str, Field(pattern=r"^https://[^\s]+$", max_length=8192)]
    mimeType: Name | None = None


class FileSource(Strict):
    """One of the caller's files."""

    type: Literal["file"]
    value: Name


class FileContent(Strict):
    """A file in a message."""

    type: Literal["image", "audio", "video", "document"]
    source: Annotated[DataSource | UrlSource | FileSource, Field(discriminator="type")]
    filename: Name | None = None


Content = Annotated[TextContent | FileContent, Field(discriminator="type")]


def _kind(message: object) -> str | None:
    match message:
        case None:
            return None
        case list():
            return "~parts"
        case _:
            return "~text"


Message = Annotated[
    Annotated[Text, Tag("~text")] | Annotated[list[Content], *_FEW, Tag("~parts")],
    Discriminator(_kind),
]
"""Text, or a list of parts; errors name the field without the choice."""


class Tool(Strict):
    """A tool that the client runs."""

    name: Name
    description: str | None = None
    parameters: Annotated[Any, Field(description="JSON Schema of its arguments.")] = None


class ContextItem(Strict):
    """What the agent should know of where the client is."""

    description: str
    value: Any


class ResumeItem(Strict):
    """The answer to one of the agent's questions."""

    input_id: Name
    status: Literal["resolved", "cancelled"]
    payload: Any = None


class ChatRequest(Strict):
    """One message into one session, or answers to the agent's questions."""

    message: Message | None = None
    resume: Annotated[list[ResumeItem], *_FEW] | None = None
    session_id: Annotated[str, Field(pattern=SESSION_PATTERN)] | None = None
    agent: Name | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    tools: Annotated[list[Tool], *_MANY] = Field(default_factory=list)
    context: Annotated[list[ContextItem], *_MANY] = Field(default_factory=list)
    state: Any = None
    options: dict[str, Any] = Field(default_factory=dict)
    on_disconnect: Literal["continue", "cancel"] | None = None


def conversation_of(chat: ChatRequest) -> Conversation:
    """The request's words. Raises `Invalid` for both a message and answers, or neither."""
    if (chat.message is None) == (chat.resume is None):
        raise Invalid.of("message", "either message or resume must be there, and not both")
    if chat.metadata and len(dumps(chat.metadata).encode()) > MAX_METADATA_BYTES:
        raise Invalid.of("metadata", f"may have at most {MAX_METADATA_BYTES:,} bytes as JSON")
    return Conversation(
        new=() if chat.message is None else (_message(chat.message),),
        answers=tuple(
            Answer(item.input_id, item.status, item.payload) for item in chat.resume or ()
        ),
        tools=tuple(ClientTool(t.name, t.description, t.parameters) for t in chat.tools),
        context=tuple(_context(item) for item in chat.context),
        state=chat.state,
        options=chat.options,
        metadata=chat.metadata,
    )


def _message(message: str | list[TextContent | FileContent]) -> ChatMessage:
    if isinstance(message, str):
        return ChatMessage(role="user", parts=(TextPart(message),))
    characters = sum(len(part.text) for part in message if isinstance(part, TextContent))
    if characters > MAX_MESSAGE_CHARACTERS:
        raise Invalid.of("message", f"may have at most {MAX_MESSAGE_CHARACTERS:,} characters")
    return ChatMessage(role="user", parts=tuple(_part(part) for part in message))


def _part(part: TextContent | FileContent) -> Part:
    match part:
        case TextContent():
            return TextPart(part.text)
        case FileContent(type=kind, source=DataSource() as source):
            return FilePart(kind, source.mimeType, data=source.value, filename=part.filename)
        case FileContent(type=kind, source=UrlSource() as source):
            return FilePart(kind, source.mimeType, url=source.value, filename=part.filename)
        case FileContent(type=kind, source=source):
            return FilePart(kind, file_id=source.value, filename=part.filename)


def _context(item: ContextItem) -> JSON:
    return {"description": item.description, "value": item.value}
