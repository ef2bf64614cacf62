"""What is true of the folder only: processes share it, disks fail, a form needs no credentials."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from bff.errors import FileTooLarge, Forbidden, Overloaded, Unsigned
from bff.files import StoredFile, UploadAddress, open_files
from bff.files.folder import Folder
from bff.files.local import FolderFiles
from bff.settings import FolderFiles as FolderSetting
from bff.settings import Settings, SettingsError
from tests.files.conftest import ALICE, BOB, PNG, Reopen, content, contents_of, names_in, put


@pytest.fixture
async def files(reopen_folder: Reopen) -> AsyncIterator[FolderFiles]:
    async with reopen_folder() as opened:
        yield opened


# Two processes, one folder


async def test_two_processes__see_each_others_files(reopen_folder: Reopen) -> None:
    async with reopen_folder() as one, reopen_folder() as two:
        file = await put(one, ALICE, PNG)
        address = await one.presign_upload(
            ALICE, filename="b.png", mime_type="image/png", size_bytes=len(PNG), purpose="any"
        )

        assert await content(two, ALICE, file) == PNG
        assert await send(two, address, PNG) is not None
        assert await one.delete(ALICE, file.id)
        assert await two.get(ALICE, file.id) is None


async def test_a_file_that_is_deleted__is_read_to_its_end(files: FolderFiles) -> None:
    file = await put(files, ALICE, bytes(1_000_000))
    blocks = files.read(ALICE, file)

    first = await anext(blocks)
    await files.delete(ALICE, file.id)
    rest = b"".join([block async for block in blocks])

    assert len(first) + len(rest) == 1_000_000


async def test_what_has_expired__is_swept_with_what_dead_processes_left(
    reopen_folder: Reopen, folder: Path
) -> None:
    async with reopen_folder() as files:
        await put(files, ALICE, PNG)
    for name in ("incoming/old", "trash/old"):
        (folder / name).mkdir()
        (folder / name / "content").write_bytes(b"x")
        os.utime(folder / name, (0, 0))
    (folder / "incoming/new").mkdir()

    Folder(folder, retention_seconds=0).sweep()

    assert contents_of(folder) == []
    assert names_in(folder) == ["addresses.key", "incoming", "incoming/new", "trash"]


async def test_an_open_store__sweeps_by_itself(
    reopen_folder: Reopen, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with reopen_folder() as files:
        await put(files, ALICE, PNG)

    with caplog.at_level(logging.INFO, "bff.files"):
        async with reopen_folder(retention_seconds=0):
            async with asyncio.timeout(30):
                while "1 files had expired" not in caplog.text:
                    await asyncio.sleep(0.01)

    assert contents_of(folder) == []


async def test_sweeping_beside_an_upload__takes_nothing_of_it(
    files: FolderFiles, folder: Path
) -> None:
    disk = Folder(folder, retention_seconds=60)
    over = threading.Event()

    def sweep() -> None:
        while not over.wait(0.001):  # without a pause it would keep the interpreter to itself
            disk.sweep()

    sweeping = asyncio.get_running_loop().run_in_executor(None, sweep)
    try:
        for number in range(50):
            file = await put(files, ALICE, b"%d" % number)
            assert await content(files, ALICE, file) == b"%d" % number
            assert await files.delete(ALICE, file.id)
    finally:
        over.set()
        await sweeping


# A disk that fails


async def test_a_folder_that_cannot_be_made__stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(files=FolderSetting(str(tmp_path / "file" / "x")))

    with pytest.raises(
        SettingsError, match=r"FILES: got 'file:///.*' \(Not a directory\), takes a"
    ):
        async with open_files(settings):
            pass


async def test_a_disk_that_fails__is_overloaded_and_in_the_log(
    files: FolderFiles, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = await put(files, ALICE, PNG)
    record = folder / ALICE / file.id / "record.json"
    record.unlink()
    record.mkdir()

    with pytest.raises(Overloaded):
        await files.get(ALICE, file.id)

    assert "Is a directory" in caplog.text
    assert file.filename not in caplog.text


async def test_a_disk_that_is_gone__is_overloaded(files: FolderFiles, folder: Path) -> None:
    await asyncio.to_thread(folder.rename, folder.with_name("gone"))

    with pytest.raises(Overloaded):
        await files.ping()
    with pytest.raises(Overloaded):
        await put(files, ALICE, PNG)
    assert await files.page(ALICE, limit=1) == ([], False)


# Addresses


async def give(files: FolderFiles, size_bytes: int = len(PNG)) -> UploadAddress:
    return await files.presign_upload(
        ALICE, filename="b.png", mime_type="image/png", size_bytes=size_bytes, purpose="vision"
    )


async def send(
    files: FolderFiles, address: UploadAddress, data: bytes, **changed: str
) -> StoredFile:
    ticket = files.ticket({**address.fields, **changed})
    async with files.redeem(ticket) as upload:
        await upload.write(data)
        promised = ticket.file
        return await upload.publish(
            filename=promised.filename, declared=promised.mime_type, purpose=promised.purpose
        )


async def test_an_address__takes_the_one_file_it_was_made_for(files: FolderFiles) -> None:
    address = await give(files)
    assert await files.get(ALICE, address.file.id) is None

    file = await send(files, address, PNG)

    assert file == address.file == await files.get(ALICE, address.file.id)
    assert address.url == "/uploads"
    assert await content(files, ALICE, file) == PNG
    assert (await files.page(BOB, limit=9))[0] == []


async def test_an_address__is_good_once(files: FolderFiles, folder: Path) -> None:
    address = await give(files)
    await send(files, address, PNG)

    with pytest.raises(Forbidden):
        await send(files, address, b"\x89PNG\r\n\x1a\nother")

    assert await content(files, ALICE, address.file) == PNG
    assert not any(name.startswith("incoming") for name in contents_of(folder))


async def test_an_address__takes_no_more_than_it_was_made_for(files: FolderFiles) -> None:
    with pytest.raises(FileTooLarge):
        await send(files, await give(files, len(PNG) - 1), PNG)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "file-" + "1" * 32},
        {"Content-Type": "text/html"},
        {"signature": "0" * 64},
        {"signature": ""},
        {"signature": "\udfff"},
        {"policy": "e30="},
        {"policy": ""},
        {"policy": "é"},
    ],
    ids=ascii,
)
async def test_a_changed_form__is_refused(files: FolderFiles, changed: Mapping[str, str]) -> None:
    address = await give(files)

    with pytest.raises((Forbidden, Unsigned)):
        files.ticket({**address.fields, **changed})
    with pytest.raises(Unsigned):
        files.ticket({})


async def test_an_address_of_another_folder__is_no_credential(
    files: FolderFiles, tmp_path: Path
) -> None:
    settings = Settings(files=FolderSetting(str(tmp_path / "other")))
    async with open_files(settings) as other:
        assert isinstance(other, FolderFiles)
        with pytest.raises(Unsigned):
            files.ticket((await give(other)).fields)


async def test_an_address__is_good_for_fifteen_minutes(
    files: FolderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, now = await give(files), time.time()
    assert 890 < address.expires_at - now < 910

    monkeypatch.setattr(time, "time", lambda: now + 890)
    files.ticket(address.fields)
    monkeypatch.setattr(time, "time", lambda: now + 910)
    with pytest.raises(Forbidden):
        files.ticket(address.fields)
    monkeypatch.undo()


async def test_a_folder__has_nothing_for_an_agent_elsewhere(files: FolderFiles) -> None:
    file = await put(files, ALICE, PNG)

    assert await files.presign_read(ALICE, file) is None
    assert files.s3_uri(ALICE, file) is None
