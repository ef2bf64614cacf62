"""What an operator sees of the service: logs, metrics and traces.

Logs belong to the process (`logs.open_logs`); metrics and traces to one application, which opens
them here and reports to them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from contextvars import Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from bff.agents import Agent
from bff.log_context import current_request
from bff.settings import Settings
from bff.tasks import end_tasks
from bff.telemetry import emf
from bff.telemetry.lag import watch_loop
from bff.telemetry.logs import SettledRecord
from bff.telemetry.metrics import Meter, known_method
from bff.telemetry.traces import TracedAgent, Tracing, answered, open_tracing, valid_trace_headers

if TYPE_CHECKING:
    from multidict import MultiMapping
    from opentelemetry.trace import Span

access = logging.getLogger("bff.access")

CLIENT_LEFT = 499
"""The status in logs and metrics of a request whose client left before its answer."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request as it goes: who handles it fills in what becomes known on the way.

    A context manager around the handling: its span, its access line, its metrics.
    """

    telemetry: Telemetry = field(repr=False)
    request_id: str
    method: str
    route: str
    client: str
    span: AbstractContextManager[Span] | None = None
    principal: str = ""
    """The caller's digest; its first 12 characters are logged."""
    run_id: str = ""
    """The run that was answered with, and its agent."""
    agent: str = ""
    status: int = CLIENT_LEFT
    streamed: bool = False
    """It lasted as long as the client liked: an event stream, a WebSocket, a file."""
    awaited_agent: bool = False
    """It lasted as long as the agent took."""
    _began: float = 0.0
    _token: Token[str] | None = None
    _entered: Span | None = None

    def __enter__(self) -> Exchange:
        self._token = current_request.set(self.request_id)
        self._began = self.telemetry.clock()
        if self.span:
            self._entered = self.span.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, ConnectionError):
            self.status = 500  # too late to be answered
        try:
            if self.span and self._entered:
                answered(self._entered, self.status)
                self.span.__exit__(kind, error, trace)
        finally:
            self.telemetry.ended(self, self.telemetry.clock() - self._began)
            if self._token:
                current_request.reset(self._token)


class Telemetry:
    """An application's metrics and traces. Nothing here blocks or fails a request."""

    def __init__(
        self,
        *,
        tracing: Tracing | None = None,
        embedded: emf.EmbeddedMetrics | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.watch = Meter(timing=embedded.timing if embedded else None)
        self._embedded = embedded
        self._tracing = tracing
        self.clock = clock

    def request(
        self, *, request_id: str, method: str, route: str, client: str, headers: MultiMapping[str]
    ) -> Exchange:
        """To be entered around the handling of a request.

        `route` is the route's pattern, never the path: that may hold ids and secrets.
        """
        method = known_method(method)
        return Exchange(
            telemetry=self,
            request_id=request_id,
            method=method,
            route=route,
            client=client,
            span=self._tracing.request(method, route, headers) if self._tracing else None,
        )

    def ended(self, exchange: Exchange, seconds: float) -> None:
        """Count a request and write its line."""
        self.watch.request_ended(
            method=exchange.method,
            route=exchange.route,
            status=exchange.status,
            seconds=seconds,
            streamed=exchange.streamed,
            awaited_agent=exchange.awaited_agent,
        )
        if not access.isEnabledFor(logging.INFO):
            return
        fields = {
            "method": exchange.method,
            "route": exchange.route,
            "status": exchange.status,
            "ms": round(seconds * 1000, 1),
            "client": exchange.client,
        }
        if exchange.principal:
            fields["principal"] = exchange.principal[:12]
        if exchange.run_id:
            fields["run_id"], fields["agent"] = exchange.run_id, exchange.agent
        text = f"{exchange.method} {exchange.route} {exchange.status}"
        access.handle(SettledRecord(access.name, text, exchange.request_id, fields))

    def trace_headers(self, headers: MultiMapping[str]) -> Mapping[str, str]:
        """What to hand to the agent so that it continues the trace of the request at hand."""
        return self._tracing.headers(headers) if self._tracing else valid_trace_headers(headers)

    def traced(self, agent: Agent) -> Agent:
        """The agent with a span for each of its calls, where traces are on."""
        return TracedAgent(agent, self._tracing) if self._tracing else agent

    def exposition(self) -> tuple[bytes, str] | None:
        """The metrics as Prometheus reads them and their content type; None for `METRICS=emf`."""
        return None if self._embedded else self.watch.exposition()

    def problem(self, code: str) -> None:
        """An error was reported to a client, in any format."""
        self.watch.problem(code)

    def stream_opened(self) -> None:
        self.watch.stream_opened()

    def stream_closed(self) -> None:
        self.watch.stream_closed()

    def socket_opened(self) -> None:
        self.watch.socket_opened()

    def socket_closed(self) -> None:
        self.watch.socket_closed()

    def file_stored(self, size_bytes: int) -> None:
        self.watch.file_stored(size_bytes)

    def file_served(self, size_bytes: int) -> None:
        """These bytes of a file have left."""
        self.watch.file_served(size_bytes)

    def slow_client_cut(self) -> None:
        """A client did not read what was written to it."""
        self.watch.slow_client_cut()


@asynccontextmanager
async def open_telemetry(settings: Settings) -> AsyncIterator[Telemetry]:
    """Metrics and traces as the settings want them; leaving it sends what is left, within a second.

    Raises `SettingsError` if traces are wanted and their packages are not there.
    """
    embedded = None
    if settings.metrics == "emf":
        agents = [agent.name for agent in settings.agents]
        embedded = emf.EmbeddedMetrics(settings.service_name, agents)
    async with open_tracing(settings) as tracing:
        telemetry = Telemetry(tracing=tracing, embedded=embedded)
        meter = telemetry.watch
        clock = asyncio.get_running_loop().time
        tasks = [asyncio.create_task(watch_loop(meter, clock=clock), name="loop watchdog")]
        if embedded:
            tasks.append(asyncio.create_task(_write_embedded(embedded, meter), name="metrics"))
        try:
            yield telemetry
        finally:
            await end_tasks(*tasks)
            if embedded:
                embedded.write(meter.registry)


async def _write_embedded(embedded: emf.EmbeddedMetrics, meter: Meter) -> None:
    while True:
        embedded.write(meter.registry)
        await asyncio.sleep(emf.INTERVAL_SECONDS)
