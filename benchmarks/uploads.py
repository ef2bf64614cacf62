"""What files cost in memory: a thousand of 25 MB, fifty at once, into a folder and into S3.

    python -m benchmarks.uploads            both, and fails where the process grew by 64 MiB
    python -m benchmarks.uploads --files 100 --store folder

The service is a process of its own; its resident memory is looked at every 20 ms, from before the
first file to after the last. Each file is deleted once it is there, or a thousand would take 25 GB.
S3 is a process here that forgets what it is sent (`benchmarks/bucket.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Running, running

KEY = "bench-key"
ALLOWED_MIB = 64.0
LOOK_SECONDS = 0.02
PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Load:
    files: int
    at_once: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a load cost; memory is in MiB."""

    before: float
    peak: float
    seconds: float
    megabytes: float

    @property
    def growth(self) -> float:
        return self.peak - self.before

    def __str__(self) -> str:
        return (
            f"{self.before:.0f} MiB before, {self.peak:.0f} MiB at most: +{self.growth:.0f} MiB; "
            f"{self.megabytes / self.seconds:.0f} MB/s over {self.seconds:.0f} s"
        )


async def measure(store: str, load: Load, folder: Path) -> Cost:
    """Send the load to a service with that store, `folder` or `s3`."""
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(_service(store, load, folder))
        content = b"\x89PNG\r\n\x1a\n" + os.urandom(load.size_bytes - 8)
        # so that what is made once is made
        await _send(service.port, "0", content[: min(len(content), 6 * 1024**2)])
        before = peak = service.memory_kib() / 1024
        began = time.monotonic()
        left = iter(range(load.files))

        async def sender(person: str) -> None:
            for _ in left:
                await _send(service.port, person, content)

        sending = asyncio.gather(*(sender(str(person)) for person in range(load.at_once)))
        while not sending.done():
            peak = max(peak, service.memory_kib() / 1024)
            await asyncio.wait({sending}, timeout=LOOK_SECONDS)
        await sending
        seconds = time.monotonic() - began
    return Cost(before, peak, seconds, load.files * load.size_bytes / 1e6)


@asynccontextmanager
async def _service(store: str, load: Load, folder: Path) -> AsyncIterator[Running]:
    environ = {
        **os.environ,
        "API_KEYS": f"bench:{KEY}",
        "HISTORY": f"sqlite:///{folder}/bff.db",
        "RATE_LIMIT_REQUESTS": "1000000",
        "FILES": f"file:///{folder}/files",
        "FILES_MAX_MB": str(load.size_bytes // 1024**2 + 1),
        "LOG_LEVEL": "WARNING",
    }
    python = sys.executable
    async with AsyncExitStack() as stack:
        if store == "s3":
            command = [python, "-m", "benchmarks.bucket"]
            bucket = await stack.enter_async_context(
                running("bucket", command, environ, folder=folder)
            )
            environ |= {
                "FILES": "s3://files/bench",
                "AWS_ENDPOINT_URL_S3": bucket.url,
                "AWS_ACCESS_KEY_ID": "bench",
                "AWS_SECRET_ACCESS_KEY": "bench",
            }
        yield await stack.enter_async_context(
            running("bff", [python, "-m", "bff"], environ, folder=folder)
        )


async def _send(port: int, person: str, content: bytes) -> None:
    """One file of somebody's: sent as a form, then deleted."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    tail = b"\r\n--b--\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        caller = f"X-API-Key: {KEY}\r\nX-On-Behalf-Of: {person}\r\n"
        common = f"HTTP/1.1\r\nHost: bench\r\n{caller}".encode()
        length = len(head) + len(content) + len(tail)
        writer.write(
            b"POST /v1/files " + common + b"Content-Type: multipart/form-data; boundary=b\r\n"
            b"Content-Length: %d\r\n\r\n" % length + head
        )
        view = memoryview(content)
        for place in range(0, len(content), PIECE_BYTES):
            writer.write(view[place : place + PIECE_BYTES])
            await writer.drain()
        writer.write(tail)
        body = await _read(reader)
        file_id = body.partition(b'"id":"')[2].partition(b'"')[0]
        if b'"bytes":%d,' % len(content) not in body:
            raise RuntimeError(f"the file was not kept: {body!r}")
        writer.write(b"DELETE /v1/files/" + file_id + b" " + common + b"\r\n")
        await _read(reader)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--megabytes", type=int, default=25)
    parser.add_argument("--store", choices=("folder", "s3"))
    options = parser.parse_args()
    load = Load(options.files, options.at_once, options.megabytes * 1024**2)
    print(f"{load.files} files of {options.megabytes} MB, {load.at_once} at once")
    good = True
    for store in [options.store] if options.store else ["folder", "s3"]:
        with tempfile.TemporaryDirectory() as folder:
            cost = asyncio.run(measure(store, load, Path(folder)))
        print(f"{store:7} {cost}", flush=True)
        good = good and cost.growth < ALLOWED_MIB
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
