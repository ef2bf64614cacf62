"""Every route against every wrong credential and every other principal, from the route table."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jwt
import pytest

from bff.app import create_app
from bff.events import Done, Message
from bff.settings import Settings
from tests.api.conftest import KEYS, Service, Start
from tests.fakes.scripted import ScriptedAgent

SECRET = "s" * 40
CANARY = "canary-7f3a"
KNOWN, OPEN_SESSION, UNKNOWN = f"s-{CANARY}", f"open-{CANARY}", "s-nothing"
UNKNOWN_RUN = "run_" + "0" * 32
WS = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "MDAwMDAwMDAwMDAwMDAwMA==",
    "Sec-WebSocket-Version": "13",
}

Headers = Mapping[str, str]


def bearer(secret: str = SECRET, **claims: Any) -> Headers:
    made = {"sub": "alice", "exp": time.time() + 86_400, **claims}
    return {"Authorization": f"Bearer {jwt.encode(made, secret, 'HS256')}"}


OWNER: Headers = {"X-API-Key": KEYS["alice"]}
WRONG: dict[str, tuple[Headers, int]] = {
    "nobody": ({}, 401),
    "unknown key": ({"X-API-Key": "x"}, 401),
    "key's name": ({"X-API-Key": "alice"}, 401),
    "empty key": ({"X-API-Key": ""}, 401),
    "unknown bearer": ({"Authorization": "Bearer x"}, 401),
    "basic": ({"Authorization": "Basic YWxpY2U6YWxpY2Uta2V5"}, 401),
    "expired": (bearer(exp=time.time() - 60), 401),
    "not signed": (bearer("x" * 40), 401),
    "two at once": ({**bearer(), "X-API-Key": KEYS["alice"]}, 401),
    "a user alone": ({"X-On-Behalf-Of": "alice"}, 401),
    "token for a user": ({**bearer(), "X-On-Behalf-Of": "alice"}, 403),
    "key for no user": ({**OWNER, "X-On-Behalf-Of": ""}, 422),
}
OTHERS: dict[str, Headers] = {
    "another key": {"X-API-Key": KEYS["bob"]},
    "alice by token": bearer(),
    "alice of an issuer": bearer(iss="https://id.example.com"),
    "alice's key for alice": {**OWNER, "X-On-Behalf-Of": "alice"},
    "bob's key for alice": {"X-API-Key": KEYS["bob"], "X-On-Behalf-Of": "alice"},
}


@dataclass(frozen=True)
class Case:
    """How a route is asked, with places for ids; `status` is what the owner gets."""

    status: int
    path: str = ""
    body: Any = None
    """JSON, or bytes that are a form."""
    headers: Headers = field(default_factory=dict)


FORM: Headers = {"Content-Type": "multipart/form-data; boundary=b"}
FILE = (
    f'--b\r\nContent-Disposition: form-data; name="file"; filename="{CANARY}.txt"\r\n\r\n'
    f"{CANARY} sent\r\n--b--\r\n"
).encode()
UNKNOWN_FILE = "file-" + "0" * 32
CHAT = {"message": "hi", "session_id": KNOWN}
CASES: dict[tuple[str, str], Case] = {
    ("POST", "/v1/chat"): Case(200, body=CHAT),
    ("POST", "/v1/chat/stream"): Case(200, body=CHAT),
    ("GET", "/v1/runs/{run_id}"): Case(200, "/v1/runs/{run}"),
    ("GET", "/v1/runs/{run_id}/events"): Case(200, "/v1/runs/{run}/events"),
    ("POST", "/v1/runs/{run_id}/cancel"): Case(200, "/v1/runs/{run}/cancel"),
    ("GET", "/v1/ws/chat"): Case(101, headers=WS),
    ("GET", "/v1/sessions"): Case(200),
    ("GET", "/v1/sessions/{session_id}"): Case(200, "/v1/sessions/{session}"),
    ("PATCH", "/v1/sessions/{session_id}"): Case(200, "/v1/sessions/{session}", {"title": "t"}),
    ("DELETE", "/v1/sessions/{session_id}"): Case(204, "/v1/sessions/{session}"),
    ("POST", "/v1/sessions/{session_id}/fork"): Case(201, "/v1/sessions/{session}/fork", {}),
    ("POST", "/v1/sessions/{session_id}/inputs/cancel"): Case(
        204, "/v1/sessions/{session}/inputs/cancel"
    ),
    ("POST", "/v1/chat/completions"): Case(
        200, body={"model": "agent", "messages": [{"role": "user", "content": "hi"}], "user": KNOWN}
    ),
    ("POST", "/v1/responses"): Case(200, body={"input": "hi", "conversation": KNOWN}),
    ("GET", "/v1/responses/{id}"): Case(200, "/v1/responses/{response}"),
    ("DELETE", "/v1/responses/{id}"): Case(200, "/v1/responses/{response}"),
    ("POST", "/v1/responses/{id}/cancel"): Case(200, "/v1/responses/{response}/cancel"),
    ("GET", "/v1/responses/{id}/input_items"): Case(200, "/v1/responses/{response}/input_items"),
    ("GET", "/v1/models"): Case(200),
    ("GET", "/v1/models/{id}"): Case(200, "/v1/models/agent"),
    ("POST", "/v1/files"): Case(200, body=FILE, headers=FORM),
    ("GET", "/v1/files"): Case(200),
    ("POST", "/v1/files/uploads"): Case(
        200, body={"filename": "a.txt", "mime_type": "text/plain", "size": 5}
    ),
    ("GET", "/v1/files/{file_id}"): Case(200, "/v1/files/{file}"),
    ("GET", "/v1/files/{file_id}/content"): Case(200, "/v1/files/{file}/content"),
    ("DELETE", "/v1/files/{file_id}"): Case(200, "/v1/files/{file}"),
    ("POST", "/v1/ui/chat"): Case(
        200,
        body={
            "id": KNOWN,
            "messages": [
                {"id": "m", "role": "user", "parts": [{"type": "text", "text": "hi"}]},
            ],
        },
    ),
    ("GET", "/v1/ui/chat/{id}"): Case(200, "/v1/ui/chat/{session}"),
    ("GET", "/v1/ui/chat/{id}/stream"): Case(200, "/v1/ui/chat/{open}/stream"),
    ("POST", "/v1/ui/chat/{id}/cancel"): Case(200, "/v1/ui/chat/{open}/cancel"),
    ("POST", "/v1/agui"): Case(
        200,
        body={
            "threadId": KNOWN,
            "runId": "r",
            "messages": [{"id": "m", "role": "user", "content": "hi"}],
            "tools": [],
            "context": [],
            "state": {},
            "forwardedProps": {},
        },
    ),
    ("POST", "/v1/agui/connect"): Case(200, body={"threadId": KNOWN, "runId": "r", "messages": []}),
}
OPEN = {
    *("/health", "/ready", "/metrics", "/openapi.json", "/docs", "/", "/playground/config.json"),
    *("/docs/{name}", "/playground/{name}"),
    "/uploads",  # a form that is signed is its own credential: tests/api/test_file_uploads.py
}
"""What anybody may ask for: nothing of anybody's is there to be read."""


def routes() -> set[tuple[str, str]]:
    app = create_app(Settings())
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method not in ("HEAD", "OPTIONS")
    }


def test_every_route__has_its_cases() -> None:
    guarded = {(method, path) for method, path in routes() if path not in OPEN}

    assert guarded == set(CASES)
    assert all(path.startswith("/v1/") for _, path in guarded)
    assert not any(path.startswith("/v1/") for path in OPEN)


@dataclass
class House:
    """Alice's things: a conversation that has ended, one whose run is open, and a file."""

    service: Service
    run: str
    file: str
    gate: asyncio.Event

    async def ask(
        self, route: tuple[str, str], headers: Headers, *, unknown: bool = False
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and body; `unknown` asks for what nobody has."""
        case = CASES[route]
        ids = {"run": self.run, "session": KNOWN, "open": OPEN_SESSION, "file": self.file}
        if unknown:
            ids = {"run": UNKNOWN_RUN, "session": UNKNOWN, "open": UNKNOWN, "file": UNKNOWN_FILE}
        ids["response"] = ids["run"].replace("run_", "resp_")
        path = (case.path or route[1]).format(**ids)
        async with (
            aiohttp.ClientSession(self.service.url) as http,
            http.request(
                route[0],
                path,
                headers={**case.headers, **headers},
                **{"data" if isinstance(case.body, bytes) else "json": case.body},
            ) as reply,
        ):
            if reply.status == 101:
                return reply.status, {}, ""
            streaming = reply.headers.get("Content-Type", "").startswith("text/event-stream")
            if streaming and route[0] == "GET":  # the open run: it would not end
                return reply.status, {}, (await reply.content.read(2000)).decode()
            return reply.status, dict(reply.headers), await reply.text()


@pytest.fixture
async def house(start: Start) -> House:
    gate = asyncio.Event()
    gate.set()
    agent = ScriptedAgent(([Message(f"{CANARY} said")], gate, [Done()]))
    service = await start(agent, JWT_SECRET=SECRET, RATE_LIMIT_REQUESTS="100000")
    message = f"{CANARY} asked"
    await service.client.post("/v1/chat", json={"message": message, "session_id": KNOWN})
    gate.clear()
    reply = await service.client.post(
        "/v1/chat/stream", json={"message": message, "session_id": OPEN_SESSION}
    )
    reply.close()
    sent = await service.client.post("/v1/files", data=FILE, headers=FORM)
    file_id = (await sent.json())["id"]
    return House(service, reply.headers["X-Run-Id"], file_id, gate)


def same(reply: tuple[int, dict[str, str], str]) -> tuple[int, dict[str, str], Any]:
    """A reply without what differs from request to request and from path to path."""
    status, headers, text = reply
    varying = {"x-request-id", "date", "x-ratelimit-remaining", "x-ratelimit-reset"}
    headers = {key.lower(): value for key, value in headers.items()}
    body = json.loads(text) if "json" in headers.get("content-type", "") else text
    if isinstance(body, dict):
        body = {key: body[key] for key in body if key not in ("request_id", "instance")}
    kept = {key: value for key, value in headers.items() if key not in varying}
    kept.pop("content-length", None)  # of the path in `instance`
    return status, kept, body


@pytest.mark.parametrize("route", CASES, ids=" ".join)
async def test_a_wrong_credential__opens_nothing(house: House, route: tuple[str, str]) -> None:
    for name, (headers, status) in WRONG.items():
        got, _, body = await house.ask(route, headers)

        assert got == status, name
        assert CANARY not in body.replace(KNOWN, "").replace(OPEN_SESSION, ""), name
        assert await house.ask(route, headers, unknown=True) is not None


@pytest.mark.parametrize("route", CASES, ids=" ".join)
async def test_another_principal__finds_what_is_not_there_and_disturbs_nothing(
    house: House, route: tuple[str, str]
) -> None:
    before = await house.ask(("GET", "/v1/sessions"), OWNER)
    # an agent is nobody's own
    by_id = bool(CASES[route].path) and route != ("GET", "/v1/models/{id}")
    if not by_id:
        house.gate.set()
    for name, headers in OTHERS.items():
        reply = await house.ask(route, headers)

        if by_id:
            unknown = await house.ask(route, headers, unknown=True)
            assert same(reply) == same(unknown), name
            assert reply[0] in (204, 404), name
        assert f"{CANARY} asked" not in reply[2], name
        if route[0] == "GET":
            assert CANARY not in reply[2].replace(f"/{KNOWN}", "").replace(f"/{OPEN_SESSION}", "")
    if by_id:
        content = await house.ask(("GET", "/v1/files/{file_id}/content"), OWNER)
        assert content[2] == f"{CANARY} sent"
        state = await house.ask(("GET", "/v1/runs/{run_id}"), OWNER)
        assert json.loads(state[2])["status"] == "running"
        assert (await house.ask(("GET", "/v1/sessions"), OWNER))[2] == before[2]


@pytest.mark.parametrize("route", CASES, ids=" ".join)
async def test_the_owner__gets_what_is_theirs(house: House, route: tuple[str, str]) -> None:
    if not CASES[route].path:
        house.gate.set()
    assert (await house.ask(route, OWNER))[0] == CASES[route].status


async def test_the_matrix__of_routes_against_callers(house: House) -> None:
    """Prints what each caller gets of each route (`pytest -rP`)."""
    callers = {**{name: headers for name, (headers, _) in WRONG.items()}, **OTHERS, "owner": OWNER}
    rows = []
    # what is there is looked at before it is changed, and changed before others make their own
    order = ["GET", "PATCH", "POST", "DELETE"]
    for route in sorted(CASES, key=lambda route: (not CASES[route].path, order.index(route[0]))):
        if not CASES[route].path:
            house.gate.set()
        row = [str((await house.ask(route, headers))[0]) for headers in callers.values()]
        rows.append((" ".join(route), row))
    for number, name in enumerate(callers, 1):
        print(f"{number:2}  {name}")
    print(" " * 36 + " ".join(f"{number:3}" for number in range(1, len(callers) + 1)))
    for name, row in rows:
        print(f"{name:36}{' '.join(row)}")

    wrong = [str(status) for _, status in WRONG.values()]
    assert all(row[: len(wrong)] == wrong for _, row in rows)


async def test_one_session_name__is_five_conversations(start: Start) -> None:
    agent = ScriptedAgent()
    service = await start(agent, JWT_SECRET=SECRET)
    async with aiohttp.ClientSession(service.url) as http:
        for headers in (OWNER, *OTHERS.values()):
            reply = await http.post("/v1/chat", json=CHAT, headers=headers)
            assert reply.status == 200

    assert len({prompt.session_id for prompt in agent.calls}) == 1 + len(OTHERS)
    assert len({prompt.actor_id for prompt in agent.calls}) == 1 + len(OTHERS)
    assert not any(KNOWN in prompt.session_id for prompt in agent.calls)


async def test_one_idempotency_key__is_a_run_for_each_principal(start: Start) -> None:
    agent = ScriptedAgent()
    service = await start(agent, JWT_SECRET=SECRET)
    runs = set()
    async with aiohttp.ClientSession(service.url) as http:
        for headers in (OWNER, *OTHERS.values()):
            sent = {**headers, "Idempotency-Key": "k-1"}
            reply = await http.post("/v1/chat", json=CHAT, headers=sent)
            runs.add(reply.headers["X-Run-Id"])

    assert len(runs) == len(agent.calls) == 1 + len(OTHERS)


async def test_a_cursor__is_good_for_its_principal_and_its_list_only(start: Start) -> None:
    service = await start(JWT_SECRET=SECRET)
    async with aiohttp.ClientSession(service.url) as http:
        for headers in (OWNER, *OTHERS.values()):
            for name in ("s-1", "s-2", "s-3"):
                body = {"message": "hi", "session_id": name}
                await http.post("/v1/chat", json=body, headers=headers)
        page = await (await http.get("/v1/sessions?limit=1", headers=OWNER)).json()
        cursor = page["next_cursor"]
        statuses = {
            name: (await http.get(f"/v1/sessions?cursor={cursor}", headers=headers)).status
            for name, headers in OTHERS.items()
        }
        messages = await http.get(f"/v1/sessions/s-1?cursor={cursor}", headers=OWNER)
        own = await (await http.get(f"/v1/sessions?cursor={cursor}", headers=OWNER)).json()

    assert set(statuses.values()) == {422}
    assert messages.status == 422
    assert [session["session_id"] for session in own["sessions"]] == ["s-2", "s-1"]


async def test_an_open_run_of_one__leaves_the_others_their_slots(start: Start) -> None:
    gate = asyncio.Event()
    service = await start(ScriptedAgent((gate, [Message("x"), Done()])), MAX_STREAMS_PER_USER="1")
    async with aiohttp.ClientSession(service.url) as http:
        replies = [
            await http.post("/v1/chat/stream", json={"message": "hi"}, headers={"X-API-Key": key})
            for key in (KEYS["alice"], KEYS["alice"], KEYS["bob"])
        ]
        gate.set()
        for reply in replies:
            await reply.read()

    assert [reply.status for reply in replies] == [200, 429, 200]
