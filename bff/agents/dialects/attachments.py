"""Files that an agent made and sources that it cites, in every framework's shape of them.

Shapes: LangChain's content blocks, Converse's blocks, AG-UI's and OpenAI's parts, AI SDK's parts,
Gemini's `inlineData`. What has neither an address nor bytes (a provider's file id) is kept.
"""

from __future__ import annotations

import base64
import mimetypes
import re
from urllib.parse import unquote_to_bytes

from bff.agents.dialects.assembly import Assembly
from bff.events import JSON, File, Source

_LONGEST_URL = 8192

_CONVERSE = {"image": "image", "video": "video", "audio": "audio", "document": "application"}
_KINDS = frozenset({"image", "audio", "video", "file", "document", "binary"})
_FORMATS = {
    "md": "text/markdown",
    "txt": "text/plain",
    "csv": "text/csv",
    "html": "text/html",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jpg": "image/jpeg",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "pcm16": "audio/pcm",
}
_ANY = "application/octet-stream"
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{2,}={0,2}")


def read_block(answer: Assembly, block: JSON) -> bool:
    """A content block that is a file; false if it is none."""
    file = file_of(block)
    if file is None:
        return False
    answer.attach(file)
    return True


def file_of(block: JSON) -> File | None:
    """The file that a block or part holds, whoever's shape it has."""
    if not isinstance(block, dict):
        return None
    kind = block.get("type")
    match block:
        case {"type": "image_url" | "input_image" | "output_image", "image_url": image}:
            return _at(image.get("url") if isinstance(image, dict) else image, "image/*", None)
        case {"inlineData": dict(data)} | {"inline_data": dict(data)}:
            return _bytes(data.get("data"), _mime(data) or _ANY, _name(data))
        case {"fileData": dict(data)} | {"file_data": dict(data)}:
            return _at(data.get("fileUri", data.get("file_uri")), _mime(data), _name(data))
    if len(block) <= 2 and kind is None:
        for key, family in _CONVERSE.items():
            if isinstance(block.get(key), dict):
                return _converse(block[key], family)
    if not isinstance(kind, str) or kind not in _KINDS:
        return None
    inner = block.get("file")
    if isinstance(inner, dict):
        return file_of({"type": "file", **inner})
    source = block.get("source")
    fields = {**source, **block} if isinstance(source, dict) else block
    mime = _mime(fields) or (f"{kind}/*" if kind in ("image", "audio", "video") else _ANY)
    name = _name(fields)
    for key in ("base64", "base64Data", "data", "value", "file_data"):
        value = fields.get(key)
        if isinstance(value, str) and value and not value.startswith(("http:", "https:")):
            if value.startswith("data:"):
                return _at(value, mime, name)
            return _bytes(value, mime, name)
    for key in ("url", "value", "file_url", "uri", "source"):
        found = _at(fields.get(key), mime, name)
        if found is not None:
            return found
    return None


def _converse(fields: dict[str, JSON], family: str) -> File | None:
    kind = fields.get("format")
    mime = _FORMATS.get(str(kind), f"{family}/{kind}" if isinstance(kind, str) else _ANY)
    name = fields.get("name")
    filename = f"{name}.{kind}" if isinstance(name, str) and isinstance(kind, str) else None
    match fields.get("source"):
        case {"bytes": {"data": str(data)}} | {"bytes": str(data)}:
            return _bytes(data, mime, filename)
        case {"location": {"uri": str(uri)}} | {"s3Location": {"uri": str(uri)}}:
            return _at(uri, mime, filename)
        case {"text": str(text)}:
            return _bytes(base64.b64encode(text.encode()).decode(), "text/plain", filename)
    return None


def _bytes(data: JSON, mime: str, name: str | None) -> File | None:
    if not isinstance(data, str) or not _BASE64.fullmatch(data):
        return None
    data = data.replace("-", "+").replace("_", "/")
    return File(mime_type=mime, data=data + "=" * (-len(data) % 4), filename=name)


def _at(where: JSON, mime: str | None, name: str | None) -> File | None:
    """The file at an address; a `data:` URL is the file itself."""
    if not isinstance(where, str) or ":" not in where[:12]:
        return None
    if where.startswith("data:"):
        head, _, data = where[5:].partition(",")
        kind = head.partition(";")[0] or "text/plain"
        if not head.endswith(";base64"):
            data = base64.b64encode(unquote_to_bytes(data)).decode()
        return _bytes(data, kind, name)
    if len(where) > _LONGEST_URL:
        return None
    guessed = mimetypes.guess_type(where.partition("?")[0])[0]
    known = mime if mime and "*" not in mime else guessed or mime or _ANY
    return File(mime_type=known, url=where, filename=name)


def _mime(fields: dict[str, JSON]) -> str | None:
    for key in ("mime_type", "mimeType", "media_type", "mediaType"):
        if isinstance(fields.get(key), str) and fields[key]:
            return str(fields[key])
    kind = fields.get("format")
    return _FORMATS.get(kind) if isinstance(kind, str) else None


def _name(fields: dict[str, JSON]) -> str | None:
    extra = fields.get("extras") or fields.get("metadata")
    for place in (fields, extra if isinstance(extra, dict) else {}):
        for key in ("filename", "file_name", "fileName", "display_name", "displayName", "name"):
            if isinstance(place.get(key), str) and place[key]:
                return str(place[key])
    return None


# Sources

_TITLES = ("title", "name", "document_title", "filename", "label", "page_title", "source")
_URLS = ("url", "uri", "link", "href", "source_url", "sourceUrl")
_CITING = frozenset({*_TITLES, *_URLS, "id", "type", "index", "start_index", "end_index", "domain"})


def source_of(item: JSON) -> Source | None:
    """What a citation, an annotation or an item of a list of sources points at."""
    match item:
        case str() if item.startswith(("http://", "https://")) and len(item) <= _LONGEST_URL:
            return None if any(c.isspace() for c in item) else Source(item)
        case (
            {"url_citation": dict(inner)}
            | {"web": dict(inner)}
            | {"location": {"web": dict(inner)}}
        ):
            inner = {"title": item.get("title"), **inner}
            return source_of(inner)
        case {"location": dict(places)} if "url" not in item:
            found = [source_of(place) for place in places.values()]
            return next((source for source in found if source is not None), None)
        case {"retrievedContext": dict(inner)} | {"retrieved_context": dict(inner)}:
            return source_of(inner)
        case dict():
            for key in _URLS:
                where = item.get(key)
                if isinstance(where, str) and where and len(where) <= _LONGEST_URL:
                    title = next((item[t] for t in _TITLES if isinstance(item.get(t), str)), None)
                    return Source(where, title or None)
    return None


def read_sources(answer: Assembly, items: JSON) -> bool:
    """A list of citations; false if anything of it is more than an address and a title."""
    if not isinstance(items, list) or not items:
        return False
    whole = True
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("retrievedReferences"), list):
            read_sources(answer, item["retrievedReferences"])
        source = source_of(item)
        if source is not None:
            answer.attach(source)
        if source is None or (isinstance(item, dict) and not item.keys() <= _CITING):
            whole = False
    return whole
