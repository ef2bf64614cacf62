"""What is counted and timed, under the names that docs/metrics.md lists.

Every application has a registry of its own, so that two in one process do not add up. Labels come
from small fixed sets (a route's pattern, an agent's name in `AGENTS`): a client cannot make new
series. To count is to add to a number, on the event loop's thread alone; Prometheus's objects are
made when somebody asks for them: counting with those takes a lock and looks its labels up anew each
time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from bff import __version__
from bff.runs.log import Status
from bff.telemetry.logs import lines_dropped

METHODS = frozenset({"GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"})

_FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_AGENT = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120)
_RUN = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)

T = TypeVar("T")
Counts = Iterable[tuple[Sequence[str], T]]
"""Something by its labels' values."""
Timing = Callable[[str, float], None]
"""Told of single timings, by metric name, besides the histogram; CloudWatch wants these."""


class _Histogram:
    """How often a time fell into which bucket, for one set of labels."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def tell(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        buckets, so_far = [], 0
        bounds = [*[str(float(bound)) for bound in self._bounds], "+Inf"]
        for bound, count in zip(bounds, self._counts, strict=True):
            so_far += count
            buckets.append((bound, float(so_far)))
        family.add_metric(labels, buckets, self._sum)


class Meter(Collector):
    """The service's metrics; implements `runs.RunObserver`. Nothing here blocks or raises."""

    def __init__(self, *, timing: Timing | None = None) -> None:
        self.registry = CollectorRegistry()
        self._timing = timing or (lambda name, seconds: None)
        self._requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._request_seconds: defaultdict[str, _Histogram] = defaultdict(lambda: _Histogram(_FAST))
        self._problems: defaultdict[str, int] = defaultdict(int)
        self._streams = self._sockets = self._open_runs = 0
        self._runs: defaultdict[tuple[str, Status, str], int] = defaultdict(int)
        self._run_seconds: defaultdict[tuple[str, Status], _Histogram]
        self._run_seconds = defaultdict(lambda: _Histogram(_RUN))
        self._first_event: defaultdict[str, _Histogram] = defaultdict(lambda: _Histogram(_AGENT))
        self._history_failures = self._slow_clients = self._loop_stalls = 0
        self._file_bytes = {"stored": 0, "served": 0}
        self._loop_lag = 0.0
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    # Runs (`runs.RunObserver`)

    def run_started(self) -> None:
        self._open_runs += 1

    def run_spoke(self, agent: str, seconds: float) -> None:
        self._first_event[agent].add(seconds)
        self._timing("TimeToFirstEvent", seconds)

    def run_ended(self, agent: str, status: Status, code: str | None, seconds: float) -> None:
        self._open_runs -= 1
        self._runs[agent, status, code or ""] += 1
        self._run_seconds[agent, status].add(seconds)

    def history_failed(self) -> None:
        self._history_failures += 1

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
        """`route` is the route's pattern. The duration of a
        stream, and of waiting for the agent, is not counted as latency of the service."""
        self._requests[known_method(method), route, status] += 1
        if not streamed:
            self._request_seconds[route].add(seconds)
            if not awaited_agent:
                self._timing("RequestLatency", seconds)

    def problem(self, code: str) -> None:
        self._problems[code] += 1

    def stream_opened(self) -> None:
        self._streams += 1

    def stream_closed(self) -> None:
        self._streams -= 1

    def socket_opened(self) -> None:
        self._sockets += 1

    def socket_closed(self) -> None:
        self._sockets -= 1

    def slow_client_cut(self) -> None:
        self._slow_clients += 1

    # Files

    def file_stored(self, size_bytes: int) -> None:
        self._file_bytes["stored"] += size_bytes

    def file_served(self, size_bytes: int) -> None:
        self._file_bytes["served"] += size_bytes

    # The process

    def loop_lag(self, worst_seconds: float, *, stalled: bool) -> None:
        self._loop_lag = worst_seconds
        if stalled:
            self._loop_stalls += 1

    # What Prometheus makes of it

    def exposition(self) -> tuple[bytes, str]:
        """The text format and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def collect(self) -> Iterator[Metric]:
        requests = [
            ((how, where, str(n)), count) for (how, where, n), count in self._requests.items()
        ]
        yield _counter("requests", "Requests answered", requests, "method", "route", "status")
        yield _histogram(
            "request_seconds",
            "From a request to its whole answer; streams not",
            [((route,), histogram) for route, histogram in self._request_seconds.items()],
            "route",
        )
        problems = [((code,), count) for code, count in self._problems.items()]
        yield _counter("problems", "Errors reported instead of an answer", problems, "code")
        yield _gauge("open_streams", "Runs being streamed to clients", self._streams)
        yield _gauge("open_websockets", "WebSockets open", self._sockets)
        yield _gauge("open_runs", "Runs this process owns that have not ended", self._open_runs)
        yield _counter(
            "runs",
            "Runs ended, by agent, status and error code",
            self._runs.items(),
            *("agent", "status", "code"),
        )
        yield _histogram(
            "run_seconds",
            "From a run's start to its end",
            self._run_seconds.items(),
            *("agent", "status"),
        )
        yield _histogram(
            "time_to_first_event_seconds",
            "From a run's start to the agent's first event",
            [((agent,), histogram) for agent, histogram in self._first_event.items()],
            "agent",
        )
        for name, text, count in (
            ("history_failures", "Turns that could not be written", self._history_failures),
            ("slow_clients", "Clients cut because they did not read", self._slow_clients),
            ("loop_stalls", "Delays of the event loop over 250 ms", self._loop_stalls),
            ("log_lines_dropped", "Log lines lost to a reader that stalls", lines_dropped()),
        ):
            yield _counter(name, text, [((), count)])
        file_bytes = [((direction,), size) for direction, size in self._file_bytes.items()]
        yield _counter(
            "file_bytes", "Bytes of files, stored or handed out", file_bytes, "direction"
        )
        yield _gauge("loop_lag_seconds", "Worst delay of the event loop of late", self._loop_lag)
        info = GaugeMetricFamily(
            "bff_build_info", "Always 1; the version is the label", labels=["version"]
        )
        info.add_metric([__version__], 1)
        yield info


def _counter(name: str, text: str, counts: Counts[int], *labels: str) -> CounterMetricFamily:
    family = CounterMetricFamily(f"bff_{name}", text, labels=labels)
    for values, count in counts:
        family.add_metric(values, count)
    return family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"bff_{name}", text, value=value)


def _histogram(
    name: str, text: str, histograms: Counts[_Histogram], *labels: str
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"bff_{name}", text, labels=labels)
    for values, histogram in histograms:
        histogram.tell(family, values)
    return family


def known_method(method: str) -> str:
    return method if method in METHODS else "other"
