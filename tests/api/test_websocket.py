"""`/v1/ws/chat`: runs over a socket, and frames that are none."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from bff.api.websocket.handshake import SOCKETS
from tests.api.conftest import KEYS, Start
from tests.api.socket_client import ORIGIN, SECRET, connect, token, upgrade
from tests.fakes.scripted import gated

# Runs


async def test_a_message__is_answered_by_the_runs_events(start: Start) -> None:
    service = await start()
    async with connect(service) as client:
        await client.send(type="message", message="hi", session_id="s-1")
        frames = await client.read_run()

    run_id = frames[0]["run_id"]
    assert frames == [
        {
            "event": "start",
            "id": 1,
            "run_id": run_id,
            "data": {"run_id": run_id, "session_id": "s-1"},
        },
        {"event": "message", "id": 2, "run_id": run_id, "data": {"content": "Hel"}},
        {"event": "message", "id": 3, "run_id": run_id, "data": {"content": "lo"}},
        {"event": "done", "id": 4, "run_id": run_id, "data": {"status": "complete"}},
    ]


async def test_a_message_without_session__goes_on_in_the_sockets_last(start: Start) -> None:
    service = await start()
    sessions = []
    async with connect(service) as client:
        for frame in ({}, {}, {"session_id": "s-1"}, {}):
            await client.send(message="hi", **frame)
            sessions.append((await client.read_run())[0]["data"]["session_id"])

    assert sessions[0] == sessions[1]
    assert sessions[2:] == ["s-1", "s-1"]


async def test_two_runs_a_cancel_and_a_resume__as_a_page_does_it(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent, JWT_SECRET=SECRET, CORS_ORIGINS=ORIGIN)
    protocols = ("chat.v1", f"bearer.{token()}")
    async with upgrade(service, protocols, ORIGIN) as page:
        await page.send(message="first", session_id="s-1")
        first = (await page.read_until(lambda frame: frame["id"] == 2))[0]["run_id"]
        await page.send(message="second", session_id="s-2")
        second = (await page.read_until(lambda frame: frame["id"] == 2))[0]["run_id"]
        await page.send(type="cancel", run_id=first)
        cancelled = (await page.read_run())[-1]

    gate.set()
    async with upgrade(service, protocols, ORIGIN) as back:
        await back.send(type="resume", run_id=second, after=2)
        resumed = await back.read_run()
        await back.send(message="third")
        third = await back.read_run()

    assert (cancelled["run_id"], cancelled["data"]) == (first, {"status": "cancelled"})
    assert [(frame["run_id"], frame["id"]) for frame in resumed] == [(second, 3), (second, 4)]
    assert third[0]["data"]["session_id"] == "s-2"
    print("-- a page opens its socket", *page.transcript, sep="\n")
    print("-- it lost the connection and is back", *back.transcript, sep="\n")


async def test_runs_in_different_sessions__come_side_by_side(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent)
    async with connect(service) as client:
        for name in ("s-1", "s-2", "s-3"):
            await client.send(message="hi", session_id=name)
        open_runs = [await client.read() for _ in range(6)]
        gate.set()
        rest = [await client.read() for _ in range(6)]

    by_run: dict[str, list[int]] = {}
    for frame in open_runs + rest:
        by_run.setdefault(frame["run_id"], []).append(frame["id"])
    assert list(by_run.values()) == [[1, 2, 3, 4]] * 3


async def test_a_resume_of_what_is_followed_already__begins_anew(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent)
    async with connect(service) as client:
        await client.send(message="hi")
        run_id = (await client.read_until(lambda frame: frame["id"] == 2))[0]["run_id"]
        await client.send(type="resume", run_id=run_id)
        again = [await client.read() for _ in range(2)]
        gate.set()
        rest = await client.read_run()

    assert [frame["id"] for frame in again + rest] == [1, 2, 3, 4]


async def test_a_resume_on_the_same_socket__does_not_end_a_run_that_ends_with_its_followers(
    start: Start,
) -> None:
    agent, gate = gated()
    service = await start(agent)
    async with connect(service) as client:
        await client.send(message="hi", on_disconnect="cancel")
        run_id = (await client.read_until(lambda frame: frame["id"] == 2))[0]["run_id"]
        for _ in range(3):
            await client.send(type="resume", run_id=run_id, after=1)
            assert (await client.read())["id"] == 2
        gate.set()

        assert (await client.read_run())[-1]["data"] == {"status": "complete"}


async def test_a_resume_of_what_was_seen_whole__says_nothing(start: Start) -> None:
    service = await start()
    async with connect(service) as client:
        await client.send(message="hi")
        last = (await client.read_run())[-1]
        await client.send(type="resume", run_id=last["run_id"], after=last["id"])
        await client.send(type="ping")

        assert await client.read() == {"event": "pong"}


async def test_a_cancel__may_come_from_another_socket_and_twice(start: Start) -> None:
    agent, _ = gated()
    service = await start(agent)
    async with connect(service) as one, connect(service) as two:
        await one.send(message="hi")
        run_id = (await one.read())["run_id"]
        await two.send(type="cancel", run_id=run_id)
        await two.send(type="cancel", run_id=run_id)
        last = (await one.read_run())[-1]
        await two.send(type="cancel", run_id=run_id)
        await two.send(type="ping")

        assert last["data"] == {"status": "cancelled"}
        assert await two.read() == {"event": "pong"}


@pytest.mark.parametrize(("on_disconnect", "status"), [("cancel", "cancelled"), (None, "complete")])
async def test_leaving__ends_a_run_only_if_it_was_asked_for(
    start: Start, on_disconnect: str | None, status: str
) -> None:
    agent, gate = gated()
    service = await start(agent)
    extra = {"on_disconnect": on_disconnect} if on_disconnect else {}
    async with connect(service) as client:
        await client.send(message="hi", **extra)
        run_id = (await client.read_until(lambda frame: frame["id"] == 2))[0]["run_id"]
    if on_disconnect is None:
        gate.set()

    async with asyncio.timeout(30):
        while service.runs.open_count:
            await asyncio.sleep(0.005)
    run = await (await service.client.get(f"/v1/runs/{run_id}")).json()
    assert run["status"] == status


async def test_a_socket_that_closes__leaves_no_task_behind(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent)
    before = len(asyncio.all_tasks())
    async with connect(service) as client:
        await client.send(message="hi")
        await client.read()
    gate.set()

    async with asyncio.timeout(30):
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.005)
    assert repr(service.app[SOCKETS]) == "<Sockets 0 open>"


async def test_idle_sockets__cost_no_task_of_ours(start: Start) -> None:
    service = await start()
    async with AsyncExitStack() as stack:
        for _ in range(20):
            client = await stack.enter_async_context(connect(service))
            await client.send(type="ping")
            assert await client.read() == {"event": "pong"}
        names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]

        assert repr(service.app[SOCKETS]) == "<Sockets 20 open>"
        assert [name for name in names if name.startswith(("Outbox", "Socket."))] == []


# Bad frames

BAD: dict[str, tuple[str | bytes, str]] = {
    "binary": (b"{}", "bad_request"),
    "not JSON": ("hello", "bad_request"),
    "empty": ("", "bad_request"),
    "a list": ("[]", "invalid"),
    "text": ('"hi"', "invalid"),
    "null": ("null", "invalid"),
    "nested 100,000 deep": ("[" * 100_000, "bad_request"),
    "nested 40 deep": ('{"message":' + "[" * 40 + "]" * 40 + "}", "bad_request"),
    "NaN": ('{"message":"hi","metadata":NaN}', "bad_request"),
    "a name twice": ('{"message":"a","message":"b"}', "bad_request"),
    "a number of 5,000 digits": ('{"after":' + "9" * 5000 + "}", "bad_request"),
    "a lone surrogate": ('{"message":"\\ud800"}', "invalid"),
    "no message": ("{}", "invalid"),
    "an empty message": ('{"message":""}', "invalid"),
    "100,001 characters": ('{"message":"' + "x" * 100_001 + '"}', "invalid"),
    "a field too many": ('{"message":"hi","role":"system"}', "invalid"),
    "a bad session": ('{"message":"hi","session_id":"../x"}', "invalid"),
    "a type of ours that is none": ('{"type":"shout"}', "invalid"),
    "a type that is no text": ('{"type":["message"]}', "invalid"),
    "a ping with more": ('{"type":"ping","x":1}', "invalid"),
    "a cancel without run": ('{"type":"cancel"}', "invalid"),
    "a cancel of nothing": ('{"type":"cancel","run_id":"run_x"}', "not_found"),
    "a resume of nothing": ('{"type":"resume","run_id":"run_x","after":0}', "not_found"),
    "a resume with after as text": ('{"type":"resume","run_id":"run_x","after":"1"}', "invalid"),
    "a resume with after true": ('{"type":"resume","run_id":"run_x","after":true}', "invalid"),
    "a resume with after -1": ('{"type":"resume","run_id":"run_x","after":-1}', "invalid"),
    "a resume with after 1e30": ('{"type":"resume","run_id":"run_x","after":1e30}', "invalid"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_frame__is_told_and_the_socket_stays(start: Start, name: str) -> None:
    service = await start()
    frame, code = BAD[name]
    async with connect(service) as client:
        if isinstance(frame, bytes):
            await client.socket.send_bytes(frame)
        else:
            await client.socket.send_str(frame)
        told = await client.read()
        await client.send(message="hi")
        answered = await client.read_run()

    assert set(told) == {"event", "data"}
    assert told["event"] == "error"
    assert told["data"]["code"] == code
    assert answered[-1]["event"] == "done"


async def test_anothers_run__is_as_unknown_as_one_that_never_was(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent)
    async with connect(service) as alice, connect(service, KEYS["bob"]) as bob:
        await alice.send(message="hi", session_id="s-1")
        run_id = (await alice.read())["run_id"]
        told = []
        for name in (run_id, "run_" + "0" * 32):
            for kind in ("cancel", "resume"):
                await bob.send(type=kind, run_id=name)
                told.append(await bob.read())
        await bob.send(message="hi", session_id="s-1")
        own = await bob.read()
        gate.set()
        last = (await alice.read_run())[-1]

    assert told[0] == told[1] == told[2] == told[3]
    assert told[0]["data"]["code"] == "not_found"
    assert own["event"] == "start"
    assert last["data"] == {"status": "complete"}


async def test_a_resume_behind_the_end__is_refused(start: Start) -> None:
    service = await start()
    async with connect(service) as client:
        await client.send(message="hi")
        run_id = (await client.read_run())[0]["run_id"]
        await client.send(type="resume", run_id=run_id, after=5)

        told = await client.read()

    assert told["data"]["errors"] == [
        {"field": "after", "message": "must be the id of an event of this run, 0 to 4"}
    ]


async def test_a_busy_session__is_told_without_run(start: Start) -> None:
    agent, gate = gated()
    service = await start(agent)
    async with connect(service) as client:
        await client.send(message="hi")
        await client.read_until(lambda frame: frame["id"] == 2)
        await client.send(message="again")
        told = await client.read()
        gate.set()
        await client.read_run()

    assert "run_id" not in told
    assert told["data"]["code"] == "session_busy"
