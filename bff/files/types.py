"""What a file is, told by its first bytes: never by its name, and by what a client says of it only
where bytes cannot tell.

The table is short and strict on purpose, and ours: docs/decisions/file-types-by-hand.md has what
the libraries said of the same files. What is not in it stays what the client calls it, unless that
is a type the table would have known, or one that browsers execute.
"""

from __future__ import annotations

import codecs
import re
from typing import get_args

from bff.messages import FileKind

HEAD_BYTES = 64 * 1024
"""How much of a file is looked at."""
BINARY = "application/octet-stream"

SERVED_TYPES = frozenset(
    {
        *("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"),
        *("audio/mpeg", "audio/wav", "audio/ogg", "audio/flac", "audio/mp4", "audio/webm"),
        *("audio/aac", "video/mp4", "video/webm", "video/ogg", "application/pdf"),
        *("text/plain", "text/csv", "text/markdown", "text/tab-separated-values", "text/calendar"),
        *("application/json", "application/x-ndjson", "application/yaml", "application/rtf"),
        *("application/zip", "application/gzip", "application/epub+zip", "application/msword"),
        *("application/vnd.ms-excel", "application/vnd.ms-powerpoint"),
        *("image/tiff", "image/heic", "image/heif", "video/quicktime", "video/x-matroska"),
    }
)
"""What is handed out under its own type, and Office's: browsers run nothing in these."""

_ACTIVE = re.compile(
    r"text/(html|xml|xsl|javascript|ecmascript|jscript|vbscript|x-.*script|cache-manifest)"
    r"|application/(.*xml|.*javascript|ecmascript|wasm|x-shockwave-flash|java-archive"
    r"|x-java.*|x-ms-application|hta|pdf-.*)"
    r"|image/svg.*|multipart/.*|message/.*"
)
"""What a browser, or what follows one, may execute."""
_TEXT = re.compile(r"text/.*|application/(.*json|x-ndjson|yaml|toml|sql)")

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"MThd\x00\x00\x00\x06", "audio/midi"),
    (0, b"\x1aE\xdf\xa3", "video/x-matroska"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"%!PS", "application/postscript"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"MZ", "application/x-msdownload"),
    (0, b"\x00asm", "application/wasm"),
    (257, b"ustar", "application/x-tar"),
)
_ALSO_WORDS = (b"MZ", b"BZh", b"ID3", b"PAR1")
"""What may as well begin a text."""
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx"), "image/heic"),
    **dict.fromkeys((b"mif1", b"msf1", b"heim", b"heis"), "image/heif"),
    **dict.fromkeys((b"M4A ", b"M4B ", b"F4A "), "audio/mp4"),
    b"qt  ": "video/quicktime",
}
_OFFICE = "application/vnd.openxmlformats-officedocument."
_PACKAGES = {
    b"word/": f"{_OFFICE}wordprocessingml.document",
    b"xl/": f"{_OFFICE}spreadsheetml.sheet",
    b"ppt/": f"{_OFFICE}presentationml.presentation",
}
_OLE = ("application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint")
_SAME_CONTAINER = {
    "audio/ogg": ("video/ogg", "application/ogg"),
    "video/x-matroska": ("video/webm", "audio/webm", "audio/x-matroska"),
    "video/webm": ("audio/webm",),
    "video/mp4": ("audio/mp4", "video/3gpp", "audio/3gpp", "video/x-m4v"),
    "image/heif": ("image/heic",),
    "application/x-ole-storage": (*_OLE, "application/vnd.ms-outlook"),
}
"""Of these, first bytes tell the container; the client may say what is in it."""
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/opus": "audio/ogg",
    "application/x-pdf": "application/pdf",
    "application/x-zip-compressed": "application/zip",
    "application/x-gzip": "application/gzip",
    "application/x-javascript": "text/javascript",
    "application/javascript": "text/javascript",
    "text/x-markdown": "text/markdown",
    "application/x-yaml": "application/yaml",
    "text/yaml": "application/yaml",
    "text/json": "application/json",
    "text/rtf": "application/rtf",
}
_KNOWN = frozenset(
    {
        *(found for _, _, found in _SIGNATURES),
        *_RIFF.values(),
        *_BRANDS.values(),
        *_PACKAGES.values(),
        *(mime for others in _SAME_CONTAINER.values() for mime in others),
        *("image/bmp", "audio/aac", "video/mp4"),
    }
)
"""What the bytes would have told: a client that says so of other bytes is wrong."""


def find_type(head: bytes, declared: str | None = None) -> str:
    """The type of a file that begins with `head`, of which the client says that it is `declared`.

    `application/octet-stream` where neither bytes nor client tell.
    """
    declared = normal_type(declared)
    found = _by_signature(head)
    if found is not None:
        return declared if declared in _SAME_CONTAINER.get(found, ()) else found
    if (text := _as_text(head, certain=not declared.startswith("text/"))) is not None:
        return _of_text(text, declared)
    if declared in _KNOWN or _ACTIVE.fullmatch(declared) or _TEXT.fullmatch(declared):
        return BINARY
    return declared


def normal_type(declared: str | None) -> str:
    """A type without parameters, in lower case and by its usual name; octet-stream for nonsense."""
    mime = (declared or "").partition(";")[0].strip().lower()
    # https://www.rfc-editor.org/rfc/rfc6838#section-4.2
    name = r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"
    if not re.fullmatch(f"{name}/{name}", mime):
        return BINARY
    return _ALIASES.get(mime, mime)


def kind_of(mime_type: str) -> FileKind:
    """Which kind of part a file of this type is."""
    kind = mime_type.partition("/")[0]
    return next((known for known in get_args(FileKind) if known == kind), "document")


def served_as(mime_type: str) -> str:
    """Under which type a file is handed out."""
    office = mime_type.startswith((_OFFICE, "application/vnd.oasis.opendocument."))
    return mime_type if office or mime_type in SERVED_TYPES else BINARY


def _by_signature(head: bytes) -> str | None:
    for offset, signature, found in _SIGNATURES:
        if head.startswith(signature, offset):
            if signature in _ALSO_WORDS and _as_text(head, certain=True) is not None:
                continue
            return _SPECIAL[found](head) if found in _SPECIAL else found
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "image/bmp"
    return _of_frames(head)


def _of_brands(head: bytes) -> str:
    brand, others = head[8:12], head[16 : min(int.from_bytes(head[:4], "big"), 256)]
    if brand in (b"mif1", b"msf1"):  # any of the family; the others tell which
        others_of_it = (others[place : place + 4] for place in range(0, len(others), 4))
        brand = next((other for other in others_of_it if other[:2] in (b"av", b"he")), brand)
    return _BRANDS.get(brand, "video/mp4")


def _of_frames(head: bytes) -> str | None:
    """Audio that begins with a frame's header: ADTS has layer 0, MP3 layer II or III."""
    if len(head) < 4 or head[0] != 0xFF or (head[1] & 0xF0 != 0xF0 and head[1] & 0xFE != 0xE2):
        return None
    layer, rates = head[1] & 0x06, head[2]
    if layer == 0:
        return "audio/aac" if rates & 0x3C < 0x34 else None
    possible = layer in (2, 4) and 0 < rates & 0xF0 < 0xF0 and rates & 0x0C < 0x0C
    return "audio/mpeg" if possible else None


def _of_zip(head: bytes) -> str:
    """A ZIP's type by the names in it, as far as they are near its beginning."""
    if head[30:38] == b"mimetype":  # OpenDocument and EPUB say it first, uncompressed
        said = re.match(rb"application/[a-z0-9.+-]{1,80}", head[38:120])
        if said:
            return normal_type(said[0].decode())
    for name in re.findall(rb"PK\x03\x04.{26}([A-Za-z0-9_\[\]. -]{1,40}/)", head, re.DOTALL):
        if name in _PACKAGES:
            return _PACKAGES[name]
    return "application/zip"


def _of_matroska(head: bytes) -> str:
    return "video/webm" if b"webm" in head[:64] else "video/x-matroska"


def _of_ogg(head: bytes) -> str:
    return "video/ogg" if b"\x80theora" in head[:256] else "audio/ogg"


_SPECIAL = {
    "application/zip": _of_zip,
    "video/x-matroska": _of_matroska,
    "audio/ogg": _of_ogg,
}


def _as_text(head: bytes, *, certain: bool) -> str | None:
    """The head as text, or None: UTF-8, UTF-16 by its mark, else only if a client says that it is
    text, a code page of eight bits."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return head.decode(encoding, "replace")
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", head):
        return None
    try:
        # the head may end within a character
        return codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None if certain else head.decode("latin-1")


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HTML = re.compile(
    r"<(!doctype\s+html|html|head|body|script|style|iframe|title|meta|link|base|object|embed"
    r"|form|table|div|img|a|br|p|h1|b|font)[\s>/]",
    re.IGNORECASE,
)
"""What browsers take for HTML (https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-
unknown-mime-type), and a little more."""
_PAGE = re.compile(r"<(!doctype|html|head|body|script|iframe)[\s>/]", re.IGNORECASE)
"""What begins no Markdown; that may well begin with other HTML."""
_XML = re.compile(r"<(\?xml[\s?]|!doctype\s|[a-z_][^<>]{0,2000}?\sxmlns)", re.IGNORECASE)
_ROOT_SVG = re.compile(r"<(?:[a-z_][\w.-]{0,40}:)?svg[\s>/]", re.IGNORECASE)
_ROOT_HTML = re.compile(r"<(?:[a-z_][\w.-]{0,40}:)?html[\s>/]", re.IGNORECASE)


def _of_text(text: str, declared: str) -> str:
    start = _without_comments(text)
    if _XML.match(start) and not re.match(r"<!doctype\s+html", start, re.IGNORECASE):
        if _ROOT_SVG.search(start):
            return "image/svg+xml"
        return "application/xhtml+xml" if _ROOT_HTML.search(start) else "application/xml"
    if _ROOT_SVG.match(start):
        return "image/svg+xml"
    if _HTML.match(start) and not (declared == "text/markdown" and not _PAGE.match(start)):
        return "text/html"
    if declared == "image/svg+xml":
        return "application/xml"
    if declared in _KNOWN or declared == BINARY:
        return "text/plain"
    if declared.partition("/")[0] in ("image", "audio", "video", "font", "multipart", "message"):
        return "text/plain"
    return declared


def _without_comments(text: str) -> str:
    """The text from its first tag or word on."""
    text = text.lstrip()
    for _ in range(100):
        if not text.startswith("<!--") or (end := text.find("-->")) < 0:
            break
        text = text[end + 3 :].lstrip()
    return text
