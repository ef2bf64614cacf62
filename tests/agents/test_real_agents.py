"""Real agents: LangGraph, Strands and AG-UI graphs, served by the real bedrock-agentcore SDK.

They run in environments of their own and are asked through the container agent, and the example
through AgentCore's front door as well.
"""

import asyncio
import json
import logging
from contextlib import aclosing

import pytest

from bff.agents import Agent, Prompt, open_agent
from bff.errors import AgentFailed
from bff.events import Done, Event, ToolEnd, ToolStart
from bff.settings import Settings
from tests.agents.conftest import (
    ALL_MODES,
    ANSWER,
    QUESTION,
    OpenWire,
    customs,
    failure,
    prompt,
    text,
    thinking,
    tools,
)
from tests.agents.record import CASES
from tests.agents.show import expected, row


async def ask(agent: Agent, message: str = QUESTION, session: str = "s" * 40) -> list[Event]:
    asked = Prompt(message, session, "actor", "run-1")
    return [event async for batch in agent.stream(asked) for event in batch]


def calculator(events: list[Event]) -> object:
    """What the calculator was given and gave back."""
    match tools(events):
        case [ToolStart(id, "calculator", args), ToolEnd(end, "calculator" | "", got)] if id == end:
            return args, got
        case other:
            return other


USED = ({"expression": "15 * 23"}, "345")


class TestExample:
    """The LangGraph agent of examples/, as anyone would run it."""

    async def test_chat__streams_text_and_tools_word_by_word(self, example: str) -> None:
        async with open_agent(Settings(agent_url=example)) as agent:
            await agent.ping()
            events = await ask(agent, session="example-1" + "x" * 30)

        assert text(events) == ANSWER
        assert calculator(events) == USED
        assert len(events) == 2 + len(ANSWER.split()) + 1
        assert events[-1] == Done(
            usage={"input_tokens": 11, "output_tokens": 9, "total_tokens": 20}
        )

    async def test_session__goes_on_where_it_was(self, example: str) -> None:
        async with open_agent(Settings(agent_url=example)) as agent:
            session = "example-2" + "x" * 30
            await ask(agent, session=session)
            events = await ask(agent, "Hello again", session)

        assert text(events) == "You said: Hello again"
        assert tools(events) == []

    async def test_blocking_mode__is_one_json_body(self, example: str) -> None:
        payload = {"prompt": "$message", "session_id": "$session_id", "stream": False}
        async with open_agent(Settings(agent_url=example, agent_payload=payload)) as agent:
            events = await ask(agent, session="example-3" + "x" * 30)

        assert text(events) == ANSWER

    async def test_agentcore__passes_the_same_answer_on(
        self, example: str, open_wire: OpenWire
    ) -> None:
        async with open_wire(example) as (agent, wire):
            events = await ask(agent, session="example-4" + "x" * 30)

        assert text(events) == ANSWER
        assert calculator(events) == USED
        assert wire.wrong == []
        assert len(wire.invocations) == 1


def settings(url: str, case: str, modes: object = None) -> Settings:
    payload = {"prompt": "$message", "session_id": "$session_id", "case": case, "modes": modes}
    return Settings(agent_url=url, agent_payload=payload)


class TestZoo:
    @pytest.mark.parametrize(
        ("case", "modes"),
        [
            ("modes", "messages"),
            ("modes", "updates"),
            ("modes", "values"),
            ("modes", ["messages", "values"]),
            ("modes", ALL_MODES),
            ("subgraphs", "messages"),
            ("subgraphs", "values"),
            ("subgraphs", ALL_MODES),
            ("dumps", None),
            ("lc", None),
            ("events", None),
            ("sse-in-sse", None),
            ("agui", None),
            ("json-state", None),
        ],
    )
    async def test_langgraph__is_told_whole_and_once_in_every_turn(
        self, zoo: str, case: str, modes: object
    ) -> None:
        session = f"{case}-{json.dumps(modes)}".encode().hex().ljust(40, "0")[:100]
        async with open_agent(settings(zoo, case, modes)) as agent:
            first = await ask(agent, session=session)
            second = await ask(agent, "What is 1 + 1?", session)

        assert (text(first), calculator(first)) == (ANSWER, USED)
        assert text(second) == "The result of 1 + 1 = 2."
        assert calculator(second) == ({"expression": "1 + 1"}, "2")
        assert isinstance(first[-1], Done)
        kinds = {value.get("type") for value in customs(first) if isinstance(value, dict)}
        assert kinds <= {"STATE_SNAPSHOT"}

    @pytest.mark.parametrize(
        "case", ["dicts", "strings", "strings-then-result", "json-result", "json-string"]
    )
    async def test_text_only__is_told_whole_and_once(self, zoo: str, case: str) -> None:
        async with open_agent(settings(zoo, case)) as agent:
            events = await ask(agent, session=case.ljust(40, "x"))

        assert text(events) == ANSWER
        assert isinstance(events[-1], Done)

    @pytest.mark.parametrize(
        ("case", "thought", "used"),
        [
            ("strands", "I need a tool.", True),
            ("strands-default-str", "I need a tool.", True),
            ("strands-both", "I need a tool.", True),
            ("strands-data", "", False),
            ("strands-strings", "", False),
        ],
    )
    async def test_strands__is_told_once(
        self, zoo: str, case: str, thought: str, used: bool
    ) -> None:
        async with open_agent(settings(zoo, case)) as agent:
            events = await ask(agent)

        assert text(events) == f"Let me see. {ANSWER}"
        assert thinking(events) == thought
        assert calculator(events) == (USED if used else [])
        assert customs(events) == []

    async def test_strands__bedrock_events_alone_have_no_tool_result(self, zoo: str) -> None:
        async with open_agent(settings(zoo, "strands-converse")) as agent:
            events = await ask(agent)

        assert text(events) == f"Let me see. {ANSWER}"
        assert tools(events) == [ToolStart("tool_1", "calculator", USED[0])]
        assert events[-1] == Done(
            usage={"input_tokens": 20, "output_tokens": 10, "total_tokens": 30}
        )

    @pytest.mark.parametrize(
        ("case", "modes", "before"),
        [
            ("failing", None, "Before it broke"),
            ("breaking", None, "Before it broke"),
            ("app-error", None, ANSWER),
            ("raising", None, ""),
            ("empty", "messages", ""),
            ("empty", "values", ""),
            ("empty", "updates", ""),
            ("json-null", None, ""),
            ("prints", None, ""),
            ("bytes", None, ""),
        ],
    )
    async def test_failures__are_failures_and_tell_nothing(
        self, zoo: str, case: str, modes: object, before: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with open_agent(settings(zoo, case, modes)) as agent:
            problem, events = await failure(agent, QUESTION)

        assert type(problem) is AgentFailed
        assert problem.agent_called
        assert text(events) == before
        assert "hunter2" not in str(events) + caplog.text
        assert [record for record in caplog.records if record.levelno >= logging.ERROR]

    @pytest.mark.parametrize("name", CASES)
    async def test_agentcore__passes_every_kind_on(
        self, zoo: str, name: str, open_wire: OpenWire
    ) -> None:
        cells = await row(zoo, name, open_wire)

        assert cells[1:3] == [expected(name), "yes"]
        assert cells[-1] == "1"

    async def test_closing__frees_the_agent_too(self, zoo: str) -> None:
        async with (
            open_agent(settings(zoo, "endless")) as agent,
            open_agent(settings(zoo, "endless_now")) as watcher,
        ):
            async with aclosing(agent.stream(prompt(QUESTION))) as batches:
                assert text(list(await anext(batches))) == "Before"
                assert await _endless(watcher) == 1
            while await _endless(watcher):
                await asyncio.sleep(0.01)


async def _endless(agent: Agent) -> int:
    """How many endless answers the zoo gives at the moment."""
    (count,) = customs(await ask(agent))
    assert isinstance(count, dict)
    return int(count["endless_now"])
