"""Files on their way through a conversation: from a client, to an agent, from an agent."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Sequence

import pytest

from bff.agent_settings import FilesFor
from bff.errors import FileTooLarge, Invalid, NoRoomForFiles, NotFound, Problem
from bff.events import File
from bff.files import Files
from bff.files.parts import (
    AGENTCORE,
    CONVERSE,
    AgentLimits,
    KeptParts,
    discard,
    for_agent,
    keep_made,
    keep_parts,
)
from bff.files.stored import new_id
from bff.messages import FileKind, FilePart, Part, TextPart
from tests.files.conftest import ALICE, BOB, MAX_BYTES, PNG, Bucket, Reopen, content, put

TEXT = TextPart("What is this?")
MIB = 1024**2


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


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


async def stored(files: Files, owner: str = ALICE) -> list[str]:
    return [file.id for file in (await files.page(owner, limit=100))[0]]


@pytest.fixture
async def folder_files(reopen_folder: Reopen) -> AsyncIterator[Files]:
    async with reopen_folder() as opened:
        yield opened


# From a client


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
    assert (html.kind, html.mime_type, html.filename) == ("document", "text/html", "file.html")
    assert (table.kind, table.mime_type) == ("document", "text/csv")
    assert [part.data for part in (image, html, table)] == [None] * 3
    assert kept.stored == (image.file_id, html.file_id, table.file_id)
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


async def test_a_session__owns_what_came_in_it(folder_files: Files) -> None:
    file = await put(folder_files, ALICE, PNG)
    by_id = FilePart("image", file_id=file.id)
    await keep(folder_files, inline(), by_id, session_id="s-1")
    await keep(folder_files, by_id, session_id="s-2")

    assert await folder_files.forget_session(ALICE, "s-1")

    assert await stored(folder_files) == [file.id]


async def test_without_a_store__parts_stay_inline_but_are_checked() -> None:
    link = FilePart("image", url="https://example.com/a.png")
    data_url = FilePart("document", url=f"data:;base64,{encoded(PNG)}")

    kept = await keep(None, TEXT, data_url, link)

    image = FilePart("image", mime_type="image/png", data=encoded(PNG))
    assert kept == KeptParts((TEXT, image, link))
    assert isinstance(await refused(None, FilePart("image", data="?")), Invalid)
    assert isinstance(await refused(None, FilePart("image", file_id=new_id())), NotFound)


# To an agent


async def given(
    files: Files | None, mode: FilesFor, *parts: Part, limits: AgentLimits
) -> Sequence[Part]:
    return await for_agent(files, ALICE, parts, mode, limits=limits)


async def test_inline__is_base64_of_the_very_bytes(folder_files: Files) -> None:
    data = os.urandom(3 * MIB)
    file = await put(folder_files, ALICE, data, declared="application/x-foo", filename="a.foo")
    link = FilePart("image", url="https://example.com/a.png")

    parts = await given(
        folder_files, "inline", TEXT, FilePart("document", file_id=file.id), link, limits=AGENTCORE
    )

    found = FilePart(
        "document", mime_type="application/x-foo", data=encoded(data), filename="a.foo"
    )
    assert parts == (TEXT, found, link)


async def test_a_bucket__gives_urls_and_uris(reopen_bucket: Reopen, bucket: Bucket) -> None:
    async with reopen_bucket() as files:
        file = await put(files, ALICE, PNG)
        part = FilePart("image", file_id=file.id)

        [by_url] = await given(files, "url", part, limits=CONVERSE)
        [by_uri] = await given(files, "s3", part, limits=CONVERSE)

    assert isinstance(by_url, FilePart)
    assert isinstance(by_uri, FilePart)
    assert (by_url.url or "").startswith(f"{bucket.server}/{bucket.name}/chat/{ALICE}/content/")
    assert "X-Amz-Expires=900" in (by_url.url or "")
    assert by_uri.url == f"s3://{bucket.name}/chat/{ALICE}/content/{file.id[5:]}"
    assert {part.file_id for part in (by_url, by_uri)} == {None}
    assert {part.data for part in (by_url, by_uri)} == {None}


async def test_a_file_that_is_gone__is_said_before_the_agent_is_called(folder_files: Files) -> None:
    file = await put(folder_files, ALICE, PNG)
    await folder_files.delete(ALICE, file.id)

    with pytest.raises(NotFound):
        await given(folder_files, "inline", FilePart("image", file_id=file.id), limits=AGENTCORE)


@pytest.mark.parametrize("by_id", [True, False])
async def test_what_a_model_does_not_take__is_said_by_the_files_name(
    folder_files: Files, by_id: bool
) -> None:
    image = PNG + bytes(3_932_160 - len(PNG))
    assert await _sized(folder_files, image, by_id=by_id)
    with pytest.raises(FileTooLarge) as refusal:
        await _sized(folder_files, image + b"x" * 3, by_id=by_id)

    message = "'cat.png' has 3,932,163 bytes; the agent takes images of 3,932,160 bytes at most"
    assert refusal.value.errors == [{"field": "message.0", "message": message}]
    document = b"%PDF-1.7\n" + bytes(4_718_592 - 9)
    assert await _sized(folder_files, document, by_id=by_id)
    with pytest.raises(FileTooLarge, match="too_large"):
        await _sized(folder_files, document + b"x" * 3, by_id=by_id)


async def _sized(files: Files, data: bytes, *, by_id: bool) -> Sequence[Part]:
    kind: FileKind = "image" if data.startswith(b"\x89") else "document"
    part = FilePart(kind, data=encoded(data), filename="cat.png")
    if by_id:
        file = await put(files, ALICE, data, filename="cat.png")
        part = FilePart("image", file_id=file.id)
    return await given(files, "inline", part, limits=CONVERSE)


async def test_what_no_payload_holds__is_said_by_the_files_name(folder_files: Files) -> None:
    limits = AgentLimits(payload_bytes=400)
    first, second = inline(bytes(200)), inline(bytes(101), name="b.png")

    with pytest.raises(FileTooLarge) as refusal:
        await given(folder_files, "inline", first, second, limits=limits)

    message = "'b.png' is one too many: the agent takes files of 300 bytes together at most"
    assert refusal.value.errors == [{"field": "message.1", "message": message}]


# From an agent


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
