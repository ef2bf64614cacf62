"""Metrics for CloudWatch: a line of embedded metric format now and then, on standard output.

CloudWatch Logs takes the metrics out of such lines itself, so no agent and no API call is needed:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
The stack's alarms and its scaling read these names; docs/metrics.md lists them.
"""

from __future__ import annotations

import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from bff import metric_names as names

INTERVAL_SECONDS = 30.0
"""Two points in each of CloudWatch's minutes; every line is paid for by its size."""
SAMPLES = 100
"""A metric may have at most this many values in one line; more are thinned out evenly."""

AGENT_ERRORS = frozenset({"agent_failed", "agent_unavailable", "agent_timeout", "internal"})

UNITS: Mapping[str, str] = {
    names.OPEN_STREAMS: "Count",
    names.OPEN_WEBSOCKETS: "Count",
    names.OPEN_RUNS: "Count",
    names.RUNS: "Count",
    names.RUN_ERRORS: "Count",
    names.AGENT_THROTTLED: "Count",
    names.RATE_LIMITED: "Count",
    names.REQUESTS: "Count",
    names.SERVER_ERRORS: "Count",
    names.INTERNAL_ERRORS: "Count",
    names.HISTORY_FAILURES: "Count",
    names.SLOW_CLIENTS: "Count",
    names.LOG_LINES_DROPPED: "Count",
    names.LOOP_LAG: "Milliseconds",
    names.TIME_TO_FIRST_EVENT: "Milliseconds",
    names.REQUEST_LATENCY: "Milliseconds",
}

GAUGES = frozenset({names.OPEN_STREAMS, names.OPEN_WEBSOCKETS, names.OPEN_RUNS})

logger = logging.getLogger("bff.emf")


class EmbeddedMetrics:
    """Collects one interval's timings and turns a registry's state into documents."""

    def __init__(
        self, service: str, agents: Sequence[str] = (), *, clock: Callable[[], float] = time.time
    ) -> None:
        self._service = service
        self._agents = agents if len(agents) > 1 else ()
        self._clock = clock
        self._timings: dict[str, list[float]] = defaultdict(list)
        self._seen: dict[str, int] = defaultdict(int)
        self._totals: dict[str, float] = {}
        self._totals_of: dict[str, dict[str, float]] = {}

    def timing(self, name: str, seconds: float) -> None:
        """Keep a timing; past `SAMPLES` of them each has the same chance to stay."""
        kept = self._timings[name]
        self._seen[name] += 1
        if len(kept) < SAMPLES:
            kept.append(round(seconds * 1000, 1))
        elif (place := random.randrange(self._seen[name])) < SAMPLES:
            kept[place] = round(seconds * 1000, 1)

    def document(self, registry: CollectorRegistry) -> dict[str, Any]:
        """What happened since the last call, as one document; gauges are there even at zero."""
        gauges, totals = _read(registry)
        values: dict[str, float | list[float]] = dict(gauges)
        for name, total in totals.items():
            values[name] = total - self._totals.get(name, 0.0)
        self._totals = totals
        values |= self._timings
        self._timings.clear()
        self._seen.clear()
        return self._document({names.DIMENSION: self._service}, values)

    def documents_of_agents(self, registry: CollectorRegistry) -> Iterator[dict[str, Any]]:
        """Likewise of each agent that was called, where there are several: how its runs ended."""
        runs = _runs_by_agent(registry) if self._agents else {}
        for agent in self._agents:
            if (totals := runs.get(agent)) is None:
                continue
            before = self._totals_of.get(agent, {})
            values = {name: total - before.get(name, 0.0) for name, total in totals.items()}
            self._totals_of[agent] = totals
            if values[names.RUNS]:
                yield self._document({names.DIMENSION: self._service, names.AGENT: agent}, values)

    def _document(self, dimensions: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "_aws": {
                "Timestamp": int(self._clock() * 1000),
                "CloudWatchMetrics": [
                    {
                        "Namespace": names.NAMESPACE,
                        "Dimensions": [list(dimensions)],
                        "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
                    }
                ],
            },
            **dimensions,
            **values,
        }

    def write(self, registry: CollectorRegistry) -> None:
        """Put the documents among the log lines, whatever `LOG_LEVEL` says."""
        logger.setLevel(logging.INFO)
        for document in (self.document(registry), *self.documents_of_agents(registry)):
            logger.info("metrics", extra={"document": document})


def _read(registry: CollectorRegistry) -> tuple[dict[str, float], dict[str, float]]:
    """Gauges as they are and counters since the start, by CloudWatch's names."""
    gauges: dict[str, float] = {}
    totals = dict.fromkeys((n for n, u in UNITS.items() if u == "Count" and n not in GAUGES), 0.0)
    for family in registry.collect():
        for sample in family.samples:
            match sample.name, sample.labels:
                case "bff_open_streams", _:
                    gauges[names.OPEN_STREAMS] = sample.value
                case "bff_open_websockets", _:
                    gauges[names.OPEN_WEBSOCKETS] = sample.value
                case "bff_open_runs", _:
                    gauges[names.OPEN_RUNS] = sample.value
                case "bff_loop_lag_seconds", _:
                    gauges[names.LOOP_LAG] = round(sample.value * 1000, 1)
                case "bff_runs_total", {"code": code}:
                    if code == "internal":
                        totals[names.INTERNAL_ERRORS] += sample.value
                    _add_runs(totals, code, sample.value)
                case "bff_problems_total", {"code": "rate_limited"}:
                    totals[names.RATE_LIMITED] += sample.value
                case "bff_problems_total", {"code": "internal"}:
                    totals[names.INTERNAL_ERRORS] += sample.value
                case "bff_requests_total", {"status": status}:
                    totals[names.REQUESTS] += sample.value
                    if status.startswith("5"):
                        totals[names.SERVER_ERRORS] += sample.value
                case "bff_history_failures_total", _:
                    totals[names.HISTORY_FAILURES] += sample.value
                case "bff_slow_clients_total", _:
                    totals[names.SLOW_CLIENTS] += sample.value
                case "bff_log_lines_dropped_total", _:
                    totals[names.LOG_LINES_DROPPED] += sample.value
                case _:
                    pass
    return gauges, totals


def _runs_by_agent(registry: CollectorRegistry) -> dict[str, dict[str, float]]:
    """How the runs of each agent have ended since the start."""
    found: dict[str, dict[str, float]] = {}
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == "bff_runs_total":
                none = dict.fromkeys((names.RUNS, names.RUN_ERRORS, names.AGENT_THROTTLED), 0.0)
                totals = found.setdefault(sample.labels["agent"], none)
                _add_runs(totals, sample.labels["code"], sample.value)
    return found


def _add_runs(totals: dict[str, float], code: str, count: float) -> None:
    """Runs that ended with that code, or with none."""
    totals[names.RUNS] += count
    if code in AGENT_ERRORS:
        totals[names.RUN_ERRORS] += count
    elif code == "agent_throttled":
        totals[names.AGENT_THROTTLED] += count
