"""A client that asks before it sends a body (`Expect: 100-continue`) is told to when it is read.

aiohttp tells it at once. So whoever is refused - no credentials, too many requests, a body that is
too large - would have sent all of it for nothing:
https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import HttpVersion11, hdrs, web

_ASKS = web.RequestKey("asks before it sends its body", bool)


def with_bodies_awaited(routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
    """The routes, none of which asks for a body by itself."""
    return [
        web.RouteDef(
            route.method, route.path, route.handler, {**route.kwargs, "expect_handler": _note}
        )
        for route in routes
    ]


async def _note(request: web.Request) -> None:
    if request.version < HttpVersion11:
        return
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        raise web.HTTPExpectationFailed
    request[_ASKS] = True


async def ask_for_body(request: web.Request) -> None:
    """To be called before any of a body is waited for."""
    if request.get(_ASKS):
        del request[_ASKS]
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the reply has not begun


def body_may_not_come(request: web.Request) -> bool:
    """Whether the client was never told to send its body: what it sends next may be another
    request, or that body."""
    # the header first: of a key that is not there a request finds out by an exception
    return hdrs.EXPECT in request.headers and _ASKS in request and request.can_read_body
