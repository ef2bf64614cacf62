"""Files in messages, as a client sends them."""

from __future__ import annotations

import pytest

from bff.errors import Invalid, NoRoomForFiles, NotFound, Problem
from bff.files import Files
from bff.files.parts import KeptParts, discard, keep_parts, without_bytes
from bff.files.stored import new_id
from bff.messages import FilePart, Part, TextPart
from tests.files.conftest import (
    ALICE,
    BOB,
    MAX_BYTES,
    PNG,
    Reopen,
    content,
    encoded,
    put,
    stored,
)

TEXT = TextPart("What is this?")
MIB = 1024**2


def inline(data: bytes = PNG, mime_type: str = "image/png", name: str | None = "a.png") -> FilePart:
    return FilePart("image", mime_type=mime_type, data=encoded(data), filename=name)


async def keep(
    files: Files | None, *parts: Part, owner: str = ALICE, session_id: str = "s-1"
) -> KeptParts:
    return await keep_parts(
        files, owner, parts, session_id=session_id, field="message", max_bytes=MAX_BYTES
    )


async def refused(files: Files | None, *parts: Part) -> Problem:
    with pytest.raises(Problem) as refusal:
        await keep(files, *parts)
    return refusal.value


async def test_parts__become_ids_with_what_was_found(folder_files: Files) -> None:
    files = folder_files
    link = FilePart("image", url="https://example.com/a.png")
    page = inline(b"<html>", "image/png", None)
    data_url = FilePart("document", url=f"data:text/csv;base64,{encoded(b'a,b')}")

    kept = await keep(files, TEXT, inline(), link, page, data_url)

    text, image, same_link, html, table = kept.parts
    assert (text, same_link) == (TEXT, link)
    assert isinstance(image, FilePart)
    assert isinstance(html, FilePart)
    assert isinstance(table, FilePart)
    assert (image.kind, image.mime_type, image.filename) == ("image", "image/png", "a.png")
    # told to the agent as the client has it, and kept as what it is
    assert (html.kind, html.mime_type, html.filename) == ("image", "image/png", None)
    assert (page_file := await files.get(ALICE, html.file_id or ""))
    assert (page_file.mime_type, page_file.filename) == ("text/html", "file.html")
    assert (table.kind, table.mime_type) == ("document", "text/csv")
    assert [part.data for part in (image, html, table)] == [None] * 3
    assert kept.stored == (image.file_id, html.file_id, table.file_id)
    assert kept.data == dict(zip(kept.stored, map(encoded, (PNG, b"<html>", b"a,b")), strict=True))
    file = await files.get(ALICE, image.file_id or "")
    assert file is not None
    assert await content(files, ALICE, file) == PNG


async def test_a_file_by_its_id__is_told_as_it_is_known(folder_files: Files) -> None:
    file = await put(folder_files, ALICE, PNG)

    kept = await keep(folder_files, FilePart("document", mime_type="text/plain", file_id=file.id))

    assert kept.parts == (
        FilePart("image", mime_type="image/png", file_id=file.id, filename="a.png"),
    )
    assert kept.stored == ()


@pytest.mark.parametrize("file_id", ["file-" + "1" * 32, "x", "../../etc/passwd", ""])
async def test_an_id_of_nobodys_and_one_of_somebody_elses__are_the_same(
    folder_files: Files, file_id: str
) -> None:
    theirs = await put(folder_files, BOB, PNG)

    for unknown in (file_id, theirs.id):
        problem = await refused(folder_files, inline(), FilePart("image", file_id=unknown))
        assert isinstance(problem, NotFound)
        assert problem.errors == [{"field": "message.1", "message": "there is no such file"}]
    assert await stored(folder_files) == []


@pytest.mark.parametrize(
    "bad",
    [
        inline(b""),
        FilePart("image", data="not base64!"),
        FilePart("image", url="http://169.254.169.254/"),
        inline(bytes(MAX_BYTES + 1)),
        inline(b"<svg xmlns='x'><script/></svg>"),
        inline(name="a\u202eb"),
    ],
)
async def test_a_bad_part__leaves_nothing_of_the_others(folder_files: Files, bad: FilePart) -> None:
    problem = await refused(folder_files, inline(), TEXT, bad, inline())

    assert problem.errors[0]["field"] == "message.2"
    assert await stored(folder_files) == []


async def test_a_message_that_was_not_taken__is_taken_back(folder_files: Files) -> None:
    kept = await keep(folder_files, inline(), inline())
    assert len(await stored(folder_files)) == 2

    await discard(folder_files, ALICE, kept.stored)

    assert await stored(folder_files) == []


async def test_what_finds_no_room__takes_back_what_did(reopen_folder: Reopen) -> None:
    async with reopen_folder(max_files=1) as files:
        assert isinstance(await refused(files, inline(), inline()), NoRoomForFiles)
        assert await stored(files) == []


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ("image/x-odd", ("image", "image/x-odd")),
        ("IMAGE/X-Odd; q=1", ("image", "image/x-odd")),
        ('image/png,evil;x"\n', ("document", "text/plain")),
        ("image/*", ("document", "text/plain")),
        ("image/", ("document", "text/plain")),
        ("image/png evil", ("document", "text/plain")),
    ],
)
async def test_what_is_told_of_bytes_that_are_no_picture__is_a_type(
    folder_files: Files, declared: str, told: tuple[str, str]
) -> None:
    for files in (folder_files, None):
        [part] = (await keep(files, inline(b"words", declared))).parts

        assert isinstance(part, FilePart)
        assert (part.kind, part.mime_type) == told


async def test_a_session__owns_what_came_in_it(folder_files: Files) -> None:
    file = await put(folder_files, ALICE, PNG)
    by_id = FilePart("image", file_id=file.id)
    await keep(folder_files, inline(), by_id, session_id="s-1")
    await keep(folder_files, by_id, session_id="s-2")

    assert await folder_files.forget_session(ALICE, "s-1")

    assert await stored(folder_files) == [file.id]


async def test_an_address_of_ones_own_file__is_its_id(folder_files: Files) -> None:
    mine, theirs = await put(folder_files, ALICE, PNG), await put(folder_files, BOB, PNG)
    for origin in ("", "https://chat.example.com", "http://127.0.0.1:8000"):
        path = f"{origin}/v1/files/{mine.id}/content"
        kept = await keep(folder_files, FilePart("document", url=path))
        assert [part.file_id for part in kept.parts if isinstance(part, FilePart)] == [mine.id]

    elsewhere = FilePart("image", url=f"https://other.example.com/v1/files/{theirs.id}/content")
    assert (await keep(folder_files, elsewhere)).parts == (elsewhere,)
    await refused(folder_files, FilePart("image", url=f"/v1/files/{theirs.id}/content"))


async def test_in_no_session__nothing_is_stored(folder_files: Files) -> None:
    kept = await keep_parts(
        folder_files, ALICE, [inline()], session_id=None, field="message", max_bytes=MAX_BYTES
    )

    assert kept.parts == (inline(),)
    assert await stored(folder_files) == []


def test_for_a_log__what_is_inline_is_its_name() -> None:
    by_id, link = FilePart("image", file_id="file-1"), FilePart("image", url="https://a.b/c")
    data_url = FilePart("audio", url="data:audio/wav;base64,AAAA")

    shown = without_bytes([TEXT, by_id, link, inline(), data_url])

    assert shown == (TEXT, by_id, link, TextPart("[a.png]"), TextPart("[audio]"))


async def test_without_a_store__parts_stay_inline_but_are_checked() -> None:
    link = FilePart("image", url="https://example.com/a.png")
    data_url = FilePart("document", url=f"data:;base64,{encoded(PNG)}")

    kept = await keep(None, TEXT, data_url, link)

    image = FilePart("image", mime_type="image/png", data=encoded(PNG))
    assert kept == KeptParts((TEXT, image, link))
    assert isinstance(await refused(None, FilePart("image", data="?")), Invalid)
    assert isinstance(await refused(None, FilePart("image", file_id=new_id())), NotFound)
