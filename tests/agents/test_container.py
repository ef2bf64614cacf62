"""A container at AGENT_URL: what is sent, what comes back, and every way it can go wrong."""

import asyncio
import itertools
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import pytest
import trustme

from bff.agents import Agent, open_agent
from bff.agents.dialects.decoder import Decoder
from bff.agents.http import READ_BYTES, retry_after_seconds
from bff.errors import AgentFailed, AgentThrottled, AgentTimeout, AgentUnavailable, Problem
from bff.events import Done, Message
from bff.settings import PayloadSetting, Settings
from tests.agents.conftest import SESSION, collect, customs, failure, prompt, text
from tests.fakes.container import END, HEAD, RESET, FakeContainer, Step, answer, chunk, reply, sse
from tests.fakes.tcp import tcp_server

HELLO = answer("Hel", "lo")
SECRET = b'{"error":"the database password is hunter2"}'


@asynccontextmanager
async def playing(
    *script: Step, payload: PayloadSetting = "prompt"
) -> AsyncIterator[tuple[Agent, FakeContainer]]:
    async with FakeContainer(script).serve() as container:
        settings = Settings(agent_url=container.url, agent_payload=payload)
        async with open_agent(settings.agents[0]) as agent:
            yield agent, container


async def test_call__is_one_post_with_session_and_trace() -> None:
    trace = {"traceparent": "00-1-2-01", "tracestate": "a=b", "baggage": "x" * 9000}
    odd = {"traceparent": "ü", "tracestate": "a\r\nb: c", "baggage": ""}
    async with playing(*HELLO) as (agent, container):
        events = [e async for batch in agent.stream(prompt("Hi", trace=trace)) for e in batch]
        async for _ in agent.stream(prompt("Hi", trace=odd)):
            pass

    assert events == [Message("Hel"), Message("lo"), Done()]
    call, odd_call = container.calls
    assert (call.method, call.path) == ("POST", "/invocations")
    assert call.payload == {
        "prompt": "Hi",
        "session_id": SESSION,
        "actor_id": "actor",
        "stream": True,
    }
    headers = call.headers
    assert headers["content-type"] == "application/json"
    assert headers["accept"] == "text/event-stream, application/json"
    assert headers["accept-encoding"] == "identity"
    assert headers["x-amzn-bedrock-agentcore-runtime-session-id"] == SESSION
    assert headers["x-amzn-bedrock-agentcore-runtime-request-id"] == "run-1"
    assert headers["traceparent"] == "00-1-2-01"
    assert headers["tracestate"] == "a=b"
    assert not odd.keys() & odd_call.headers.keys(), "no header can carry them"
    assert "baggage" not in headers, "longer than AgentCore takes"
    assert "authorization" not in headers
    assert "cookie" not in headers


@pytest.mark.parametrize(
    ("template", "sent"),
    [
        ('{"input":{"text":"$message"}}', {"input": {"text": "say $session_id & $metadata"}}),
        (
            '{"messages":[{"role":"user","content":"$message"}],"n":1,"m":"$metadata"}',
            {
                "messages": [{"role": "user", "content": "say $session_id & $metadata"}],
                "n": 1,
                "m": {"k": "$message"},
            },
        ),
        (
            '{"q":"<$message> in $run_id for $actor_id: $metadata $5 $other"}',
            {"q": '<say $session_id & $metadata> in run-1 for actor: {"k":"$message"} $5 $other'},
        ),
        (
            '{"threadId":"$session_id","$message":"$message"}',
            {"threadId": SESSION, "$message": "say $session_id & $metadata"},
        ),
    ],
)
async def test_payload__is_filled_at_any_depth_and_only_once(template: str, sent: object) -> None:
    async with playing(*HELLO, payload=json.loads(template)) as (agent, container):
        asked = prompt("say $session_id & $metadata", metadata={"k": "$message"})
        async with aclosing(agent.stream(asked)) as batches:
            async for _ in batches:
                pass

    assert container.calls[0].payload == sent


async def test_payload__survives_what_utf8_cannot_carry() -> None:
    async with playing(*HELLO) as (agent, container):
        await collect(agent, "half \ud83d a character, \u2028 and 🌍")

    assert container.calls[0].payload["prompt"] == "half \ufffd a character, \u2028 and 🌍"  # type: ignore[index]


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (reply(400, SECRET), AgentFailed),
        (reply(401, SECRET), AgentUnavailable),
        (reply(402, SECRET), AgentUnavailable),
        (reply(403, SECRET), AgentUnavailable),
        (reply(404, SECRET), AgentUnavailable),
        (reply(409, SECRET), AgentUnavailable),
        (reply(418, SECRET), AgentFailed),
        (reply(424, SECRET), AgentFailed),
        (reply(429, SECRET), AgentThrottled),
        (reply(500, SECRET), AgentFailed),
        (reply(502, SECRET), AgentFailed),
        (reply(503, SECRET), AgentUnavailable),
        (reply(504, SECRET), AgentTimeout),
        (reply(302, SECRET, Location="/invocations"), AgentUnavailable),
        (reply(307, SECRET, Location="/invocations"), AgentUnavailable),
        (reply(200, SECRET), AgentFailed),
        (reply(200, SECRET, Content_Encoding="gzip"), AgentFailed),
        (reply(200, b"<html>hunter2</html>", "text/html; charset=utf-8"), AgentFailed),
        (reply(200, b"hunter2", "image/png"), AgentFailed),
        (reply(200, b""), AgentFailed),
        (reply(204), AgentFailed),
        (reply(200, b"null"), AgentFailed),
        (reply(200, b"{"), AgentFailed),
        (reply(200, b'{"a":' * 5000), AgentFailed),
        (reply(200, b"[" * 200_000), AgentFailed),
        ([RESET], AgentFailed),
        ([b"HTTP/1.1 200"], AgentFailed),
        ([b"garbage\r\n\r\n"], AgentFailed),
        ([b"\x16\x03\x01\x00"], AgentFailed),
        ([HEAD, RESET], AgentFailed),
        ([HEAD], AgentFailed),
        ([HEAD, END], AgentFailed),
        ([HEAD, chunk(sse("Hi")), RESET], AgentFailed),
        ([HEAD, chunk(sse("Hi"))], AgentFailed),
        ([HEAD, chunk(sse("Hi")), b"zz\r\n"], AgentFailed),
        ([HEAD, chunk(sse("Hi") + b'data: "half'), END], AgentFailed),
        (answer("Hi", {"error": "hunter2", "error_type": "RuntimeError"}), AgentFailed),
        (answer({"status": "error", "error": "hunter2"}), AgentFailed),
        (answer({"type": "RUN_ERROR", "message": "hunter2"}), AgentFailed),
        (answer('event: ERROR\ndata: {"error": "hunter2"}\n\n'), AgentFailed),
        (answer(None, ""), AgentFailed),
    ],
    ids=str,
)
async def test_failure__is_named_once_called_once_and_tells_nothing(
    script: Sequence[Step], problem: type[Problem], caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(*script) as (agent, container):
        raised, events = await failure(agent)

    assert type(raised) is problem
    assert raised.agent_called
    assert len(container.calls) == 1
    assert "hunter2" not in str(raised.document(request_id="r", instance="/"))
    assert "hunter2" not in str(events)
    assert "hunter2" not in caplog.text
    assert any(record.levelno >= logging.ERROR for record in caplog.records)


async def test_failure__comes_after_what_the_agent_said() -> None:
    async with playing(*answer("Half an", " answer", {"error": "x"})) as (agent, _):
        _, events = await failure(agent)

    assert text(events) == "Half an answer"


@pytest.mark.parametrize("encoding", ["identity", "Identity", "none", "None", "UTF-8"])
async def test_encoding_that_is_none__is_read(encoding: str) -> None:
    async with playing(*reply(200, b'"Hi"', Content_Encoding=encoding)) as (agent, _):
        assert text(await collect(agent)) == "Hi"


async def test_connection_refused__is_unavailable_and_the_agent_was_not_called() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with open_agent(Settings(agent_url=url).agents[0]) as agent:
            raised, _ = await failure(agent)
            with pytest.raises(AgentUnavailable):
                await agent.ping()

    assert type(raised) is AgentUnavailable
    assert not raised.agent_called


async def test_certificate_nobody_signed__is_unavailable_and_the_agent_was_not_called() -> None:
    calls: list[bytes] = []

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(await reader.read(1))
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with tcp_server(never, context) as port:
        url = f"https://127.0.0.1:{port}"
        async with open_agent(Settings(agent_url=url).agents[0]) as agent:
            raised, _ = await failure(agent)

    assert type(raised) is AgentUnavailable
    assert not raised.agent_called
    assert calls == []


async def test_unknown_host__is_unavailable_and_the_agent_was_not_called() -> None:
    async with open_agent(Settings(agent_url="http://agent.invalid:8080").agents[0]) as agent:
        raised, _ = await failure(agent)

    assert type(raised) is AgentUnavailable
    assert not raised.agent_called


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, "AGENT_PAYLOAD"),
        (403, "refuses us"),
        (404, "no POST /invocations"),
        (429, "quota"),
        (500, "log of the container"),
        (302, "redirects are not followed"),
    ],
)
async def test_failure__tells_the_operator_what_to_do(
    status: int, hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(*reply(status, SECRET)) as (agent, _):
        await failure(agent)

    assert f"agent answered {status}" in caplog.text
    assert hint in caplog.text


async def test_python_prints__are_explained_to_the_operator(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = answer("<strands.Agent object at 0x7f>", "[<object object at 0x7f>]")
    async with playing(*script) as (agent, _):
        raised, events = await failure(agent)

    assert type(raised) is AgentFailed
    assert events == []
    assert "only 2 Python objects printed as strings" in caplog.text


async def test_dialects__are_logged_at_debug_without_a_word_of_the_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "bff.agents.http")
    async with playing(*answer({"data": "hunter2", "delta": {"text": "hunter2"}})) as (agent, _):
        await collect(agent)

    lines = [record.getMessage() for record in caplog.records if record.name == "bff.agents.http"]
    assert lines == ["the agent's answer was read as strands"]


async def test_throttling__says_when_to_come_back() -> None:
    async with playing(*reply(429, Retry_After="17")) as (agent, _):
        raised, _ = await failure(agent)

    assert raised.retry_after_seconds == 17


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 2),
        ("", 2),
        ("5", 5),
        ("0", 1),
        ("999999999", 300),
        ("-3", 2),
        ("soon", 2),
        ("9" * 50, 2),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 20),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 1),
        ("Thu, 01 Jan 2199 00:00:00 GMT", 300),
        ("Thu, 01 Jan 99999999999 00:00:00 GMT", 2),
        ("Thu, 01 Jan 2199 00:00:00 +99999999999999", 2),
    ],
)
def test_retry_after__is_bounded_in_both_forms(value: str | None, seconds: float) -> None:
    assert retry_after_seconds(value, now=10) == seconds


async def test_bytes__become_events_as_they_come() -> None:
    more = asyncio.Event()
    script: list[Step] = [HEAD, chunk(sse("One") + b"data: "), more, chunk(b'"Two"\n\n'), END]
    async with playing(*script) as (agent, _), aclosing(agent.stream(prompt())) as batches:
        assert await anext(batches) == [Message("One")]
        more.set()
        rest = [event async for batch in batches for event in batch]

    assert rest == [Message("Two"), Done()]


async def test_an_answer_that_comes_at_once__lets_others_have_their_turns() -> None:
    """20,000 words in one write: 0.1 s of work, in which nobody else would have been heard."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    said: list[str] = []
    had: list[tuple[int, int]] = []
    async with playing(HEAD + chunk(sse(*["word "] * 20_000)) + END) as (agent, _):
        turning = asyncio.create_task(others())
        async for batch in agent.stream(prompt()):
            said += [event.content for event in batch if isinstance(event, Message)]
            had.append((len(batch), turns))
        turning.cancel()

    assert said == ["word "] * 20_000
    assert max(size for size, _ in had) <= READ_BYTES / len(sse("word ")) + 1
    # the rest of what came at once, and what has come meanwhile, are behind each other
    assert all(had[n][1] < had[n + 2][1] for n in range(len(had) - 3))


async def test_comments__say_that_the_agent_is_alive() -> None:
    never = asyncio.Event()
    async with (
        playing(HEAD, chunk(b": ping\n\n"), never) as (agent, _),
        aclosing(agent.stream(prompt())) as batches,
    ):
        assert await anext(batches) == []


async def test_cancelling__closes_the_connection_before_headers_too() -> None:
    for script in ([asyncio.Event()], [HEAD, chunk(sse("Hi")), asyncio.Event()]):
        async with playing(*script) as (agent, container):
            task = asyncio.create_task(collect(agent))
            while not container.calls:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await container.gone.wait()
            assert len(container.calls) == 1


async def test_failure_in_mid_stream__closes_the_connection() -> None:
    script: list[Step] = [HEAD, chunk(sse({"error": "x"})), asyncio.Event()]
    async with playing(*script) as (agent, container):
        await failure(agent)
        await container.gone.wait()


async def test_kept_connection__is_not_used_for_a_second_call() -> None:
    async with playing(*reply(200, b'"Hi"')) as (agent, container):
        assert text(await collect(agent)) == "Hi"
        assert text(await collect(agent)) == "Hi"

    assert len(container.calls) == 2


@pytest.mark.parametrize("content_type", ["text/event-stream; charset=utf-8", "application/json"])
async def test_frame_without_end__fails_instead_of_filling_the_memory(content_type: str) -> None:
    size = 17 * 1024 * 1024
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n"
    body = [b'data: "' + b"x" * 1017, *([b"x" * 1024] * 17 * 1024)]
    async with playing(head.encode(), *body) as (agent, _):
        raised, events = await failure(agent)

    assert type(raised) is AgentFailed
    assert events == []


async def test_what_is_no_http_behind_what_was_read__is_not_waited_for() -> None:
    heard = asyncio.Event()
    async with playing(HEAD, chunk(sse("Hi")), heard, b"zz\r\n", asyncio.Event()) as (agent, _):

        async def listen() -> None:
            async for _ in agent.stream(prompt("Hi")):
                heard.set()

        with pytest.raises(AgentFailed):
            await listen()


@pytest.mark.parametrize(
    "value", [{"text": "x" * 2**20}, {"reasoning": "x" * 2**20}, {"foo": ["x" * 2**20]}], ids=list
)
def test_an_answer_without_end__fails_instead_of_filling_the_memory(value: object) -> None:
    decoder = Decoder("text/event-stream")
    frame = sse(value)
    fed = 0
    while not decoder.failure and fed < 64:
        decoder.feed(frame)
        fed += 1

    assert decoder.failure == "an answer of more than 33,554,432 characters"
    assert 32 <= fed <= 35


def test_an_answer_of_endless_small_messages__fails_too() -> None:
    decoder = Decoder("text/event-stream")
    ids = itertools.count()
    received = 0
    while not decoder.failure and received < 2**25:
        names = [f"m{next(ids)}" for _ in range(1000)]
        told = [{"type": "TEXT_MESSAGE_CHUNK", "messageId": name, "delta": "a"} for name in names]
        decoder.feed(frames := sse(*told))
        received += len(frames)

    assert decoder.failure == "an answer of more than 33,554,432 characters"


def test_many_objects_of_no_known_shape__are_answered_with_the_last() -> None:
    decoder = Decoder("text/event-stream")
    for start in range(0, 20_000, 1000):
        decoder.feed(sse(*({"n": [number]} for number in range(start, start + 1000))))

    assert decoder.end()[0] == Message('{"n":[19999]}')


def test_what_is_repeated__does_not_count_as_said() -> None:
    decoder = Decoder("text/event-stream")
    frame = b"event: values\n" + sse(
        {"messages": [{"type": "ai", "id": "1", "content": "x" * 2**20}]}
    )
    for _ in range(40):
        decoder.feed(frame)

    assert decoder.failure is None


async def test_ping__asks_the_container() -> None:
    async with playing(*reply(200, b'{"status":"HealthyBusy"}')) as (agent, container):
        await agent.ping()
        assert [(call.method, call.path) for call in container.calls] == [("GET", "/ping")]
    async with playing(*reply(500)) as (agent, _):
        with pytest.raises(AgentUnavailable):
            await agent.ping()


async def test_address_with_a_path__is_kept() -> None:
    async with FakeContainer(HELLO).serve() as container:
        settings = Settings(agent_url=f"{container.url}/team%20a/agent")
        async with open_agent(settings.agents[0]) as agent:
            await collect(agent)

    assert container.calls[0].path == "/team%20a/agent/invocations"


async def test_unknown_frame__is_kept() -> None:
    async with playing(*answer({"sources": [{"url": "https://example.com"}]})) as (agent, _):
        assert customs(await collect(agent)) == [{"sources": [{"url": "https://example.com"}]}]
