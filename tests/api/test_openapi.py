from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
import pytest
from openapi_spec_validator import validate

from bff.agents.embedded import EmbeddedAgent
from bff.api.openapi.operations import OPERATIONS
from bff.app import create_app
from bff.errors import every_problem
from bff.events import Custom, Done, Event, Failed, Gap, Start, ToolEnd, encode
from bff.settings import Settings
from tests.api.conftest import KEYS, Service
from tests.api.conftest import Start as StartService
from tests.api.example_run import BODY, PROBLEM, records, with_gap

Document = dict[str, Any]


@pytest.fixture
async def service(start: StartService) -> Service:
    return await start(EmbeddedAgent(), RATE_LIMIT_REQUESTS="1000000")


@pytest.fixture
async def document(service: Service) -> Document:
    async with aiohttp.request("GET", f"{service.url}/openapi.json") as reply:  # by anyone
        assert reply.content_type == "application/json"
        return dict(await reply.json())


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def schema(document: Document, name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": document["components"]}


def test_every_route__has_an_entry_and_every_entry_a_route() -> None:
    app = create_app(Settings.load({"PLAYGROUND": "false"}))

    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource and route.method != "HEAD"
    }
    assert {route for route in routes if not route[1].startswith("/docs/")} == set(OPERATIONS)


async def test_the_document__is_valid_openapi_with_every_status_spelled_out(
    document: Document,
) -> None:
    validate(document)

    assert document["openapi"].startswith("3.1.")
    for method, path, operation in operations(document):
        statuses = set(operation["responses"])
        assert all(status.isdigit() for status in statuses), (method, path)
        assert {"400", "500"} <= statuses
        assert operation["summary"]
        open_to_all = operation.get("security") == []
        assert open_to_all == (not path.startswith("/v1/"))
        own_credential = path == "/uploads"  # the form's signature
        assert ("401" in statuses) == (not open_to_all or own_credential)
        assert ("requestBody" in operation) == ("413" in statuses)
    referred = set(re.findall(r'"#/components/(\w+)/(\w+)"', json.dumps(document)))
    for kind, name in referred:
        assert name in document["components"][kind]
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)


async def test_every_way_to_a_run__may_answer_what_a_run_is_refused_with(
    document: Document,
) -> None:
    ways = [
        operation["responses"].keys()
        for _, path, operation in operations(document)
        if "requestBody" in operation
        and "409" in operation["responses"]
        and "/sessions" not in path
    ]

    assert len(ways) == 6  # a file by its id may be missing in each of them
    assert all({"404", "409", "413", "429", "503"} <= way for way in ways)


async def test_every_error_of_the_tree__is_in_the_document(document: Document) -> None:
    found: set[str] = set()
    for _, _, operation in operations(document):
        for reply in operation["responses"].values():
            for content in reply.get("content", {}).values():
                for part in content.get("schema", {}).get("allOf", []):
                    found |= set(part.get("properties", {}).get("code", {}).get("enum", []))

    # of a route that is there, 405 is no answer
    assert found == {problem.code for problem in every_problem()} - {"method_not_allowed"}


async def test_every_example__runs_and_is_answered_as_described(
    service: Service, document: Document
) -> None:
    ran = 0
    for method, path, operation in operations(document):
        if method != "POST" or "requestBody" not in operation:
            continue
        content = operation["requestBody"]["content"].get("application/json", {"examples": {}})
        for name, example in content["examples"].items():
            described = {**content["schema"], "components": document["components"]}
            jsonschema_rs.validate(described, example["value"])
            place = path.replace("{session_id}", "demo")
            async with service.client.post(place, json=example["value"]) as reply:
                await reply.read()
            assert reply.status in (200, 201), (path, name)
            described = operation["responses"][str(reply.status)]
            assert reply.content_type in described["content"]
            assert all(header in reply.headers for header in described["headers"]), path
            ran += 1

    assert ran == sum(len(item.examples) for key, item in OPERATIONS.items() if key[0] == "POST")


async def test_replies_without_a_stream__match_their_schemas(
    service: Service, document: Document
) -> None:
    asked = {"message": "What is 15 * 23?", "session_id": "demo"}
    async with service.client.post("/v1/chat", json=asked) as reply:
        run_id = reply.headers["X-Run-Id"]
        seen = [("post", "/v1/chat", await reply.json())]
    for path, real in (
        ("/v1/runs/{run_id}", f"/v1/runs/{run_id}"),
        ("/v1/sessions", "/v1/sessions"),
        ("/v1/sessions/{session_id}", "/v1/sessions/demo"),
        ("/v1/models", "/v1/models"),
        ("/health", "/health"),
        ("/ready", "/ready"),
    ):
        async with service.client.get(real) as reply:
            seen.append(("get", path, await reply.json()))
    form = aiohttp.FormData({"purpose": "any"})
    form.add_field("file", b"hello", filename="a.txt")
    async with service.client.post("/v1/files", data=form) as reply:
        file = await reply.json()
        seen.append(("post", "/v1/files", file))
    for path, real in (
        ("/v1/files", "/v1/files"),
        ("/v1/files/{file_id}", f"/v1/files/{file['id']}"),
    ):
        async with service.client.get(real) as reply:
            seen.append(("get", path, await reply.json()))
    coming = {"filename": "a.txt", "mime_type": "text/plain", "size": 5}
    async with service.client.post("/v1/files/uploads", json=coming) as reply:
        seen.append(("post", "/v1/files/uploads", await reply.json()))
    async with service.client.delete(f"/v1/files/{file['id']}") as reply:
        seen.append(("delete", "/v1/files/{file_id}", await reply.json()))
    async with service.client.patch("/v1/sessions/demo", json={"title": "Sums"}) as reply:
        seen.append(("patch", "/v1/sessions/{session_id}", await reply.json()))

    for method, path, body in seen:
        content = document["paths"][path][method]["responses"]["200"]["content"]
        described = {**content["application/json"]["schema"], "components": document["components"]}
        jsonschema_rs.validate(described, body)


@pytest.mark.parametrize(
    "event",
    [
        *BODY,
        Start("run_1", "demo"),
        ToolEnd("1", "t", error="no"),
        Custom(None),
        Done(),
        Done("cancelled", {"input_tokens": 1}),
        Failed(PROBLEM),
        Gap(1, 9),
    ],
)
async def test_every_event__is_one_of_chat_event(document: Document, event: Event) -> None:
    [*_, item] = [*with_gap(), *records(event)]
    name = "".join(part.title() for part in item.name.split("_")) + "Event"

    jsonschema_rs.validate(schema(document, name), json.loads(encode(event)))
    on_the_wire = {"event": item.name, "id": str(item.id), "data": item.data}
    jsonschema_rs.validate(schema(document, "ChatEvent"), on_the_wire)


async def test_docs__are_readable_by_anyone_under_a_strict_policy(service: Service) -> None:
    async with aiohttp.ClientSession(service.url) as anyone:
        for path in ("/docs", "/docs/docs.css", "/docs/docs.js"):
            async with anyone.get(path) as reply:
                text = await reply.text()
            assert reply.status == 200
            policy = reply.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert "unsafe" not in policy
            assert "http://" not in text.replace("http://www.w3.org", "")
            assert "https://" not in text
            assert "style=" not in text
            async with anyone.get(path, headers={"If-None-Match": reply.headers["ETag"]}) as again:
                assert (again.status, await again.read()) == (304, b"")
            async with anyone.get(path, headers={"Range": "bytes=9-1"}) as part:
                assert (part.status, await part.text()) == (200, text)
        for path in ("/docs/docs.html", "/docs/openapi.py", "/docs/..%2Fopenapi.py"):
            async with anyone.get(path) as reply:
                assert reply.status == 404


async def test_the_fuzzer__finds_no_5xx_and_nothing_undocumented(
    service: Service, tmp_path: Path
) -> None:
    checks = (
        "not_a_server_error,status_code_conformance,content_type_conformance,"
        "response_headers_conformance,response_schema_conformance,unsupported_method,ignored_auth"
    )
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        *("run", f"{service.url}/openapi.json", "-H", f"X-API-Key: {KEYS['alice']}"),
        *("--checks", checks, "--phases", "examples,coverage,fuzzing", "--max-examples", "5"),
        *("--seed", "6", "--generation-database", "none", "--no-color"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": ""},
    )
    try:
        async with asyncio.timeout(200):  # less than any test may take
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    text = output.decode()
    assert process.returncode == 0, text[-6000:]
    assert f"Tested: {len(OPERATIONS) - 1}\n" in text, text[-3000:]  # all but the document itself
