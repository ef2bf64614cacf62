"""How long a request waits for the shared server, on every route: counted, not timed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bff.agents import Prompt
from bff.app import ROUTES, create_app
from bff.connections import Runner
from bff.events import Done, Event, Input, Message
from bff.runs.valkey.timing import TIMING
from bff.settings import ApiKey, FolderFiles, Settings, SqliteHistory
from tests.fakes.scripted import ScriptedAgent
from tests.runs.valkey.round_trips import RoundTrips
from tests.runs.valkey.valkey import Valkey

OPEN_RUNS = 10
MOST_ROUND_TRIPS = int(0.25 / TIMING.call_seconds)
"""What fits into the 250 ms of the contract, if each takes as long as one may."""
KEY = "alice-key"
PATIENT = replace(TIMING, call_seconds=5)
"""Trips are counted and not timed: a machine that is busy for 40 ms makes none of them fewer."""


@asynccontextmanager
async def instance(
    url: str, folder: Path, agent: ScriptedAgent
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of one instance of the service."""
    settings = Settings(
        api_keys=(ApiKey("alice", hashlib.sha256(KEY.encode()).hexdigest()),),
        history=SqliteHistory(str(folder / "history.db")),
        files=FolderFiles(str(folder / "files")),
        max_streams_per_user=1000,
        rate_limit_requests=1_000_000,
        redis_url=url,
    )
    runner = Runner(create_app(settings, agent=agent, timing=PATIENT))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(base, headers={"X-API-Key": KEY}) as client:
            yield client
    finally:
        await runner.cleanup()


class Talker(ScriptedAgent):
    """Begins to answer whatever it is asked, and comes to an end where it is asked to."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        yield [Message("one")]
        match prompt.conversation.text:
            case "ask":
                yield [Input(f"input-{prompt.run_id}", "input")]
            case "done":
                pass
            case _ if prompt.questions:
                await asyncio.sleep(0.5)
            case _:
                await asyncio.Event().wait()
        yield [Done()]


@dataclass
class Scene:
    """One caller's open runs on one instance, and an instance behind the relay to ask."""

    owner: aiohttp.ClientSession
    asked: aiohttp.ClientSession
    trips: RoundTrips

    async def begin(self, session_id: str, **fields: str) -> str:
        """A run that stays open; its client stays too if the run needs one."""
        body = {"message": "hi", "session_id": session_id, **fields}
        reply = await self.owner.post("/v1/chat/stream", json=body)
        assert reply.status == 200, await reply.text()
        await reply.content.readuntil(b"event: message")
        return reply.headers["X-Run-Id"]

    async def ask(self, method: str, path: str, body: object = None) -> None:
        """A request that has to be answered, as far as its first bytes."""
        async with self.asked.request(method, path, json=body) as reply:
            assert reply.status in (200, 201, 204), await reply.text()
            await reply.content.readany()


CHAT = {"messages": [{"role": "user", "content": "hi"}]}
Act = Callable[[Scene], Awaitable[None]]


async def socket_chat(scene: Scene) -> None:
    async with scene.asked.ws_connect("/v1/ws/chat") as socket:
        await scene.trips.begin()
        await socket.send_json({"message": "hi"})
        await socket.receive_json()


async def socket_resume(scene: Scene) -> None:
    run_id = await scene.begin("socket")
    async with scene.asked.ws_connect("/v1/ws/chat") as socket:
        await scene.trips.begin()
        await socket.send_json({"type": "resume", "run_id": run_id})
        await socket.receive_json()


async def socket_cancel(scene: Scene) -> None:
    run_id = await scene.begin("socket")
    async with scene.asked.ws_connect("/v1/ws/chat") as socket:
        await socket.send_json({"type": "resume", "run_id": run_id, "after": 2})
        await socket.send_json({"type": "ping"})
        while (await socket.receive_json())["event"] != "pong":
            pass
        await scene.trips.begin()
        await socket.send_json({"type": "cancel", "run_id": run_id})
        while (await socket.receive_json())["event"] != "done":
            pass


def request(method: str, path: str, body: object = None) -> Act:
    return lambda scene: scene.ask(method, path, body)


def about_a_run(method: str, path: str, body: object = None, **fields: str) -> Act:
    async def act(scene: Scene) -> None:
        run_id = await scene.begin("one", **fields)
        await scene.trips.begin()
        await scene.ask(method, path.format(run_id=run_id), body)

    return act


def about_a_file(method: str, path: str) -> Act:
    async def act(scene: Scene) -> None:
        form = aiohttp.FormData()
        form.add_field("file", b"hello", filename="a.txt")
        if method == "POST":
            await scene.trips.begin()
        async with scene.asked.post("/v1/files", data=form) as reply:
            file_id = (await reply.json())["id"]
        if method != "POST":
            await scene.trips.begin()
            await scene.ask(method, path.format(file_id=file_id))

    return act


def about_a_response(method: str, path: str, **fields: object) -> Act:
    async def act(scene: Scene) -> None:
        async with scene.owner.post("/v1/responses", json={"input": "done", **fields}) as reply:
            response = await reply.json()
        assert reply.status == 200, response
        await scene.trips.begin()
        await scene.ask(method, path.format(id=response["id"]))

    return act


async def decline(scene: Scene) -> None:
    await scene.ask("POST", "/v1/chat", {"message": "ask", "session_id": "asking"})
    await scene.trips.begin()
    await scene.ask("POST", "/v1/sessions/asking/inputs/cancel")


async def busy_conversation(scene: Scene) -> None:
    """A client that names no session says the same while its first try is still being answered."""
    said = [{"role": "user", "content": "done"}, {"role": "assistant", "content": "one"}]
    await scene.ask("POST", "/v1/chat/completions", {"messages": said[:1]})
    messages = [*said, {"role": "user", "content": "hi"}]
    reply = await scene.owner.post(
        "/v1/chat/completions", json={"messages": messages, "stream": True}
    )
    await reply.content.readany()
    await scene.trips.begin()
    messages[-1] = {"role": "user", "content": "done"}
    await scene.ask("POST", "/v1/chat/completions", {"messages": messages})
    reply.close()


async def yes_twice(scene: Scene) -> None:
    """Two people answer the same question at once, each with a plain message."""
    await scene.ask("POST", "/v1/chat", {"message": "ask", "session_id": "asking-twice"})
    answer = {"message": "yes", "session_id": "asking-twice"}
    reply = await scene.owner.post("/v1/chat/stream", json=answer)
    await reply.content.readuntil(b"event: message")
    await scene.trips.begin()
    await scene.ask("POST", "/v1/chat", answer)
    reply.close()


ACTS: dict[str, Act] = {
    "POST /v1/chat/completions beside a busy conversation": busy_conversation,
    "POST /v1/chat with an answer that is given twice": yes_twice,
    "POST /v1/chat": request("POST", "/v1/chat", {"message": "done"}),
    "POST /v1/chat/stream": request("POST", "/v1/chat/stream", {"message": "hi"}),
    "GET /v1/ws/chat": socket_chat,
    "GET /v1/ws/chat resume": socket_resume,
    "GET /v1/ws/chat cancel": socket_cancel,
    "GET /v1/runs/{run_id}": about_a_run("GET", "/v1/runs/{run_id}"),
    "GET /v1/runs/{run_id}/events": about_a_run("GET", "/v1/runs/{run_id}/events"),
    "GET /v1/runs/{run_id}/events of one that ends with its followers": about_a_run(
        "GET", "/v1/runs/{run_id}/events", on_disconnect="cancel"
    ),
    "POST /v1/runs/{run_id}/cancel": about_a_run("POST", "/v1/runs/{run_id}/cancel"),
    "GET /v1/sessions": request("GET", "/v1/sessions"),
    "GET /v1/sessions/{session_id}": about_a_run("GET", "/v1/sessions/one"),
    "PATCH /v1/sessions/{session_id}": request("PATCH", "/v1/sessions/old", {"title": "new"}),
    "DELETE /v1/sessions/{session_id}": about_a_run("DELETE", "/v1/sessions/one"),
    "POST /v1/sessions/{session_id}/fork": request("POST", "/v1/sessions/old/fork", {}),
    "POST /v1/sessions/{session_id}/inputs/cancel": decline,
    "POST /v1/chat/completions": request("POST", "/v1/chat/completions", {**CHAT, "stream": True}),
    "GET /v1/models": request("GET", "/v1/models"),
    "GET /v1/models/{id:.+}": request("GET", "/v1/models/agent"),
    "POST /v1/files": about_a_file("POST", "/v1/files"),
    "GET /v1/files": request("GET", "/v1/files"),
    "POST /v1/files/uploads": request(
        "POST",
        "/v1/files/uploads",
        {"filename": "a.txt", "mime_type": "text/plain", "size": 5},
    ),
    "GET /v1/files/{file_id}": about_a_file("GET", "/v1/files/{file_id}"),
    "GET /v1/files/{file_id}/content": about_a_file("GET", "/v1/files/{file_id}/content"),
    "DELETE /v1/files/{file_id}": about_a_file("DELETE", "/v1/files/{file_id}"),
    "POST /v1/ui/chat": request(
        "POST",
        "/v1/ui/chat",
        {"id": "ui", "messages": [{"role": "user", "parts": [{"type": "text", "text": "hi"}]}]},
    ),
    "GET /v1/ui/chat/{id}": about_a_run("GET", "/v1/ui/chat/one"),
    "GET /v1/ui/chat/{id}/stream": about_a_run("GET", "/v1/ui/chat/one/stream"),
    "GET /v1/ui/chat/{id}/stream of one that ends with its followers": about_a_run(
        "GET", "/v1/ui/chat/one/stream", on_disconnect="cancel"
    ),
    "POST /v1/ui/chat/{id}/cancel": about_a_run("POST", "/v1/ui/chat/one/cancel"),
    "POST /v1/agui": request("POST", "/v1/agui", {"threadId": "t", "runId": "r", **CHAT}),
    "POST /v1/agui/connect": about_a_run(
        "POST", "/v1/agui/connect", body={"threadId": "one", "runId": "r", "messages": []}
    ),
    "POST /v1/responses": request("POST", "/v1/responses", {"input": "done"}),
    "GET /v1/responses/{id}": about_a_response("GET", "/v1/responses/{id}"),
    "GET /v1/responses/{id}/input_items": about_a_response("GET", "/v1/responses/{id}/input_items"),
    "POST /v1/responses/{id}/cancel": about_a_response(
        "POST", "/v1/responses/{id}/cancel", input="hi", background=True
    ),
    "DELETE /v1/responses/{id}": about_a_response("DELETE", "/v1/responses/{id}"),
    "GET /ready": request("GET", "/ready"),
}


def test_every_route__is_asked() -> None:
    routes = {f"{route.method} {route.path}" for route in ROUTES if route.path.startswith("/v1/")}

    assert routes <= set(ACTS)


@pytest.mark.parametrize("whose", ["its own", "another's"])
async def test_a_request__waits_for_the_server_six_times_at_most(
    own: Valkey, tmp_path: Path, whose: str
) -> None:
    """All routes in one go, since the scene takes longer to set up than any of them."""
    assert MOST_ROUND_TRIPS == 6
    waited: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        start = stack.enter_async_context
        trips = await start(RoundTrips(own).serve())
        agent = Talker()
        asked = await start(instance(trips.url, tmp_path, agent))
        owner = asked
        if whose == "another's":
            owner = await start(instance(own.url, tmp_path, agent))
        scene = Scene(owner, asked, trips)
        await scene.ask("POST", "/v1/chat", {"message": "done", "session_id": "old"})
        for number in range(OPEN_RUNS):
            await scene.begin(f"open-{number}")
        for name, act in ACTS.items():
            await trips.begin()
            async with asyncio.timeout(30):
                await act(scene)
            waited[name] = trips.deepest
            for session_id in ("one", "socket"):
                await owner.delete(f"/v1/sessions/{session_id}")

    assert max(waited.values()) > 1
    assert {name: times for name, times in waited.items() if times > MOST_ROUND_TRIPS} == {}
