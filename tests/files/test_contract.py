"""What any store of files has to keep, of both."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

import pytest

from bff.errors import (
    FileRefused,
    FileTooLarge,
    Invalid,
    NoRoomForFiles,
    NotFound,
)
from bff.files import Files
from bff.files.stored import new_id
from tests.files.conftest import (
    ALICE,
    BOB,
    MAX_BYTES,
    PNG,
    Remains,
    Reopen,
    content,
    owner,
    put,
    stored,
)

MIB = 1024**2


# Writing and reading


@pytest.mark.parametrize("size", [1, 70_000, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, MAX_BYTES])
async def test_a_file__comes_back_as_it_was_sent(files: Files, size: int) -> None:
    data = os.urandom(size)

    file = await put(files, ALICE, data, filename="a.bin", purpose="vision", piece=300_000)

    assert await files.get(ALICE, file.id) == file
    assert (file.size_bytes, file.filename, file.purpose) == (size, "a.bin", "vision")
    assert abs(file.created_at - time.time()) < 60
    assert await content(files, ALICE, file) == data


async def test_a_file__says_what_was_found_in_it(files: Files) -> None:
    png = await put(files, ALICE, PNG, declared="text/plain")
    text = await put(files, ALICE, b"a,b\n", declared="text/csv", filename=None)
    page = await put(files, ALICE, b"<html><script>", declared="image/png")

    assert [file.mime_type for file in (png, text, page)] == ["image/png", "text/csv", "text/html"]
    assert text.filename == "file.csv"


@pytest.mark.parametrize(("first", "last"), [(0, 0), (1, 4), (7, None), (3, 127)])
async def test_a_range__is_what_was_asked_for(files: Files, first: int, last: int | None) -> None:
    file = await put(files, ALICE, PNG)

    found = b"".join([block async for block in files.read(ALICE, file, first, last)])

    assert found == PNG[first : None if last is None else last + 1]


async def test_a_page__goes_on_behind_a_file_the_newest_first(files: Files) -> None:
    made = [(await put(files, ALICE, PNG, filename=f"{n}.png")).id for n in range(5)]
    newest = sorted(made, reverse=True)

    first, more = await files.page(ALICE, limit=2)
    second, still_more = await files.page(ALICE, limit=2, after=first[-1].id)
    third, no_more = await files.page(ALICE, limit=2, after=second[-1].id)
    exactly, none_left = await files.page(ALICE, limit=5)

    assert [file.id for file in (*first, *second, *third)] == newest
    assert [file.id for file in exactly] == newest
    assert (more, still_more, no_more, none_left) == (True, True, False, False)
    assert await files.page(BOB, limit=5) == ([], False)


async def test_a_deleted_file__is_gone_for_every_call(files: Files, remains: Remains) -> None:
    file, other = await put(files, ALICE, PNG), await put(files, ALICE, PNG)

    assert await files.delete(ALICE, file.id)

    assert not any(file.id[5:] in name for name in await remains())
    assert not await files.delete(ALICE, file.id)
    assert await files.get(ALICE, file.id) is None
    assert await stored(files, ALICE) == [other.id]
    with pytest.raises(NotFound):
        await content(files, ALICE, file)


async def test_another_owner__finds_nothing_and_changes_nothing(files: Files) -> None:
    file = await put(files, ALICE, PNG)
    await files.used_by(ALICE, [file.id], "s-1")

    assert await files.get(BOB, file.id) is None
    assert not await files.delete(BOB, file.id)
    assert not await files.forget_session(BOB, "s-1")
    await files.used_by(BOB, [file.id], "s-1")
    await files.forget_session(BOB, "s-1")
    with pytest.raises(NotFound):
        await content(files, BOB, file)

    assert await stored(files, BOB) == []
    assert await content(files, ALICE, file) == PNG


@pytest.mark.parametrize("who", ["", "alice", "../" + "0" * 61, "A" * 64, "0" * 64 + "\n"])
async def test_an_owner_that_is_no_digest__is_a_mistake_of_ours(files: Files, who: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        await files.get(who, new_id())
    with pytest.raises(ValueError, match="digest"):
        await files.page(who, limit=1)
    with pytest.raises(ValueError, match="digest"):
        await put(files, who, PNG)


@pytest.mark.parametrize("file_id", ["", "file-", "../x", "file-" + "0" * 31 + "/", "x" * 37])
async def test_an_id_that_is_none__is_a_mistake_of_ours(files: Files, file_id: str) -> None:
    with pytest.raises(ValueError, match="not a file's id"):
        await files.get(ALICE, file_id)


# What is refused leaves nothing behind


async def test_a_file_over_the_limit__is_refused_while_it_comes(
    files: Files, remains: Remains
) -> None:
    with pytest.raises(FileTooLarge) as refused:
        await put(files, ALICE, bytes(MAX_BYTES + 1))

    assert refused.value.errors == [
        {"field": "file", "message": "may have at most 12 MB (12,582,912 bytes)"}
    ]
    assert await remains() == []


async def test_an_empty_file__is_refused(files: Files, remains: Remains) -> None:
    with pytest.raises(Invalid, match="invalid") as refused:
        await put(files, ALICE, b"")

    assert refused.value.errors == [{"field": "file", "message": "is empty"}]
    assert await remains() == []


@pytest.mark.parametrize("before", [0, 64 * 1024 - 4, 64 * 1024, 6 * MIB])
async def test_an_svg_with_a_script__is_refused_wherever_the_script_is(
    files: Files, remains: Remains, before: int
) -> None:
    data = (
        b"<svg xmlns='http://www.w3.org/2000/svg'>" + b" " * before + b"<script>alert(1)</script>"
    )

    with pytest.raises(FileRefused):
        await put(files, ALICE, data, filename="a.svg", piece=1_000 if before < MIB else 65_536)

    assert await remains() == []


async def test_an_upload_that_is_left__leaves_nothing(files: Files, remains: Remains) -> None:
    with suppress(ConnectionError):
        async with files.upload(ALICE) as upload:
            await upload.write(bytes(7 * MIB))
            raise ConnectionError

    async def stuck() -> None:
        async with files.upload(ALICE) as upload:
            await upload.write(bytes(7 * MIB))
            begun.set()
            await asyncio.Event().wait()

    begun = asyncio.Event()
    task = asyncio.create_task(stuck())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert await remains() == []


# What one owner may have


async def test_a_file_that_two_delete_at_once__is_counted_once(reopen: Reopen) -> None:
    async with reopen(max_files=2) as files:
        first, _ = await put(files, ALICE, PNG), await put(files, ALICE, PNG)

        deleted = await asyncio.gather(*(files.delete(ALICE, first.id) for _ in range(2)))

        assert any(deleted)
        await put(files, ALICE, PNG)
        with pytest.raises(NoRoomForFiles):
            await put(files, ALICE, PNG)


async def test_a_forgotten_sessions_files__make_room_at_once(reopen: Reopen) -> None:
    async with reopen(max_files=1) as files:
        file = await put(files, ALICE, PNG)
        await files.used_by(ALICE, [file.id], "chat")
        with pytest.raises(NoRoomForFiles):
            await put(files, ALICE, PNG)

        assert await files.forget_session(ALICE, "chat")

        await put(files, ALICE, PNG)


async def test_an_owner_with_as_many_files_as_may_be__gets_no_more(reopen: Reopen) -> None:
    async with reopen(max_files=2) as files:
        first = await put(files, ALICE, PNG)
        await put(files, ALICE, PNG)
        with pytest.raises(NoRoomForFiles):
            await put(files, ALICE, PNG)
        with pytest.raises(NoRoomForFiles):
            await files.presign_upload(
                ALICE, filename="a", mime_type="image/png", size_bytes=1, purpose="any"
            )
        await put(files, BOB, PNG)

        await files.delete(ALICE, first.id)
        await put(files, ALICE, PNG)
    async with reopen(max_files=2) as files:
        with pytest.raises(NoRoomForFiles):
            await put(files, ALICE, PNG)


async def test_an_owner_with_as_many_bytes_as_may_be__gets_no_more(reopen: Reopen) -> None:
    async with reopen(max_owned_bytes=1000) as files:
        first = await put(files, ALICE, bytes(600))
        with pytest.raises(NoRoomForFiles):
            await put(files, ALICE, bytes(401))
        await put(files, ALICE, bytes(400))
        with pytest.raises(NoRoomForFiles):
            await put(files, ALICE, b"x")
        await files.delete(ALICE, first.id)

        assert (await put(files, ALICE, bytes(600))).size_bytes == 600


# Retention, sessions


async def test_an_expired_file__is_not_there_any_more(reopen: Reopen) -> None:
    async with reopen() as files:
        file = await put(files, ALICE, PNG)
        assert file.expires_at == file.created_at + 86_400
    async with reopen(retention_seconds=0) as files:
        assert await files.get(ALICE, file.id) is None
        assert not await files.delete(ALICE, file.id)
        assert await stored(files, ALICE) == []


async def test_a_session__takes_along_what_only_it_used(reopen: Reopen) -> None:
    async with reopen() as files:
        ids = [(await put(files, ALICE, PNG)).id for _ in range(4)]
        only, shared, never, repeated = ids
        await files.used_by(ALICE, [only, shared, repeated], "s-1")
        await files.used_by(ALICE, [repeated], "s-1")
        await files.used_by(ALICE, [shared, new_id()], "s/2")
        await files.used_by(ALICE, [], "s-1")
    async with reopen() as files:
        assert not await files.forget_session(ALICE, "s-3")
        assert await files.forget_session(ALICE, "s-1")
        assert set(await stored(files, ALICE)) == {shared, never}
        assert not await files.forget_session(ALICE, "s-1")

        assert await files.forget_session(ALICE, "s/2")
        assert await stored(files, ALICE) == [never]


async def test_ten_owners_at_once__each_get_their_own(files: Files) -> None:
    owners = [owner(str(n)) for n in range(10)]

    made = await asyncio.gather(*(put(files, who, who.encode() * 2000) for who in owners))

    for who, file in zip(owners, made, strict=True):
        assert await content(files, who, file) == who.encode() * 2000
        assert await stored(files, who) == [file.id]
    await files.ping()
