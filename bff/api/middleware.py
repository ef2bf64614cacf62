"""What every request passes on its way in and every reply on its way out."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from aiohttp import hdrs, web
from multidict import CIMultiDict, istr

from bff.api import AUTHENTICATOR, LIMITER, PRINCIPAL, SETTINGS, STATE, TELEMETRY, RequestState
from bff.api.addresses import Client, client_of, written
from bff.api.awaited_body import body_may_not_come
from bff.api.streaming import RUN_ID, EventStream
from bff.api.websocket.handshake import SOCKET_ROUTE, bearer_protocols
from bff.errors import (
    PROBLEM_JSON,
    BadRequest,
    Forbidden,
    Internal,
    MethodNotAllowed,
    MisdirectedRequest,
    NotAForm,
    NotFound,
    Problem,
    RateLimited,
    TooLarge,
    UnsupportedMediaType,
)
from bff.events import dumps
from bff.identity import acting_for

logger = logging.getLogger(__name__)

_REQUEST_ID, _API_KEY = istr("X-Request-Id"), istr("X-API-Key")
_ON_BEHALF_OF = istr("X-On-Behalf-Of")
_LIMIT, _REMAINING = istr("X-RateLimit-Limit"), istr("X-RateLimit-Remaining")
_RESET = istr("X-RateLimit-Reset")
_SECURITY_POLICY = istr("Content-Security-Policy")
_ALWAYS = CIMultiDict({"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"})
"""Of each reply. Names as aiohttp's `hdrs` has them: what it compares them by is made once."""

_MAX_HEADER_BYTES = 4096
"""Proxies in front refuse replies with more, about."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

EXPOSED_HEADERS = (
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, "
    "X-Run-Id, X-Session-Id, X-Request-Id, X-Should-Retry, X-Ignored, Content-Disposition, "
    "Content-Range, Accept-Ranges, ETag"
)
"""What pages of other origins may read of every reply; a protocol's own `X-…` comes beside it."""
ALLOWED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-API-Key, X-On-Behalf-Of, "
    "X-Request-Id"
)
_HEADER_NAME = r"[A-Za-z0-9_.!#$%&'^`|~+-]{1,64}"
_HEADER_NAMES = rf"{_HEADER_NAME}( *, *{_HEADER_NAME}){{0,63}}"
"""All that may be a header's name but `*`, which would be a wildcard."""
FREE = frozenset(
    {
        ("GET", "/v1/runs/{run_id}"),
        ("GET", "/v1/runs/{run_id}/events"),
        ("POST", "/v1/runs/{run_id}/cancel"),
        ("GET", "/v1/responses/{id}"),
        ("POST", "/v1/responses/{id}/cancel"),
        ("GET", "/v1/ui/chat/{id}/stream"),
        ("POST", "/v1/ui/chat/{id}/cancel"),
    }
)
"""Routes that do not count against the rate: who follows or stops a run has paid for it."""


CARRY_FILES = frozenset(
    {("POST", "/v1/files"), ("POST", "/uploads"), ("GET", "/v1/files/{file_id}/content")}
)
"""Routes that last as long as the client takes to send or to read."""

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@web.middleware
async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id, the client's own if it is a sane one, answer it, and note how it
    went.

    One middleware for all of it: each has a frame of its own for as long as a stream is open, and
    every event passes through all of them.
    """
    given = request.headers.get(_REQUEST_ID, "")
    sane = given and _SANE_ID.fullmatch(given)
    request_id = given if sane else os.urandom(16).hex()
    state = request[STATE] = RequestState(request_id)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    with request.app[TELEMETRY].request(
        request_id=request_id,
        method=request.method,
        route=route,
        client=written(client(request).counted),
        headers=request.headers,
    ) as exchange:
        response: web.StreamResponse
        try:
            preflight = await _admit(request, state, route)
            response = await handler(request) if preflight is None else preflight
        except Exception as error:
            response = _told(request, error)
        finally:
            if state.body:
                state.body.close()
            if state.run:
                exchange.run_id, exchange.agent = state.run
        exchange.status = response.status
        exchange.streamed = (
            isinstance(response, EventStream | web.WebSocketResponse)
            or (request.method, exchange.route) in CARRY_FILES
        )
        exchange.awaited_agent = request.method == "POST" and RUN_ID in response.headers
        if principal := request.get(PRINCIPAL):
            exchange.principal = principal.id
        return response


def _told(request: web.Request, error: Exception) -> web.Response:
    """The problem document for an error; raises it again where nothing can be answered any more.

    After `prepare()` an error is an event of the stream: a second head would land in the middle of
    the body.
    """
    match error:
        case Problem():
            return problem_response(request, error)
        case web.HTTPNotFound():
            return problem_response(request, NotFound())
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return problem_response(request, MethodNotAllowed(headers={"Allow": allowed}))
        case web.HTTPRequestEntityTooLarge():
            return problem_response(request, TooLarge())
        case web.HTTPException() if error.status >= 400:  # a handshake or an Expect of aiohttp's
            return problem_response(request, BadRequest())
        case web.HTTPException() | ConnectionError():
            raise error
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    if request.writer.output_size:
        raise error
    return problem_response(request, Internal())


def problem_response(request: web.Request, problem: Problem) -> web.Response:
    request.app[TELEMETRY].problem(problem.code)
    document = problem.document(request_id=request[STATE].request_id, instance=request.path)
    response = web.Response(
        status=problem.status,
        body=dumps(document).encode(),
        content_type=PROBLEM_JSON,
        headers=problem.headers,
    )
    response.headers["Cache-Control"] = "no-store"
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if problem.headers.get("Connection") == "close":
        response.force_close()
    if problem.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_seconds)))
    if problem.agent_called:
        response.headers["X-Should-Retry"] = "false"
    return response


async def _admit(request: web.Request, state: RequestState, route: str) -> web.Response | None:
    """Refuse what no handler should see, in this order; a preflight is answered here."""
    allowed = request.app[SETTINGS].allowed_hosts
    # a load balancer's health check names none of ours
    if allowed and request.path != "/health" and not _is_for(request, allowed):
        raise MisdirectedRequest
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return _preflight(request)
    if request.path.startswith("/v1/"):
        await _authenticate(request, state, route)
    _guard(request)
    return None


def _guard(request: web.Request) -> None:
    """Refuse what no route takes: encoded bodies, credentials in the query."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        form = request.content_type == "multipart/form-data"
        refusal = NotAForm if form else UnsupportedMediaType
        raise refusal(headers={"Connection": "close"})
    if request.headers.get(hdrs.TRANSFER_ENCODING, "chunked").lower() != "chunked":
        raise BadRequest(headers={"Connection": "close"})
    for name in request.query if request.query_string else ():
        if re.sub("[^a-z]", "", name.lower()) in _SECRET_PARAMETERS:
            message = "credentials are taken in headers only"
            raise BadRequest.of("query", message)


_SECRET_PARAMETERS = frozenset(
    {
        *("token", "accesstoken", "idtoken", "refreshtoken", "authtoken", "jwt", "bearer"),
        *("apikey", "xapikey", "key", "authorization", "auth", "password", "secret"),
    }
)


def _is_for(request: web.Request, allowed: Collection[str]) -> bool:
    """Whether the request is for one of these hosts, named with a port or without."""
    hosts = request.headers.getall("Host", [])
    return bool(hosts) and all(
        host in allowed or re.sub(r":[0-9]{1,5}$", "", host) in allowed
        # aiohttp's host is that of `GET http://host/path` where a request has one
        for host in map(str.lower, (*hosts, request.host))
    )


def _preflight(request: web.Request) -> web.Response:
    """What a reply says to other origins is added in `finish_headers`."""
    if request.headers.get("Origin") not in request.app[SETTINGS].cors_origins:
        raise Forbidden
    # an origin that is named exactly may send what its clients add (OpenAI's, tracing)
    asked = request.headers.get("Access-Control-Request-Headers", "")
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
            "Access-Control-Allow-Headers": (
                asked if re.fullmatch(_HEADER_NAMES, asked) else ALLOWED_HEADERS
            ),
            "Access-Control-Max-Age": "600",
        },
    )


async def _authenticate(request: web.Request, state: RequestState, route: str) -> None:
    """Find out who is calling, and count the request against their rate."""
    app = request.app
    limiter = app[LIMITER]
    authorization = request.headers.getall(hdrs.AUTHORIZATION, [])
    if route == SOCKET_ROUTE:
        authorization += [f"Bearer {token}" for token in bearer_protocols(request)]
    try:
        principal = await app[AUTHENTICATOR].identify(
            authorization=authorization,
            api_key=request.headers.getall(_API_KEY, []),
        )
    except Problem:
        allowance = await limiter.take(client(request).limited_as)
        if not allowance.allowed:
            raise RateLimited(retry_after_seconds=allowance.retry_after_seconds) from None
        raise
    refusal = None
    try:
        principal = acting_for(principal, request.headers.getall(_ON_BEHALF_OF, []))
    except Problem as problem:  # the credential is a good one, and is what pays
        refusal = problem
    request[PRINCIPAL] = principal
    if (request.method, route) in FREE:  # decides nothing, so nothing waits for it until the reply
        state.peeking = asyncio.create_task(limiter.peek(principal.id))
    else:
        allowance = state.allowance = await limiter.take(principal.id)
        if not allowance.allowed:
            raise RateLimited(retry_after_seconds=allowance.retry_after_seconds)
    if refusal:
        raise refusal


def client(request: web.Request) -> Client:
    """Where the request comes from, as far as it can be believed."""
    return client_of(
        request.remote,
        request.headers.getall(hdrs.X_FORWARDED_FOR, []),
        request.app[SETTINGS].trusted_proxies,
    )


_UNKNOWN = RequestState("")
"""Of a request that came to no middleware."""


async def finish_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The headers every reply has, streams included: runs when a reply is prepared."""
    headers = response.headers
    state = request.get(STATE, _UNKNOWN)
    headers[_REQUEST_ID] = state.request_id
    headers.update(_ALWAYS)
    headers.setdefault(_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'")
    if body_may_not_come(request):
        response.force_close()
        headers[hdrs.CONNECTION] = "close"
    headers.pop(hdrs.SERVER, None)  # it names versions, which attackers look for
    if state.ignored:
        headers["X-Ignored"] = _as_header(state.ignored)
    if allowance := await state.peeking if state.peeking else state.allowance:
        headers[_LIMIT] = str(allowance.limit)
        headers[_REMAINING] = str(allowance.remaining)
        headers[_RESET] = str(math.ceil(allowance.reset_seconds))
    if request.path.startswith("/v1/"):
        headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    origins = request.app[SETTINGS].cors_origins
    if origins:
        headers.add("Vary", "Origin")
    if (origin := request.headers.get(hdrs.ORIGIN)) in origins:
        headers["Access-Control-Allow-Origin"] = str(origin)
        headers["Access-Control-Allow-Credentials"] = "true"
        headers["Access-Control-Expose-Headers"] = _exposed(headers)


def _exposed(headers: Iterable[str]) -> str:
    """The names of the headers that a page of another origin may read."""
    own = [name for name in headers if name.lower().startswith("x-")]
    return ", ".join([EXPOSED_HEADERS, *(name for name in own if name not in EXPOSED_HEADERS)])


def _as_header(names: Sequence[str]) -> str:
    """Fields by name, whatever a client calls them: what a header cannot hold is escaped."""
    shown = ", ".join(json.dumps(name)[1:-1] for name in names)
    return shown if len(shown) <= _MAX_HEADER_BYTES else f"{shown[:_MAX_HEADER_BYTES]} ..."
