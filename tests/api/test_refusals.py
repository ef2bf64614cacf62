"""A request that is refused changes nothing: no session, no branch, no name that means another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from bff.agents import Prompt
from bff.events import Done, Event, Message
from tests.api.asking import CITY, asking, chat
from tests.api.conftest import Service, Start
from tests.api.reading import frames
from tests.fakes.history import ListHistory
from tests.fakes.scripted import ScriptedAgent

SAID = ("Hi", "Hello", "More")
"""What a client says again, with another last message."""


class Holding(ScriptedAgent):
    """Says Hello, to "hold" only when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        self.calls.append(prompt)
        if prompt.conversation.text == "hold":
            await self.gate.wait()
        yield [Message("Hello"), Done()]


def request(protocol: str, *texts: str) -> tuple[str, dict[str, Any]]:
    """A conversation as a client of that protocol sends it."""
    said = list(zip(("user", "assistant") * len(texts), texts, strict=False))
    messages = [{"role": role, "content": text} for role, text in said]
    match protocol:
        case "ui":
            parts = [
                {"id": str(n), "role": role, "parts": [{"type": "text", "text": text}]}
                for n, (role, text) in enumerate(said)
            ]
            trigger = "regenerate-message" if texts[-1] == "Else" else "submit-message"
            return "/v1/ui/chat", {"id": "demo", "messages": parts, "trigger": trigger}
        case "agui":
            with_ids = [{"id": f"{n}-{each['content']}", **each} for n, each in enumerate(messages)]
            return "/v1/agui", {"threadId": "demo", "runId": "r", "messages": with_ids}
        case "responses":
            return "/v1/responses", {"input": messages}
    return "/v1/chat/completions", {"messages": messages}


async def send(service: Service, protocol: str, *texts: str, **fields: Any) -> int:
    path, body = request(protocol, *texts)
    async with service.client.post(path, json={**body, **fields}) as reply:
        await reply.read()
        return reply.status


async def sessions(service: Service) -> list[Any]:
    async with service.client.get("/v1/sessions") as reply:
        return list((await reply.json())["sessions"])


@pytest.mark.parametrize("seen", [True, False], ids=["seen before", "new here"])
@pytest.mark.parametrize("protocol", ["chat", "responses", "ui", "agui"])
async def test_a_refused_request__leaves_no_session_and_no_branch(
    start: Start, protocol: str, seen: bool
) -> None:
    service = await start(Holding(), MAX_STREAMS_PER_USER="1")
    assert isinstance(service.agent, Holding)
    if seen:
        assert await send(service, protocol, "Hi") == 200
        assert await send(service, protocol, *SAID) == 200
    before = await sessions(service)
    async with service.client.post("/v1/chat/stream", json={"message": "hold"}) as held:
        for _ in range(2):  # clients try again
            assert await send(service, protocol, "Hi", "Hello", "Else") == 429
        during = [each for each in await sessions(service) if each["title"] != "hold"]
        service.agent.gate.set()
        await held.read()
    calls = len(service.agent.calls)

    assert during == before
    if seen and protocol in ("ui", "agui"):  # the name means what it meant
        async with service.client.get("/v1/ui/chat/demo") as reply:
            assert len(await reply.json()) == 4
    assert await send(service, protocol, "Hi", "Hello", "Else") == 200
    assert len(await sessions(service)) == len(before) + 2
    assert [message.text for message in service.agent.calls[calls].history] == ["Hi", "Hello"]


async def test_a_file_that_is_not_there__leaves_no_session(start: Start) -> None:
    service = await start()
    gone = {"type": "file", "file": {"file_id": "file-gone"}}
    messages = [*request("chat", "Hi", "Hello")[1]["messages"], {"role": "user", "content": [gone]}]

    async with service.client.post("/v1/chat/completions", json={"messages": messages}) as reply:
        assert reply.status == 404
    assert await sessions(service) == []


async def test_a_branch__is_what_its_name_means_when_the_stream_begins(start: Start) -> None:
    """Its page may stop it at once."""
    service = await start(Holding())
    for texts in (("Hi",), SAID):
        assert await send(service, "ui", *texts) == 200
    path, body = request("ui", "Hi", "Hello", "hold")
    body["trigger"] = "regenerate-message"

    async with service.client.post(path, json=body) as stream:
        async with service.client.post(f"{path}/demo/cancel") as stopped:
            assert (stopped.status, (await stopped.json())["status"]) == (200, "cancelled")
        assert frames(await stream.text())[-2]["type"] == "abort"


async def test_always__a_branch_is_given_what_it_shares(start: Start) -> None:
    """Nobody has written it yet when the agent's call is made up."""
    service = await start(AGENT_HISTORY="always")
    ids: list[str] = []
    for text in ("Hi", "More"):
        body = {"input": text, **({"previous_response_id": ids[-1]} if ids else {})}
        async with service.client.post("/v1/responses", json=body) as reply:
            ids.append((await reply.json())["id"])
    other = {"input": "Else", "previous_response_id": ids[0]}
    async with service.client.post("/v1/responses", json=other) as reply:
        assert reply.status == 200

    assert [message.text for message in service.agent.calls[-1].history] == ["Hi", "Hello"]


async def test_a_question_of_an_agent_that_is_no_longer_there__can_be_declined(
    start: Start,
) -> None:
    history = ListHistory()
    agents = json.dumps({"second": {"url": "embedded:"}})
    earlier = await start(asking(CITY), history=history, AGENTS=agents)
    await chat(earlier, message="Hi", session_id="s")
    service = await start(history=history)
    for _ in range(2):
        async with service.client.post("/v1/sessions/s/inputs/cancel") as reply:
            assert reply.status == 204
    shown = await (await service.client.get("/v1/sessions/s")).json()

    assert "inputs" not in shown
    assert service.agent.calls == []
    assert [each["session_id"] for each in await sessions(service)] == ["s"]
