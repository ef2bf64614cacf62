"""Files that an agent makes."""

from __future__ import annotations

import base64
import os

import pytest

from bff.events import File
from bff.files import Files
from bff.files.made import keep_answer, keep_made
from bff.files.stored import new_id
from tests.files.conftest import (
    ALICE,
    PNG,
    content,
    encoded,
    stored,
)


async def test_a_large_file_of_the_agents__becomes_a_link_that_the_session_owns(
    folder_files: Files,
) -> None:
    data = PNG + os.urandom(100_000)
    made = File("image/jpeg", data=encoded(data), filename="chart.png")

    link = await keep_made(folder_files, ALICE, "s-1", made)

    [file_id] = await stored(folder_files)
    url = f"/v1/files/{file_id}/content"
    assert link == File("image/png", url=url, filename="chart.png")
    file = await folder_files.get(ALICE, file_id)
    assert file is not None
    assert file.purpose == "assistants_output"
    assert await content(folder_files, ALICE, file) == data
    assert await folder_files.forget_session(ALICE, "s-1")
    assert await stored(folder_files) == []


@pytest.mark.parametrize("form", ["wrapped", "url", "named"])
async def test_an_agents_base64__is_read_as_agents_write_it(folder_files: Files, form: str) -> None:
    data = b"\xfb\xff\xfe" * 30_000
    text = {
        "wrapped": base64.encodebytes(data).decode(),
        "url": base64.urlsafe_b64encode(data).decode(),
        "named": encoded(data),
    }[form]
    name = "a\nb\u202e" if form == "named" else None

    link = await keep_made(folder_files, ALICE, "s-1", File("a/b", data=text, filename=name))

    [file_id] = await stored(folder_files)
    file = await folder_files.get(ALICE, file_id)
    assert link.url is not None
    assert file is not None
    assert await content(folder_files, ALICE, file) == data


@pytest.mark.parametrize(
    "made",
    [
        File("image/png", data=encoded(PNG)),
        File("image/png", url="https://example.com/a.png"),
        File("image/png", data="no base64! " * 10_000),
        File("image/svg+xml", data=encoded(b"<svg xmlns='x'><script/>" + bytes(0) + b" " * 90_000)),
    ],
)
async def test_any_other_file_of_the_agents__stays_as_it_is(
    folder_files: Files, made: File
) -> None:
    assert await keep_made(folder_files, ALICE, "s-1", made) == made
    assert await stored(folder_files) == []


async def test_without_a_store__the_agents_file_stays_inline() -> None:
    made = File("image/png", data=encoded(PNG * 1000))

    assert await keep_made(None, ALICE, "s-1", made) == made


async def test_in_the_history__an_answers_files_are_ids(folder_files: Files) -> None:
    def image(kind: str, value: str) -> dict[str, object]:
        return {"type": "image", "source": {"type": kind, "value": value, "mimeType": "image/png"}}

    kept_id = new_id()
    source: dict[str, object] = {"type": "source", "url": "https://example.com"}
    link = image("url", "https://example.com/a.png")
    parts: list[dict[str, object]] = [
        image("data", encoded(PNG)),
        image("url", f"/v1/files/{kept_id}/content"),
        link,
        source,
    ]

    kept = await keep_answer(folder_files, ALICE, "s-1", parts)

    [file_id] = await stored(folder_files)
    assert kept == [image("file", file_id), image("file", kept_id), link, source]
    assert await keep_answer(None, ALICE, "s-1", parts[:1]) == parts[:1]
    assert await folder_files.forget_session(ALICE, "s-1")
