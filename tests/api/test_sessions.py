from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from typing import Any

import pytest

from bff.api import HISTORY
from bff.errors import AgentFailed
from bff.events import Done, Input, Message, ToolEnd, ToolStart, ToolUse, input_fields
from bff.history import ForkedFrom, Session, Turn
from bff.identity.principals import Principal
from tests.api.conftest import Service, Start
from tests.fakes.scripted import ListHistory, ScriptedAgent, gated

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def say(service: Service, message: str, session_id: str) -> str:
    reply = await service.client.post(
        "/v1/chat", json={"message": message, "session_id": session_id}
    )
    await reply.read()
    return reply.headers["X-Run-Id"]


async def begin(service: Service, message: str, session_id: str) -> str:
    """A run that stays open; its client has gone."""
    reply = await service.client.post(
        "/v1/chat/stream", json={"message": message, "session_id": session_id}
    )
    reply.close()
    return reply.headers["X-Run-Id"]


async def get(service: Service, path: str) -> Any:
    reply = await service.client.get(path)
    assert reply.status == 200, await reply.text()
    return await reply.json()


async def test_a_session__whose_agent_asks_shows_the_open_questions(start: Start) -> None:
    question = Input("q1", "approval", "May I?", ToolUse("c1", "pay", {"amount": 10}))
    service = await start(ScriptedAgent(([Message("Let me see."), question], [Done()])))
    await say(service, "pay 10", "s-1")

    session = await get(service, "/v1/sessions/s-1")
    [listed] = (await get(service, "/v1/sessions"))["sessions"]

    assert session["inputs"] == listed["inputs"] == [input_fields(question)]
    assert [message.get("status") for message in session["messages"]] == [None, "input_required"]

    history, owner = service.app[HISTORY], Principal("key", ("alice",)).id
    assert await history.claim(owner, "s-1", "run-2", ["q1"])
    assert "inputs" not in await get(service, "/v1/sessions/s-1")


async def test_a_session__that_branches_off_says_where_and_shows_its_parts(start: Start) -> None:
    service = await start()
    turn = Turn(
        run_id="run-1",
        session_id="s-1",
        message="look",
        parts=[{"type": "image", "source": {"type": "file", "value": "file_1"}}],
        answer="nice",
        answer_parts=[{"type": "source", "url": "https://example.com"}],
        status="complete",
        asked_at=1.0,
        answered_at=2.0,
    )
    fork = Session(
        session_id="fork",
        title="a fork",
        created_at=3.0,
        updated_at=3.0,
        agent="clerk",
        forked_from=ForkedFrom(session_id="s-1", run_id="run-1"),
    )
    await service.app[HISTORY].begin(Principal("key", ("alice",)).id, fork, [turn])

    session = await get(service, "/v1/sessions/fork")

    assert (session["title"], session["agent"]) == ("a fork", "clerk")
    assert session["forked_from"] == {"session_id": "s-1", "run_id": "run-1"}
    assert [message["parts"] for message in session["messages"]] == [
        turn.parts,
        turn.answer_parts,
    ]


async def test_a_session__has_its_messages_with_tools_runs_and_status(start: Start) -> None:
    service = await start(
        ScriptedAgent(
            (
                [
                    ToolStart("t", "calculator", {"expression": "1+1"}),
                    ToolEnd("t", "calculator", "2"),
                ],
                [Message("It is 2."), Done()],
            )
        )
    )
    run_id = await say(service, "1+1?", "s-1")

    session = await get(service, "/v1/sessions/s-1")

    messages = session.pop("messages")
    times = [session.pop("created_at"), session.pop("updated_at")]
    times += [message.pop("created_at") for message in messages]
    assert session == {
        "session_id": "s-1",
        "title": "1+1?",
        "agent": "agent",
        "next_cursor": None,
    }
    assert messages == [
        {"role": "user", "content": "1+1?", "run_id": run_id},
        {
            "role": "assistant",
            "content": "It is 2.",
            "run_id": run_id,
            "status": "complete",
            "tool_calls": [
                {"id": "t", "tool": "calculator", "args": {"expression": "1+1"}, "result": "2"}
            ],
        },
    ]
    assert all(TIME.fullmatch(time) for time in times)
    assert times == sorted(times[:1]) + times[1:]


async def test_a_run_that_failed__keeps_what_it_said(start: Start) -> None:
    service = await start(ScriptedAgent(([Message("half")], AgentFailed(agent_called=True))))
    await say(service, "hi", "s-1")

    messages = (await get(service, "/v1/sessions/s-1"))["messages"]

    assert (messages[1]["content"], messages[1]["status"]) == ("half", "failed")


async def test_sessions__come_last_used_first_in_pages(start: Start) -> None:
    service = await start()
    for number in range(5):
        await say(service, f"message {number}", f"s-{number}")
    await say(service, "again", "s-1")
    names: list[str] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        page = await get(service, f"/v1/sessions?limit=2{cursor}")
        names += [session["session_id"] for session in page["sessions"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        pages += 1

    assert names == ["s-1", "s-4", "s-3", "s-2", "s-0"]
    assert pages == 3


async def test_messages__come_oldest_first_in_pages(start: Start) -> None:
    service = await start()
    for number in range(3):
        await say(service, f"message {number}", "s-1")
    contents: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await get(service, f"/v1/sessions/s-1?limit=4{cursor}")
        contents += [message["content"] for message in page["messages"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"

    assert contents == ["message 0", "Hello", "message 1", "Hello", "message 2", "Hello"]


class AllAtOnce(ListHistory):
    """A history that answers once as many have asked about a session as there are open runs."""

    def __init__(self, open_runs: int, known: str) -> None:
        super().__init__()
        self._asked = asyncio.Barrier(open_runs)
        self._known = known
        self.listing = False

    async def session(self, owner: str, session_id: str) -> Session | None:
        if not self.listing:
            return None
        async with asyncio.timeout(30):
            await self._asked.wait()
        if session_id != self._known:
            return None
        return Session(session_id=session_id, title="", created_at=0, updated_at=0)


async def test_open_runs__are_looked_up_in_the_history_all_at_once(start: Start) -> None:
    agent, gate = gated()
    history = AllAtOnce(10, known="s-4")
    service = await start(agent, history)
    for number in range(10):
        await begin(service, "a long story", f"s-{number}")
    history.listing = True

    listed = (await get(service, "/v1/sessions"))["sessions"]
    gate.set()

    assert [one["session_id"] for one in listed] == [f"s-{n}" for n in (9, 8, 7, 6, 5, 3, 2, 1, 0)]


async def test_nobody_who_has_never_spoken__has_sessions(start: Start) -> None:
    service = await start()

    assert await get(service, "/v1/sessions") == {"sessions": [], "next_cursor": None}


async def test_a_session_whose_first_run_is_open__is_there_and_can_be_resumed(
    start: Start,
) -> None:
    agent, gate = gated()
    service = await start(agent)
    run_id = await begin(service, "a long story", "s-1")

    listed = (await get(service, "/v1/sessions"))["sessions"]
    session = await get(service, "/v1/sessions/s-1")
    gate.set()
    events = await service.read(await service.client.get(f"/v1/runs/{run_id}/events"))
    ended = await get(service, "/v1/sessions/s-1")

    assert [(one["session_id"], one["title"]) for one in listed] == [("s-1", "a long story")]
    assert session["title"] == "a long story"
    for message in session["messages"]:
        del message["created_at"]
    assert session["messages"] == [
        {"role": "user", "content": "a long story", "run_id": run_id},
        {"role": "assistant", "content": "", "run_id": run_id, "status": "running"},
    ]
    assert [event["event"] for event in events] == ["start", "message", "message", "done"]
    assert [message["content"] for message in ended["messages"]] == ["a long story", "one two"]
    assert ended["messages"][1]["status"] == "complete"


async def test_an_open_run_of_an_older_session__ends_its_last_page(start: Start) -> None:
    agent, gate = gated()
    gate.set()
    service = await start(agent)
    await say(service, "first", "s-1")
    await say(service, "elsewhere", "s-2")
    gate.clear()
    await begin(service, "second", "s-1")

    first = await get(service, "/v1/sessions/s-1?limit=1")
    last = await get(service, f"/v1/sessions/s-1?limit=1&cursor={first['next_cursor']}")
    listed = (await get(service, "/v1/sessions"))["sessions"]
    gate.set()

    assert [message["content"] for message in first["messages"]] == ["first"]
    assert [message["content"] for message in last["messages"]] == ["one two", "second", ""]
    assert last["next_cursor"] is None
    assert [one["session_id"] for one in listed] == ["s-2", "s-1"]


@pytest.mark.parametrize("limit", range(1, 8))
async def test_open_first_runs__are_listed_page_by_page(start: Start, limit: int) -> None:
    agent, gate = gated()
    gate.set()
    service = await start(agent)
    for number in range(3):
        await say(service, "hi", f"old-{number}")
    gate.clear()
    for number in range(3):
        await begin(service, "hi", f"new-{number}")

    pages: list[list[str]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await get(service, f"/v1/sessions?limit={limit}{cursor}")
        pages.append([one["session_id"] for one in page["sessions"]])
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    gate.set()

    listed = [name for page in pages for name in page]
    assert listed == ["new-2", "new-1", "new-0", "old-2", "old-1", "old-0"]
    assert all(len(page) == limit for page in pages[:-1])


async def test_a_title__can_be_set(start: Start) -> None:
    service = await start()
    await say(service, "x" * 100, "s-1")
    before = (await get(service, "/v1/sessions"))["sessions"][0]

    reply = await service.client.patch("/v1/sessions/s-1", json={"title": "Zoë & <b>"})
    after = (await get(service, "/v1/sessions"))["sessions"][0]
    await say(service, "more", "s-1")

    assert before["title"] == "x" * 80
    assert reply.status == 200
    assert await reply.json() == after
    assert after["title"] == "Zoë & <b>"
    assert (await get(service, "/v1/sessions/s-1"))["title"] == "Zoë & <b>"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": ""},
        {"title": "x" * 201},
        {"title": 1},
        {"title": None},
        {"title": "a", "x": 1},
    ],
)
async def test_a_bad_title__is_refused(start: Start, body: dict[str, Any]) -> None:
    service = await start()
    await say(service, "hi", "s-1")

    reply = await service.client.patch("/v1/sessions/s-1", json=body)

    assert reply.status == 422
    assert (await get(service, "/v1/sessions/s-1"))["title"] == "hi"


async def test_a_session_that_is_still_in_its_first_run__cannot_be_renamed_yet(
    start: Start,
) -> None:
    agent, gate = gated()
    service = await start(agent)
    await begin(service, "hi", "s-1")

    reply = await service.client.patch("/v1/sessions/s-1", json={"title": "t"})
    gate.set()

    assert reply.status == 409
    assert (await reply.json())["code"] == "session_busy"


@pytest.mark.parametrize("body", [None, {}, {"title": "Another way"}])
async def test_a_session_that_is_still_in_its_first_run__cannot_be_forked_yet(
    start: Start, body: dict[str, Any] | None
) -> None:
    agent, gate = gated()
    service = await start(agent)
    await begin(service, "hi", "s-1")

    reply = await service.client.post("/v1/sessions/s-1/fork", json=body)
    gate.set()

    assert reply.status == 409
    assert (await reply.json())["code"] == "session_busy"
    assert reply.headers["Retry-After"] == "1"


async def test_a_run_that_is_still_open__cannot_be_forked_at_and_others_can(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent)
    gate.set()
    await say(service, "old", "s-1")
    gate.clear()
    open_run = await begin(service, "hi", "s-1")
    replies = []
    for body in ({"run_id": open_run}, {"run_id": "run_none"}, {}):
        async with service.client.post("/v1/sessions/s-1/fork", json=body) as reply:
            replies.append((reply.status, (await reply.json()).get("code")))
    gate.set()

    assert replies == [(409, "session_busy"), (404, "not_found"), (201, None)]


async def test_a_session_that_is_still_in_its_first_run__has_no_question_to_decline(
    start: Start,
) -> None:
    agent, gate = gated()
    service = await start(agent)
    await begin(service, "hi", "s-1")

    reply = await service.client.post("/v1/sessions/s-1/inputs/cancel")
    gate.set()

    assert reply.status == 204


async def test_deleting__forgets_the_session_and_its_name_is_new_again(start: Start) -> None:
    service = await start()
    await say(service, "old", "s-1")

    reply = await service.client.delete("/v1/sessions/s-1")

    assert (reply.status, await reply.read()) == (204, b"")
    assert (await service.client.get("/v1/sessions/s-1")).status == 404
    assert (await service.client.delete("/v1/sessions/s-1")).status == 404
    await say(service, "new", "s-1")
    messages = (await get(service, "/v1/sessions/s-1"))["messages"]
    assert [message["content"] for message in messages] == ["new", "Hello"]


@pytest.mark.parametrize("earlier", [True, False], ids=["with history", "first run"])
async def test_deleting__cancels_what_is_open_first(start: Start, earlier: bool) -> None:
    agent, gate = gated()
    gate.set()
    service = await start(agent)
    if earlier:
        await say(service, "before", "s-1")
    gate.clear()
    run_id = await begin(service, "hi", "s-1")

    reply = await service.client.delete("/v1/sessions/s-1")

    assert reply.status == 204
    # whoever waits for it learns that it was cancelled, and nothing of what was said
    assert (await get(service, f"/v1/runs/{run_id}"))["status"] == "cancelled"
    assert (await service.client.get(f"/v1/runs/{run_id}/events")).status == 404
    assert (await service.client.post(f"/v1/runs/{run_id}/cancel")).status == 404
    assert (await service.client.get("/v1/sessions/s-1")).status == 404
    assert await get(service, "/v1/sessions") == {"sessions": [], "next_cursor": None}
    async with asyncio.timeout(30):
        while agent.stopped != [agent.calls[-1].session_id]:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "name", ["nothing", "-x", "a b", "x" * 101, "%00", "..%2fs-1", "é", "s-1%0a"]
)
async def test_an_unknown_name__is_not_found(start: Start, name: str) -> None:
    service = await start()
    await say(service, "hi", "s-1")

    for method in ("GET", "PATCH", "DELETE"):
        reply = await service.client.request(method, f"/v1/sessions/{name}", json={"title": "t"})
        assert reply.status == 404


def encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode()


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=",
        "limit=1.5",
        "limit=٣",
        "limit=1e1",
        "limit=9999999999",
        "limit=1&limit=2",
        "cursor=",
        "cursor=x",
        "cursor=null",
        "cursor=%00",
        "cursor=é",
        "cursor=" + "A" * 5000,
        "cursor=" + encoded(b'[1.0,"run_x",0]'),
        "cursor=" + encoded(bytes(16) + b'[1.0,"run_x",0]'),
        "cursor=" + encoded(bytes(16)),
        "cursor=" + encoded(b"[" * 3000),
        "cursor=a&cursor=a",
    ],
)
@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/sessions/s-1"])
async def test_a_bad_query__is_refused_by_name(start: Start, path: str, query: str) -> None:
    service = await start()
    await say(service, "hi", "s-1")

    reply = await service.client.get(f"{path}?{query}")

    assert reply.status == 422
    assert [error["field"] for error in (await reply.json())["errors"]] == [query.split("=")[0]]


async def test_a_cursor__cannot_be_changed(start: Start) -> None:
    service = await start()
    for name in ("s-1", "s-2"):
        await say(service, "hi", name)
    cursor = (await get(service, "/v1/sessions?limit=1"))["next_cursor"]

    for place in range(0, len(cursor), 3):
        changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        reply = await service.client.get(f"/v1/sessions?cursor={changed}")
        assert reply.status == 422, place


async def test_a_cursor__outlives_what_it_points_at(start: Start) -> None:
    service = await start()
    for name in ("s-1", "s-2", "s-3"):
        await say(service, "hi", name)
    cursor = (await get(service, "/v1/sessions?limit=2"))["next_cursor"]
    await service.client.delete("/v1/sessions/s-2")

    rest = await get(service, f"/v1/sessions?cursor={cursor}")

    assert [one["session_id"] for one in rest["sessions"]] == ["s-1"]


async def test_a_cursor_without_a_position__is_refused(start: Start) -> None:
    service = await start()
    owner = Principal("key", ("alice",)).id
    check = hashlib.sha256(f"{owner} sessions ".encode()).digest()[:16]
    cursor = base64.urlsafe_b64encode(check).rstrip(b"=").decode()

    reply = await service.client.get("/v1/sessions", params={"cursor": cursor})

    assert reply.status == 422
