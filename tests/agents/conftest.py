"""Agents to ask, each with what it talks to: nothing, a container, AgentCore's front door."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from bff.agents import Agent, Prompt, open_agent
from bff.errors import Problem
from bff.events import Custom, Event, Message, Thinking, ToolEnd, ToolStart
from bff.settings import Settings
from tests.agents.environments import EXAMPLE, ROOT, python_of, requirements_of
from tests.agents.serving import serving
from tests.fakes.agentcore_wire import ACCESS_KEY, ARN, SECRET_KEY, TOKEN, AgentCoreWire
from tests.fakes.container import EmbeddedContainer
from tests.fakes.prompts import prompt_of

settings.register_profile("no-deadline", deadline=None)  # machines are busy at times
settings.load_profile("no-deadline")


class _ByFramework(LoadScopeScheduling):  # type: ignore[misc]
    """Each framework's answers in one worker, so that its server starts once.

    pytest-xdist's own groups, which are marks, have no effect with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        framework, slash, _ = nodeid.partition("[")[2].partition("/")
        if slash:
            return framework
        return "langgraph" if "/test_zoo.py" in nodeid else nodeid  # whom the others there ask


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFramework | None:
    return _ByFramework(config, log) if config.getvalue("dist") == "loadgroup" else None


SESSION = "s" * 40

QUESTION = "What is 15 * 23?"
ANSWER = "The result of 15 * 23 = 345."


def prompt(message: str = "Hello", **fields: object) -> Prompt:
    return prompt_of(message, SESSION, "actor", "run-1", **fields)  # type: ignore[arg-type]


async def collect(agent: Agent, message: str = "Hello") -> list[Event]:
    return [event async for batch in agent.stream(prompt(message)) for event in batch]


async def failure(agent: Agent, message: str = "Hello") -> tuple[Problem, list[Event]]:
    """The problem a run ends with, and what came before it."""
    events: list[Event] = []
    try:
        async for batch in agent.stream(prompt(message)):
            events.extend(batch)
    except Problem as problem:
        return problem, events
    raise AssertionError(f"the run did not fail but gave {events}")


def text(events: list[Event]) -> str:
    return "".join(event.content for event in events if isinstance(event, Message))


def thinking(events: list[Event]) -> str:
    return "".join(event.content for event in events if isinstance(event, Thinking))


def tools(events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, ToolStart | ToolEnd)]


def customs(events: list[Event]) -> list[object]:
    return [event.value for event in events if isinstance(event, Custom)]


OpenWire = Callable[..., AbstractAsyncContextManager[tuple[Agent, AgentCoreWire]]]


def wired(setenv: Callable[[str, str], None]) -> OpenWire:
    """Opens AgentCore's front door before a container, and the agent that goes through it."""

    @asynccontextmanager
    async def opened(
        container_url: str, payload: dict[str, object] | None = None
    ) -> AsyncIterator[tuple[Agent, AgentCoreWire]]:
        async with AgentCoreWire(container_url).serve() as wire:
            for name, value in {
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_SESSION_TOKEN": TOKEN,
                "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": wire.url,
            }.items():
                setenv(name, value)
            settings = Settings(agent_runtime_arn=ARN)
            if payload is not None:
                settings = replace(settings, agent_payload=payload)
            async with open_agent(settings.agents[0]) as agent:
                yield agent, wire

    return opened


@pytest.fixture
def open_wire(monkeypatch: pytest.MonkeyPatch) -> OpenWire:
    return wired(monkeypatch.setenv)


@dataclass
class World:
    """An agent that answers as the embedded one does, wherever it runs."""

    agent: Agent
    container: EmbeddedContainer | None
    wire: AgentCoreWire | None


@pytest.fixture(params=["embedded", "container", "agentcore"])
async def world(request: pytest.FixtureRequest, open_wire: OpenWire) -> AsyncIterator[World]:
    if request.param == "embedded":
        async with open_agent(Settings(agent_url="embedded:").agents[0]) as agent:
            yield World(agent, None, None)
        return
    async with EmbeddedContainer().serve() as container:
        if request.param == "container":
            async with open_agent(Settings(agent_url=container.url).agents[0]) as agent:
                yield World(agent, container, None)
        else:
            async with open_wire(container.url) as (agent, wire):
                yield World(agent, container, wire)
                assert wire.wrong == []


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The LangGraph agent of examples/, served."""
    try:
        python = python_of(EXAMPLE)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"cannot install {requirements_of(EXAMPLE).relative_to(ROOT)}: {error}")
    program = ROOT / "examples" / "langgraph_agent" / "agent.py"
    log = tmp_path_factory.mktemp("example") / "log"
    with serving([str(python), str(program)], log) as url:
        yield url
