from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from bff.agents import Prompt
from bff.errors import AgentThrottled
from bff.events import Done, Message
from bff.settings import Settings, SettingsError
from bff.telemetry import Telemetry, open_telemetry
from bff.telemetry.traces import open_tracing, valid_trace_headers
from tests.fakes.prompts import prompt_of
from tests.fakes.scripted import ScriptedAgent, Step

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
TRACED = Settings(otlp_endpoint="http://127.0.0.1:4318", service_name="chat")


def headers(*pairs: tuple[str, str]) -> CIMultiDict[str]:
    return CIMultiDict(pairs)


# What is passed on


def test_trace_headers__are_passed_on_as_they_came() -> None:
    given = {
        "traceparent": TRACEPARENT,
        "tracestate": "vendor=a:b,other@sys=1",
        "baggage": "user=alice%20b;ttl=1,tier=gold",
    }

    assert Telemetry().trace_headers(CIMultiDict(given)) == given


def test_trace_headers__of_a_request_without_any_are_none() -> None:
    assert valid_trace_headers(headers(("Accept", "*/*"))) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "canary",
        TRACEPARENT.upper(),
        TRACEPARENT + "-x",
        TRACEPARENT[:-1],
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"01-{TRACE}-{PARENT}-01x",
        f"01-{TRACE}-{PARENT}-01-{'x' * 80}",
    ],
)
def test_a_malformed_traceparent__is_dropped_and_its_tracestate_with_it(text: str) -> None:
    found = valid_trace_headers(headers(("traceparent", text), ("tracestate", "a=b")))

    assert found == {}


def test_a_traceparent_of_a_later_version__is_passed_on() -> None:
    later = f"01-{TRACE}-{PARENT}-01-more"

    assert valid_trace_headers(headers(("traceparent", later))) == {"traceparent": later}


def test_two_traceparents__are_none() -> None:
    assert valid_trace_headers(headers(*[("traceparent", TRACEPARENT)] * 2)) == {}


@pytest.mark.parametrize(
    "text",
    [
        "novalue",
        "A=b",
        "a=b,a=c",
        "a=b\x01",
        "a=é",
        "a=" + "x" * 257,
        ",".join(f"k{number}=v" for number in range(33)),
        ",".join(f"k{number}={'v' * 60}" for number in range(9)),
    ],
)
def test_a_malformed_tracestate__is_dropped_alone(text: str) -> None:
    found = valid_trace_headers(headers(("traceparent", TRACEPARENT), ("tracestate", text)))

    assert found == {"traceparent": TRACEPARENT}


def test_a_tracestate_in_several_lines__is_one() -> None:
    lines = [("traceparent", TRACEPARENT), ("tracestate", "a=1, ,b=2"), ("tracestate", "c=3")]

    assert valid_trace_headers(headers(*lines))["tracestate"] == "a=1,b=2,c=3"


@pytest.mark.parametrize(
    "text",
    ["novalue", "a b=c", 'a="c"', "a=b\\c", "a=é", "=x", "k=" + "v" * 8192, "a=b;", "a=1," * 181],
)
def test_a_malformed_baggage__is_dropped(text: str) -> None:
    assert valid_trace_headers(headers(("baggage", text))) == {}


def test_a_baggage_of_the_longest_size__is_passed_on() -> None:
    text = "k=" + "v" * 8190

    assert valid_trace_headers(headers(("baggage", text))) == {"baggage": text}


# Spans


@asynccontextmanager
async def traced() -> AsyncIterator[tuple[Telemetry, list[ReadableSpan]]]:
    """Telemetry with traces on; the spans are in the list once the block has been left."""
    exporter, spans = InMemorySpanExporter(), list[ReadableSpan]()
    async with open_tracing(TRACED, exporter=exporter) as tracing:
        yield Telemetry(tracing=tracing), spans
    spans += exporter.get_finished_spans()


def prompt(trace: Mapping[str, str] | None = None) -> Prompt:
    return prompt_of(
        message="canary message",
        session_id="s" * 40,
        actor_id="a" * 40,
        run_id="run_1",
        metadata={"m": "canary metadata"},
        trace=trace or {},
    )


async def ask(
    telemetry: Telemetry, agent: ScriptedAgent, trace: Mapping[str, str] | None = None
) -> None:
    async for _ in telemetry.traced(agent).stream(prompt(trace)):
        pass


def parent_id(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def context_of(span: ReadableSpan) -> Any:
    assert span.context is not None
    return span.context


async def test_a_request_and_its_agent_call__are_spans_of_the_clients_trace() -> None:
    agent = ScriptedAgent([[Message("a"), Message("b")], [Done()]])
    incoming = headers(
        ("traceparent", TRACEPARENT), ("tracestate", "vendor=1"), ("baggage", "tier=gold")
    )

    async with traced() as (telemetry, spans):
        with telemetry.request(
            request_id="r1", method="POST", route="/v1/chat", client="", headers=incoming
        ) as exchange:
            handed_on = telemetry.trace_headers(incoming)
            exchange.status = 200
        await ask(telemetry, agent, handed_on)

    server, client = spans
    assert (server.name, server.kind) == ("POST /v1/chat", SpanKind.SERVER)
    assert parent_id(server) == int(PARENT, 16)
    assert parent_id(client) == context_of(server).span_id
    assert context_of(client).trace_id == context_of(server).trace_id == int(TRACE, 16)
    assert dict(server.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/chat",
        "http.response.status_code": 200,
    }
    [call] = agent.calls
    assert call.trace == {
        "traceparent": f"00-{TRACE}-{context_of(client).span_id:016x}-01",
        "tracestate": "vendor=1",
        "baggage": "tier=gold",
    }
    assert server.resource.attributes["service.name"] == "chat"


async def test_a_request_without_a_trace__begins_one() -> None:
    async with traced() as (telemetry, spans):
        with telemetry.request(
            request_id="r1", method="GET", route="/", client="", headers=headers()
        ):
            carried = telemetry.trace_headers(headers())

    [span] = spans
    assert span.parent is None
    assert carried["traceparent"].startswith(f"00-{context_of(span).trace_id:032x}-")


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ([[Message("x")], [Done()]], {"bff.status": "complete", "bff.events": 2}),
        ([[], [Done("cancelled")]], {"bff.status": "cancelled", "bff.events": 1}),
        (
            [[Message("x")], AgentThrottled()],
            {"bff.status": "failed", "bff.events": 1, "error.type": "agent_throttled"},
        ),
        (
            [RuntimeError("canary error")],
            {"bff.status": "failed", "bff.events": 0, "error.type": "internal"},
        ),
    ],
)
async def test_a_call_of_the_agent__says_how_it_ended_and_nothing_of_what_was_said(
    steps: Sequence[Step], outcome: dict[str, Any]
) -> None:
    async with traced() as (telemetry, spans):
        await asyncio.gather(ask(telemetry, ScriptedAgent(steps)), return_exceptions=True)

    [span] = spans
    attributes = dict(span.attributes or {})
    assert attributes | outcome == attributes
    assert attributes["bff.run_id"] == "run_1"
    assert span.status.is_ok != ("error.type" in outcome)
    assert "canary" not in span.to_json()
    assert "s" * 40 not in span.to_json()


async def test_a_call_that_is_closed_half_way__is_cancelled_and_closes_the_agents() -> None:
    agent = ScriptedAgent([[Message("x")], asyncio.Event()])

    async with traced() as (telemetry, spans):
        stream = telemetry.traced(agent).stream(prompt())
        await anext(stream)
        await stream.aclose()

    assert agent.closed == 1
    assert (spans[0].attributes or {})["bff.status"] == "cancelled"


async def test_a_request_whose_client_left__says_so_without_the_exceptions_words() -> None:
    async with traced() as (telemetry, spans):
        with (
            pytest.raises(ConnectionResetError),
            telemetry.request(
                request_id="r1", method="GET", route="/", client="", headers=headers()
            ),
        ):
            raise ConnectionResetError("canary")

    [span] = spans
    assert (span.attributes or {})["http.response.status_code"] == 499
    assert "canary" not in span.to_json()


async def test_a_reply_of_500__is_an_error_and_one_of_404_is_not() -> None:
    async with traced() as (telemetry, spans):
        for status in (500, 404):
            with telemetry.request(
                request_id="r1", method="GET", route="/", client="", headers=headers()
            ) as exchange:
                exchange.status = status

    assert [span.status.status_code for span in spans] == [StatusCode.ERROR, StatusCode.UNSET]


async def test_a_traced_agent__still_stops_and_pings() -> None:
    agent = ScriptedAgent()

    async with traced() as (telemetry, _):
        await telemetry.traced(agent).stop("s1")
        await telemetry.traced(agent).ping()

    assert agent.stopped == ["s1"]


def test_without_traces__the_agent_is_the_agent() -> None:
    agent = ScriptedAgent()

    assert Telemetry().traced(agent) is agent


# The way out


async def test_spans__reach_the_collector_before_the_exit() -> None:
    received: list[tuple[str, bytes]] = []

    async def take(request: web.Request) -> web.Response:
        received.append((request.path, await request.read()))
        return web.Response(content_type="application/x-protobuf")

    collector = web.Application()
    collector.router.add_post("/{path:.*}", take)
    async with TestServer(collector) as server:
        settings = Settings(otlp_endpoint=str(server.make_url("/")))
        async with open_telemetry(settings) as telemetry:
            with telemetry.request(
                request_id="r1", method="GET", route="/health", client="", headers=headers()
            ):
                pass

    [(path, body)] = received
    assert path == "/v1/traces"
    assert b"GET /health" in body


async def test_a_collector_that_never_answers__does_not_hold_the_exit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = Settings(otlp_endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}")
        async with asyncio.timeout(10):  # an export alone would take longer, with its repeats
            async with open_telemetry(settings) as telemetry:
                with telemetry.request(
                    request_id="r1", method="GET", route="/", client="", headers=headers()
                ):
                    pass


async def test_traces_without_their_packages__are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(SettingsError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT: .*'traces'"):
        async with open_telemetry(TRACED):
            pass
