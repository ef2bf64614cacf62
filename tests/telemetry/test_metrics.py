from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from bff import metric_names
from bff.settings import Settings
from bff.telemetry import Telemetry, open_telemetry
from bff.telemetry.emf import SAMPLES, UNITS, EmbeddedMetrics
from bff.telemetry.lag import INTERVAL_SECONDS, WINDOW_SECONDS, watch_loop
from bff.telemetry.logs import JsonFormatter, open_logs
from bff.telemetry.metrics import Meter


def value(meter: Meter, name: str, **labels: str) -> float | None:
    return meter.registry.get_sample_value(f"bff_{name}", labels)


def test_a_run__is_counted_and_timed() -> None:
    meter = Meter()

    meter.run_started()
    meter.run_started()
    meter.run_spoke("support", 0.3)
    meter.run_ended("support", "failed", "agent_failed", 2)

    labels = {"agent": "support", "status": "failed"}
    assert value(meter, "open_runs") == 1
    assert value(meter, "runs_total", **labels, code="agent_failed") == 1
    assert value(meter, "time_to_first_event_seconds_sum", agent="support") == 0.3
    assert value(meter, "run_seconds_sum", **labels) == 2


def test_connections__are_gauges() -> None:
    telemetry = Telemetry()
    meter = telemetry.watch

    telemetry.stream_opened()
    telemetry.stream_opened()
    telemetry.stream_closed()
    telemetry.socket_opened()
    telemetry.slow_client_cut()

    assert value(meter, "open_streams") == 1
    assert value(meter, "open_websockets") == 1
    assert value(meter, "slow_clients_total") == 1

    telemetry.socket_closed()
    assert value(meter, "open_websockets") == 0


def test_a_failure__is_counted_by_its_code() -> None:
    telemetry = Telemetry()

    telemetry.problem("rate_limited")
    telemetry.watch.history_failed()

    assert value(telemetry.watch, "problems_total", code="rate_limited") == 1
    assert value(telemetry.watch, "history_failures_total") == 1


def handle(telemetry: Telemetry, *, method: str = "GET", **known: Any) -> None:
    with telemetry.request(
        request_id="r1",
        method=method,
        route="/v1/runs/{run_id}",
        client="192.0.2.1",
        headers=CIMultiDict(),
    ) as exchange:
        for name, what in known.items():
            setattr(exchange, name, what)


def test_a_request__is_counted_and_timed_by_its_pattern() -> None:
    telemetry = Telemetry(clock=iter([10.0, 10.5]).__next__)
    labels = {"method": "GET", "route": "/v1/runs/{run_id}"}

    handle(telemetry, status=200)

    assert value(telemetry.watch, "requests_total", **labels, status="200") == 1
    assert value(telemetry.watch, "request_seconds_sum", route=labels["route"]) == 0.5


def test_a_stream__has_no_latency() -> None:
    telemetry = Telemetry()

    handle(telemetry, status=200, streamed=True)

    assert value(telemetry.watch, "request_seconds_count", route="/v1/runs/{run_id}") is None


def test_a_method_somebody_made_up__makes_no_series_of_its_own() -> None:
    telemetry = Telemetry()

    handle(telemetry, method="CANARY", status=405)

    exposition = telemetry.exposition()
    assert exposition is not None
    assert b"CANARY" not in exposition[0]
    assert b'method="other"' in exposition[0]


def test_a_client_that_left__is_told_apart() -> None:
    telemetry = Telemetry()

    with (
        pytest.raises(ConnectionResetError),
        telemetry.request(
            request_id="r1", method="GET", route="/x", client="", headers=CIMultiDict()
        ),
    ):
        raise ConnectionResetError

    assert value(telemetry.watch, "requests_total", method="GET", route="/x", status="499") == 1


def test_a_reply_that_broke_off__is_an_error_of_ours() -> None:
    telemetry = Telemetry()

    with (
        pytest.raises(ZeroDivisionError),
        telemetry.request(
            request_id="r1", method="GET", route="/x", client="", headers=CIMultiDict()
        ),
    ):
        _ = 1 / 0

    assert value(telemetry.watch, "requests_total", method="GET", route="/x", status="500") == 1


def test_an_access_line__says_who_what_and_how_long(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = Telemetry(clock=iter([1.0, 1.0015]).__next__)

    with caplog.at_level(logging.INFO, "bff.access"):
        handle(telemetry, method="POST", status=202, principal="0123456789abcdef")

    [record] = caplog.records
    line = json.loads(JsonFormatter("x").format(record))
    assert line["message"] == "POST /v1/runs/{run_id} 202"
    assert {name: line[name] for name in list(line)[5:]} == {
        "request_id": "r1",
        "method": "POST",
        "route": "/v1/runs/{run_id}",
        "status": 202,
        "ms": 1.5,
        "client": "192.0.2.1",
        "principal": "0123456789ab",
    }


def test_a_line_logged_within_a_request__has_its_id() -> None:
    logger, formatter = logging.getLogger("bff.tests"), JsonFormatter("x")

    def render() -> dict[str, Any]:
        record = logger.makeRecord(logger.name, logging.INFO, "", 1, "x", (), None)
        fields: dict[str, Any] = json.loads(formatter.format(record))
        return fields

    with Telemetry().request(
        request_id="r1", method="GET", route="/", client="", headers=CIMultiDict()
    ):
        assert render()["request_id"] == "r1"
    assert "request_id" not in render()


def test_two_applications__do_not_add_up() -> None:
    one, other = Meter(), Meter()

    one.stream_opened()

    assert value(other, "open_streams") == 0


def test_the_exposition__is_what_prometheus_reads() -> None:
    exposition = Telemetry().exposition()

    assert exposition is not None
    text, content_type = exposition
    assert content_type.startswith("text/plain; version=")
    assert b"\nbff_open_streams 0.0\n" in text
    assert b"\nprocess_resident_memory_bytes " in text
    assert b"_created" not in text


# Embedded metrics


def test_a_document__is_what_cloudwatchs_specification_asks_for() -> None:
    embedded = EmbeddedMetrics("chat", clock=lambda: 1.5)
    meter = Meter(timing=embedded.timing)
    meter.run_started()
    meter.run_spoke("agent", 0.25)
    meter.request_ended(
        method="GET", route="/", status=200, seconds=0.002, streamed=False, awaited_agent=False
    )

    document = embedded.document(meter.registry)

    [directive] = document["_aws"]["CloudWatchMetrics"]
    assert document["_aws"]["Timestamp"] == 1500
    assert directive["Namespace"] == "AgentCoreBFF"
    assert directive["Dimensions"] == [["Service"]]
    assert document["Service"] == "chat"
    named = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert named == dict(UNITS)
    assert set(document) == {"_aws", "Service", *named}
    assert document["TimeToFirstEvent"] == [250.0]
    assert document["RequestLatency"] == [2.0]


def test_every_name__is_written_with_its_unit() -> None:
    named = {value for name, value in vars(metric_names).items() if name.isupper()}

    assert named == UNITS.keys() | {
        metric_names.NAMESPACE,
        metric_names.DIMENSION,
        metric_names.AGENT,
    }


def test_a_mistake_of_ours__is_told_from_the_agents() -> None:
    meter = Meter()
    for code in ("agent_failed", "agent_timeout", "draining", "internal"):
        meter.run_started()
        meter.run_ended("agent", "failed", code, 1)
        meter.problem(code)

    document = EmbeddedMetrics("chat").document(meter.registry)

    assert document["InternalErrors"] == 2  # the run and the answer


def test_a_document__counts_what_happened_since_the_last() -> None:
    embedded = EmbeddedMetrics("chat")
    meter = Meter(timing=embedded.timing)

    def happen(agent_code: str) -> dict[str, Any]:
        meter.run_started()
        meter.run_ended("agent", "failed", agent_code, 1)
        meter.problem("rate_limited")
        meter.stream_opened()
        return embedded.document(meter.registry)

    first, second = happen("agent_failed"), happen("agent_throttled")

    assert (first["Runs"], first["RunErrors"], first["AgentThrottled"]) == (1, 1, 0)
    assert (second["Runs"], second["RunErrors"], second["AgentThrottled"]) == (1, 0, 1)
    assert (first["RateLimited"], second["RateLimited"]) == (1, 1)
    assert (first["OpenStreams"], second["OpenStreams"]) == (1, 2)


def test_of_several_agents__each_has_a_document_when_it_was_called() -> None:
    embedded = EmbeddedMetrics("chat", ["support", "coder", "idle"])
    meter = Meter()
    for agent, code in (("support", None), ("coder", "agent_failed"), ("coder", "draining")):
        meter.run_started()
        meter.run_ended(agent, "failed" if code else "complete", code, 1)

    support, coder = embedded.documents_of_agents(meter.registry)

    assert coder["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Service", "Agent"]]
    assert (coder["Service"], coder["Agent"]) == ("chat", "coder")
    assert (coder["Runs"], coder["RunErrors"]) == (2, 1)
    assert (support["Agent"], support["Runs"], support["RunErrors"]) == ("support", 1, 0)
    assert embedded.document(meter.registry)["Runs"] == 3
    assert list(embedded.documents_of_agents(meter.registry)) == []  # nothing since


def test_a_single_agent__is_the_service() -> None:
    embedded, meter = EmbeddedMetrics("chat", ["agent"]), Meter()
    meter.run_ended("agent", "complete", None, 1)

    assert list(embedded.documents_of_agents(meter.registry)) == []


def test_an_idle_service__still_says_how_many_streams_are_open() -> None:
    document = EmbeddedMetrics("chat").document(Meter().registry)

    assert document["OpenStreams"] == 0
    assert "TimeToFirstEvent" not in document


@pytest.mark.parametrize("code", [None, "draining", "interrupted"])
def test_a_run_the_agent_is_not_to_blame_for__is_no_error_of_its(code: str | None) -> None:
    meter = Meter()
    meter.run_started()
    meter.run_ended("agent", "failed" if code else "cancelled", code, 1)

    assert EmbeddedMetrics("chat").document(meter.registry)["RunErrors"] == 0


def test_a_request_that_waits_for_the_agent__is_no_latency_of_ours() -> None:
    embedded = EmbeddedMetrics("chat")
    telemetry = Telemetry(embedded=embedded)

    handle(telemetry, status=200, awaited_agent=True)
    handle(telemetry, status=200, streamed=True)

    document = embedded.document(telemetry.watch.registry)
    assert document["Requests"] == 2
    assert "RequestLatency" not in document


def test_a_busy_services_document__stays_a_line() -> None:
    embedded = EmbeddedMetrics("chat")
    meter = Meter(timing=embedded.timing)
    for number in range(5000):
        meter.run_spoke("agent", number / 7)
        embedded.timing("RequestLatency", 1000 + number / 7)

    document = embedded.document(meter.registry)

    assert len(document["TimeToFirstEvent"]) == SAMPLES
    assert max(document["TimeToFirstEvent"]) > 100_000  # not only the first hundred
    assert len(json.dumps(document)) < 16 * 1024


async def test_emf__is_written_at_once_and_at_the_exit_whatever_the_log_level(
    tmp_path: Path,
) -> None:
    path = tmp_path / "stdout"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    settings = Settings(metrics="emf", log_level="CRITICAL", service_name="chat")

    with open_logs(settings, descriptor=descriptor):
        async with open_telemetry(settings) as telemetry:
            await asyncio.sleep(0)
            telemetry.stream_opened()
            assert telemetry.exposition() is None
    os.close(descriptor)

    first, last = map(json.loads, path.read_text().splitlines())
    assert (first["OpenStreams"], last["OpenStreams"]) == (0, 1)


# The watchdog


class Clock:
    """A loop's clock: every sleep takes as long as asked for and one of `delays`, to the last."""

    def __init__(self, *delays: float) -> None:
        self.now = 1000.0
        self.delays = list(delays)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if not self.delays:
            raise asyncio.CancelledError
        self.now += seconds + self.delays.pop(0)


async def watched(*delays: float) -> Meter:
    meter, clock = Meter(), Clock(*delays)
    with pytest.raises(asyncio.CancelledError):
        await watch_loop(meter, clock=clock, sleep=clock.sleep)
    return meter


async def test_a_blocked_loop__is_seen_and_stays_visible(caplog: pytest.LogCaptureFixture) -> None:
    meter = await watched(0.0, 1.5, 0.0)

    assert value(meter, "loop_lag_seconds") == pytest.approx(1.5)
    assert value(meter, "loop_stalls_total") == 1
    assert [record.getMessage() for record in caplog.records] == [
        "the event loop was blocked for 1.5 s"
    ]


async def test_a_delay_long_ago__is_forgotten() -> None:
    ticks = int(2 * WINDOW_SECONDS / INTERVAL_SECONDS) + 5

    meter = await watched(0.2, *[0.0] * ticks)

    assert value(meter, "loop_lag_seconds") == pytest.approx(0, abs=1e-6)
    assert value(meter, "loop_stalls_total") == 0


async def test_open_telemetry__watches_the_loop_it_runs_in() -> None:
    async with open_telemetry(Settings()) as telemetry:
        before = len(asyncio.all_tasks())
        assert value(telemetry.watch, "loop_lag_seconds") == 0

    assert len(asyncio.all_tasks()) == before - 1
