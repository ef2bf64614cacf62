"""After a conversation is deleted nobody can read any of it, whatever client it was made with."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from bff.history import Turn
from tests.api.conftest import KEYS, Service, Start
from tests.api.test_sessions import begin, get, say
from tests.fakes.history import ListHistory
from tests.fakes.scripted import ScriptedAgent, gated


def message(id: str, text: str, role: str = "user") -> dict[str, Any]:
    return {"id": id, "role": role, "parts": [{"type": "text", "text": text}]}


async def ask(
    service: Service, *messages: dict[str, Any], whole: bool = True, **fields: Any
) -> dict[str, str]:
    """A page's chat `chat-1` sends these messages; the ids that the reply has in its headers."""
    body = {"id": "chat-1", "messages": list(messages), "trigger": "submit-message", **fields}
    async with service.client.post("/v1/ui/chat", json=body) as reply:
        assert reply.status == 200, await reply.text()
        if whole:
            await reply.read()
        return {"run": reply.headers["X-Run-Id"], "session": reply.headers["X-Session-Id"]}


async def edit(service: Service, text: str, **fields: Any) -> dict[str, str]:
    """The page edits the chat's first question."""
    return await ask(service, message("m1", text), messageId="m1", **fields)


async def statuses(service: Service, *paths: str, method: str = "GET") -> list[int]:
    replies = [await service.client.request(method, path) for path in paths]
    return [reply.status for reply in replies]


async def sessions(service: Service) -> list[str]:
    return [one["session_id"] for one in (await get(service, "/v1/sessions"))["sessions"]]


async def test_a_chat__takes_its_branches_along_and_what_is_open_in_them(start: Start) -> None:
    agent, gate = gated()
    gate.set()
    service = await start(agent)
    first = await ask(service, message("m1", "Where is Oslo?"))
    second = await edit(service, "Where is Bergen?")
    gate.clear()
    third = await edit(service, "Where is Moss?", whole=False)
    assert len({each["session"] for each in (first, second, third)}) == 3

    assert await statuses(service, "/v1/sessions/chat-1", method="DELETE") == [204]

    assert await sessions(service) == []
    for each in (first, second, third):
        run, session = f"/v1/runs/{each['run']}", f"/v1/sessions/{each['session']}"
        assert await statuses(service, session, f"{run}/events") == [404, 404]
        assert await statuses(service, run) == [200 if each is third else 404]
    assert (await get(service, f"/v1/runs/{third['run']}"))["status"] == "cancelled"
    assert await statuses(service, "/v1/ui/chat/chat-1", "/v1/ui/chat/chat-1/stream") == [404, 204]
    async with asyncio.timeout(30):
        while set(agent.stopped) != {call.session_id for call in agent.calls}:
            await asyncio.sleep(0.005)
    assert await statuses(service, "/v1/sessions/chat-1", method="DELETE") == [404]


async def test_a_chat_that_is_used_again__begins_anew(start: Start) -> None:
    service = await start()
    await ask(service, message("m1", "Where is Oslo?"))
    await edit(service, "Where is Bergen?")
    await statuses(service, "/v1/sessions/chat-1", method="DELETE")

    again = await ask(service, message("m1", "Where is Moss?"))

    assert again["session"] == "chat-1"
    assert service.agent.calls[-1].history == ()
    shown = await get(service, "/v1/ui/chat/chat-1")
    assert len(shown) == 2
    assert shown[0]["parts"][0]["text"] == "Where is Moss?"


async def test_a_branch_that_is_deleted_by_its_own_id__is_all_that_goes(start: Start) -> None:
    service = await start()
    first = await ask(service, message("m1", "Where is Oslo?"))
    second = await edit(service, "Where is Bergen?")
    third = await edit(service, "Where is Moss?")

    async def shown() -> str:
        text: str = (await get(service, "/v1/ui/chat/chat-1"))[0]["parts"][0]["text"]
        return text

    assert await shown() == "Where is Moss?"
    assert await statuses(service, f"/v1/sessions/{third['session']}", method="DELETE") == [204]
    assert await shown() == "Where is Bergen?"
    assert await statuses(service, f"/v1/runs/{third['run']}") == [404]
    assert await statuses(service, f"/v1/sessions/{second['session']}", method="DELETE") == [204]
    assert await shown() == "Where is Oslo?"
    assert await statuses(service, f"/v1/runs/{first['run']}") == [200]


async def test_a_chat_that_two_delete_at_once__is_gone_for_both(start: Start) -> None:
    service = await start()
    await ask(service, message("m1", "Where is Oslo?"))
    runs = [await edit(service, f"Where is Moss {number}?") for number in range(5)]
    path = "/v1/sessions/chat-1"

    answers = await asyncio.gather(*(statuses(service, path, method="DELETE") for _ in range(4)))

    assert [204] in answers
    assert all(answer in ([204], [404]) for answer in answers)
    assert await sessions(service) == []
    assert await statuses(service, *(f"/v1/runs/{each['run']}" for each in runs)) == [404] * 5


async def test_a_fork_that_was_asked_for__stays(start: Start) -> None:
    service = await start()
    await ask(service, message("m1", "Where is Oslo?"))
    branch = await edit(service, "Where is Bergen?")
    for session_id in ("chat-1", branch["session"]):
        path = f"/v1/sessions/{session_id}/fork"
        async with service.client.post(path, json={"session_id": f"my-{session_id}"}) as reply:
            assert reply.status == 201

    await statuses(service, "/v1/sessions/chat-1", method="DELETE")

    assert sorted(await sessions(service)) == sorted(["my-chat-1", f"my-{branch['session']}"])
    fork = await get(service, f"/v1/sessions/my-{branch['session']}")
    assert [one["content"] for one in fork["messages"]] == ["Where is Bergen?", "Hello"]


async def test_a_chat_whose_id_is_no_sessions__is_deleted_by_that_id_all_the_same(
    start: Start,
) -> None:
    service = await start()
    said = await ask(service, message("m1", "Where is Oslo?"), id="chat/1 é")
    assert said["session"].startswith("x-")
    path = f"/v1/sessions/{quote('chat/1 é', safe='')}"
    url = URL(f"{service.url}{path}", encoded=True)

    async with service.client.get(url) as reply:
        assert (await reply.json())["session_id"] == said["session"]
    async with service.client.delete(url) as reply:
        assert reply.status == 204

    gone = f"/v1/sessions/{said['session']}", f"/v1/runs/{said['run']}"
    assert await statuses(service, *gone) == [404] * 2


async def test_another_callers_branches__are_not_touched(start: Start) -> None:
    service = await start()
    await ask(service, message("m1", "Where is Oslo?"))
    mine = await edit(service, "Where is Bergen?")

    async with service.client.delete(
        "/v1/sessions/chat-1", headers={"X-API-Key": KEYS["bob"]}
    ) as reply:
        assert reply.status == 404

    assert await statuses(service, f"/v1/runs/{mine['run']}") == [200]
    assert len(await sessions(service)) == 2


async def test_the_repeat_of_a_message_that_was_deleted__is_not_answered_and_not_asked_again(
    start: Start,
) -> None:
    service = await start()
    request: dict[str, Any] = {
        "json": {"message": "What is 15 * 23?", "session_id": "s-1"},
        "headers": {"Idempotency-Key": "k-1"},
    }
    for path in ("/v1/chat", "/v1/chat"):
        async with service.client.post(path, **request) as reply:
            assert (await reply.json())["message"] == "Hello"
    await statuses(service, "/v1/sessions/s-1", method="DELETE")

    for path in ("/v1/chat", "/v1/chat/stream"):
        async with service.client.post(path, **request) as reply:
            problem = await reply.json()
        assert (reply.status, problem["code"]) == (404, "not_found")
        assert problem["errors"][0]["field"] == "Idempotency-Key"

    assert len(service.agent.calls) == 1
    assert await sessions(service) == []


async def test_a_run_that_is_missing_in_the_history__can_be_deleted_all_the_same(
    start: Start,
) -> None:
    service = await start(history=ListHistory(broken=True))
    run_id = await say(service, "What is 15 * 23?", "s-1")
    assert await statuses(service, f"/v1/runs/{run_id}") == [200]

    assert await statuses(service, "/v1/sessions/s-1", method="DELETE") == [204]

    assert await statuses(service, f"/v1/runs/{run_id}", f"/v1/runs/{run_id}/events") == [404, 404]


async def test_who_reads_a_run_that_is_deleted__is_told_its_end(start: Start) -> None:
    agent, _ = gated()
    service = await start(agent)
    run_id = await begin(service, "a long story", "s-1")
    async with service.client.get(f"/v1/runs/{run_id}/events") as reading:
        await reading.content.readline()

        assert await statuses(service, "/v1/sessions/s-1", method="DELETE") == [204]

        events = await service.read(reading)
    assert events[-1]["event"] == "done"
    assert '"cancelled"' in events[-1]["data"]
    assert await statuses(service, f"/v1/runs/{run_id}/events") == [404]


class Meanwhile(ListHistory):
    """While a session is being deleted its caller says one thing more, which ends before that."""

    def __init__(self) -> None:
        super().__init__()
        self.deleting = asyncio.Event()
        self.written = asyncio.Event()
        self.deleted = asyncio.Event()
        self.waits_for_deletion = False

    async def add(self, owner: str, turn: Turn) -> None:
        await super().add(owner, turn)
        if self.deleting.is_set():
            self.written.set()
            if self.waits_for_deletion:
                await self.deleted.wait()

    async def delete(self, owner: str, session_id: str) -> bool:
        first = not self.deleting.is_set()
        self.deleting.set()
        if first:
            await self.written.wait()
        try:
            return await super().delete(owner, session_id)
        finally:
            self.deleted.set()


@pytest.mark.parametrize("ends", ["before", "after"])
async def test_a_run_that_begins_while_its_session_is_deleted__is_gone_with_it(
    start: Start, ends: str
) -> None:
    history = Meanwhile()
    service = await start(history=history)
    first = await say(service, "What is 15 * 23?", "s-1")
    history.waits_for_deletion = ends == "after"

    deletion = asyncio.create_task(statuses(service, "/v1/sessions/s-1", method="DELETE"))
    await history.deleting.wait()
    second = await say(service, "And 16 * 23?", "s-1")
    assert await deletion == [204]

    assert await sessions(service) == []
    events = (f"/v1/runs/{run_id}/events" for run_id in (first, second))
    assert await statuses(service, f"/v1/runs/{first}", *events) == [404] * 3


async def test_a_session_that_is_used_again_and_again_while_it_is_deleted__is_not_called_deleted(
    start: Start,
) -> None:
    class Busy(ListHistory):
        async def delete(self, owner: str, session_id: str) -> bool:
            await say(service, "And 16 * 23?", session_id)
            return await super().delete(owner, session_id)

    service = await start(history=Busy())
    await say(service, "What is 15 * 23?", "s-1")

    async with service.client.delete("/v1/sessions/s-1") as reply:
        assert (reply.status, (await reply.json())["code"]) == (409, "session_busy")


async def test_a_sessions_only_response__takes_its_session_along(start: Start) -> None:
    service = await start(ScriptedAgent())
    async with service.client.post("/v1/responses", json={"input": "Hi"}) as reply:
        response = await reply.json()
        session_id = reply.headers["X-Session-Id"]

    async with service.client.delete(f"/v1/responses/{response['id']}") as reply:
        assert reply.status == 200

    run_id = response["id"].replace("resp_", "run_")
    paths = (f"/v1/responses/{response['id']}", f"/v1/runs/{run_id}", f"/v1/sessions/{session_id}")
    assert await statuses(service, *paths) == [404] * 3
    async with asyncio.timeout(30):
        while service.agent.stopped != [service.agent.calls[0].session_id]:
            await asyncio.sleep(0.005)


async def test_responses_of_a_deleted_session__are_gone(start: Start) -> None:
    service = await start()
    async with service.client.post("/v1/responses", json={"input": "Hi"}) as reply:
        response = await reply.json()
        session_id = reply.headers["X-Session-Id"]

    assert await statuses(service, f"/v1/sessions/{session_id}", method="DELETE") == [204]

    path = f"/v1/responses/{response['id']}"
    gone = await statuses(service, path, f"{path}?stream=true", f"{path}/input_items")
    assert gone == [404] * 3
    async with service.client.post(
        "/v1/responses", json={"input": "And?", "previous_response_id": response["id"]}
    ) as reply:
        assert reply.status == 404
    assert len(service.agent.calls) == 1
