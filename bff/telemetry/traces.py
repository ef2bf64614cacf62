"""Traces: the headers that carry one from the client to the agent, and our own spans by OTLP.

Without `OTEL_EXPORTER_OTLP_ENDPOINT` the client's headers are passed on to the agent as they are,
if they are well-formed. With it, a request and the call of the agent in it are spans, and the agent
continues ours. Spans hold ids, codes and counts, never text. Headers: https://www.w3.org/TR/trace-context/
and https://www.w3.org/TR/baggage/.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bff.agents import Agent, Prompt
from bff.errors import Problem
from bff.events import Done, Event
from bff.settings import Settings, needing

if TYPE_CHECKING:
    from multidict import MultiMapping
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

TRACEPARENT_CHARACTERS = 128
TRACESTATE_CHARACTERS = 512
BAGGAGE_CHARACTERS = 8192
"""What AgentCore Runtime takes in each of the headers."""
FLUSH_SECONDS = 1.0
"""How long the exit waits for the last spans."""
EXPORT_SECONDS = 5.0

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_TRACEPARENT_LATER = re.compile(_TRACEPARENT.pattern + r"(-[\x21-\x7e]*)?")
_STATE_MEMBER = re.compile(
    r"[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
_BAGGAGE_MEMBER = re.compile(
    rf"{_TOKEN}[ \t]*=[ \t]*{_VALUE}([ \t]*;[ \t]*{_TOKEN}([ \t]*=[ \t]*{_VALUE})?)*"
)


def valid_trace_headers(headers: MultiMapping[str]) -> dict[str, str]:
    """The trace headers of a request that are well-formed; the rest is as if it were not there.

    `tracestate` means nothing without its `traceparent`; `baggage` stands alone.
    """
    found: dict[str, str] = {}
    if "traceparent" not in headers and "baggage" not in headers:
        return found
    parents = headers.getall("traceparent", [])
    if len(parents) == 1 and _is_traceparent(parents[0].strip()):
        found["traceparent"] = parents[0].strip()
        state = _list(headers.getall("tracestate", []))
        if (
            0 < len(state) <= 32
            and all(_STATE_MEMBER.fullmatch(member) for member in state)
            and len({member.partition("=")[0] for member in state}) == len(state)
            and len(joined := ",".join(state)) <= TRACESTATE_CHARACTERS
        ):
            found["tracestate"] = joined
    baggage = _list(headers.getall("baggage", []))
    if (
        0 < len(baggage) <= 180
        and len(joined := ",".join(baggage)) <= BAGGAGE_CHARACTERS
        and all(_BAGGAGE_MEMBER.fullmatch(member) for member in baggage)
    ):
        found["baggage"] = joined
    return found


def _is_traceparent(text: str) -> bool:
    pattern = _TRACEPARENT if text.startswith("00") else _TRACEPARENT_LATER
    return len(text) <= TRACEPARENT_CHARACTERS and pattern.fullmatch(text) is not None


def _list(values: Sequence[str]) -> list[str]:
    """A list header that may come in several lines, without its empty members."""
    members = (member.strip(" \t") for value in values for member in value.split(","))
    return [member for member in members if member]


class Tracing:
    """Spans for requests and calls of the agent."""

    def __init__(self, tracer: Tracer) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, method: str, route: str, headers: MultiMapping[str]) -> Iterator[Span]:
        """A span that is current while the request is handled; it continues the client's trace."""
        from opentelemetry.trace import SpanKind

        with self._tracer.start_as_current_span(
            f"{method} {route}",
            context=self._propagator.extract(valid_trace_headers(headers)),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route},
            record_exception=False,  # an exception's text may be a client's or the agent's
            set_status_on_exception=False,
        ) as span:
            yield span

    def headers(self, incoming: MultiMapping[str]) -> dict[str, str]:
        """What to hand on so that the current span is the parent; baggage is the client's."""
        carried = self.inject(None)
        if baggage := valid_trace_headers(incoming).get("baggage"):
            carried["baggage"] = baggage
        return carried

    def inject(self, context: Context | None) -> dict[str, str]:
        carried: dict[str, str] = {}
        self._propagator.inject(carried, context=context)
        if len(carried.get("tracestate", "")) > TRACESTATE_CHARACTERS:
            del carried["tracestate"]
        return carried

    @contextmanager
    def agent_call(self, prompt: Prompt) -> Iterator[tuple[Span, Mapping[str, str]]]:
        """A span for one call of the agent, and the headers that make the agent continue it."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        span = self._tracer.start_span(
            "invoke_agent",
            context=self._propagator.extract(dict(prompt.trace)),
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "invoke_agent",
                "bff.run_id": prompt.run_id,
                "bff.session": hashlib.sha256(prompt.session_id.encode()).hexdigest()[:16],
            },
        )
        try:
            trace = dict(prompt.trace) | self.inject(set_span_in_context(span))
            del prompt  # the answer may go on for an hour
            yield span, trace
        finally:
            span.end()


class TracedAgent:
    """An agent whose calls are spans."""

    def __init__(self, agent: Agent, tracing: Tracing) -> None:
        self._agent = agent
        self._tracing = tracing

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        events, status, code = 0, "cancelled", None
        with self._tracing.agent_call(prompt) as (span, trace):
            batches_of = self._agent.stream(replace(prompt, trace=trace))
            del prompt
            try:
                async with aclosing(batches_of) as batches:
                    async for batch in batches:
                        events += len(batch)
                        if batch and isinstance(batch[-1], Done):
                            status = batch[-1].status
                        yield batch
            except Exception as error:
                status = "failed"
                code = error.code if isinstance(error, Problem) else "internal"
                raise
            finally:
                span.set_attributes({"bff.status": status, "bff.events": events})
                if code:
                    _fail(span, code)

    async def stop(self, session_id: str) -> None:
        await self._agent.stop(session_id)

    async def ping(self) -> None:
        await self._agent.ping()


def answered(span: Span, status: int) -> None:
    """Note a reply's status; as OpenTelemetry has it, only ours are errors of a server's span."""
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        _fail(span, str(status))


def _fail(span: Span, kind: str) -> None:
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


@asynccontextmanager
async def open_tracing(
    settings: Settings, *, exporter: SpanExporter | None = None
) -> AsyncIterator[Tracing | None]:
    """Spans to `OTEL_EXPORTER_OTLP_ENDPOINT`, or None where it is not set.

    They are sent by a thread, in batches, and dropped when the collector cannot keep up. Raises
    `SettingsError` if the extra `traces` is not installed.
    """
    if settings.otlp_endpoint is None:
        yield None
        return
    with needing("OTEL_EXPORTER_OTLP_ENDPOINT", "traces"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    endpoint = settings.otlp_endpoint.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
    provider = TracerProvider(
        resource=Resource.create({"service.name": settings.service_name}), shutdown_on_exit=False
    )
    provider.add_span_processor(
        BatchSpanProcessor(exporter or OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS))
    )
    try:
        yield Tracing(provider.get_tracer("bff"))
    finally:
        await _shut_down(provider)


async def _shut_down(provider: Any) -> None:
    """Send what is left, for `FLUSH_SECONDS` at most; what is not sent by then is lost."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def work() -> None:
        try:
            provider.shutdown()
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

    # A daemon thread: the end of the loop would wait for its executor.
    threading.Thread(target=work, name="trace-flush", daemon=True).start()
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            await done.wait()
    except TimeoutError:
        pass
