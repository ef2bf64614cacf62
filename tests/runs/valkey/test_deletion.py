"""A conversation that is deleted is gone on every task, whatever its runs were doing meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from bff.history import Turn
from bff.runs import Runs
from tests.fakes.scripted import ListHistory, Notes, ScriptedAgent
from tests.runs.valkey.conftest import StartInstance
from tests.runs.valkey.instances import until_well
from tests.runs.valkey.services import HEADERS, CountingAgent, Service, service
from tests.runs.valkey.valkey import Valkey


class LateHistory(ListHistory):
    """Writes a turn when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def add(self, owner: str, turn: Turn) -> None:
        self.asked.set()
        await self.let.wait()
        await super().add(owner, turn)


@pytest.mark.parametrize("deleted", [True, False])
async def test_a_dead_tasks_turn__is_not_left_in_what_was_deleted_before_it_was_written(
    valkey: Valkey, start_instance: StartInstance, deleted: bool
) -> None:
    a, b = [await start_instance(valkey.url) for _ in range(2)]
    await until_well(a, b)  # what a begins before that nobody else could know
    history = LateHistory()
    async with (
        asyncio.timeout(30),
        Runs(
            agents={"agent": ScriptedAgent()},
            history=history,
            log=b.log,
            observer=Notes(),
            max_open_per_owner=10,
            idle_timeout_seconds=60,
        ) as runs,
    ):
        run = await a.begin("run", session_id="chat")
        await a.die()
        await history.asked.wait()  # b has ended the run, and is about to write its turn
        if deleted:
            assert (await runs.forget_session("owner", "chat")).found
            assert not await history.delete("owner", "chat")

        history.let.set()

    assert len(history.turns) == 1
    session = await history.session("owner", "chat")
    assert (session is None) is deleted
    assert run.run_id == "run"


@pytest.fixture
async def two_tasks(
    own: Valkey, tmp_path: Path
) -> AsyncIterator[tuple[CountingAgent, Service, Service, aiohttp.ClientSession]]:
    """Two tasks that share a Valkey, a history and a folder of files."""
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(CountingAgent().serve())
        files = f"file:///{tmp_path}/files"
        a, b = await asyncio.gather(
            *[
                stack.enter_async_context(service(own.url, agent.url, tmp_path, FILES=files))
                for _ in range(2)
            ]
        )
        client = await stack.enter_async_context(aiohttp.ClientSession(headers=HEADERS))
        yield agent, a, b, client


async def test_a_chat__is_deleted_by_whichever_task_is_asked(
    own: Valkey,
    two_tasks: tuple[CountingAgent, Service, Service, aiohttp.ClientSession],
) -> None:
    agent, a, b, client = two_tasks
    keyed = {"Idempotency-Key": "k"}
    first = {"message": "[1, 0, 1]", "session_id": "chat"}
    runs = []
    async with client.post(f"{a.url}/v1/chat", json=first, headers=keyed) as reply:
        runs.append((await reply.json())["run_id"])
    edits = ("[1, 0, 2]", "[1000, 0.1]")
    for text in edits:
        message = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": text}]}
        body = {"id": "chat", "messages": [message], "messageId": "m1"}
        reply = await client.post(f"{a.url}/v1/ui/chat", json=body)
        runs.append(reply.headers["X-Run-Id"])
        if text == edits[0]:
            await reply.read()  # the other is left, and goes on

    reading = await client.get(f"{b.url}/v1/runs/{runs[-1]}/events")
    await reading.content.readline()
    async with client.delete(f"{b.url}/v1/sessions/chat") as deletion:
        assert deletion.status == 204

    for task in (a, b):
        for run_id in runs:
            async with client.get(f"{task.url}/v1/runs/{run_id}/events") as gone:
                assert gone.status == 404, (task, run_id)
            async with client.get(f"{task.url}/v1/runs/{run_id}") as state:
                cancelled = state.status == 200 and (await state.json())["status"] == "cancelled"
                assert cancelled if run_id == runs[-1] else state.status == 404, (task, run_id)
        async with client.get(f"{task.url}/v1/sessions") as listed:
            assert (await listed.json())["sessions"] == []
        async with client.post(f"{task.url}/v1/chat", json=first, headers=keyed) as repeated:
            assert repeated.status == 404
            assert (await repeated.json())["errors"][0]["field"] == "Idempotency-Key"
    async with asyncio.timeout(30):
        assert '"cancelled"' in (await reading.text()).rsplit("event: ", 1)[1]
    assert agent.calls == ["[1, 0, 1]", *edits]
    # what is left: ids, and that they are used; no word of anybody's
    left = own.tell("EVAL \"return table.concat(redis.call('KEYS','*:run:*'),' ')\" 0")
    for run_id in runs:
        assert run_id in left
        assert own.tell(f"EXISTS {left.split()[-1].replace(':run:', ':log:')}") == ":0"


async def test_a_chat__is_not_deleted_while_valkey_is_away(
    own: Valkey,
    two_tasks: tuple[CountingAgent, Service, Service, aiohttp.ClientSession],
) -> None:
    _, a, b, client = two_tasks
    async with client.post(
        f"{a.url}/v1/chat", json={"message": "[1, 0]", "session_id": "chat"}
    ) as reply:
        run_id = (await reply.json())["run_id"]

    async def delete(task: Service) -> int:
        async with client.delete(f"{task.url}/v1/sessions/chat") as reply:
            return reply.status

    own.freeze()
    assert [await delete(task) for task in (a, b)] == [503, 503]
    async with client.get(f"{b.url}/v1/sessions/chat") as shown:
        assert shown.status == 200
    own.thaw()
    async with asyncio.timeout(30):
        while (status := await delete(b)) == 503:
            await asyncio.sleep(0.1)

    assert status == 204
    for task in (a, b):
        async with client.get(f"{task.url}/v1/runs/{run_id}") as gone:
            assert gone.status == 404
