"""What requests of other protocols have in common: they carry whole conversations.

Their clients send everything that was said, each time. What was said before is taken as it is: an
odd part or half a character in it must not refuse the chat for the rest of its life, so it is
mended or passed over. Only what is new is judged, and each refusal names its field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final

import pybase64
from pydantic import BaseModel, ConfigDict, WithJsonSchema
from pydantic import Field as PydanticField

from bff.errors import Invalid
from bff.events import JSON, well_formed
from bff.files.inline import DATA_URL, PERCENT, padded, percent_decoded
from bff.files.stored import file_id_in
from bff.messages import FileKind, FilePart, Part, TextPart, is_data_url
from bff.settings import MAX_MESSAGE_CHARACTERS

MAX_FOREIGN_ID_CHARACTERS = 1000
MAX_MESSAGES = 20_000
_MAX_URL_CHARACTERS = 8192


class Tolerant(BaseModel):
    """A request whose unknown fields are kept aside, as its protocol grows by new ones."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


Messages = Annotated[
    list[Any],
    PydanticField(min_length=1, max_length=MAX_MESSAGES),
    WithJsonSchema({"type": "array", "items": {"type": "object"}, "minItems": 1}),
]
"""The messages of a request: what they hold is read by its protocol's decoder."""


class Field:
    """Where something stands in a request, and whether it is judged or taken as it is."""

    __slots__ = ("judged", "name")

    def __init__(self, name: str, *, judged: bool) -> None:
        self.name: Final = name
        self.judged: Final = judged

    def __repr__(self) -> str:
        return f"<Field {self.name}{' judged' if self.judged else ''}>"

    def at(self, place: str | int) -> Field:
        return Field(f"{self.name}.{place}", judged=self.judged)

    def refuse(self, message: str) -> None:
        """Raise `Invalid` for what is new; what was said before is passed over."""
        if self.judged:
            raise Invalid.of(self.name, message)


def text_at(field: Field, value: JSON) -> str:
    """Text that UTF-8 can carry; none for anything else that was said before."""
    if not isinstance(value, str):
        field.refuse("must be text")
        return ""
    text = well_formed(value)
    if text != value:
        field.refuse("must be valid Unicode, without lone surrogates")
    return text


def parts_at(
    field: Field, content: JSON, part: Callable[[Field, JSON], Part | None]
) -> Iterator[Part]:
    """The parts of a message's content: text, or a list of what `part` reads."""
    match content:
        case str():
            if text := text_at(field, content):
                yield TextPart(text)
        case list():
            for index, item in enumerate(content):
                place = field.at(index)
                if (found := part(place, item)) is not None:
                    yield placed(place, found)
        case _:
            field.refuse("must be text or a list of parts")


def placed(field: Field, part: Part) -> Part:
    """The part; a new message's file knows where it stands."""
    if field.judged and isinstance(part, FilePart):
        return replace(part, at=field.name)
    return part


def checked_message(field: str, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts of a new message, if they can be one. Raises `Invalid`."""
    characters = sum(len(part.text) for part in parts if isinstance(part, TextPart))
    said = any(isinstance(part, FilePart) or part.text for part in parts)
    if not said or characters > MAX_MESSAGE_CHARACTERS:
        message = f"must have 1 to {MAX_MESSAGE_CHARACTERS:,} characters, or a file"
        raise Invalid.of(field, message)
    return tuple(part for part in parts if isinstance(part, FilePart) or part.text)


def file_at(
    field: Field,
    address: JSON,
    *,
    mime_type: str | None = None,
    filename: str | None = None,
    kind: FileKind | None = None,
) -> FilePart | None:
    """A file at a `data:` or https URL, which the service does not fetch, or at one of ours."""
    if isinstance(address, str):
        if file_id := stored_file(address):
            return FilePart(
                kind or kind_of(mime_type), mime_type, file_id=file_id, filename=filename
            )
        if is_data_url(address):
            return file_in(field, address, mime_type=mime_type, filename=filename, kind=kind)
        # whether an address of a file's content is ours is known once the caller's files are
        if _HTTPS.fullmatch(address) or file_id_in(address):
            return FilePart(kind or kind_of(mime_type), mime_type, url=address, filename=filename)
    field.refuse("must be a data: or https:// URL")
    return None


_HTTPS = re.compile(rf"https://[^\s]{{1,{_MAX_URL_CHARACTERS}}}", re.IGNORECASE)


def file_in(
    field: Field,
    text: JSON,
    *,
    mime_type: str | None = None,
    filename: str | None = None,
    kind: FileKind | None = None,
) -> FilePart | None:
    """A file inline: base64, or a `data:` URL, whose type is the one that counts."""
    data: str | None
    if isinstance(text, str) and is_data_url(text):
        found = _DATA_URL.match(text[:1000])
        if found is None:
            field.refuse(DATA_URL)
            return None
        mime_type = found["type"].strip() or mime_type
        content = text[found.end() :]
        if found["base64"]:
            data = base64_at(field, content)
        elif (said := percent_decoded(content)) is not None:
            data = pybase64.b64encode_as_string(said)
        else:
            field.refuse(PERCENT)
            return None
    else:
        data = base64_at(field, text)
    if data is None:
        return None
    return FilePart(kind or kind_of(mime_type), mime_type, data=data, filename=filename)


_DATA_URL = re.compile(
    r"data:(?P<type>[^;,]*)(?:;(?!base64,)(?:[^;,\"]|\"[^\"]*\")*)*(?P<base64>;base64)?,",
    re.IGNORECASE,
)
"""Whatever stands before the comma: a file's type is told by its bytes."""


def stored_file(address: str) -> str | None:
    """The id in an address of ours: where a client was told that a file's content is."""
    return file_id_in(address, own=True)


def base64_at(field: Field, value: JSON) -> str | None:
    """Base64 that can be read; white space within is taken out."""
    if isinstance(value, str):
        if _is_base64(value):
            return value
        if _is_base64(text := "".join(value.split())):
            return text
    field.refuse("must be base64")
    return None


def _is_base64(text: str) -> bool:
    try:
        return bool(pybase64.b64decode(padded(text), validate=True))
    except ValueError:
        return False


def kind_of(mime_type: str | None) -> FileKind:
    """What sort of file a MIME type, or just the first half of one, is."""
    match (mime_type or "").partition("/")[0].lower():
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
        case _:
            return "document"


def string_of(value: Mapping[str, Any], name: str) -> str | None:
    """A member that is text and not empty, else None."""
    found = value.get(name)
    return well_formed(found) if isinstance(found, str) and found else None


def list_of_messages(value: JSON) -> list[JSON]:
    """The list that every such request has. Raises `Invalid`."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_MESSAGES:
        raise Invalid.of("messages", f"must be a list of 1 to {MAX_MESSAGES:,} messages")
    return value
