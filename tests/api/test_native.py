from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from bff.errors import AgentThrottled
from bff.events import Custom, Done, Message, Thinking, ToolEnd, ToolStart
from bff.identity.principals import Principal
from tests.api.conftest import Service, Start, sse
from tests.fakes.scripted import HELLO, ScriptedAgent, Step

ALICE = Principal("key", ("alice",)).id
EVERYTHING: Sequence[Step] = (
    [Thinking("hm"), ToolStart("t", "calculator", {"expression": "1+1"})],
    [ToolEnd("t", "calculator", "2"), Custom({"any": ["thing"]})],
    [Message("It is "), Message("2.")],
    [Done("complete", {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7})],
)


async def ended(service: Service) -> None:
    """Wait until no run is open."""
    async with asyncio.timeout(30):
        while service.runs.open_count:
            await asyncio.sleep(0.005)


async def test_chat__answers_whole(start: Start) -> None:
    service = await start(ScriptedAgent(EVERYTHING))

    reply = await service.client.post("/v1/chat", json={"message": "1+1?", "session_id": "s-1"})

    assert reply.status == 200
    body = await reply.json()
    assert body == {
        "message": "It is 2.",
        "session_id": "s-1",
        "run_id": reply.headers["X-Run-Id"],
        "tool_calls": [
            {"id": "t", "tool": "calculator", "args": {"expression": "1+1"}, "result": "2"}
        ],
        "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
    }
    assert reply.headers["X-Session-Id"] == "s-1"
    assert reply.headers["Cache-Control"] == "no-store"


async def test_stream__is_the_contracts_events_in_order(start: Start) -> None:
    service = await start(ScriptedAgent(EVERYTHING))

    reply = await service.client.post("/v1/chat/stream", json={"message": "1+1?"})
    text = await reply.text()

    run_id, session_id = reply.headers["X-Run-Id"], reply.headers["X-Session-Id"]
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/event-stream"
    assert reply.headers["Cache-Control"] == "no-store"
    assert text.startswith(": keep-alive\nretry: ") or text.startswith(": keep-alive\n\nretry: ")
    assert text.count("retry: ") == 1
    assert [(event["id"], event["event"], json.loads(event["data"])) for event in sse(text)] == [
        ("1", "start", {"run_id": run_id, "session_id": session_id}),
        ("2", "thinking", {"content": "hm"}),
        ("3", "tool_start", {"id": "t", "tool": "calculator", "args": {"expression": "1+1"}}),
        ("4", "tool_end", {"id": "t", "tool": "calculator", "result": "2"}),
        ("5", "custom", {"value": {"any": ["thing"]}}),
        ("6", "message", {"content": "It is "}),
        ("7", "message", {"content": "2."}),
        (
            "8",
            "done",
            {
                "status": "complete",
                "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
            },
        ),
    ]


async def test_a_dropped_stream__is_resumed_without_loss_or_repetition(start: Start) -> None:
    go = asyncio.Event()
    service = await start(ScriptedAgent([[Message("Hel")], go, [Message("lo")], [Done()]]))

    async with service.client.post("/v1/chat/stream", json={"message": "Hi"}) as reply:
        run_id = reply.headers["X-Run-Id"]
        seen = b""
        while b"id: 2" not in seen or not seen.endswith(b"\n\n"):
            seen += await reply.content.readany()
    go.set()
    rest = await service.read(
        await service.client.get(f"/v1/runs/{run_id}/events", headers={"Last-Event-ID": "2"})
    )
    whole = await service.read(await service.client.get(f"/v1/runs/{run_id}/events"))

    assert sse(seen.decode()) + rest == whole
    assert [event["id"] for event in whole] == ["1", "2", "3", "4"]
    assert len(service.agent.calls) == 1


async def test_resume__says_204_when_nothing_is_left(start: Start) -> None:
    service = await start()
    reply = await service.client.post("/v1/chat/stream", json={"message": "Hi"})
    events = await service.read(reply)
    url = f"/v1/runs/{reply.headers['X-Run-Id']}/events"

    last = events[-1]["id"]
    assert (await service.client.get(url, headers={"Last-Event-ID": last})).status == 204
    assert (await service.client.get(f"{url}?after={last}")).status == 204
    # a reconnecting EventSource keeps its URL, so the header is newer
    both = await service.client.get(f"{url}?after=1", headers={"Last-Event-ID": last})
    assert both.status == 204


@pytest.mark.parametrize("after", ["-1", "5", "9" * 30, "1.5", "abc", "", "1\t2", "٣"])
async def test_resume_from_what_never_was__is_refused(start: Start, after: str) -> None:
    service = await start()
    reply = await service.client.post("/v1/chat/stream", json={"message": "Hi"})
    await reply.read()

    again = await service.client.get(
        f"/v1/runs/{reply.headers['X-Run-Id']}/events", params={"after": after}
    )

    assert again.status == 422
    assert (await again.json())["errors"][0]["field"] == "after"


async def test_a_run__tells_its_state_while_open_and_after(start: Start) -> None:
    go = asyncio.Event()
    service = await start(ScriptedAgent([[Message("a")], go, [Done()]]))
    async with service.client.post("/v1/chat/stream", json={"message": "Hi"}) as reply:
        run_id = reply.headers["X-Run-Id"]
        open_state = await (await service.client.get(f"/v1/runs/{run_id}")).json()
        go.set()
        await reply.read()
    state = await (await service.client.get(f"/v1/runs/{run_id}")).json()

    assert open_state["status"] == "running"
    assert open_state["ended_at"] is None
    assert set(state) == {
        "run_id",
        "session_id",
        "agent",
        "status",
        "last_event_id",
        "created_at",
        "ended_at",
    }
    assert (state["status"], state["last_event_id"]) == ("complete", 3)
    assert state["created_at"] <= state["ended_at"]
    assert state["created_at"].endswith("Z")


async def test_cancel__ends_every_view_of_the_run(start: Start) -> None:
    service = await start(ScriptedAgent([[Message("a")], asyncio.Event()]))
    blocking = asyncio.create_task(
        service.client.post("/v1/chat", json={"message": "Hi", "session_id": "s"})
    )
    async with asyncio.timeout(30):
        while (run := await service.runs.find_open(ALICE, "s")) is None:
            await asyncio.sleep(0.005)
    follower = await service.client.get(f"/v1/runs/{run.run_id}/events")

    first = await service.client.post(f"/v1/runs/{run.run_id}/cancel")
    second = await service.client.post(f"/v1/runs/{run.run_id}/cancel")

    assert (first.status, second.status) == (200, 200)
    assert (await first.json())["status"] == (await second.json())["status"] == "cancelled"
    assert (await service.read(follower))[-1]["data"] == '{"status":"cancelled"}'
    reply = await blocking
    assert reply.status == 409
    assert (await reply.json())["code"] == "run_cancelled"
    assert reply.headers["X-Should-Retry"] == "false"
    assert service.agent.closed == 1


async def leave(
    service: Service, body: dict[str, str], headers: dict[str, str] | None = None
) -> None:
    """Ask, and be gone once the agent is at work."""
    asking = asyncio.create_task(service.client.post("/v1/chat", json=body, headers=headers))
    async with asyncio.timeout(30):
        while not service.agent.calls:
            await asyncio.sleep(0.005)
    asking.cancel()
    await asyncio.wait({asking})


async def test_a_blocking_client_who_leaves__cancels_the_run(start: Start) -> None:
    service = await start(ScriptedAgent([[Message("a")], asyncio.Event()]))

    await leave(service, {"message": "Hi"})
    await ended(service)

    assert service.agent.closed == 1


async def test_a_blocking_client_with_a_key_who_leaves__finds_the_answer_later(
    start: Start,
) -> None:
    go = asyncio.Event()
    service = await start(ScriptedAgent([go, *HELLO]))
    body, key = {"message": "Hi"}, {"Idempotency-Key": "once"}

    await leave(service, body, key)
    go.set()
    again = await service.client.post("/v1/chat", json=body, headers=key)
    stream = await service.client.post("/v1/chat/stream", json=body, headers=key)

    assert (await again.json())["message"] == "Hello"
    assert stream.headers["X-Run-Id"] == again.headers["X-Run-Id"]
    assert len(service.agent.calls) == 1


async def test_a_used_key_with_another_body__is_422(start: Start) -> None:
    service = await start()
    headers = {"Idempotency-Key": "once"}
    await service.client.post("/v1/chat", json={"message": "Hi"}, headers=headers)

    reply = await service.client.post("/v1/chat", json={"message": "Ho"}, headers=headers)

    assert reply.status == 422
    assert (await reply.json())["errors"][0]["field"] == "Idempotency-Key"


async def test_a_streaming_client_who_leaves__cancels_only_if_it_said_so(start: Start) -> None:
    service = await start(ScriptedAgent([[Message("a")], asyncio.Event()]))
    for on_disconnect in ("continue", "cancel"):
        async with service.client.post(
            "/v1/chat/stream", json={"message": "Hi", "on_disconnect": on_disconnect}
        ) as reply:
            await reply.content.readany()
        if on_disconnect == "continue":
            run_id = reply.headers["X-Run-Id"]
            state = await (await service.client.get(f"/v1/runs/{run_id}")).json()
            assert state["status"] == "running"
            await service.client.post(f"/v1/runs/{run_id}/cancel")
    await ended(service)

    assert service.agent.closed == 2


async def test_a_client_that_was_gone_before_the_answer__leaves_no_slot_taken(
    start: Start,
) -> None:
    service = await start(MAX_STREAMS_PER_USER="2")
    body = b'{"message": "Hi", "on_disconnect": "cancel"}'
    head = (
        f"POST /v1/chat/stream HTTP/1.1\r\nHost: x\r\nX-API-Key: alice-key\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    for _ in range(10):
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(head + body)
        await writer.drain()
        writer.transport.abort()
    await ended(service)

    reply = await service.client.post("/v1/chat", json={"message": "Hi"})
    assert reply.status == 200


async def test_a_client_that_ends_its_sending__has_left(start: Start) -> None:
    """Nobody can see from here whether it would still read."""
    service = await start(ScriptedAgent([[Message("Hi")], asyncio.Event()]))
    body = b'{"message": "Hi", "on_disconnect": "cancel"}'
    head = (
        f"POST /v1/chat/stream HTTP/1.1\r\nHost: x\r\nX-API-Key: alice-key\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(head + body)
    async with asyncio.timeout(30):
        await reader.readuntil(b"event: message\n")
        writer.write_eof()
        rest = await reader.read()
    await ended(service)
    writer.close()

    assert b"event: " not in rest  # not its end either
    assert service.agent.closed == 1


async def test_two_messages_at_once_into_one_session__one_runs(start: Start) -> None:
    go = asyncio.Event()
    service = await start(ScriptedAgent([go, *HELLO]))
    calls = [
        asyncio.create_task(
            service.client.post("/v1/chat", json={"message": "Hi", "session_id": "same"})
        )
        for _ in range(5)
    ]
    async with asyncio.timeout(30):
        while sum(call.done() for call in calls) < 4:
            await asyncio.sleep(0.005)
    go.set()
    replies = await asyncio.gather(*calls)

    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409]
    assert len(service.agent.calls) == 1


@pytest.mark.parametrize(
    ("steps", "status", "code"),
    [
        ([AgentThrottled(agent_called=True, retry_after_seconds=7)], 429, "agent_throttled"),
        ([[Message("half")], RuntimeError("secret")], 500, "internal"),
        ([[Message("half")]], 502, "agent_failed"),
    ],
)
async def test_a_failure__is_a_status_when_blocking_and_an_event_when_streaming(
    start: Start, steps: list[Step], status: int, code: str
) -> None:
    service = await start(ScriptedAgent(steps))

    blocking = await service.client.post("/v1/chat", json={"message": "Hi"})
    streaming = await service.client.post("/v1/chat/stream", json={"message": "Hi"})

    assert blocking.status == status
    assert blocking.content_type == "application/problem+json"
    assert blocking.headers["X-Should-Retry"] == "false"
    assert blocking.headers["X-Run-Id"]
    problem = await blocking.json()
    assert problem["code"] == problem["error"]["code"] == code
    assert problem["request_id"] == blocking.headers["X-Request-Id"]
    if status == 429:
        assert blocking.headers["Retry-After"] == "7"
    assert streaming.status == 200
    last = (await service.read(streaming))[-1]
    assert last["event"] == "error"
    assert json.loads(last["data"])["code"] == code
    assert "secret" not in json.dumps(problem) + last["data"]


BAD_BODIES = [
    (b"{}", 422, "message", "either message or resume"),
    (b'{"message": ""}', 422, "message", "at least 1"),
    (b'{"message": 5}', 422, "message", "string"),
    (b'{"message": "%b"}' % (b"x" * 100_001), 422, "message", "at most 100000"),
    (b'{"message": "x", "model": "y"}', 422, "model", "unknown field"),
    (b'{"message": "x", "session_id": "../x"}', 422, "session_id", "pattern"),
    (b'{"message": "x", "session_id": "a\\n"}', 422, "session_id", "pattern"),
    (b'{"message": "x", "metadata": [1]}', 422, "metadata", "dictionary"),
    (b'{"message": "x", "on_disconnect": "stop"}', 422, "on_disconnect", "continue"),
    (b'{"message": "\\ud800"}', 422, "message", "surrogates"),
    (b"[]", 422, "body", "object"),
    (b"null", 422, "body", "object"),
    (b"", 400, "body", "not JSON"),
    (b"{", 400, "body", "not JSON at character"),
    (b'\xef\xbb\xbf{"message": "x"}', 400, "body", "not JSON"),
    ('{"message": "x"}'.encode("utf-16"), 400, "body", "not UTF-8"),
    (b'{"message": "x", "message": "y"}', 400, "body", "twice"),
    (b'{"message": NaN}', 400, "body", "NaN"),
    (b'{"message": %b}' % (b"9" * 5000), 400, "body", "digits"),
    (b"[" * 100_000, 400, "body", "deeply"),
    (b'{"message": "x", "metadata": ' + b'{"a":' * 40 + b"1" + b"}" * 41, 400, "body", "deeply"),
]


@pytest.mark.parametrize(("body", "status", "field", "words"), BAD_BODIES)
async def test_a_bad_body__is_refused_by_name(
    start: Start, body: bytes, status: int, field: str, words: str
) -> None:
    service = await start()

    reply = await service.client.post(
        "/v1/chat", data=body, headers={"Content-Type": "application/json"}
    )

    problem = await reply.json()
    assert reply.status == status
    assert problem["errors"][0]["field"] == field
    assert words in problem["errors"][0]["message"]
    assert not service.agent.calls


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415, "unsupported_media_type"),
        ({"Content-Type": "application/json; charset=latin-1"}, b"{}", 415, None),
        ({"Content-Encoding": "gzip"}, b"{}", 415, "unsupported_media_type"),
        ({"Content-Length": str(8 * 1024 * 1024 + 1)}, b"{}", 413, "too_large"),
        ({"Idempotency-Key": "a b"}, b'{"message": "x"}', 422, "invalid"),
        ({"Idempotency-Key": "x" * 256}, b'{"message": "x"}', 422, "invalid"),
    ],
)
async def test_a_bad_head__is_refused(
    start: Start, headers: dict[str, str], body: bytes, status: int, code: str | None
) -> None:
    service = await start()

    reply = await service.client.post(
        "/v1/chat", data=body, headers={"Content-Type": "application/json", **headers}
    )

    assert reply.status == status
    assert reply.content_type == "application/problem+json"
    assert code in (None, (await reply.json())["code"])


async def test_100000_characters_of_any_script__fit(start: Start) -> None:
    service = await start()

    reply = await service.client.post(
        "/v1/chat",
        data=json.dumps({"message": "字" * 100_000}, ensure_ascii=False).encode(),
        headers={"Content-Type": "application/json"},
    )

    assert reply.status == 200


@pytest.mark.parametrize("path", ["/v1/runs/{}/events", "/v1/runs/{}", "/v1/ui/chat/s/stream"])
async def test_head__is_no_way_to_ask_for_a_stream(start: Start, path: str) -> None:
    service = await start()
    reply = await service.client.post("/v1/chat", json={"message": "Hi", "session_id": "s"})

    head = await service.client.head(path.format(reply.headers["X-Run-Id"]))

    assert head.status == 405
    # what followed a head unannounced would be taken for the next reply on the connection
    assert (await service.client.get("/health")).status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/ui/chat", "/v1/agui"])
async def test_a_thousand_mistakes__are_told_by_the_first(start: Start, path: str) -> None:
    service = await start()
    body = {"id": "a", "threadId": "a", "runId": "b", "model": "m", "messages": [{}] * 1000}

    reply = await service.client.post(path, json=body)

    assert reply.status == 422
    assert [error["field"] for error in (await reply.json())["errors"]] == ["messages.0.role"]
