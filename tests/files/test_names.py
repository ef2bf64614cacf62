from __future__ import annotations

import pytest

from bff.errors import Invalid
from bff.files.names import clean_name


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.png", "a.png"),
        ("übersicht 日本 👩‍👩‍👧.pdf", "übersicht 日本 👩‍👩‍👧.pdf"),
        ("e\u0301.txt", "\u00e9.txt"),
        ("/etc/passwd", "passwd"),
        ("../../x.png", "x.png"),
        ("C:\\Users\\me\\x.png", "x.png"),
        ("folder/", "file.png"),
        ("", "file.png"),
        (None, "file.png"),
        (".", "file.png"),
        ("..", "file.png"),
        ("...", "file.png"),
        (" . ", "file.png"),
        (".gitignore", ".gitignore"),
        ("a.png. . ", "a.png"),
        ("  a.png", "a.png"),
        ('a<b>:"|?*.png', "a_b______.png"),
        ("a.txt::$DATA", "a.txt__$DATA"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("COM1.tar.gz", "_COM1.tar.gz"),
        ("lpt¹", "_lpt¹"),
        ("console.log", "console.log"),
        ("%2e%2e%2fx", "%2e%2e%2fx"),
        ("a'b;c=d.png", "a'b;c=d.png"),
    ],
)
def test_a_name__is_kept_as_far_as_it_is_a_name(given: str | None, kept: str) -> None:
    assert clean_name(given, "image/png") == kept
    assert clean_name(kept, "image/png") == kept


@pytest.mark.parametrize("given", ["x" * 300 + ".png", "日" * 200 + ".png", "x" * 5000, "👩" * 99])
def test_a_long_name__is_cut_between_characters_and_keeps_its_suffix(given: str) -> None:
    kept = clean_name(given, "image/png")

    assert 245 < len(kept.encode()) <= 255
    assert kept.endswith(".png") == given.endswith(".png")
    assert given.startswith(kept.removesuffix(".png"))


@pytest.mark.parametrize(
    "bad",
    [
        *("\0", "\n", "\r", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"),
        *("\u202e", "\u2067", "\u200f", "\ud800"),
    ],
    ids=ascii,
)
def test_a_name_that_hides_something__is_refused(bad: str) -> None:
    with pytest.raises(Invalid) as refused:
        clean_name(f"invoice{bad}fdp.exe", "application/pdf", field="messages.0")

    [error] = refused.value.errors
    assert error["field"] == "messages.0"
    assert "filename holds control characters" in error["message"]


def test_a_name_of_marks__is_cut_before_they_are_put_in_order() -> None:
    name = clean_name("a" + "\u0316\u0300" * 100_000 + ".txt", "text/plain")

    assert name.endswith(".txt")


def test_a_file_without_a_name__is_named_after_its_type() -> None:
    names = [clean_name(None, mime) for mime in ("application/pdf", "text/csv", "a/b")]

    assert names == ["file.pdf", "file.csv", "file"]
