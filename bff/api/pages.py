"""Files of a page, served whole from memory: nobody needs a part of one.

Most ask whether theirs is still good: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from aiohttp import web


def page_file(request: web.Request, path: Path, headers: Mapping[str, str]) -> web.Response:
    """The file, or 304 for a client that has it."""
    body, digest = _read(path)
    known = any(etag.value in ("*", digest) for etag in request.if_none_match or ())
    response = web.Response(status=304 if known else 200, headers=headers)
    response.etag = digest
    if not known:
        response.body = body
    return response


@lru_cache(maxsize=64)
def _read(path: Path) -> tuple[bytes, str]:
    body = path.read_bytes()
    return body, hashlib.sha256(body).hexdigest()[:32]
