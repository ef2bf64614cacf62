"""Files on their way to an agent."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from bff.agent_settings import FilesFor
from bff.api.bodies import Bodies
from bff.errors import FileTooLarge, NotFound, Overloaded
from bff.files import Files
from bff.files.for_agents import AGENTCORE, CONVERSE, AgentLimits, ForAgent
from bff.files.stored import new_id
from bff.messages import ChatMessage, FileKind, FilePart, Part, TextPart, user_message
from tests.files.conftest import (
    ALICE,
    BOB,
    PNG,
    Bucket,
    Reopen,
    encoded,
    put,
)

TEXT = TextPart("What is this?")
MIB = 1024**2


def inline(data: bytes, name: str | None = "a.png") -> FilePart:
    return FilePart("image", mime_type="image/png", data=encoded(data), filename=name)


async def given(
    files: Files | None, mode: FilesFor, *parts: Part, limits: AgentLimits
) -> Sequence[Part]:
    return await ForAgent(files, ALICE, mode, limits=limits).new(parts)


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
    document = b"a,b\n" + b"1,2\n" * (4_718_592 // 4 - 1)
    assert await _sized(folder_files, document, by_id=by_id)
    with pytest.raises(FileTooLarge, match="too_large"):
        await _sized(folder_files, document + b"1,2", by_id=by_id)


@pytest.mark.parametrize("by_id", [True, False])
async def test_a_pdf__is_of_any_size_for_todays_models(folder_files: Files, by_id: bool) -> None:
    assert await _sized(folder_files, b"%PDF-1.7\n" + bytes(4_718_592), by_id=by_id)


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


async def test_what_is_in_memory_already__is_not_read_back(folder_files: Files) -> None:
    part = FilePart("image", mime_type="image/png", file_id=new_id(), filename="a.png")
    known = {part.file_id or "": encoded(PNG)}

    [found] = await ForAgent(folder_files, ALICE, "inline", known=known).new([part])

    assert found == inline(PNG)


async def test_what_was_said_before__refuses_nothing(folder_files: Files) -> None:
    mine, theirs = await put(folder_files, ALICE, PNG), await put(folder_files, BOB, PNG)
    limits = AgentLimits(payload_bytes=200)
    messages = [
        user_message(inline(bytes(150), name="old.png")),
        user_message("What?", FilePart("image", file_id=mine.id)),
        user_message(FilePart("image", file_id=theirs.id, filename="secret.png")),
        ChatMessage(role="assistant", parts=(FilePart("document", file_id="nonsense"),)),
        user_message("Hello"),
    ]

    given = await ForAgent(folder_files, ALICE, "inline", limits=limits).earlier(messages)

    assert [message.parts for message in given] == [
        (TextPart("[old.png]"),),
        (TextPart("What?"), inline(PNG)),
        (TextPart("[secret.png]"),),
        (TextPart("[document]"),),
        (TextPart("Hello"),),
    ]


async def test_what_was_said_before__is_told_by_its_bytes_and_of_https_addresses_alone(
    folder_files: Files,
) -> None:
    mine = await put(folder_files, ALICE, PNG)
    path = f"/v1/files/{mine.id}/content"
    messages = [
        user_message(FilePart("image", "application/pdf\n", data=encoded(PNG), filename="a")),
        user_message(FilePart("image", "image/png", data="no base64")),
        user_message(FilePart("image", url=f"http://here.example.com{path}")),
        user_message(FilePart("image", url=f"http://here.example.com/v1/files/{new_id()}/content")),
        user_message(FilePart("image", url="https://example.com/a.png")),
    ]

    given = await ForAgent(folder_files, ALICE, "inline").earlier(messages)

    assert [message.parts for message in given] == [
        (inline(PNG, name="a"),),
        (FilePart("image", "image/png", data="no base64"),),
        (inline(PNG, name=mine.filename),),
        (TextPart("[image]"),),
        (FilePart("image", url="https://example.com/a.png"),),
    ]


async def test_a_process__holds_no_more_than_it_can(folder_files: Files) -> None:
    file = await put(folder_files, ALICE, PNG)
    part = FilePart("image", file_id=file.id)
    bodies = Bodies(2 * len(encoded(PNG)) - 1)
    given = ForAgent(folder_files, ALICE, "inline", take=bodies.take)

    assert await given.new([part]) == (inline(PNG),)
    with pytest.raises(Overloaded):
        await given.new([part])
    assert bodies.open_bytes == len(encoded(PNG))
