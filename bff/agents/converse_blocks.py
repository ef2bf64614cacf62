"""Content blocks of Bedrock Converse, as Strands agents take them; bytes are base64, as in JSON.

Bedrock refuses a whole request for one block it does not take, and an agent that keeps its memory
sends that block with each later turn: what would be refused is told by its name instead.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from bff.events import JSON
from bff.messages import FilePart, Part, TextPart

MOST_DOCUMENTS = 5
"""In one request: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-api-restrictions.html"""


def one_too_many(parts: Sequence[Part]) -> int | None:
    """Which part is the first document that Bedrock takes no more; what becomes text is none."""
    documents = [at for at, part in enumerate(parts) if "document" in _block(part)]
    return documents[MOST_DOCUMENTS] if len(documents) > MOST_DOCUMENTS else None


def converse_blocks(parts: Iterable[Part], *, later_in: str | None = None) -> list[dict[str, JSON]]:
    """One message's blocks; `later_in` names the run, where the session has had others before it.

    No two documents of a conversation may have the same name, so that later ones are marked.
    """
    mark = f" ({hashlib.sha256(later_in.encode()).hexdigest()[:6]})" if later_in else ""
    blocks: list[dict[str, JSON]] = []
    names: dict[str, str] = {}
    for part in parts:
        if isinstance(part, TextPart) and not part.text.strip():
            continue  # which Bedrock refuses, too
        block = _block(part)
        document = block.get("document")
        if document is not None:
            document["name"] = _unique(document["name"] + mark, names)
        blocks.append(block)
    if names and not any("text" in block for block in blocks):  # no document without a text
        blocks.append({"text": f"[{', '.join(names.values())}]"})
    return blocks


def _unique(name: str, names: dict[str, str]) -> str:
    """The name, with a number if there is one like it but for capitals."""
    count, found = 1, name
    while found.lower() in names:
        count += 1
        found = f"{name} {count}"
    names[found.lower()] = found
    return found


def _block(part: Part) -> dict[str, JSON]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    if part.url is not None and not part.url.startswith("s3:"):  # Converse has no such source
        return {"text": f"[{part.filename or part.kind}: {part.url}]"}
    format = _format(part)
    if format is None:
        return {"text": f"[{part.filename or part.kind}]"}
    source: dict[str, JSON] = (
        {"bytes": part.data}
        if part.data is not None
        else {"location": {"type": "s3", "uri": part.url or part.file_id}}
    )
    if part.kind != "document":
        return {part.kind: {"format": format, "source": source}}
    name = _document_name(part.filename or "document")
    return {"document": {"format": format, "name": name, "source": source}}


def _format(part: FilePart) -> str | None:
    """What Converse calls the file's type; None where it takes none of that type."""
    kind = (part.mime_type or "").partition(";")[0].strip().lower()
    if part.kind == "document":
        return _DOCUMENTS.get(kind) or ("txt" if not kind or _TEXT.match(kind) else None)
    format = _MEDIA.get(kind) or kind.partition("/")[2].removeprefix("x-")
    return format if format in _FORMATS[part.kind] else None


_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/markdown": "md",
}
_TEXT = re.compile(
    r"text/|application/(?:json|xml|yaml|toml|sql|javascript|typescript|ecmascript|x-sh|x-yaml"
    r"|x-ndjson|jsonl|x-python|x-httpd-php|graphql)$|[\w.+-]+/[\w.+-]+\+(?:json|xml|yaml)$"
)
_MEDIA = {
    "image/jpg": "jpeg",
    "audio/mpeg": "mp3",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "video/quicktime": "mov",
    "video/x-matroska": "mkv",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
}
_FORMATS = {
    "image": ("png", "jpeg", "gif", "webp"),
    "video": ("mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"),
    "audio": (
        *("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "m4a", "mpeg"),
        *("mpga", "pcm", "webm"),
    ),
}


def _document_name(filename: str) -> str:
    """What Converse takes as a document's name: letters, digits, spaces, hyphens, brackets."""
    stem = filename.rpartition(".")[0] or filename
    name = re.sub(r"\s+", " ", re.sub(r"[^A-Za-z0-9()\[\]\- ]", " ", stem)).strip()
    return name[:180].strip() or "document"
