"""httpx-sse, which Python programs read Server-Sent Events with."""

from __future__ import annotations

import httpx
from httpx_sse import EventSource, ServerSentEvent, aconnect_sse

from tests.clients.conftest import KEY, Stage, Start


def client(service: Stage) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=service.url, headers={"X-API-Key": KEY}, timeout=60)


async def read(source: EventSource, until: str = "") -> list[ServerSentEvent]:
    """The events, up to one whose data holds `until`."""
    events = []
    async for event in source.aiter_sse():
        if event.event != "message" or event.data:  # `retry:` alone counts as an event here
            events.append(event)
        if until and until in event.data:
            break
    return events


async def test_a_dropped_stream__goes_on_after_the_last_id_seen(stage: Start) -> None:
    service = await stage()

    async with client(service) as http:
        body = {"message": "hold httpx"}
        async with aconnect_sse(http, "POST", "/v1/chat/stream", json=body) as source:
            before = await read(source, until='"Hel"')
            url = f"/v1/runs/{source.response.headers['X-Run-Id']}/events"
        last = {"Last-Event-ID": before[-1].id}
        async with aconnect_sse(http, "GET", url, headers=last) as source:
            service.actor.signal("go").set()
            after = await read(source)
        last = {"Last-Event-ID": after[-1].id}
        nothing_left = await http.get(url, headers=last)

    assert [event.event for event in (*before, *after)] == ["start", "message", "message", "done"]
    assert [event.id for event in (*before, *after)] == ["1", "2", "3", "4"]
    assert nothing_left.status_code == 204
    assert service.actor.calls["hold httpx"] == 1


async def test_tools_and_errors__are_events_with_their_json(stage: Start) -> None:
    service = await stage()

    async with client(service) as http:
        body = {"message": "tools httpx"}
        async with aconnect_sse(http, "POST", "/v1/chat/stream", json=body) as source:
            tools = await read(source)
        body = {"message": "fail httpx"}
        async with aconnect_sse(http, "POST", "/v1/chat/stream", json=body) as source:
            failed = await read(source)

    names = ["start", "thinking", "message", "tool_start", "tool_end", "custom", "message", "done"]
    assert [event.event for event in tools] == names
    assert tools[4].json() == {"id": "call-1", "tool": "calculator", "result": "345"}
    assert [event.event for event in failed] == ["start", "message", "error"]
    assert failed[-1].json()["code"] == "agent_failed"
