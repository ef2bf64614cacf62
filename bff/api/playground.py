"""The chat page at `/` and its files: served as they are, under a policy that lets nothing else in.

The page shows what an agent says, and an agent may have been talked into anything. So no script,
style, picture or connection but our own is allowed, and markup cannot be made from text at all
(Trusted Types). docs/playground.md tells the rest.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from aiohttp import web

from bff.api import SETTINGS
from bff.api.pages import page_file
from bff.errors import NotFound
from bff.settings import EMBEDDED

FOLDER = Path(__file__).parent.parent / "playground"
PAGE = "index.html"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FILES = {path.name: path for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}


async def show_page(request: web.Request) -> web.StreamResponse:
    """The page."""
    return _file(request, PAGE)


async def show_file(request: web.Request) -> web.StreamResponse:
    """A script, a style sheet or a picture of the page."""
    name = request.match_info["name"]
    if name == PAGE or name not in FILES:
        raise NotFound
    return _file(request, name)


async def show_config(request: web.Request) -> web.StreamResponse:
    """What the page starts with: which agent answers, and the made-up key for who may have it."""
    settings = request.app[SETTINGS]
    return web.json_response(
        {
            "agent": "embedded" if settings.agent_url == EMBEDDED else "own",
            "key": settings.made_up_key if _from_this_machine(request) else None,
            "most_file_bytes": settings.max_file_bytes if settings.files else None,
        },
        headers={**HEADERS, "Cache-Control": "no-store"},
    )


ROUTES = [
    web.get("/", show_page),
    web.get("/playground/config.json", show_config),
    web.get("/playground/{name}", show_file),
]


def _file(request: web.Request, name: str) -> web.Response:
    path = FILES[name]
    return page_file(request, path, {**HEADERS, "Content-Type": TYPES[path.suffix]})


_FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")


def _from_this_machine(request: web.Request) -> bool:
    """Whether the page itself asks, in a browser on this machine, with nothing in between.

    The peer alone proves little. A name of an attacker's may resolve to 127.0.0.1 (DNS rebinding),
    which `Host` gives away; another site's script may ask, which `Sec-Fetch-Site` gives away; and a
    tunnel's end is a loopback peer too, which its headers give away.
    """
    return (
        _is_loopback(request.remote or "")
        and _is_loopback(_host_name(request.headers.get("Host", "")))
        and request.headers.get("Sec-Fetch-Site") in ("same-origin", "none")
        and not any(name in request.headers for name in _FORWARDED)
    )


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
