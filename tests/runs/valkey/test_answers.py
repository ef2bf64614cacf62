"""People who answer an agent's question, on several tasks that share a Valkey and a history."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest
from aiohttp import web

from bff.history.dynamodb.table import create_table
from tests.fakes.container import serving, sse
from tests.fakes.dynamodb import REGION, Proxy
from tests.runs.valkey.instances import until
from tests.runs.valkey.services import HEADERS, Service, service
from tests.runs.valkey.valkey import Valkey


class AskingAgent:
    """Asks as LangGraph does, and says what it was told; `wait` keeps an answer's run open."""

    def __init__(self) -> None:
        self.asked = 0
        self.told: list[Any] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.url = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[AskingAgent]:
        app = web.Application()
        app.add_routes([web.post("/invocations", self._answer)])
        async with serving(app) as self.url:
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if "resume" in body:
            self.told.append(body["resume"])
            await response.write(sse({"data": "Told. "}))
            await self.go_on.wait()
        else:
            self.asked += 1
            question = {"value": "May I?", "id": "one-id"}
            await response.write(sse({"__interrupt__": [question]}))
        return response


def answer(said: Any) -> list[dict[str, Any]]:
    return [{"input_id": "one-id", "status": "resolved", "payload": said}]


class People:
    """Clients of one principal, who answer on whatever task."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self.client = client

    async def ask(self, at: Service, session_id: str) -> dict[str, Any]:
        status, body = await self.post(at, "/v1/chat", session_id=session_id, message="Pay")
        assert (status, len(body["inputs"])) == (200, 1)
        return body

    async def answer(
        self, at: Service, session_id: str, said: Any = True
    ) -> tuple[int, dict[str, Any]]:
        return await self.post(at, "/v1/chat", session_id=session_id, resume=answer(said))

    async def post(self, at: Service, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        async with self.client.post(at.url + path, json=body) as reply:
            return reply.status, await reply.json()

    async def show(self, at: Service, session_id: str) -> dict[str, Any]:
        async with self.client.get(f"{at.url}/v1/sessions/{session_id}") as reply:
            shown: dict[str, Any] = await reply.json()
            return shown


@asynccontextmanager
async def two_tasks(
    own: Valkey, tmp_path: Path, history: str
) -> AsyncIterator[tuple[AskingAgent, Service, Service, People]]:
    """Two tasks that share a Valkey and a history, before one agent."""
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(AskingAgent().serve())
        a, b = await asyncio.gather(
            *[
                stack.enter_async_context(service(own.url, agent.url, tmp_path, HISTORY=history))
                for _ in range(2)
            ]
        )
        client = await stack.enter_async_context(aiohttp.ClientSession(headers=HEADERS))
        yield agent, a, b, People(client)


@pytest.fixture
async def dynamodb(
    aws: str, aws_environ: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, Proxy]]:
    """An empty table as a `HISTORY`, and what stands before it."""
    proxy = Proxy(aws)
    async with proxy.serve() as address:
        monkeypatch.setenv("AWS_REGION", REGION)
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", address)
        table = f"bff-{uuid.uuid4().hex[:8]}"
        await create_table(table, region=REGION)
        yield f"dynamodb://{table}", proxy


@pytest.mark.parametrize("kind", ["sqlite", "dynamodb"])
async def test_two_people_at_once_on_two_tasks__begin_one_run(
    own: Valkey, tmp_path: Path, dynamodb: tuple[str, Proxy], kind: str
) -> None:
    """And whoever comes later, with the same answer or another one."""
    history = dynamodb[0] if kind == "dynamodb" else f"sqlite:///{tmp_path}/shared.db"
    async with two_tasks(own, tmp_path, history) as (agent, a, b, people):
        await people.ask(a, "same")
        await people.ask(b, "other")
        await people.ask(a, "keys")

        same = await asyncio.gather(*[people.answer(at, "same") for at in (a, b) * 5])
        other = await asyncio.gather(
            *[people.answer(at, "other", said) for said in (True, False) for at in (a, b)]
        )
        keyed = await asyncio.gather(*[
            people.client.post(
                f"{at.url}/v1/chat",
                json={"session_id": "keys", "resume": answer(True)},
                headers={"Idempotency-Key": f"key-{number}"},
            )
            for number, at in enumerate((a, b) * 2)
        ])  # fmt: skip
        late = [await people.answer(at, "same") for at in (a, b)]
        wrong = [await people.answer(at, "same", False) for at in (a, b)]

        assert {status for status, _ in (*same, *late)} == {200}
        assert len({body["run_id"] for _, body in (*same, *late)}) == 1
        assert len({(await reply.json())["run_id"] for reply in keyed}) == 1
        taken = {body["run_id"] for status, body in other if status == 200}
        refused = {body["code"] for status, body in other if status != 200}
        assert (len(taken), refused) == (1, {"not_waiting"})
        assert {(status, body["code"]) for status, body in wrong} == {(409, "not_waiting")}
        assert (agent.asked, len(agent.told)) == (3, 3)


@pytest.mark.parametrize("lost", ["call", "reply"])
async def test_a_task_killed_between_claim_and_call__has_not_called(
    own: Valkey, tmp_path: Path, dynamodb: tuple[str, Proxy], lost: Literal["call", "reply"]
) -> None:
    """Before the claim is made the question stays open; behind it, the agent may have been told."""
    history, proxy = dynamodb
    async with two_tasks(own, tmp_path, history) as (agent, a, b, people):
        await people.ask(a, "s")
        proxy.hold = lambda call: lost if "claimed_by" in call.get("UpdateExpression", "") else None
        dying = asyncio.create_task(people.answer(a, "s"))
        await proxy.held.wait()
        proxy.hold = lambda call: None
        a.signal(signal.SIGKILL)
        with pytest.raises(aiohttp.ClientError):
            await dying

        status, problem = await people.answer(b, "s")
        assert (status, problem["code"], agent.told) == (503, "interrupted", [])
        async with asyncio.timeout(30):  # until what is left of it is in the history
            while (await people.show(b, "s"))["messages"][-1].get("status") != "interrupted":
                await asyncio.sleep(0.05)
        again, body = await people.answer(b, "s")

        if lost == "call":
            assert (again, body["message"], len(agent.told)) == (200, "Told. ", 1)
        else:
            assert (again, body["code"], agent.told) == (503, "interrupted", [])
            assert body["should_retry"] is False
            assert "inputs" not in await people.show(b, "s")


async def test_an_answer_while_the_valkey_is_away__is_given_once(
    own: Valkey, tmp_path: Path
) -> None:
    """Whoever comes second cannot be shown the other task's run."""
    history = f"sqlite:///{tmp_path}/shared.db"
    async with two_tasks(own, tmp_path, history) as (agent, a, b, people):
        await people.ask(a, "s")
        own.kill()

        replies = await asyncio.gather(*[people.answer(at, "s") for at in (a, b)])

        given, refused = sorted(status for status, _ in replies)
        assert (given, refused in (409, 503), len(agent.told)) == (200, True, 1)


async def test_tasks_that_stop__keep_the_question_and_give_its_answer_once(
    own: Valkey, tmp_path: Path
) -> None:
    """Restart, drain with an answer's run open, and cancel from the other task."""
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(AskingAgent().serve())
        client = await stack.enter_async_context(aiohttp.ClientSession(headers=HEADERS))
        people = People(client)

        async def start(**more: str) -> Service:
            history = f"sqlite:///{tmp_path}/shared.db"
            return await stack.enter_async_context(
                service(own.url, agent.url, tmp_path, HISTORY=history, **more)
            )

        a = await start()
        for name in ("restart", "drain", "cancel"):
            await people.ask(a, name)
        a.signal(signal.SIGTERM)
        assert await a.exited() == 0
        b, c = await asyncio.gather(start(DRAIN_TIMEOUT="1"), start())

        assert [q["id"] for q in (await people.show(b, "restart"))["inputs"]] == ["one-id"]
        assert (await people.answer(b, "restart"))[1]["message"] == "Told. "

        agent.go_on.clear()
        draining = asyncio.create_task(people.answer(b, "drain"))
        cancelled = asyncio.create_task(people.answer(b, "cancel"))
        await until(lambda: len(agent.told) == 3)
        run_id = (await people.show(c, "cancel"))["messages"][-1]["run_id"]
        status, state = await people.post(c, f"/v1/runs/{run_id}/cancel")
        assert (status, state["status"]) == (200, "cancelled")
        b.signal(signal.SIGTERM)
        status, problem = await draining
        assert (status, problem["code"], problem["should_retry"]) == (503, "draining", False)
        assert (await cancelled)[1]["code"] == "run_cancelled"

        assert (await people.answer(c, "drain"))[1]["code"] == "draining"
        assert (await people.answer(c, "cancel"))[1]["code"] == "run_cancelled"
        assert (await people.answer(c, "cancel", False))[1]["code"] == "not_waiting"
        assert len(agent.told) == 3
