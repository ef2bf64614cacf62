"""What is true of the bucket only: its keys, what S3 is asked, what is left when it fails."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp
import pytest
from aiohttp import web

from bff.errors import NotFound, Overloaded
from bff.files import open_files
from bff.files.s3 import PARTS_HELD, BucketFiles
from bff.files.s3.calls import open_client
from bff.files.s3.keys import Keys
from bff.files.s3.slots import PART_BYTES, Part, Slots
from bff.files.stored import new_id
from bff.settings import BucketFiles as BucketSetting
from bff.settings import Settings, SettingsError
from tests.files.conftest import ALICE, BOB, PNG, Bucket, Reopen, content, owner, put


@pytest.fixture
async def files(reopen_bucket: Reopen) -> AsyncIterator[BucketFiles]:
    async with reopen_bucket() as opened:
        yield opened


# Keys


def test_every_key__begins_with_its_owner() -> None:
    file_id = new_id()
    alice, bob = Keys("chat/", ALICE), Keys("chat/", BOB)

    keys = [alice.record(file_id), alice.content(file_id), alice.uses(file_id), alice.session("s")]
    keys += alice.marks(file_id, "../../x")

    assert all(key.startswith(f"chat/{ALICE}/") for key in keys)
    assert not any(".." in key for key in keys)
    assert len(set(keys)) == len(keys)
    assert bob.record(file_id) == alice.record(file_id).replace(ALICE, BOB)


def test_records__are_in_order_the_newest_first_and_name_their_file() -> None:
    keys = Keys("", ALICE)
    ids = [f"file-{number:032x}" for number in (0, 1, 2**64, 16**32 - 1)]

    records = [keys.record(file_id) for file_id in ids]

    assert sorted(records) == records[::-1]
    assert [keys.file_of(record) for record in records] == ids


# Memory


async def test_slots__are_held_by_one_owner_to_the_half_at_most() -> None:
    slots = Slots(4)
    alices, bobs = [slots.slot(ALICE) for _ in range(3)], slots.slot(BOB)
    await alices[0].take()
    await alices[1].take()
    await alices[1].take()

    third = asyncio.create_task(alices[2].take())
    async with asyncio.timeout(30):
        await bobs.take()
    assert not third.done()
    alices[0].give_back()
    alices[0].give_back()
    async with asyncio.timeout(30):
        await third


async def test_a_slot_that_nobody_waits_for_any_more__is_not_lost() -> None:
    slots = Slots(2)
    first = slots.slot(ALICE)
    await first.take()
    for _ in range(3):
        waiting = asyncio.create_task(slots.slot(ALICE).take())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    first.give_back()

    async with asyncio.timeout(30):
        await slots.slot(ALICE).take()
        await slots.slot(BOB).take()


async def test_fifty_uploads__hold_no_more_than_their_slots(reopen_bucket: Reopen) -> None:
    async with reopen_bucket() as files, AsyncExitStack() as stack:
        uploads = [await stack.enter_async_context(files.upload(owner(str(n)))) for n in range(50)]
        writing = [asyncio.create_task(upload.write(bytes(300_000))) for upload in uploads]
        async with asyncio.timeout(30):
            while sum(task.done() for task in writing) < PARTS_HELD:
                await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        small = await put(files, ALICE, PNG)
        done = [task for task in writing if task.done()]
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        assert await content(files, ALICE, small) == PNG

    assert len(done) == PARTS_HELD


def test_a_part__is_filled_read_and_used_again() -> None:
    part, data = Part(), memoryview(bytes(range(256)) * (PART_BYTES // 256 + 1))

    left = part.add(data[:1000])
    assert (len(left), part.full, part.size_bytes) == (0, False, 1000)
    left = part.add(data[1000:])
    assert (len(left), part.full) == (256, True)
    assert part.read() == data[:PART_BYTES]
    assert part.read() == b""
    assert (part.seek(0), part.read(3), part.tell()) == (0, data[:3], 3)
    assert (part.seek(-2, 2), part.read(9)) == (PART_BYTES - 2, data[PART_BYTES - 2 : PART_BYTES])
    part.clear()
    part.add(memoryview(b"other"))
    assert (part.seek(0, 2), part.seek(99), part.seek(1)) == (5, 5, 1)
    assert (part.read(2), part.seek(1, 1), part.readall()) == (b"th", 4, b"r")


# What S3 is asked, and what is left in it


async def test_a_large_file__is_sent_in_parts_and_a_small_one_whole(
    files: BucketFiles, bucket: Bucket
) -> None:
    small, large = await put(files, ALICE, PNG), await put(files, ALICE, bytes(2 * PART_BYTES + 1))

    keys = await bucket.keys()
    async with aiohttp.request("HEAD", f"{bucket.server}/{bucket.name}/{keys[1]}") as reply:
        etag = reply.headers["ETag"]
    assert len(keys) == 4
    assert etag.endswith('-3"')  # S3's way to say of how many parts
    assert await content(files, ALICE, large) == bytes(2 * PART_BYTES + 1)
    assert await content(files, ALICE, small) == PNG


async def test_a_bucket_that_is_not_there__stops_the_start(bucket: Bucket) -> None:
    settings = Settings(files=BucketSetting("there-is-none"))

    with pytest.raises(SettingsError, match=r"FILES: got s3://there-is-none \(no such bucket\)"):
        async with open_files(settings):
            pass


class Broken:
    """An S3 that answers operations as a test says: a status and a code, or `wait` for late."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        self.listed: list[str] = []
        self.arrived = asyncio.Event()
        self.gate = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        operation = request.method
        for name in ("uploads", "partNumber", "uploadId", "delete", "list-type"):
            if name in request.query:
                operation += f" {name}"
                break
        self.asked.append(operation)
        status, code = self.answers.get(operation, (200, ""))
        if code == "wait":
            self.arrived.set()
            await self.gate.wait()
        if status >= 300:
            body = f"<Error><Code>{code}</Code><Message>secret</Message></Error>"
        elif operation == "GET list-type":
            listed = "".join(
                f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in self.listed
            )
            body = f"<L><IsTruncated>false</IsTruncated>{listed}</L>"
        else:
            body = "<R><UploadId>u-1</UploadId></R>"
        return web.Response(status=status, text=body, headers={"ETag": '"e"'})


@pytest.fixture
async def broken(aws_environ: None, monkeypatch: pytest.MonkeyPatch, aiohttp_server: Any) -> Broken:
    broken = Broken()
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{tail:.*}", broken.answer)
    server = await aiohttp_server(app)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", str(server.make_url("/")))
    return broken


@pytest.mark.parametrize(
    ("failing", "asked"),
    [
        ("POST uploads", []),
        ("PUT partNumber", ["DELETE uploadId"]),
        ("POST uploadId", ["DELETE uploadId", "POST delete"]),
        ("PUT", ["POST delete"]),
    ],
)
async def test_a_bucket_that_refuses__leaves_nothing_and_tells_nobody_why(
    broken: Broken, caplog: pytest.LogCaptureFixture, failing: str, asked: list[str]
) -> None:
    broken.answers[failing] = (403, "AccessDenied")
    settings = Settings(files=BucketSetting("files"))
    async with open_files(settings) as files:
        assert files is not None
        with pytest.raises(Overloaded):
            await put(files, ALICE, bytes(PART_BYTES + 1))

    assert broken.asked[broken.asked.index(failing) + 1 :] == asked
    assert "AccessDenied" in caplog.text
    assert "secret" not in caplog.text


async def test_an_upload_that_is_left_while_it_begins__is_aborted(broken: Broken) -> None:
    broken.answers["POST uploads"] = (200, "wait")
    async with open_files(Settings(files=BucketSetting("files"))) as files:
        assert files is not None
        writing = asyncio.create_task(put(files, ALICE, bytes(PART_BYTES)))
        await broken.arrived.wait()
        writing.cancel()
        broken.gate.set()
        await asyncio.gather(writing, return_exceptions=True)

    assert broken.asked[-2:] == ["POST uploads", "DELETE uploadId"]


async def test_a_bucket_that_cannot_be_asked__is_overloaded(broken: Broken) -> None:
    async with open_files(Settings(files=BucketSetting("files"))) as files:
        assert files is not None
        broken.answers = {"GET": (500, "InternalError"), "GET list-type": (403, "AccessDenied")}
        with pytest.raises(Overloaded):
            await files.get(ALICE, new_id())
        with pytest.raises(Overloaded):
            await files.page(ALICE, limit=1)
        with pytest.raises(Overloaded):
            await files.ping()
        with pytest.raises(Overloaded):
            await put(files, ALICE, PNG)


async def test_a_bucket_that_does_not_answer_at_the_start__may_come_up_later(
    broken: Broken, caplog: pytest.LogCaptureFixture
) -> None:
    broken.answers["GET list-type"] = (403, "AccessDenied")
    async with open_files(Settings(files=BucketSetting("files"))) as files:
        assert files is not None
        del broken.answers["GET list-type"]
        assert await files.page(ALICE, limit=1) == ([], False)

    assert "s3://files could not be looked at: AccessDenied" in caplog.text


async def test_a_right_to_list_the_prefix_only__is_enough(broken: Broken) -> None:
    """S3 then answers 403 for what is not there."""
    async with open_files(Settings(files=BucketSetting("files", "chat/"))) as files:
        assert files is not None
        broken.answers = {"GET": (403, "AccessDenied"), "HEAD": (403, "")}
        assert await files.get(ALICE, new_id()) is None
        assert not await files.delete(ALICE, new_id())
        file_id = new_id()
        broken.listed = [Keys("chat/", ALICE).record(file_id)]
        with pytest.raises(Overloaded):
            await files.get(ALICE, file_id)


# Addresses


async def test_a_form__binds_key_size_and_type(files: BucketFiles) -> None:
    address = await files.presign_upload(
        ALICE, filename="ü.png", mime_type="image/png", size_bytes=128, purpose="vision"
    )

    policy = json.loads(base64.b64decode(address.fields["policy"]))
    conditions = policy["conditions"]
    assert {"key": address.fields["key"]} in conditions
    assert {"Content-Type": "image/png"} in conditions
    assert ["content-length-range", 128, 128] in conditions
    assert ALICE in address.fields["key"]
    assert address.file.id.removeprefix("file-") in address.fields["key"]
    assert address.fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"


async def test_what_a_client_sent_by_itself__is_a_file_once_it_is_there(
    files: BucketFiles, bucket: Bucket
) -> None:
    address = await files.presign_upload(
        ALICE, filename="ü.png", mime_type="image/png", size_bytes=19, purpose="vision"
    )
    assert await files.get(ALICE, address.file.id) is None
    assert await files.page(ALICE, limit=5) == ([], False)
    assert not await files.delete(ALICE, address.file.id)

    form = aiohttp.FormData(dict(address.fields))
    form.add_field("file", b"<html>no image</ht>", filename="x", content_type="image/png")
    async with aiohttp.request("POST", address.url, data=form) as reply:
        assert reply.status == 204
    file = await files.get(ALICE, address.file.id)

    assert file is not None
    assert (file.filename, file.size_bytes, file.mime_type) == ("ü.png", 19, "text/html")
    assert await files.get(ALICE, file.id) == file
    assert await files.page(ALICE, limit=5) == ([file], False)
    assert await content(files, ALICE, file) == b"<html>no image</ht>"
    assert await files.delete(ALICE, file.id)
    assert await bucket.keys() == []


async def test_what_is_sent_again_to_an_address__is_not_the_file(files: BucketFiles) -> None:
    address = await files.presign_upload(
        ALICE, filename="a.png", mime_type="image/png", size_bytes=len(PNG), purpose="vision"
    )

    async def send(data: bytes) -> None:
        form = aiohttp.FormData(dict(address.fields))
        form.add_field("file", data, filename="x", content_type="image/png")
        async with aiohttp.request("POST", address.url, data=form) as reply:
            assert reply.status == 204

    await send(PNG)
    file = await files.get(ALICE, address.file.id)
    assert file is not None
    await send(b"<html>" + PNG[6:])

    assert await files.get(ALICE, file.id) == file
    with pytest.raises(NotFound):
        await content(files, ALICE, file)
    await send(PNG)
    assert await content(files, ALICE, file) == PNG


async def test_an_address_to_read_at__is_the_files_for_fifteen_minutes(files: BucketFiles) -> None:
    file = await put(files, ALICE, PNG, filename="ü.png")

    url = await files.presign_read(ALICE, file)

    assert url is not None
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Expires"] == ["900"]
    async with aiohttp.request("GET", url) as reply:
        assert await reply.read() == PNG
        assert reply.headers["Content-Type"] == "image/png"
        assert unquote(reply.headers["Content-Disposition"]).endswith("UTF-8''ü.png")


async def test_an_s3_uri__names_bucket_prefix_and_owner(files: BucketFiles, bucket: Bucket) -> None:
    file = await put(files, ALICE, PNG)

    place = re.escape(f"s3://{bucket.name}/chat/{ALICE}/content/{file.id[5:]}")
    assert re.fullmatch(place, files.s3_uri(ALICE, file) or "")


async def test_addresses_of_aws__are_of_the_buckets_region(aws_environ: None) -> None:
    async with open_client("eu-central-1") as client:
        form = await client.generate_presigned_post(Bucket="files", Key="k")
        url = await client.generate_presigned_url(
            "get_object", Params={"Bucket": "files", "Key": "k"}
        )

    host = "https://files.s3.eu-central-1.amazonaws.com/"
    assert form["url"] == host
    assert url.startswith(f"{host}k?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
