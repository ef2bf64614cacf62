"""Every way to ask and to answer, on two tasks: each answer is given to the agent exactly once.

`make questions` prints the table. The agents are those of examples/asking_agents, served by the
real SDK; a door before them counts what they are told.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bff.agents.http import SESSION_HEADER
from tests.agents.environments import EXAMPLE, ROOT, NotMade, command, python_of
from tests.agents.question_clients import CLIENTS, Client, Native, Said, words
from tests.agents.serving import serving
from tests.fakes.container import serving as serving_app
from tests.runs.valkey.services import HEADERS, Service, service
from tests.runs.valkey.valkey import running_valkey

PROGRAM = ROOT / "tests" / "agents" / "zoo" / "asking_example.py"
AGENTS = [
    "langgraph",
    pytest.param("strands", marks=pytest.mark.zoo),
    pytest.param("langchain", marks=pytest.mark.zoo),
]
"""The last is LangChain's middleware, in LangGraph."""
PAYLOADS = {"langgraph": "langgraph", "strands": "strands", "langchain": "langgraph"}
RESUME_SECONDS = 3
"""How long an answer given twice waits at the door: the other one comes meanwhile."""


@dataclass
class Door:
    """Passes on what an agent is told, and counts it by conversation."""

    agent_url: str
    url: str = ""
    asked: dict[str, str] = field(default_factory=dict)
    """By what the agent knows a session by, the conversation's name."""
    told: dict[str, int] = field(default_factory=dict)
    """By name, how often the agent was given an answer."""
    again: list[str] = field(default_factory=list)
    """Conversations whose agent was told anything else once it had asked."""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Door]:
        app = web.Application()
        app.add_routes([web.post("/invocations", self._pass_on)])
        async with aiohttp.ClientSession() as self._http, serving_app(app) as self.url:
            yield self

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        session = request.headers[SESSION_HEADER]
        if b'"resume"' in body or b'"interruptResponse"' in body:
            name = self.asked[session]
            self.told[name] = self.told.get(name, 0) + 1
            if name.endswith("twice-at-once"):
                await asyncio.sleep(RESUME_SECONDS)
        elif session in self.asked:
            self.again.append(self.asked[session])
        else:
            self.asked[session] = body.decode().partition(words(""))[2].partition('"')[0]
        headers = {k: v for k, v in request.headers.items() if k.lower().startswith("x-amzn")}
        async with self._http.post(
            f"{self.agent_url}/invocations",
            data=body,
            headers={**headers, "Content-Type": "application/json"},
        ) as answered:
            response = web.StreamResponse(
                status=answered.status, headers={"Content-Type": answered.content_type}
            )
            await response.prepare(request)
            async for chunk in answered.content.iter_any():
                await response.write(chunk)
            return response


@dataclass
class Scene:
    """Two tasks of the service and one agent behind both."""

    agent: str
    door: Door
    tasks: list[Service]
    start: Callable[[], Awaitable[Service]]
    client: Client = field(init=False)

    @property
    def a(self) -> str:
        return self.tasks[0].url

    @property
    def b(self) -> str:
        return self.tasks[1].url

    async def restart(self) -> None:
        """Both tasks stop as a deployment stops them, and others come."""
        for task in self.tasks:
            task.signal(signal.SIGTERM)
        assert [await task.exited() for task in self.tasks] == [0, 0]
        self.tasks[:] = await asyncio.gather(self.start(), self.start())


Case = Callable[[Scene, str, Any], Awaitable[None]]


async def answers(scene: Scene, name: str, state: Any, at: str) -> Said:
    said = await scene.client.answer(at, scene.agent, name, state, "approve")
    assert (said.status, "Paid 10 to Jo." in said.text) == (200, True), said
    return said


async def at_once(scene: Scene, name: str, state: Any) -> None:
    await answers(scene, name, state, scene.a)


async def after_reload(scene: Scene, name: str, state: Any) -> None:
    found = await scene.client.found_again(scene.a, name, state)
    await answers(scene, name, found, scene.a)


async def on_another_task(scene: Scene, name: str, state: Any) -> None:
    found = await scene.client.found_again(scene.b, name, state)
    await answers(scene, name, found, scene.b)


async def twice_at_once(scene: Scene, name: str, state: Any) -> None:
    one, other = await asyncio.gather(
        *[answers(scene, name, state, at) for at in (scene.a, scene.b)]
    )
    assert one.run_id == other.run_id


async def decline(scene: Scene, name: str, state: Any) -> None:
    said = await scene.client.answer(scene.a, scene.agent, name, state, "decline")
    assert (said.status, "Paid" in said.text, "Declined." in said.text) == (200, False, True), said


async def wrong_id(scene: Scene, name: str, state: Any) -> None:
    said = await scene.client.answer(scene.a, scene.agent, name, state, "wrong id")
    assert said.status in (409, 422), said
    assert name not in scene.door.told
    await answers(scene, name, state, scene.b)


async def by_another_protocol(scene: Scene, name: str, state: Any) -> None:
    """Answered by a native client, who finds the question in the list of sessions."""
    native = scene.client
    assert isinstance(native, Native)
    async with native.http.get(f"{scene.b}/v1/sessions?limit=100") as reply:
        sessions = (await reply.json())["sessions"]
    [session] = [item for item in sessions if item["title"] == words(name)]
    await answers(scene, session["session_id"], session["inputs"], scene.b)


CASES: dict[str, Case] = {
    "at once": at_once,
    "after reload": after_reload,
    "another task": on_another_task,
    "after restart": on_another_task,
    "twice at once": twice_at_once,
    "decline": decline,
    "wrong id": wrong_id,
    "other protocol": by_another_protocol,
}


def agent_command(agent: str) -> list[str]:
    """What starts an agent; skips where its environment is not made."""
    try:
        zoo = {"strands": "strands", "langchain": "langgraph"}.get(agent)
        python = command(zoo)[0] if zoo else str(python_of(EXAMPLE))
    except (NotMade, subprocess.SubprocessError, OSError) as error:
        pytest.skip(str(error))
    return [python, str(PROGRAM), agent]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("agent", AGENTS)
async def test_an_answer__is_given_to_the_agent_exactly_once(
    agent: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        url = stack.enter_context(serving(agent_command(agent), tmp_path / "agent.log"))
        valkey = stack.enter_context(running_valkey(tmp_path))
        door = await stack.enter_async_context(Door(url).serve())
        agents = json.dumps({agent: {"url": door.url, "payload": PAYLOADS[agent]}})
        http = await stack.enter_async_context(aiohttp.ClientSession(headers=HEADERS))

        async def start() -> Service:
            # an empty AGENT_URL is none: several agents are named instead
            return await stack.enter_async_context(
                service(valkey.url, "", tmp_path, AGENTS=agents, AGENT_HISTORY="off")
            )

        scene = Scene(agent, door, list(await asyncio.gather(start(), start())), start)

        async def cell(protocol: str, case: str, name: str, state: Any) -> None:
            mine = Scene(agent, door, scene.tasks, start)
            mine.client = (Native if case == "other protocol" else CLIENTS[protocol])(http)
            try:
                async with asyncio.timeout(150):
                    await CASES[case](mine, name, state)
            except (AssertionError, TimeoutError, KeyError, ValueError) as error:
                wrong[name] = f"{type(error).__name__}: {error}"

        async def ask(protocol: str, case: str) -> tuple[str, tuple[str, str, Any]]:
            name = f"{protocol}-{case}".replace(" ", "-")
            said = await CLIENTS[protocol](http).ask(scene.a, agent, name)
            assert said.asks, said
            return name, (protocol, case, said.state)

        cells = [(protocol, case) for protocol in CLIENTS for case in CASES]
        asked = dict(await asyncio.gather(*[ask(*cell) for cell in cells]))
        late = {name for name, (_, case, _) in asked.items() if case == "after restart"}
        await asyncio.gather(*[cell(*asked[n][:2], n, asked[n][2]) for n in asked.keys() - late])
        await scene.restart()
        await asyncio.gather(*[cell(*asked[n][:2], n, asked[n][2]) for n in late])

    with capsys.disabled():
        print(table(agent, door))
    assert wrong == {}
    assert {name: door.told.get(name, 0) for name in asked} == dict.fromkeys(asked, 1)
    assert door.again == []


@pytest.mark.parametrize("agent", AGENTS)
async def test_an_answer_to_an_agent_whose_session_is_over__is_a_clear_end(
    agent: str, tmp_path: Path
) -> None:
    """AgentCore ends a session that was idle: what the agent kept in memory is gone."""
    folder = tmp_path / "agents"
    folder.mkdir()
    async with AsyncExitStack() as stack:
        valkey = stack.enter_context(running_valkey(tmp_path))
        door = await stack.enter_async_context(Door("").serve())
        agents = json.dumps({agent: {"url": door.url, "payload": PAYLOADS[agent]}})
        http = await stack.enter_async_context(aiohttp.ClientSession(headers=HEADERS))
        task = await stack.enter_async_context(
            service(valkey.url, "", tmp_path, AGENTS=agents, AGENT_HISTORY="off")
        )
        native = Native(http)
        with serving(agent_command(agent), folder / "one.log") as door.agent_url:
            asked = await native.ask(task.url, agent, "s")
        with serving(agent_command(agent), folder / "two.log") as door.agent_url:
            said = await native.answer(task.url, agent, "s", asked.state, "approve")
            async with http.get(f"{task.url}/v1/sessions/s") as reply:
                shown = await reply.json()

    assert (said.status, said.code) == (502, "agent_session_idle")
    assert "inputs" not in shown
    assert door.told == {"s": 1}


def table(agent: str, door: Door) -> str:
    """How often the agent was given an answer, in each cell."""
    width = max(map(len, CLIENTS)) + 2
    lines = [f"\n{agent + ': answers it was given':{width}}"]
    lines.append(" " * width + "".join(f"{case:>16}" for case in CASES))
    for protocol in CLIENTS:
        counts = [door.told.get(f"{protocol}-{case}".replace(" ", "-"), 0) for case in CASES]
        lines.append(f"{protocol:{width}}" + "".join(f"{count:>16}" for count in counts))
    return "\n".join(lines)
