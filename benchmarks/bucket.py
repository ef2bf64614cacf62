"""An S3 that keeps what is small and forgets the rest: the other end of `benchmarks/uploads.py`.

Run as a process: `python -m benchmarks.bucket`, with `PORT`.
"""

from __future__ import annotations

import asyncio
import os
from urllib.parse import unquote

from aiohttp import web

KEPT_BYTES = 64 * 1024

Objects = dict[str, tuple[int, bytes]]
OBJECTS = web.AppKey("objects", Objects)


async def answer(request: web.Request) -> web.StreamResponse:
    """Any operation that the store of files asks for."""
    objects, key = request.app[OBJECTS], unquote(request.path).partition("/files/")[2]
    size, body = 0, b""
    async for chunk in request.content.iter_any():
        size += len(chunk)
        body = body + chunk if size <= KEPT_BYTES else b""
    match request.method:
        case "PUT":
            if "partNumber" not in request.query:
                objects[key] = size, body
            return web.Response(headers={"ETag": '"e"'})
        case "POST" if "uploads" in request.query:
            return _xml("<InitiateMultipartUploadResult><UploadId>u</UploadId>")
        case "POST" if "uploadId" in request.query:
            objects[key] = 0, b""
            return _xml("<CompleteMultipartUploadResult><ETag>e</ETag>")
        case "POST":
            for found in body.decode().split("<Key>")[1:]:
                objects.pop(found.partition("</Key>")[0], None)
            return _xml("<DeleteResult>")
        case "GET" if "list-type" in request.query:
            found = "".join(
                f"<Contents><Key>{name}</Key><Size>{size}</Size></Contents>"
                for name, (size, _) in sorted(objects.items())
                if name.startswith(request.query["prefix"])
            )
            return _xml(f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}")
        case "GET" if key in objects:
            return web.Response(body=objects[key][1], headers={"ETag": '"e"'})
        case "GET":
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        case _:
            return web.Response()


def _xml(opened: str) -> web.Response:
    name = opened[1:].partition(">")[0]
    return web.Response(text=f"{opened}</{name}>", content_type="application/xml")


async def health(request: web.Request) -> web.StreamResponse:
    return web.Response()


async def main() -> None:
    app = web.Application()
    app[OBJECTS] = {}
    app.add_routes([web.get("/health", health), web.route("*", "/{key:.*}", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"])).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
