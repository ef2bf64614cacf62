"""Files as other protocols write them down."""

from __future__ import annotations

import base64

import pytest

from bff.api.foreign_messages import Field, file_at, file_in
from bff.errors import Invalid
from bff.messages import FilePart

PNG = b"\x89PNG\r\n\x1a\n??>"
DATA = base64.b64encode(PNG).decode()
OURS = "/v1/files/file-01a21b6a1f708af00aaf884599cedc9c/content"

AS_PNG = [
    f"data:image/png;base64,{DATA}",
    f"DATA:image/png;BASE64,{DATA}",
    f"data:image/png;name=x;base64,{DATA}",
    f'data:image/png;name="a;b,c.png";base64,{DATA}',
    f"data:;base64,{DATA}",
    f"data:image/png;base64,{DATA.rstrip('=')}",
    f"data:image/png;base64,{DATA[:4]}\r\n {DATA[4:]}\n",
]


@pytest.mark.parametrize("url", AS_PNG)
@pytest.mark.parametrize("read", [file_at, file_in])
def test_a_data_url__is_read_however_it_is_written(read: object, url: str) -> None:
    assert callable(read)
    file = read(Field("url", judged=True), url, mime_type="image/png", filename="a.png")

    assert isinstance(file, FilePart)
    assert (file.kind, file.mime_type, file.filename) == ("image", "image/png", "a.png")
    data = file.data or ""
    assert base64.b64decode(data + "=" * (-len(data) % 4), validate=True) == PNG


@pytest.mark.parametrize(
    ("url", "data"),
    [
        ("data:text/plain,hello%20world", b"hello world"),
        ("data:text/plain;charset=utf-8,%C3%BC", "ü".encode()),
        ("data:text/csv;base64,YSxi", b"a,b"),
    ],
)
def test_text_in_a_data_url__is_a_document(url: str, data: bytes) -> None:
    file = file_at(Field("url", judged=True), url)

    assert file is not None
    assert file.kind == "document"
    assert base64.b64decode(file.data or "") == data


@pytest.mark.parametrize(
    "url",
    [
        *("data:", "data:image/png", "data:image/png;base64", "data:image/png;base64,", "data:,"),
        *(f"data:image/png;base64,{DATA}!", "data:image/png;base64,ab-_", "data:text/plain,%zz"),
        *("data:image/png;base64,abcd=", f'data:image/png;name="x;base64,{DATA}', " data:,a"),
        *("http://example.com/a.png", "file:///etc/passwd", "blob:https://a/b", "s3://b/k", ""),
        *("https://a b", f"ftp://example.com{OURS}", f"https://{'a' * 9000}"),
        *("/v1/files/file-1/content", f"http://example.com{OURS}?x", f"http://example.com{OURS}#"),
    ],
)
def test_what_is_no_address__is_refused_in_a_new_message_alone(url: str) -> None:
    with pytest.raises(Invalid) as refusal:
        file_at(Field("parts.1.url", judged=True), url)
    assert refusal.value.errors[0]["field"] == "parts.1.url"

    assert file_at(Field("", judged=False), url) is None


@pytest.mark.parametrize("url", ["https://example.com/a.png", "HTTPS://example.com/a.png"])
def test_an_https_address__stays_as_it_is(url: str) -> None:
    assert file_at(Field("url", judged=True), url, kind="image") == FilePart("image", url=url)


def test_an_address_of_a_files_content__is_ours_until_its_owner_is_asked() -> None:
    file_id = OURS.split("/")[3]

    assert file_at(Field("url", judged=True), OURS) == FilePart("document", file_id=file_id)
    for origin in ("http://127.0.0.1:8000", "https://chat.example.com/api"):
        assert file_at(Field("url", judged=True), origin + OURS) == FilePart(
            "document", url=origin + OURS
        )
