"""AgentCore Runtime behind its wire: what is signed and sent, and what its refusals become."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from bff.agents import Agent, open_agent, open_agents
from bff.errors import AgentFailed, AgentThrottled, AgentUnavailable, Problem
from bff.settings import Settings
from tests.agents.conftest import SESSION, OpenWire, collect, failure, prompt, text
from tests.fakes.agentcore_wire import ACCESS_KEY, ARN, SECRET_KEY, TOKEN, AgentCoreWire
from tests.fakes.container import (
    HEAD,
    RESET,
    FakeContainer,
    Step,
    answer,
    chunk,
    reply,
    serving,
    sse,
)
from tests.fakes.tcp import tcp_server


@asynccontextmanager
async def playing(
    open_wire: OpenWire, *script: Step
) -> AsyncIterator[tuple[Agent, AgentCoreWire, FakeContainer]]:
    async with FakeContainer(script or answer("Hel", "lo")).serve() as container:
        async with open_wire(container.url) as (agent, wire):
            yield agent, wire, container
        assert wire.wrong == []


async def test_call__is_signed_and_says_what_it_must(open_wire: OpenWire) -> None:
    async with playing(open_wire) as (agent, wire, container):
        trace = {"traceparent": "00-1-2-01", "tracestate": "a=b", "baggage": "k=v, spaced  =x"}
        asked = prompt("Grüße $message", trace=trace, metadata={"k": "v"})
        events = [event async for batch in agent.stream(asked) for event in batch]

    assert text(events) == "Hello"
    (headers,) = wire.invocations
    assert headers["X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"] == SESSION
    assert headers["Accept"] == "text/event-stream, application/json"
    assert headers["Content-Type"] == "application/json"
    assert {name: headers[name] for name in trace} == trace
    assert container.calls[0].payload == {
        "prompt": "Grüße $message",
        "session_id": SESSION,
        "actor_id": "actor",
        "stream": True,
        "metadata": {"k": "v"},
    }


async def test_call__signs_the_user_and_the_headers_that_are_passed_on(
    open_wire: OpenWire,
) -> None:
    custom = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Lang"
    async with playing(open_wire) as (agent, wire, _):
        asked = prompt(user_id="alice@example.com", headers={custom: "de", "X-Tenant": "a  b"})
        events = [event async for batch in agent.stream(asked) for event in batch]

    (headers,) = wire.invocations
    assert text(events) == "Hello"
    assert headers["X-Amzn-Bedrock-AgentCore-Runtime-User-Id"] == "alice@example.com"
    assert (headers[custom], headers["X-Tenant"]) == ("de", "a  b")


@pytest.mark.parametrize("payload", ["short", "x" * 1_000_000])
async def test_token__is_sent_in_place_of_a_signature(open_wire: OpenWire, payload: str) -> None:
    async with playing(open_wire) as (agent, wire, _):
        asked = prompt(payload, bearer="the.callers.token")
        events = [event async for batch in agent.stream(asked) for event in batch]

    (headers,) = wire.invocations
    assert text(events) == "Hello"
    assert headers["Authorization"] == "Bearer the.callers.token"
    assert headers["X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"] == SESSION


@pytest.mark.parametrize(
    ("status", "kind", "problem", "hint"),
    [
        (400, "ValidationException", AgentFailed, "AGENT_PAYLOAD"),
        (402, "ServiceQuotaExceededException", AgentUnavailable, "Service Quotas"),
        (403, "AccessDeniedException", AgentUnavailable, f"{ARN}/runtime-endpoint/DEFAULT"),
        (404, "ResourceNotFoundException", AgentUnavailable, "AGENT_RUNTIME_ARN"),
        (409, "ConflictException", AgentUnavailable, "stayed busy"),
        (424, "RuntimeClientError", AgentFailed, "CloudWatch"),
        (429, "ThrottlingException", AgentThrottled, "quota"),
        (500, "InternalServerException", AgentFailed, "inside AgentCore"),
        (503, "ServiceUnavailableException", AgentUnavailable, "inside AgentCore"),
    ],
)
async def test_refusal__is_named_called_once_and_explained_to_the_operator(
    open_wire: OpenWire,
    status: int,
    kind: str,
    problem: type[Problem],
    hint: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with playing(open_wire) as (agent, wire, container):
        wire.refusals = [(status, kind, {"x-amzn-RequestId": "aws-1"})]
        raised, events = await failure(agent)

    assert type(raised) is problem
    assert raised.agent_called
    assert raised.unheard is (status in (402, 403, 404, 429))
    assert events == []
    assert len(wire.invocations) == 1
    assert container.calls == []
    assert f"agent answered {status} {kind}: " in caplog.text
    assert hint in caplog.text
    assert "AWS request id aws-1" in caplog.text
    assert "private" not in caplog.text
    for secret in (SECRET_KEY, TOKEN, ACCESS_KEY, "private", ARN):
        assert secret not in str(raised.document(request_id="r", instance="/"))


async def test_retryable_conflict__is_tried_again_and_the_agent_is_called_once(
    open_wire: OpenWire,
) -> None:
    async with playing(open_wire) as (agent, wire, container):
        wire.refusals = [(409, "RetryableConflictException", {})] * 2
        events = await collect(agent)

    assert text(events) == "Hello"
    assert len(wire.invocations) == 3
    assert len(container.calls) == 1


async def test_retryable_conflict__that_stays_is_unavailable(open_wire: OpenWire) -> None:
    async with playing(open_wire) as (agent, wire, container):
        wire.refusals = [(409, "RetryableConflictException", {})] * 9
        raised, _ = await failure(agent)

    assert type(raised) is AgentUnavailable
    assert len(wire.invocations) == 3
    assert container.calls == []


async def test_throttling__says_when_to_come_back(open_wire: OpenWire) -> None:
    async with playing(open_wire) as (agent, wire, _):
        wire.refusals = [(429, "ThrottlingException", {"Retry-After": "7"})]
        raised, _ = await failure(agent)

    assert raised.retry_after_seconds == 7


@pytest.mark.parametrize(
    "script",
    [[RESET], [HEAD, RESET], [HEAD, chunk(sse("Hi")), RESET], [HEAD], reply(500), reply(424)],
    ids=str,
)
async def test_broken_call__is_never_made_again(
    script: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    async with FakeContainer(script).serve() as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", front.url)
        async with open_agent(Settings(agent_runtime_arn=ARN).agents[0]) as agent:
            raised, _ = await failure(agent)

    assert type(raised) is AgentFailed
    assert raised.agent_called
    assert len(front.calls) == 1


async def test_kept_connection_that_breaks__is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = 0

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        for last in (False, True):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            calls += 1
            if last:
                break
            body = sse("Hi")
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
        writer.close()

    async with tcp_server(answer_once) as port:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", f"http://127.0.0.1:{port}")
        async with open_agent(Settings(agent_runtime_arn=ARN).agents[0]) as agent:
            assert text(await collect(agent)) == "Hi"
            raised, _ = await failure(agent)

    assert type(raised) is AgentFailed
    assert raised.agent_called
    assert calls == 2


async def test_stop__ends_the_runtime_session(open_wire: OpenWire) -> None:
    async with playing(open_wire) as (agent, wire, container):
        await agent.stop(SESSION)

    assert wire.stopped == [SESSION]
    assert container.calls == []


async def test_stop__of_a_session_that_is_gone_is_no_error(open_wire: OpenWire) -> None:
    async with playing(open_wire) as (agent, wire, _):
        wire.refusals = [(404, "ResourceNotFoundException", {})]
        await agent.stop(SESSION)

    assert wire.stopped == []


async def test_stop__that_is_not_allowed_is_explained(
    open_wire: OpenWire, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(open_wire) as (agent, wire, _):
        wire.refusals = [(403, "AccessDeniedException", {})]
        with pytest.raises(AgentUnavailable):
            await agent.stop(SESSION)

    assert "StopRuntimeSession" in caplog.text


async def test_ping__connects_and_calls_nobody(open_wire: OpenWire) -> None:
    async with playing(open_wire) as (agent, wire, container):
        await agent.ping()

    assert wire.invocations == []
    assert container.calls == []


async def test_endpoint_gone__is_unavailable_and_the_agent_was_not_called(
    open_wire: OpenWire,
) -> None:
    async with playing(open_wire) as (agent, wire, _):
        settings = Settings(agent_runtime_arn=ARN)
        closed = wire.url
    async with open_agent(settings.agents[0]) as agent:
        assert closed in repr(agent), "the test asks the endpoint that was closed"
        raised, _ = await failure(agent)
        with pytest.raises(AgentUnavailable):
            await agent.ping()

    assert type(raised) is AgentUnavailable
    assert not raised.agent_called


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.mark.usefixtures("no_credentials")
async def test_a_runtime_that_wants_tokens__needs_no_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(agent_runtime_arn=ARN, agent_auth="bearer")
    async with (
        FakeContainer(answer("Hel", "lo")).serve() as container,
        AgentCoreWire(container.url).serve() as wire,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", wire.url)
        async with open_agents(settings) as agents:
            [agent] = agents.values()
            await agent.ping()
            await agent.stop(SESSION)
            asked = prompt(bearer="the.callers.token")
            events = [event async for batch in agent.stream(asked) for event in batch]

    assert (text(events), wire.stopped, wire.wrong) == ("Hello", [], [])


@pytest.mark.usefixtures("no_credentials")
async def test_no_credentials__is_unavailable_and_explained(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_agent(Settings(agent_runtime_arn=ARN).agents[0]) as agent:
        raised, _ = await failure(agent)
        with pytest.raises(AgentUnavailable):
            await agent.ping()

    assert type(raised) is AgentUnavailable
    assert not raised.agent_called
    assert "no AWS credentials" in caplog.text


@pytest.mark.usefixtures("no_credentials")
async def test_task_role__is_used_and_its_credentials_are_refreshed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = 0

    async def credentials(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        soon = datetime.now(UTC) + timedelta(minutes=1)
        return web.json_response(
            {
                "AccessKeyId": ACCESS_KEY,
                "SecretAccessKey": SECRET_KEY,
                "Token": TOKEN,
                "Expiration": soon.isoformat(),
            }
        )

    app = web.Application()
    app.add_routes([web.get("/role", credentials)])
    async with (
        serving(app) as role_url,
        FakeContainer(answer("Hi")).serve() as container,
        AgentCoreWire(container.url).serve() as wire,
    ):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{role_url}/role")
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", wire.url)
        async with open_agent(Settings(agent_runtime_arn=ARN).agents[0]) as agent:
            assert text(await collect(agent)) == "Hi"
            before = asked
            assert text(await collect(agent)) == "Hi"

    assert wire.wrong == []
    assert asked > before


async def test_region__is_that_of_the_arn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", raising=False)
    arn = ARN.replace("us-west-2", "eu-central-1")
    async with open_agent(
        Settings(agent_runtime_arn=arn, aws_region="us-east-1").agents[0]
    ) as agent:
        assert "https://bedrock-agentcore.eu-central-1.amazonaws.com" in repr(agent)
