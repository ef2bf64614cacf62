"""Agents of real frameworks, served by the real SDK and asked through the service's own agents.

`make test-zoo` makes their environments and runs this; what was not made is skipped.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager

import pytest

from bff.agents import Agent, open_agent
from bff.errors import AgentFailed, Problem
from bff.events import Event
from bff.settings import Settings
from tests.agents.conftest import OpenWire, failure, prompt, text
from tests.agents.environments import JAVASCRIPT, ZOO, NotMade, command
from tests.agents.record import payload
from tests.agents.recordings import Recording, differences, recordings
from tests.agents.serving import serving
from tests.agents.test_golden import marked
from tests.fakes.prompts import prompt_of

pytestmark = pytest.mark.zoo

Served = Callable[[str], str]
RECORDED = [r for r in recordings() if r.environment in (*ZOO, JAVASCRIPT)]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The address of a framework's agents, started when one is first asked for."""
    urls: dict[str, str] = {}
    with ExitStack() as servers:

        def url(environment: str) -> str:
            if environment not in urls:
                try:
                    started = command(environment)
                except NotMade as missing:
                    pytest.skip(str(missing))
                log = tmp_path_factory.mktemp(environment) / "log"
                urls[environment] = servers.enter_context(serving(started, log))
            return urls[environment]

        yield url


async def ask(url: str, recording: Recording) -> tuple[list[Event], Problem | None]:
    """A scenario's events through the container agent, its earlier half asked before.

    Both halves go into a session of this test's own: the earlier half has a test, too, and an agent
    that is asked it twice in one session no longer waits for the answer.
    """
    session = f"test-{recording.name}".ljust(33, "-")
    before = recording.truth.get("after")
    if before:
        earlier = next(
            r for r in RECORDED if r.environment == recording.environment and r.name == before
        )
        await told(url, earlier, session)
    return await told(url, recording, session)


async def told(url: str, recording: Recording, session: str) -> tuple[list[Event], Problem | None]:
    sent = payload(dict(recording.truth)) | {"session_id": session}
    events: list[Event] = []
    async with open_agent(Settings(agent_url=url, agent_payload=sent).agents[0]) as agent:
        try:
            async for batch in agent.stream(prompt_of("?", session, "actor", "run-1")):
                events.extend(batch)
        except Problem as problem:
            return events, problem
    return events, None


@pytest.mark.parametrize("recording", marked(RECORDED))
async def test_a_real_agent__is_told_as_its_model_said(
    recording: Recording, served: Served
) -> None:
    events, problem = await ask(served(recording.environment), recording)

    assert differences(recording.truth, events, failed=problem is not None) == []


@pytest.mark.parametrize("name", ["mode-messages", "yield-dump", "return-state", "agui-steps"])
async def test_agentcore__passes_every_kind_on(
    name: str, served: Served, open_wire: OpenWire
) -> None:
    (recording,) = (r for r in RECORDED if r.id == f"langgraph/{name}")
    sent = payload(dict(recording.truth))
    async with open_wire(served("langgraph"), sent) as (agent, wire):
        events = [
            event
            async for batch in agent.stream(prompt_of("?", "w" * 40, "actor", "run-1"))
            for event in batch
        ]

    assert differences(recording.truth, events, failed=False) == []
    assert (wire.wrong, len(wire.invocations)) == ([], 1)


class TestEnds:
    @asynccontextmanager
    async def asked(self, served: Served, name: str) -> AsyncIterator[Agent]:
        sent = {"scenario": name, "session_id": "$session_id"}
        settings = Settings(agent_url=served("langgraph"), agent_payload=sent)
        async with open_agent(settings.agents[0]) as agent:
            yield agent

    @pytest.mark.parametrize(
        ("name", "before"),
        [("breaking", "Before it broke."), ("raising", ""), ("nothing", "")],
    )
    async def test_a_failure__is_one_and_tells_nothing(
        self, served: Served, name: str, before: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with self.asked(served, name) as agent:
            problem, events = await failure(agent)

        assert type(problem) is AgentFailed
        assert problem.agent_called
        assert text(events) == before
        assert "hunter2" not in str(events) + caplog.text
        assert [record for record in caplog.records if record.levelno >= logging.ERROR]

    async def test_closing__frees_the_agent_too(self, served: Served) -> None:
        async def endless(agent: Agent) -> str:
            return text([event async for batch in agent.stream(prompt()) for event in batch])

        async with (
            self.asked(served, "endless") as agent,
            self.asked(served, "endless-now") as watcher,
        ):
            async with aclosing(agent.stream(prompt())) as batches:
                assert text(list(await anext(batches))) == "Before"
                assert await endless(watcher) == "1 are endless"
            while await endless(watcher) != "0 are endless":
                await asyncio.sleep(0.01)
