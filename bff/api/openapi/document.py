"""`GET /openapi.json` and `/docs`: the API describes itself, from the parts that make it work.

https://spec.openapis.org/oas/v3.1.1. Paths and operation ids come from the router, summaries from
the handlers' docstrings, schemas from the models, errors from the error tree; what none of these
knows stands in `bff/api/openapi/operations.py`. The page renders the document with files of ours.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from bff import __doc__ as about
from bff import __version__
from bff.api.openapi import components, openai_shapes, replies
from bff.api.openapi.operation import ALWAYS, AUTHENTICATED, WITH_BODY, Operation
from bff.api.openapi.operation import Reply as GoodReply
from bff.api.openapi.operations import OPERATIONS
from bff.api.openapi.parameters import HEADERS, PARAMETERS
from bff.api.pages import page_file
from bff.errors import PROBLEM_JSON, Problem, RateLimited

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
FOLDER = Path(__file__).parent / "page"
FILES = {
    "docs.html": "text/html; charset=utf-8",
    "docs.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
}


async def show_openapi(request: web.Request) -> web.StreamResponse:
    """This API as an OpenAPI 3.1 document."""
    document = _document(tuple(request.app.router.routes()))
    return web.Response(
        body=document, content_type="application/json", headers={"Cache-Control": "no-cache"}
    )


async def show_docs(request: web.Request) -> web.StreamResponse:
    """This API as a page to read."""
    return _file(request, "docs.html")


async def show_docs_file(request: web.Request) -> web.StreamResponse:
    """The page's script and style."""
    return _file(request, request.match_info["name"])


def _file(request: web.Request, name: str) -> web.Response:
    return page_file(request, FOLDER / name, {**PAGE_HEADERS, "Content-Type": FILES[name]})


@lru_cache(maxsize=1)
def _document(routes: tuple[web.AbstractRoute, ...]) -> bytes:
    return json.dumps(describe(routes), ensure_ascii=False, indent=1).encode()


def describe(routes: Iterable[web.AbstractRoute]) -> dict[str, Any]:
    """The document for an application's routes; pages of the playground have no entry."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = route.resource.canonical if route.resource else ""
        if operation := OPERATIONS.get((route.method, path)):
            paths.setdefault(path, {})[route.method.lower()] = _operation(route, operation)
    return {
        "openapi": "3.1.1",
        "info": {"title": "agentcore-bff", "version": __version__, "description": about},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(o.tag for o in OPERATIONS.values())],
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": {**components.components(*_models()), **components.event_schemas()},
            "parameters": dict(PARAMETERS),
            "headers": {_component(name): header for name, header in HEADERS.items()},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A JWT, or an API key where a client knows no other header.",
                },
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _models() -> Iterator[type[BaseModel]]:
    yield from openai_shapes.IN_STREAMS
    yield from replies.IN_STREAMS
    for operation in OPERATIONS.values():
        if operation.body:
            yield operation.body
        for reply in operation.replies.values():
            if reply.json:
                yield reply.json


_RATE = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_RUN = ("X-Run-Id", "X-Session-Id")


def _operation(route: web.AbstractRoute, operation: Operation) -> dict[str, Any]:
    summary, _, rest = (inspect.getdoc(route.handler) or "").partition("\n\n")
    names = [*operation.parameters, "XRequestId"]
    if not operation.open:
        names.append("XOnBehalfOf")
    described: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "tags": [operation.tag],
        "summary": " ".join(summary.split()),
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in names],
        "responses": {
            str(status): reply
            for status, reply in sorted(
                (_problem_replies(operation) | _good_replies(operation)).items()
            )
        },
    }
    if rest:
        described["description"] = rest
    if operation.open:
        described["security"] = []
    if operation.body:
        examples = {name: {"value": value} for name, value in operation.examples.items()}
        described["requestBody"] = {
            "required": not operation.may_be_empty,
            "content": {
                "multipart/form-data" if operation.form else "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{operation.body.__name__}"},
                    **({"examples": examples} if examples else {}),
                }
            },
        }
    return described


def _good_replies(operation: Operation) -> dict[int, dict[str, Any]]:
    return {status: _good_reply(reply, operation) for status, reply in operation.replies.items()}


def _good_reply(reply: GoodReply, operation: Operation) -> dict[str, Any]:
    headers = _headers("X-Request-Id", *(() if operation.open else _RATE))
    if reply.run:
        headers |= _headers(*_RUN)
    for name, description in reply.headers.items():
        headers[name] = {"description": description, "schema": {"type": "string"}}
    content: dict[str, Any] = {}
    if reply.json:
        schema = {"$ref": f"#/components/schemas/{reply.json.__name__}"}
        content["application/json"] = {"schema": schema}
    if reply.stream:
        # before OpenAPI 3.2, the schema of an event stream is by convention that of each event
        schema = (
            {"$ref": "#/components/schemas/ChatEvent"}
            if reply.stream == ("ChatEvent",)
            else components.sse_event(*reply.stream)
        )
        content["text/event-stream"] = {"schema": schema}
    if reply.text:
        content[reply.text] = {} if "json" in reply.text else {"schema": {"type": "string"}}
    if reply.binary:
        content["*/*"] = {"schema": {"type": "string", "format": "binary"}}
    described: dict[str, Any] = {"description": reply.description, "headers": headers}
    return described | ({"content": content} if content else {})


def _problem_replies(operation: Operation) -> dict[int, dict[str, Any]]:
    problems = [*ALWAYS, *operation.problems]
    if not operation.open:
        problems += AUTHENTICATED
    if operation.body:
        problems += WITH_BODY
    by_status: dict[int, list[type[Problem]]] = {}
    for problem in dict.fromkeys(problems):
        by_status.setdefault(problem.status, []).append(problem)
    return {status: _problem_reply(status, found) for status, found in by_status.items()}


def _problem_reply(status: int, problems: list[type[Problem]]) -> dict[str, Any]:
    names = ["X-Request-Id"]
    if status == 401:
        names.append("WWW-Authenticate")
    if status in (409, RateLimited.status, 503):
        names.append("Retry-After")
    if status in (409, RateLimited.status) or status >= 500:
        names += ["X-Should-Retry", *_RUN]
    known = list(dict.fromkeys(problem.code for problem in problems))
    codes = {"properties": {"code": {"enum": known}}}
    return {
        "description": " ".join(f"`{problem.code}`: {problem.detail}" for problem in problems),
        "headers": _headers(*names),
        "content": {
            PROBLEM_JSON: {
                "schema": {"allOf": [{"$ref": "#/components/schemas/Problem"}, codes]},
            }
        },
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{_component(name)}"} for name in names}


def _component(name: str) -> str:
    return name.replace("-", "")
