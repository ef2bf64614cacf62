"""Several real processes of the service behind nothing but their addresses."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from tests.runs.valkey.services import (
    HEADERS,
    CountingAgent,
    Reading,
    Service,
    resume,
    service,
    start_run,
    words,
)
from tests.runs.valkey.valkey import Valkey


async def services(stack: AsyncExitStack, number: int, *options: str) -> list[Service]:
    url, agent, folder = options
    return await asyncio.gather(
        *[stack.enter_async_context(service(url, agent, Path(folder))) for _ in range(number)]
    )


async def test_tasks_that_are_killed_or_frozen__cost_no_event_and_leave_no_silence(
    own: Valkey, tmp_path: Path
) -> None:
    """kill -9, SIGSTOP and a client that moves, at once, since each of them takes its seconds."""
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(CountingAgent().serve())
        a, b, c = await services(stack, 3, own.url, agent.url, str(tmp_path))
        client = await stack.enter_async_context(aiohttp.ClientSession(headers=HEADERS))

        async def moves(fro: Service, to: Service) -> Reading:
            reading = await start_run(client, fro, 60, 0.01, until=20)
            await resume(client, to, reading, until=40)
            await resume(client, fro, reading)
            return reading

        async def loses(owner: Service, number: int) -> Reading:
            reading = await start_run(client, owner, 3000, 0.01, until=20 + number)
            await begun.wait()
            await down.wait()
            await resume(client, b, reading)
            return reading

        async def cancels() -> Reading:
            reading = await start_run(client, b, 3000, 0.01, until=5)
            async with client.post(f"{a.url}/v1/runs/{reading.run_id}/cancel") as reply:
                assert (await reply.json())["status"] == "cancelled"
            await resume(client, b, reading)
            return reading

        begun, down = asyncio.Barrier(11), asyncio.Event()
        moving = await asyncio.gather(moves(a, b), moves(b, c), cancels())
        work = [asyncio.create_task(loses(owner, n)) for n in range(5) for owner in (a, c)]
        await begun.wait()
        a.signal(signal.SIGKILL)
        c.signal(signal.SIGSTOP)
        down.set()
        losing = await asyncio.gather(*work)
        c.signal(signal.SIGCONT)

        for reading in moving[:2]:
            assert reading.ids == list(range(1, 63))
            assert reading.text == words(2, 61)
        assert moving[2].events[-1][1:] == ("done", '{"status":"cancelled"}')
        for reading in losing:
            assert reading.ids == list(range(1, reading.last + 1))
            assert reading.text == words(2, reading.last - 1)
            assert reading.events[-1][1] == "error"
            assert json.loads(reading.events[-1][2])["code"] == "interrupted"
            # the frozen instance, back again, says the same as the one that judged
            states = [await interrupted(client, instance, reading) for instance in (b, c)]
            assert [state["last_event_id"] for state in states] == [reading.last] * 2
            async with client.get(f"{b.url}/v1/sessions/{states[0]['session_id']}") as reply:
                answer = (await reply.json())["messages"][-1]
            assert (answer["status"], answer["content"]) == ("interrupted", reading.text)
        assert len(agent.calls) == 3 + len(losing)
        assert (await start_run(client, c, 3, 0)).ids == [1, 2, 3, 4, 5]


async def interrupted(
    client: aiohttp.ClientSession, at: Service, reading: Reading
) -> dict[str, Any]:
    """The run's state, once the instance knows how it ended."""
    async with asyncio.timeout(30):
        while True:
            async with client.get(f"{at.url}/v1/runs/{reading.run_id}") as reply:
                state: dict[str, Any] = await reply.json()
            if state["status"] == "interrupted":
                return state
            await asyncio.sleep(0.05)


async def test_a_rolling_deploy__loses_no_event_of_a_run_that_ends_in_time(
    own: Valkey, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(CountingAgent().serve())
        a, b = await services(stack, 2, own.url, agent.url, str(tmp_path))
        client = await stack.enter_async_context(aiohttp.ClientSession(headers=HEADERS))
        runs = [asyncio.create_task(start_run(client, at, 150, 0.01)) for at in (a, b) * 5]
        cut = [await start_run(client, at, 150, 0.01, until=5) for at in (a, b)]

        a.signal(signal.SIGTERM)
        resumed = asyncio.create_task(resume(client, b, cut[0]))
        assert await a.exited() == 0
        await resumed
        b.signal(signal.SIGTERM)
        assert await b.exited() == 0

        for reading in [cut[0], *[await run for run in runs]]:
            assert reading.ids == list(range(1, 153))
            assert reading.events[-1][1] == "done"


async def test_a_burst_of_one_caller__is_admitted_up_to_the_limit_and_no_further(
    own: Valkey, tmp_path: Path
) -> None:
    """What is asked of the server by 150 requests at once is the burst's own doing."""
    limits = {"RATE_LIMIT_REQUESTS": "60", "API_KEYS": "a:key-a,b:key-b"}
    async with AsyncExitStack() as stack:
        a, b = await asyncio.gather(
            *[
                stack.enter_async_context(service(own.url, "embedded:", tmp_path, **limits))
                for _ in range(2)
            ]
        )
        connector = aiohttp.TCPConnector(limit=0)
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))

        async def take(at: Service, key: str) -> bool:
            body = {"message": "hi"}
            headers = {"X-API-Key": key}
            async with client.post(f"{at.url}/v1/chat", json=body, headers=headers) as reply:
                assert reply.status in (200, 429), await reply.text()
                return reply.status == 200

        async def peek(at: Service, key: str) -> bool:
            headers = {"X-API-Key": key}
            async with client.get(f"{at.url}/v1/runs/none", headers=headers) as reply:
                assert reply.status == 404
                return False

        alone = await asyncio.gather(*[take(a, "key-a") for _ in range(150)])
        asks = [ask(at, "key-b") for _ in range(75) for ask in (take, peek) for at in (a, b)]
        together = await asyncio.gather(*asks)

    assert sum(alone) == 60
    assert sum(together) == 60
