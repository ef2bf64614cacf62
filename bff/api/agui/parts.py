"""The parts of a message's content: AG-UI 1.0's, the `binary` of older clients, and back again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bff.api.agui.versions import ACTIVITIES, FIRST, MEDIA, Version
from bff.api.foreign_messages import (
    Field,
    file_at,
    file_in,
    kind_of,
    parts_at,
    string_of,
    text_at,
)
from bff.events import JSON
from bff.files.stored import content_path
from bff.messages import FileKind, FilePart, Part, TextPart

_KINDS: Mapping[str, FileKind] = {
    "image": "image",
    "audio": "audio",
    "video": "video",
    "document": "document",
}
_TYPES = "must be a part of type text, image, audio, video, document or binary"


def parts_of(field: Field, content: JSON) -> Iterator[Part]:
    """What a message says."""
    return parts_at(field, content, _part)


def _part(field: Field, part: JSON) -> Part | None:
    match part:
        case {"type": "text", "text": text}:
            said = text_at(field, text)
            return TextPart(said) if said else None
        case {"type": "binary"}:
            return _binary(field, part)
        case {"type": str(type), "source": dict(source)} if type in _KINDS:
            return _file(field.at("source"), _KINDS[type], source, _filename(part))
    field.refuse(_TYPES)
    return None


def _file(
    field: Field, kind: FileKind, source: Mapping[str, Any], filename: str | None
) -> FilePart | None:
    """A file of 1.0. One that lies at another provider cannot be read by whoever gets it here."""
    mime_type = string_of(source, "mimeType")
    value = source.get("value")
    match source.get("type"):
        case "data":
            return file_in(
                field.at("value"), value, mime_type=mime_type, filename=filename, kind=kind
            )
        case "url":
            return file_at(
                field.at("value"), value, mime_type=mime_type, filename=filename, kind=kind
            )
        case "file" if "provider" not in source:
            if isinstance(value, str) and value:
                return FilePart(kind, mime_type, file_id=value, filename=filename)
            field.at("value").refuse("must be the id of a file")
            return None
    field.refuse("must be of type data, url, or file without a provider")
    return None


def _binary(field: Field, part: Mapping[str, Any]) -> FilePart | None:
    mime_type, filename = string_of(part, "mimeType"), string_of(part, "filename")
    kind = kind_of(mime_type)
    if "data" in part and (data := part["data"]):
        return file_in(field.at("data"), data, mime_type=mime_type, filename=filename, kind=kind)
    if url := part.get("url"):
        return file_at(field.at("url"), url, mime_type=mime_type, filename=filename, kind=kind)
    if id := string_of(part, "id"):
        return FilePart(kind, mime_type, file_id=id, filename=filename)
    field.refuse("must hold data, url or id")
    return None


def _filename(part: Mapping[str, Any]) -> str | None:
    """A file's name: AG-UI has no field for it but `metadata`."""
    metadata = part.get("metadata")
    named = string_of(metadata, "filename") if isinstance(metadata, dict) else None
    return named or string_of(part, "filename")


# Stored parts, for a client of some version


def content_for(parts: Sequence[Mapping[str, Any]], version: Version) -> JSON:
    """A stored message's parts as content; as text where the version knows no list."""
    if version < ACTIVITIES:
        said = [part["text"] for part in parts if part["type"] == "text"]
        return "\n".join(said) or " ".join(f"[{part['type']}]" for part in parts)
    return [_part_for(part, version) for part in parts]


def _part_for(part: Mapping[str, Any], version: Version) -> dict[str, JSON]:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]}
    source: dict[str, Any] = part["source"]
    if version < MEDIA:
        return _binary_for(part, source)
    if source["type"] == "file" and version < FIRST:
        source = {**source, "type": "url", "value": content_path(source["value"])}
    shown: dict[str, JSON] = {"type": part["type"], "source": source}
    if "filename" in part:
        shown["metadata"] = {"filename": part["filename"]}
    return shown


def _binary_for(part: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, JSON]:
    place = {"data": "data", "url": "url", "file": "id"}[source["type"]]
    shown = {
        "type": "binary",
        "mimeType": source.get("mimeType", f"{part['type']}/*"),
        place: source["value"],
    }
    return {**shown, "filename": part["filename"]} if "filename" in part else shown
