from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp

from bff.events import Message
from bff.settings import Settings
from bff.telemetry.logs import open_logs
from tests.api.conftest import KEYS, Service, Start
from tests.fakes.scripted import ScriptedAgent


async def series(service: Service) -> dict[str, float]:
    """All of `/metrics`, by name and labels as they stand there."""
    async with aiohttp.ClientSession() as anybody, anybody.get(f"{service.url}/metrics") as reply:
        assert reply.status == 200
        assert reply.headers["Cache-Control"] == "no-store"
        lines = (await reply.text()).splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("bff_"))
    return {name: float(value) for name, value in pairs}


async def test_metrics__tell_of_requests_runs_and_refusals(start: Start) -> None:
    service = await start(RATE_LIMIT_REQUESTS="1")

    for _ in range(2):
        async with service.client.post(f"{service.url}/v1/chat", json={"message": "hi"}) as reply:
            await reply.read()

    found = await series(service)
    chat = 'method="POST",route="/v1/chat"'
    assert found[f'bff_requests_total{{{chat},status="200"}}'] == 1
    assert found[f'bff_requests_total{{{chat},status="429"}}'] == 1
    assert found['bff_problems_total{code="rate_limited"}'] == 1
    assert found['bff_runs_total{agent="agent",code="",status="complete"}'] == 1
    assert found['bff_time_to_first_event_seconds_count{agent="agent"}'] == 1
    assert found["bff_open_runs"] == 0


async def test_metrics__count_streams_and_sockets_while_they_are_open(start: Start) -> None:
    more = asyncio.Event()
    service = await start(ScriptedAgent([[Message("x")], more]))

    async with (
        service.client.post(f"{service.url}/v1/chat/stream", json={"message": "hi"}) as stream,
        service.client.ws_connect(f"{service.url}/v1/ws/chat"),
    ):
        await stream.content.readuntil(b"event: message")
        found = await series(service)

    assert found["bff_open_streams"] == 1
    assert found["bff_open_websockets"] == 1
    assert found["bff_open_runs"] == 1


async def test_a_path_nobody_serves__is_one_series_whatever_it_is(start: Start) -> None:
    service = await start()

    for path in ("canary-1", "canary-2"):
        async with service.client.get(f"{service.url}/{path}") as reply:
            assert reply.status == 404

    found = await series(service)
    assert found['bff_requests_total{method="GET",route="unknown",status="404"}'] == 2
    assert "canary" not in str(found)


async def test_with_emf__there_is_no_page_of_metrics(start: Start) -> None:
    service = await start(METRICS="emf")

    async with service.client.get(f"{service.url}/metrics") as reply:
        assert reply.status == 404


async def test_a_failing_run__leaves_nothing_private_in_the_log(
    start: Start, tmp_path: Path
) -> None:
    service = await start(ScriptedAgent([RuntimeError("canary: the agent's own words")]))
    path = tmp_path / "stdout"

    with path.open("wb") as stdout, open_logs(Settings(), descriptor=stdout.fileno()):
        async with service.client.post(
            f"{service.url}/v1/chat?x=canary",
            json={"message": "canary: a secret", "metadata": {"k": "canary"}},
            headers={"X-Request-Id": "req-7", "Idempotency-Key": "canary-key"},
        ) as reply:
            assert reply.status == 500

    text = path.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert "canary" not in text
    assert KEYS["alice"] not in text
    assert {line["request_id"] for line in lines} == {"req-7"}
    [failure] = [line for line in lines if "exception" in line]
    assert failure["exception"].startswith("RuntimeError\n")
    [access] = [line for line in lines if line["logger"] == "bff.access"]
    assert (access["route"], access["status"], access["client"]) == ("/v1/chat", 500, "127.0.0.1")
    assert len(access["principal"]) == 12


async def test_a_trace__goes_on_to_the_agent(start: Start) -> None:
    service = await start()
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    async with service.client.post(
        f"{service.url}/v1/chat",
        json={"message": "hi"},
        headers={"traceparent": traceparent, "tracestate": "=broken", "baggage": "tier=gold"},
    ) as reply:
        assert reply.status == 200

    [call] = service.agent.calls
    assert call.trace == {"traceparent": traceparent, "baggage": "tier=gold"}
