"""What an operator sees of the service: logs, metrics and traces.

Logs belong to the process (`logs.open_logs`); metrics and traces to one application, which opens
them here and tells them what happens.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bff.agents import Agent
from bff.settings import Settings
from bff.telemetry import emf
from bff.telemetry.lag import watch_loop
from bff.telemetry.logs import current_request
from bff.telemetry.metrics import Meter, known_method
from bff.telemetry.traces import TracedAgent, Tracing, answered, open_tracing, valid_trace_headers

if TYPE_CHECKING:
    from multidict import MultiMapping

access = logging.getLogger("bff.access")

CLIENT_LEFT = 499
"""The status in logs and metrics of a request whose client left before its answer."""


@dataclass(slots=True)
class Exchange:
    """One request as it goes: who handles it fills in what becomes known on the way."""

    route: str
    client: str
    principal: str = ""
    """The caller's digest; its first 12 characters are logged."""
    status: int = CLIENT_LEFT
    streamed: bool = False
    """It lasted as long as the client stayed: an event stream or a WebSocket."""
    awaited_agent: bool = False
    """It lasted as long as the agent took."""


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
        self._clock = clock

    @contextmanager
    def request(
        self, *, request_id: str, method: str, route: str, client: str, headers: MultiMapping[str]
    ) -> Iterator[Exchange]:
        """Around the handling of a request: its span, its access line, its metrics.

        `route` is the route's pattern, never the path: that may hold ids and secrets.
        """
        method = known_method(method)
        exchange = Exchange(route, client)
        token = current_request.set(request_id)
        began = self._clock()
        span_opened = (
            self._tracing.request(method, route, headers) if self._tracing else nullcontext()
        )
        try:
            with span_opened as span:
                try:
                    yield exchange
                except ConnectionError:
                    raise
                except Exception:  # too late to be answered
                    exchange.status = 500
                    raise
                finally:
                    if span is not None:
                        answered(span, exchange.status)
        finally:
            seconds = self._clock() - began
            self._note(method, exchange, seconds)
            current_request.reset(token)

    def _note(self, method: str, exchange: Exchange, seconds: float) -> None:
        self.watch.request_ended(
            method=method,
            route=exchange.route,
            status=exchange.status,
            seconds=seconds,
            streamed=exchange.streamed,
            awaited_agent=exchange.awaited_agent,
        )
        fields = {
            "method": method,
            "route": exchange.route,
            "status": exchange.status,
            "ms": round(seconds * 1000, 1),
            "client": exchange.client,
        }
        if exchange.principal:
            fields["principal"] = exchange.principal[:12]
        access.info("%s %s %d", method, exchange.route, exchange.status, extra={"fields": fields})

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
        """A client was told of an error, in whatever format."""
        self.watch.problem(code)

    def stream_opened(self) -> None:
        self.watch.stream_opened()

    def stream_closed(self) -> None:
        self.watch.stream_closed()

    def socket_opened(self) -> None:
        self.watch.socket_opened()

    def socket_closed(self) -> None:
        self.watch.socket_closed()

    def slow_client_cut(self) -> None:
        """A client did not read what was written to it."""
        self.watch.slow_client_cut()


@asynccontextmanager
async def open_telemetry(settings: Settings) -> AsyncIterator[Telemetry]:
    """Metrics and traces as the settings want them; leaving it sends what is left, within a second.

    Raises `SettingsError` if traces are wanted and their packages are not there.
    """
    embedded = emf.EmbeddedMetrics(settings.service_name) if settings.metrics == "emf" else None
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
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if embedded:
                embedded.write(meter.registry)


async def _write_embedded(embedded: emf.EmbeddedMetrics, meter: Meter) -> None:
    while True:
        embedded.write(meter.registry)
        await asyncio.sleep(emf.INTERVAL_SECONDS)
