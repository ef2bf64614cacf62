"""What a client says, in our own shapes: every protocol's request is decoded into these, once.

A conversation holds everything the request brought: what was said before as the client has it, the
new message, answers to the agent's questions, and what is meant for the agent besides. Which of it
the agent is given is decided behind (`bff/conversations/`), and in which form in
`bff/agents/payload.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Literal

from bff.events import JSON
from bff.frozen import dataclass

Role = Literal["user", "assistant", "system", "tool", "other"]
"""Whose message it is; `other` is a message of a kind that only the client's own protocol knows."""
FileKind = Literal["image", "audio", "video", "document"]
AnswerStatus = Literal["resolved", "cancelled"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of a message's text."""

    text: str


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file in a message: inline in base64, at a URL (https or s3), or one of the owner's own."""

    kind: FileKind
    mime_type: str | None = None
    data: str | None = field(default=None, repr=False)
    url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    at: str | None = field(default=None, compare=False, repr=False)
    """The field of the request that a new message's file stands in, for what is wrong with it."""

    @property
    def is_data_url(self) -> bool:
        """Whether its address is the file itself."""
        return self.url is not None and is_data_url(self.url)


Part = TextPart | FilePart


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that an assistant's message calls. `args` is JSON; text where it could not be read."""

    id: str
    name: str
    args: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One message of a conversation.

    `id` is the client's. A tool's message has the `tool_call_id` it answers. `as_sent` is the
    message in AG-UI's shape, where the client spoke AG-UI: agents of that protocol get it whole.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    id: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    as_sent: Mapping[str, JSON] | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """Its text parts as one text."""
        if len(self.parts) == 1 and isinstance(self.parts[0], TextPart):
            return self.parts[0].text
        return text_of(self.parts)

    @property
    def files(self) -> tuple[FilePart, ...]:
        return tuple(part for part in self.parts if isinstance(part, FilePart))

    @property
    def size(self) -> int:
        """About how many characters it has."""
        if len(self.parts) == 1 and isinstance(self.parts[0], TextPart):
            return 50 + len(self.parts[0].text)
        return 50 + sum(
            len(part.text) if isinstance(part, TextPart) else len(part.data or "")
            for part in self.parts
        )


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool that the client runs. `parameters` is JSON Schema, which `strict` holds calls to."""

    name: str
    description: str | None = None
    parameters: JSON = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person, or the client for its tool, answers to one question of the agent's.

    Where a protocol knows only yes and no, `approved` says which, with a `reason` perhaps, or with
    the arguments `edited`; what that is in the agent's own words, `bff/agents/answers.py` knows. A
    `payload` beside it is for agents that have none. An answer without an `input_id` is to the only
    open question. One that `is_result` came as the result of a tool call. `metadata` is for agents
    that speak AG-UI.
    """

    input_id: str
    status: AnswerStatus = "resolved"
    payload: JSON = None
    approved: bool | None = None
    reason: str | None = None
    edited: JSON = None
    is_result: bool = False
    metadata: Mapping[str, JSON] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One request's words, whatever protocol they came in.

    `before` is what was said earlier, in order, as the client has it: empty where the client leaves
    that to us. `new` is the new message, several where a client sends a picture and its text as
    two; it is empty where there are only `answers`. `options` are the client's wishes for the model
    under the client's own names. `forwarded` is AG-UI's `forwardedProps`, `as_sent` what else an
    AG-UI client sent that ours has no place for, or less: agents of that protocol get both as they
    are. `person` tells people apart who use one key; it names no session.
    """

    new: tuple[ChatMessage, ...] = ()
    before: tuple[ChatMessage, ...] = ()
    answers: tuple[Answer, ...] = ()
    tools: tuple[ClientTool, ...] = ()
    context: Sequence[JSON] = ()
    state: JSON = None
    options: Mapping[str, JSON] = field(default_factory=dict)
    metadata: Mapping[str, JSON] = field(default_factory=dict)
    forwarded: JSON = None
    as_sent: Mapping[str, JSON] = field(default_factory=dict, repr=False)
    person: str | None = None

    @property
    def text(self) -> str:
        """The new message as one text."""
        if len(self.new) == 1:
            return self.new[0].text
        return "\n".join(text for message in self.new if (text := message.text))

    @property
    def size(self) -> int:
        """About how many characters were said, to know whether that is much."""
        if len(self.new) == 1 and not self.before:
            return self.new[0].size
        return sum(message.size for messages in (self.before, self.new) for message in messages)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The new message's parts, of all that make it up."""
        if len(self.new) == 1:
            return self.new[0].parts
        return tuple(part for message in self.new for part in message.parts)

    @property
    def files(self) -> tuple[FilePart, ...]:
        """The new message's files."""
        parts = self.parts
        if len(parts) == 1 and isinstance(parts[0], TextPart):
            return ()
        return tuple(part for part in parts if isinstance(part, FilePart))

    @property
    def system(self) -> str:
        """What the client instructs the agent with: its system messages as one text."""
        if not self.before:
            return ""
        return "\n\n".join(message.text for message in self.before if message.role == "system")

    @property
    def said(self) -> tuple[ChatMessage, ...]:
        """What was said before, without instructions and without what only one protocol knows."""
        if not self.before:
            return ()
        return tuple(message for message in self.before if message.role not in _UNSAID)


_UNSAID = ("system", "other")


def user_message(*parts: Part | str, id: str | None = None) -> ChatMessage:
    """A user's message of these parts; a string is a text part."""
    given = tuple(TextPart(part) if isinstance(part, str) else part for part in parts)
    return ChatMessage(role="user", parts=given, id=id)


def question_in(text: str) -> str:
    """What a user asked, without the documents that Open WebUI puts before it, or the text itself.

    It sends them with the last message only, and the question alone from the next request on.
    """
    start, closed, question = text.rpartition("</context>")
    if not closed or "<context>" not in start or not text.lstrip().startswith(TASK):
        return text
    before, tag, behind = question.rpartition("</user_query>")
    if tag and not behind.strip():
        behind = before.partition("<user_query>")[2]
    return (behind if tag else question).strip() or text


TASK = "### Task:"
"""What Open WebUI's prompts begin with: its own calls, and questions about documents."""


def part_fields(part: Part) -> dict[str, JSON]:
    """A part as the contract's JSON has it, which is AG-UI 1.0's shape."""
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case FilePart():
            fields: dict[str, JSON] = {"type": part.kind, "source": _source_fields(part)}
            if part.filename is not None:
                fields["filename"] = part.filename
            return fields


def _source_fields(part: FilePart) -> dict[str, JSON]:
    kind, value = (
        ("data", part.data)
        if part.data is not None
        else ("url", part.url)
        if part.url is not None
        else ("file", part.file_id)
    )
    fields: dict[str, JSON] = {"type": kind, "value": value}
    if part.mime_type is not None:
        fields["mimeType"] = part.mime_type
    return fields


def part_of(fields: Mapping[str, JSON]) -> Part:
    """The part that `part_fields` wrote. Raises `KeyError` for anything else."""
    if fields["type"] == "text":
        return TextPart(fields["text"])
    source = fields["source"]
    place = {"data": "data", "url": "url", "file": "file_id"}[source["type"]]
    return FilePart(
        kind=fields["type"],
        mime_type=source.get("mimeType"),
        filename=fields.get("filename"),
        **{place: source["value"]},
    )


def is_data_url(address: str) -> bool:
    """Whether an address is the file itself."""
    return address[:5].lower() == "data:"


def text_of(parts: Iterable[Part]) -> str:
    """The text parts as one text."""
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))


def only_text(parts: Iterable[Part]) -> bool:
    """Whether there is nothing but text, so that the text says it all."""
    return all(isinstance(part, TextPart) for part in parts)
