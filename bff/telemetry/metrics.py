"""What is counted and timed, under the names that docs/metrics.md lists.

Every application has a registry of its own, so that two in one process do not add up. Labels come
from small fixed sets (a route's pattern, never a path): a client cannot make new series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from bff import __version__
from bff.runs.log import Status
from bff.telemetry.logs import lines_dropped

# Else every counter brings a second series, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]  # published half typed

METHODS = frozenset({"GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"})

_FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_AGENT = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120)
_RUN = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)

Timing = Callable[[str, float], None]
"""Told of single timings, by metric name, besides the histogram; CloudWatch wants these."""


class Meter:
    """The service's metrics; implements `runs.Watch`. Nothing here blocks or raises."""

    def __init__(self, *, timing: Timing | None = None) -> None:
        self.registry = CollectorRegistry()
        self._timing = timing or (lambda name, seconds: None)
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self._requests = counter("requests", "Requests answered", "method", "route", "status")
        self._request_seconds = histogram(
            "request_seconds", "From a request to its whole answer; streams not", _FAST, "route"
        )
        self._problems = counter("problems", "Errors told instead of an answer", "code")
        self._streams = gauge("open_streams", "Runs being streamed to clients")
        self._sockets = gauge("open_websockets", "WebSockets open")
        self._open_runs = gauge("open_runs", "Runs this process owns that have not ended")
        self._runs = counter("runs", "Runs ended, by status and error code", "status", "code")
        self._run_seconds = histogram(
            "run_seconds", "From a run's start to its end", _RUN, "status"
        )
        self._first_event = histogram(
            "time_to_first_event_seconds", "From a run's start to the agent's first event", _AGENT
        )
        self._history_failures = counter("history_failures", "Turns that could not be written")
        self._slow_clients = counter("slow_clients", "Clients cut because they did not read")
        self._loop_lag = gauge("loop_lag_seconds", "Worst delay of the event loop of late")
        self._loop_stalls = counter("loop_stalls", "Delays of the event loop over 250 ms")
        info = self._gauge("build_info", "Always 1; the version is the label", "version")
        info.labels(__version__).set(1)
        self.registry.register(_DroppedLines())
        ProcessCollector(registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"bff_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"bff_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"bff_{name}", text, labels, registry=self.registry, buckets=buckets)

    # Runs (`runs.Watch`)

    def run_started(self) -> None:
        self._open_runs.inc()

    def run_spoke(self, seconds: float) -> None:
        self._first_event.observe(seconds)
        self._timing("TimeToFirstEvent", seconds)

    def run_ended(self, status: Status, code: str | None, seconds: float) -> None:
        self._open_runs.dec()
        self._runs.labels(status, code or "").inc()
        self._run_seconds.labels(status).observe(seconds)

    def history_failed(self) -> None:
        self._history_failures.inc()

    # Requests and connections

    def request_ended(
        self,
        *,
        method: str,
        route: str,
        status: int,
        seconds: float,
        streamed: bool,
        awaited_agent: bool,
    ) -> None:
        """`route` is the route's pattern. What lasted as long as somebody else liked is no latency
        of ours: a stream's at all, an agent's among all routes."""
        self._requests.labels(known_method(method), route, str(status)).inc()
        if not streamed:
            self._request_seconds.labels(route).observe(seconds)
            if not awaited_agent:
                self._timing("RequestLatency", seconds)

    def problem(self, code: str) -> None:
        self._problems.labels(code).inc()

    def stream_opened(self) -> None:
        self._streams.inc()

    def stream_closed(self) -> None:
        self._streams.dec()

    def socket_opened(self) -> None:
        self._sockets.inc()

    def socket_closed(self) -> None:
        self._sockets.dec()

    def slow_client_cut(self) -> None:
        self._slow_clients.inc()

    # The process

    def loop_lag(self, worst_seconds: float, *, stalled: bool) -> None:
        self._loop_lag.set(worst_seconds)
        if stalled:
            self._loop_stalls.inc()

    def exposition(self) -> tuple[bytes, str]:
        """The text format and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


def known_method(method: str) -> str:
    return method if method in METHODS else "other"


class _DroppedLines(Collector):
    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "bff_log_lines_dropped", "Log lines lost to a reader that stalls", lines_dropped()
        )
