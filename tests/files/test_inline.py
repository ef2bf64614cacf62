from __future__ import annotations

import base64

import pytest

from bff.errors import FileTooLarge, Invalid, Problem
from bff.files.inline import read_part
from bff.messages import FilePart

PNG = b"\x89PNG\r\n\x1a\n>>>???"
DATA = base64.b64encode(PNG).decode()


def read(**place: str) -> tuple[bytes, str | None] | None:
    part = FilePart("image", mime_type="image/gif", filename="a.png", **place)
    found = read_part(part, field="message.0", max_bytes=100)
    return None if found is None else (found.data, found.declared)


def refusal(**place: str) -> Problem:
    with pytest.raises(Problem) as refused:
        read(**place)
    [error] = refused.value.errors
    assert error["field"] == "message.0"
    return refused.value


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ({"data": DATA}, (PNG, "image/gif")),
        ({"data": DATA.rstrip("=")}, (PNG, "image/gif")),
        ({"data": f"data:image/png;base64,{DATA}"}, (PNG, "image/png")),
        ({"url": f"data:image/png;base64,{DATA}"}, (PNG, "image/png")),
        ({"url": f"DATA:IMAGE/PNG;BASE64,{DATA}"}, (PNG, "IMAGE/PNG")),
        ({"url": f"data:image/png;name=a.png;base64,{DATA}"}, (PNG, "image/png")),
        ({"url": f'data:image/png;name="a b;c";base64,{DATA}'}, (PNG, "image/png")),
        ({"url": f"data:;base64,{DATA}"}, (PNG, "image/gif")),
        ({"url": "data:text/plain,hello%20world"}, (b"hello world", "text/plain")),
        ({"url": "data:text/plain;charset=utf-8,%C3%BC"}, ("ü".encode(), "text/plain")),
        ({"url": "data:,hello"}, (b"hello", "image/gif")),
        ({"url": "https://example.com/a.png?x=1#y"}, None),
        ({"url": "HTTPS://example.com:8443/a.png"}, None),
        ({"file_id": "file-x"}, None),
    ],
)
def test_a_part__is_read_where_it_holds_its_bytes(
    place: dict[str, str], found: tuple[bytes, str] | None
) -> None:
    assert read(**place) == found


@pytest.mark.parametrize(
    "data",
    [
        *("!", "a", "abcde", "ab=c", "=", "====", "ab\ncd", "ab-_", "ab%3D", "é" * 4, "\ud800abc"),
        *(f" {DATA}", f"{DATA}\n", f"{DATA}==", "abcd=", "abcd=="),
    ],
    ids=ascii,
)
def test_base64_that_another_might_read_otherwise__is_refused(data: str) -> None:
    for place in ({"data": data}, {"url": f"data:image/png;base64,{data}"}):
        problem = refusal(**place)

        assert isinstance(problem, Invalid)
        assert "must be base64" in problem.errors[0]["message"]


@pytest.mark.parametrize(
    "url",
    [
        *("data:", "data:image/png", "data:image/png;base64", "data:image/png;base64;x,abcd"),
        *("data:png;base64,abcd", "data:image/png,,;base64,abcd\n", "data:image/png;=x,abcd"),
        *("data:image/png\n;base64,abcd", "data: image/png;base64,abcd", "data:text/plain,%zz"),
        *("data:text/plain,a b", "data:text/plain,é", "data:text/plain,", f"data:{'x' * 2000},a"),
    ],
)
def test_a_data_url_that_is_none__is_refused(url: str) -> None:
    assert isinstance(refusal(url=url), Invalid)


@pytest.mark.parametrize("place", [{"data": ""}, {"url": "data:image/png;base64,"}])
def test_nothing_inline__is_refused(place: dict[str, str]) -> None:
    assert refusal(**place).errors[0]["message"] == "is empty"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://example.com/a.png",
            "ftp://example.com/a",
            "file:///etc/passwd",
            "s3://bucket/key",
        ),
        *(
            "javascript:alert(1)",
            "//example.com/a",
            "/a.png",
            "a.png",
            "",
            "https://",
            "https:///a",
        ),
        *(
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "https://example.com:0/",
        ),
        *(
            "https://example.com:99999/",
            "https://[::1",
            "https://exa mple.com/",
            "https://e.com\\@x",
        ),
        *("https://example.com/\n", "\thttps://example.com/", f"https://example.com/{'x' * 9000}"),
        *("gopher://169.254.169.254/", "blob:https://example.com/x", "HtTp://example.com"),
    ],
)
def test_an_address_that_is_not_https__is_refused(url: str) -> None:
    assert "https://" in refusal(url=url).errors[0]["message"]


@pytest.mark.parametrize(
    "place",
    [
        {"data": base64.b64encode(bytes(101)).decode()},
        {"data": "A" * 1_000_000},
        {"url": f"data:image/png;base64,{base64.b64encode(bytes(101)).decode()}"},
        {"url": "data:text/plain," + "%20" * 101},
    ],
)
def test_what_is_too_large__is_refused_with_the_limit(place: dict[str, str]) -> None:
    problem = refusal(**place)

    assert isinstance(problem, FileTooLarge)
    assert problem.errors[0]["message"] == "may have at most 100 bytes"
    assert read(data=base64.b64encode(bytes(100)).decode()) == (bytes(100), "image/gif")
