"""The example agent, as anyone would run it: alone, and behind AgentCore's front door."""

from bff.agents import Agent, open_agent
from bff.events import Done, Event, ToolEnd, ToolStart
from bff.settings import Settings
from tests.agents.conftest import ANSWER, QUESTION, OpenWire, text, tools
from tests.fakes.prompts import prompt_of


async def ask(agent: Agent, message: str = QUESTION, session: str = "s" * 40) -> list[Event]:
    asked = prompt_of(message, session, "actor", "run-1")
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
        async with open_agent(Settings(agent_url=example).agents[0]) as agent:
            await agent.ping()
            events = await ask(agent, session="example-1" + "x" * 30)

        assert text(events) == ANSWER
        assert calculator(events) == USED
        assert len(events) == 2 + len(ANSWER.split()) + 1
        assert events[-1] == Done(
            usage={"input_tokens": 11, "output_tokens": 9, "total_tokens": 20}
        )

    async def test_session__goes_on_where_it_was(self, example: str) -> None:
        async with open_agent(Settings(agent_url=example).agents[0]) as agent:
            session = "example-2" + "x" * 30
            await ask(agent, session=session)
            events = await ask(agent, "Hello again", session)

        assert text(events) == "You said: Hello again"
        assert tools(events) == []

    async def test_blocking_mode__is_one_json_body(self, example: str) -> None:
        payload = {"prompt": "$message", "session_id": "$session_id", "stream": False}
        async with open_agent(
            Settings(agent_url=example, agent_payload=payload).agents[0]
        ) as agent:
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
