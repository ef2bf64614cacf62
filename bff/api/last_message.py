"""Requests of AI SDK and AG-UI as they are still read: their last user message only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Discriminator, Tag

from bff.api.body import FirstError
from bff.errors import Invalid
from bff.events import well_formed
from bff.settings import MAX_MESSAGE_CHARACTERS


class Tolerant(BaseModel):
    """A request whose unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Part(Tolerant):
    """A part of a message; those of the last user message must be text."""

    type: str
    text: str | None = None


def _kind(content: object) -> str:
    if isinstance(content, str):
        return "string"
    return "parts" if isinstance(content, list) else "other"


Content = Annotated[
    Annotated[str, Tag("string")]
    | Annotated[list[Part], FirstError(), Tag("parts")]
    | Annotated[dict[str, Any] | None, Tag("other")],  # some roles have it; nobody reads it here
    Discriminator(_kind),
]


class ConversationMessage(Tolerant):
    """One message of the conversation as the client has it."""

    role: str
    content: Content = None


class HasRole(Protocol):
    @property
    def role(self) -> str: ...


def last_user_message(messages: Sequence[ConversationMessage]) -> str:
    """What goes to the agent; raises `Invalid` naming what cannot."""
    index = last_user_index(messages)
    field, content = f"messages.{index}.content", messages[index].content
    match content:
        case str():
            return checked(field, content)
        case list():
            texts = []
            for number, part in enumerate(content):
                if part.type != "text" or part.text is None:
                    raise invalid(f"{field}.{number}", "must be a part of type text")
                texts.append(part.text)
            return checked(field, "\n".join(texts))
        case _:
            raise invalid(field, "must be text or a list of parts")


def last_user_index(messages: Sequence[HasRole]) -> int:
    """Where the last user message stands; raises `Invalid` if there is none."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == "user":
            return index
    raise invalid("messages", "must hold a message of the role user")


def checked(field: str, text: str) -> str:
    """The text, if it can be a message."""
    if text != well_formed(text):
        raise invalid(field, "must be valid Unicode, without lone surrogates")
    if not 1 <= len(text) <= MAX_MESSAGE_CHARACTERS:
        raise invalid(field, f"must have 1 to {MAX_MESSAGE_CHARACTERS} characters")
    return text


def invalid(field: str, message: str) -> Invalid:
    return Invalid(errors=[{"field": field, "message": message}])
