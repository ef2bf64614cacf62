"""What every request passes on its way in and every reply on its way out."""

from __future__ import annotations

import ipaddress
import logging
import math
import re
from collections.abc import Awaitable, Callable
from uuid import uuid4

from aiohttp import web

from bff.api import ALLOWANCE, AUTHENTICATOR, LIMITER, PRINCIPAL, REQUEST_ID, SETTINGS
from bff.errors import (
    PROBLEM_JSON,
    BadRequest,
    Forbidden,
    Internal,
    MethodNotAllowed,
    MisdirectedRequest,
    NotFound,
    Problem,
    RateLimited,
    TooLarge,
    Unauthenticated,
    UnsupportedMediaType,
)
from bff.events import dumps
from bff.settings import Network

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

EXPOSED_HEADERS = (
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, "
    "X-Run-Id, X-Session-Id, X-Request-Id, X-Should-Retry"
)
FREE = frozenset(
    {
        ("GET", "/v1/runs/{run_id}"),
        ("GET", "/v1/runs/{run_id}/events"),
        ("POST", "/v1/runs/{run_id}/cancel"),
        ("GET", "/v1/ui/chat/{id}/stream"),
        ("POST", "/v1/ui/chat/{id}/cancel"),
    }
)
"""Routes that do not count against the rate: who follows or stops a run has paid for it."""


@web.middleware
async def name_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id: the client's own if it is a sane one."""
    given = request.headers.get("X-Request-Id", "")
    sane = re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given)
    request[REQUEST_ID] = given if sane else uuid4().hex
    return await handler(request)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error before the headers with a problem document.

    After `prepare()` an error is an event of the stream, and nothing may be answered any more: a
    second head would land in the middle of the body.
    """
    try:
        return await handler(request)
    except Problem as problem:
        return problem_response(request, problem)
    except web.HTTPNotFound:
        return problem_response(request, NotFound())
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return problem_response(request, MethodNotAllowed(headers={"Allow": allowed}))
    except web.HTTPRequestEntityTooLarge:
        return problem_response(request, TooLarge())
    except (ConnectionError, web.HTTPException):
        raise
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        if request.writer.output_size:
            raise
        return problem_response(request, Internal())


def problem_response(request: web.Request, problem: Problem) -> web.Response:
    document = problem.document(request_id=request[REQUEST_ID], instance=request.path)
    response = web.Response(
        status=problem.status,
        body=dumps(document).encode(),
        content_type=PROBLEM_JSON,
        headers=problem.headers,
    )
    response.headers["Cache-Control"] = "no-store"
    if problem.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_seconds)))
    if problem.agent_called:
        response.headers["X-Should-Retry"] = "false"
    return response


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what no route of ours takes: foreign hosts, encoded bodies, credentials in the query."""
    settings = request.app[SETTINGS]
    if settings.allowed_hosts and request.path != "/health":
        host = request.headers.get("Host", "").lower()
        if host not in settings.allowed_hosts and host.rpartition(":")[0] not in (
            settings.allowed_hosts
        ):
            raise MisdirectedRequest
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType
    for name in request.query:
        if name.lower() in _SECRET_PARAMETERS:
            message = "credentials are taken in headers only"
            raise BadRequest(errors=[{"field": name, "message": message}])
    return await handler(request)


_SECRET_PARAMETERS = frozenset(
    {"token", "access_token", "id_token", "jwt", "api_key", "apikey", "key", "authorization"}
)


@web.middleware
async def cross_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer preflights; what a reply says to other origins is added in `finish_headers`."""
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        if request.headers.get("Origin") not in request.app[SETTINGS].cors_origins:
            raise Forbidden
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
                "Access-Control-Allow-Headers": (
                    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-API-Key, "
                    "X-On-Behalf-Of, X-Request-Id"
                ),
                "Access-Control-Max-Age": "600",
            },
        )
    return await handler(request)


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out who is calling, under `/v1`, and count the request against their rate."""
    if not request.path.startswith("/v1/"):
        return await handler(request)
    limiter = request.app[LIMITER]
    try:
        principal = await request.app[AUTHENTICATOR].identify(
            authorization=request.headers.getall("Authorization", []),
            api_key=request.headers.getall("X-API-Key", []),
            on_behalf_of=request.headers.getall("X-On-Behalf-Of", []),
        )
    except Unauthenticated:
        address = client_address(request)
        allowance = await limiter.take(f"address:{address}")
        if not allowance.allowed:
            raise RateLimited(retry_after_seconds=allowance.retry_after_seconds) from None
        raise
    request[PRINCIPAL] = principal
    resource = request.match_info.route.resource
    free = resource is not None and (request.method, resource.canonical) in FREE
    allowance = await (limiter.peek(principal.id) if free else limiter.take(principal.id))
    request[ALLOWANCE] = allowance
    if not free and not allowance.allowed:
        raise RateLimited(retry_after_seconds=allowance.retry_after_seconds)
    return await handler(request)


def client_address(request: web.Request) -> str:
    """The caller's address: the rightmost hop that no trusted proxy of ours added.

    `X-Forwarded-For` counts only when the peer itself is trusted.
    """
    trusted = request.app[SETTINGS].trusted_proxies
    address = request.remote or ""
    hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    while _within(address, trusted) and hops:
        hop = hops.pop().strip()
        if not _is_address(hop):
            break
        address = hop
    return address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    return _is_address(address) and any(
        ipaddress.ip_address(address) in network for network in networks
    )


async def finish_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The headers every reply has, streams included: runs when a reply is prepared."""
    headers = response.headers
    headers["X-Request-Id"] = request.get(REQUEST_ID, "")
    headers["X-Content-Type-Options"] = "nosniff"
    headers.pop("Server", None)  # names our versions to whoever looks for a hole in them
    if allowance := request.get(ALLOWANCE):
        headers["X-RateLimit-Limit"] = str(allowance.limit)
        headers["X-RateLimit-Remaining"] = str(allowance.remaining)
        headers["X-RateLimit-Reset"] = str(math.ceil(allowance.reset_seconds))
    if request.path.startswith("/v1/"):
        headers.setdefault("Cache-Control", "no-store")
    origins = request.app[SETTINGS].cors_origins
    if origins:
        headers.add("Vary", "Origin")
    if (origin := request.headers.get("Origin")) in origins:
        headers["Access-Control-Allow-Origin"] = str(origin)
        headers["Access-Control-Allow-Credentials"] = "true"
        headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
