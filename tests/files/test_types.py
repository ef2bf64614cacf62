from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import time
import wave
import zipfile

import pytest

from bff.files.types import (
    BINARY,
    SERVED_TYPES,
    find_type,
    kind_of,
    normal_type,
    served_as,
)

OFFICE = "application/vnd.openxmlformats-officedocument."
DOCX, XLSX = f"{OFFICE}wordprocessingml.document", f"{OFFICE}spreadsheetml.sheet"
PPTX = f"{OFFICE}presentationml.presentation"
ODT = "application/vnd.oasis.opendocument.text"


def zipped(*names: str, first: bytes = b"") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        if first:
            archive.writestr(zipfile.ZipInfo("mimetype"), first)
        for name in names:
            archive.writestr(name, name * 50)
    return data.getvalue()


def tarred() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return data.getvalue()


def wav() -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(b"\0\1" * 100)
    return data.getvalue()


def ftyp(*brands: bytes) -> bytes:
    body = brands[0] + b"\0\0\2\0" + b"".join(brands)
    return struct.pack(">I", 8 + len(body)) + b"ftyp" + body + b"\0\0\0\x08free"


def matroska(kind: bytes) -> bytes:
    return b"\x1aE\xdf\xa3\xa3B\x86\x81\x01B\xf7\x81\x01B\x82" + bytes([0x80 + len(kind)]) + kind


def ogg(codec: bytes) -> bytes:
    return b"OggS\0\2" + bytes(20) + b"\x01\x1e" + codec + bytes(40)


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)

FOUND: dict[str, tuple[bytes, str]] = {
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(20), "image/png"),
    "JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
    "JPEG of a camera": (b"\xff\xd8\xff\xe1\0\x10Exif", "image/jpeg"),
    "GIF": (b"GIF89a\1\0\1\0", "image/gif"),
    "WebP": (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
    "BMP": (b"BM\x9a\0\0\0\0\0\0\0\x36\0\0\0", "image/bmp"),
    "TIFF": (b"II*\0\x08\0\0\0", "image/tiff"),
    "TIFF, big end first": (b"MM\0*\0\0\0\x08", "image/tiff"),
    "AVIF": (ftyp(b"avif", b"mif1", b"miaf"), "image/avif"),
    "AVIF of the family": (ftyp(b"mif1", b"mif1", b"avif", b"miaf"), "image/avif"),
    "HEIC": (ftyp(b"heic", b"mif1", b"heic"), "image/heic"),
    "HEIF": (ftyp(b"mif1", b"mif1"), "image/heif"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "application/pdf"),
    "WAV": (wav(), "audio/wav"),
    "MP3 with tags": (b"ID3\4\0\0\0\0\0\x23" + bytes(40), "audio/mpeg"),
    "MP3": (b"\xff\xfb\x90\x64\0\x0f" + bytes(400), "audio/mpeg"),
    "MP3, MPEG-2": (b"\xff\xf3\x84\xc4" + bytes(400), "audio/mpeg"),
    "AAC": (b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(40), "audio/aac"),
    "FLAC": (b"fLaC\0\0\0\x22" + bytes(40), "audio/flac"),
    "Vorbis": (ogg(b"\x01vorbis"), "audio/ogg"),
    "Theora": (ogg(b"\x80theora"), "video/ogg"),
    "MP4": (ftyp(b"isom", b"iso2", b"avc1", b"mp41"), "video/mp4"),
    "M4A": (ftyp(b"M4A ", b"isom"), "audio/mp4"),
    "QuickTime": (ftyp(b"qt  "), "video/quicktime"),
    "WebM": (matroska(b"webm"), "video/webm"),
    "Matroska": (matroska(b"matroska"), "video/x-matroska"),
    "DOCX": (zipped("[Content_Types].xml", "_rels/.rels", "word/document.xml"), DOCX),
    "XLSX": (zipped("docProps/app.xml", "xl/theme/theme1.xml", "[Content_Types].xml"), XLSX),
    "PPTX": (zipped("[Content_Types].xml", "ppt/presentation.xml"), PPTX),
    "ODT": (zipped("content.xml", first=ODT.encode()), ODT),
    "EPUB": (zipped("META-INF/c.xml", first=b"application/epub+zip"), "application/epub+zip"),
    "ZIP": (zipped("a.txt", "password/b.txt"), "application/zip"),
    "ZIP of nothing": (b"PK\5\6" + bytes(18), "application/zip"),
    "gzip": (gzip.compress(b"x"), "application/gzip"),
    "tar": (tarred(), "application/x-tar"),
    "OLE": (OLE, "application/x-ole-storage"),
    "RTF": (b"{\\rtf1 x}", "application/rtf"),
    "SQLite": (b"SQLite format 3\0" + bytes(80), "application/vnd.sqlite3"),
    "a program for Windows": (b"MZ\x90\0\3\0\0\0" + bytes(90), "application/x-msdownload"),
    "a program for Linux": (b"\x7fELF\2\1\1" + bytes(90), "application/x-executable"),
    "WebAssembly": (b"\0asm\1\0\0\0", "application/wasm"),
    "text": (b"hello world\n", "text/plain"),
    "text beyond ASCII": ("Grüße, 日本".encode(), "text/plain"),
    "text cut within a character": (("日本" * 9).encode()[:-1], "text/plain"),
    "UTF-16": ("hello".encode("utf-16"), "text/plain"),
    "UTF-16, big end first": (b"\xfe\xff\0h\0i", "text/plain"),
    "UTF-16 of HTML": ("<html>".encode("utf-16"), "text/html"),
    "text like BMP": (b"BM is the abbreviation of benchmark\n", "text/plain"),
    "text like a program": (b"MZ was here\n", "text/plain"),
    "text like MP3": (b"ID3 tags are in front\n", "text/plain"),
    "text like a ZIP": (b"PKZIP\n", "text/plain"),
    "HTML": (b"<!DOCTYPE html><html><body>x", "text/html"),
    "HTML behind a comment": (b" \n<!-- a --><!-- b --> <SCRIPT>alert(1)</SCRIPT>", "text/html"),
    "HTML behind a mark": (b"\xef\xbb\xbf<html>", "text/html"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "image/svg+xml"),
    "SVG as XML": (b"<?xml version='1.0'?><!-- x --><svg/>", "image/svg+xml"),
    "SVG with a doctype": (b"<!DOCTYPE svg PUBLIC 'x'><svg></svg>", "image/svg+xml"),
    "SVG with a prefix": (b"<x:svg xmlns:x='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    "XML": (b"<?xml version='1.0'?><a/>", "application/xml"),
    "XML by its name space": (b"<a b='1' xmlns='urn:x'/>", "application/xml"),
    "XHTML": (b"<?xml version='1.0'?><html xmlns='x'/>", "application/xhtml+xml"),
    "a formula": (b"a < b and c > d\n", "text/plain"),
    "noise": (b"\1\2\3\0" * 50, BINARY),
    "Latin-1 of nobody's": (b"Gr\xfc\xdfe", BINARY),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_type__is_told_from_the_first_bytes(name: str) -> None:
    data, expected = FOUND[name]

    for declared in (None, "", "application/octet-stream", "nonsense", "a/b/c"):
        assert find_type(data, declared) == expected


@pytest.mark.parametrize("declared", ["image/png", "application/pdf", "text/plain", "video/mp4"])
def test_what_is_found__wins_over_what_is_said(declared: str) -> None:
    wrong = {
        name: find_type(data, declared)
        for name, (data, expected) in FOUND.items()
        if find_type(data, declared) != expected
    }

    # only where bytes tell too little, and only to what harms nobody
    eight_bits = {"Latin-1 of nobody's": "text/plain"} if declared == "text/plain" else {}
    assert wrong == eight_bits


@pytest.mark.parametrize(
    ("data", "declared", "expected"),
    [
        (b"a,b\n1,2\n", "text/csv", "text/csv"),
        (b"a,b\n", "text/csv; charset=utf-8", "text/csv"),
        (b"a;b\nGr\xfc\xdfe;2\n", "TEXT/CSV", "text/csv"),
        (b"# Title\n", "text/markdown", "text/markdown"),
        (b"<h1 align=center>Title</h1>\n", "text/markdown", "text/markdown"),
        (b"<script>alert(1)</script>", "text/markdown", "text/html"),
        (b'{"a":1}', "application/json", "application/json"),
        (b"import os\n", "text/x-python", "text/x-python"),
        (b"alert(1)", "application/javascript", "text/javascript"),
        (b"hello", "text/html", "text/html"),
        (b"hello", "image/svg+xml", "application/xml"),
        (b"hello", "image/jxl", "text/plain"),
        (b"\0\1\2", "application/json", BINARY),
        (b"\0\1\2", "text/plain", BINARY),
        (b"\0\1\2", "text/html", BINARY),
        (b"\0\1\2", "image/png", BINARY),
        (b"\0\1\2", "image/svg+xml", BINARY),
        (b"\0\1\2", "multipart/form-data", BINARY),
        (b"\0\1\2", "application/x-shockwave-flash", BINARY),
        (b"\xff\x0a\xfa\x7f", "image/jxl", "image/jxl"),
        (b"\0\1\2", "application/x-foo", "application/x-foo"),
        (OLE, "application/msword", "application/msword"),
        (OLE, "application/vnd.ms-excel", "application/vnd.ms-excel"),
        (OLE, "image/png", "application/x-ole-storage"),
        (matroska(b"webm"), "audio/webm;codecs=opus", "audio/webm"),
        (ftyp(b"isom"), "audio/x-m4a", "audio/mp4"),
        (zipped("a"), DOCX, "application/zip"),
    ],
)
def test_what_bytes_cannot_tell__is_the_clients_word_if_it_harms_nobody(
    data: bytes, declared: str, expected: str
) -> None:
    assert find_type(data, declared) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"<" + b"a" * 65_535,
        b"<a " + b"\t" * 65_533,
        b"<!---->" * 9_000,
        b"<!-- " * 13_000,
        b"<!--" + b"-" * 65_532,
        b"PK\3\4" * 16_000,
        b"<a:" * 21_000,
    ],
)
def test_a_head_made_to_be_hard__takes_no_time(data: bytes) -> None:
    began = time.process_time()
    find_type(data)

    assert time.process_time() - began < 5  # catastrophic matching takes minutes


def test_any_bytes__have_a_type() -> None:
    for size in range(64):
        assert "/" in find_type(os.urandom(size), "image/png")
    for data, _ in FOUND.values():
        for size in range(20):
            assert "/" in find_type(data[:size])


@pytest.mark.parametrize("mime_type", sorted(SERVED_TYPES | {DOCX, ODT}))
def test_what_is_handed_out_under_its_name__is_nothing_that_runs(mime_type: str) -> None:
    assert served_as(mime_type) == mime_type
    assert not mime_type.endswith(("html", "xml", "script", "svg"))


@pytest.mark.parametrize(
    "mime_type",
    [
        *("text/html", "image/svg+xml", "application/xml", "application/xhtml+xml", "text/xml"),
        *("text/javascript", "text/css", "text/x-python", "text/xsl", "application/wasm"),
        *("application/x-msdownload", "application/x-executable", "multipart/mixed", "a/b", BINARY),
    ],
)
def test_anything_else__is_handed_out_without_its_type(mime_type: str) -> None:
    assert served_as(mime_type) == BINARY


def test_a_kind__follows_from_the_type() -> None:
    kinds = [kind_of(mime) for mime in ("image/png", "audio/wav", "video/mp4", "application/pdf")]

    assert kinds == ["image", "audio", "video", "document"]
    assert kind_of("text/plain") == kind_of("font/woff") == kind_of("document/x") == "document"


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("IMAGE/PNG", "image/png"),
        (" image/jpg ; q=1", "image/jpeg"),
        ("image/png\r\nSet-Cookie: a=b", BINARY),
        ("image", BINARY),
        ("*/*", BINARY),
        ("text/" + "x" * 200, BINARY),
        (None, BINARY),
    ],
)
def test_a_type_of_a_clients__is_read_strictly(given: str | None, normal: str) -> None:
    assert normal_type(given) == normal
