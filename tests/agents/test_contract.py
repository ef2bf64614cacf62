"""What every agent must do, asked of each of them."""

import asyncio
from contextlib import aclosing

import pytest

from bff.errors import AgentFailed
from bff.events import Done, ToolEnd, ToolStart
from tests.agents.conftest import World, collect, failure, prompt, text, thinking, tools


async def wait_until_idle(world: World) -> None:
    """Returns when no call is open in the container; the test's deadline is pytest's."""
    while world.container is not None and world.container.open:
        await asyncio.sleep(0.01)


class TestAgent:
    async def test_answer__is_whole_and_ends_with_done(self, world: World) -> None:
        events = await collect(world.agent, "Grüße, 🌍! \u2028 Line two")

        assert text(events) == "You said: Grüße, 🌍! \u2028 Line two"
        assert isinstance(events[-1], Done)
        assert events[-1].status == "complete"
        assert events[-1].usage is not None
        assert [event for event in events if isinstance(event, Done)] == [events[-1]]

    async def test_tool__starts_before_its_result_and_both_before_the_text(
        self, world: World
    ) -> None:
        events = await collect(world.agent, "What is 15 * 23?")

        assert tools(events) == events[:2]
        assert events[:2] == [
            ToolStart("call-1", "calculator", {"expression": "15 * 23"}),
            ToolEnd("call-1", "calculator", "345"),
        ]
        assert text(events) == "The result of 15 * 23 = 345."

    async def test_reasoning__is_thinking_and_not_text(self, world: World) -> None:
        events = await collect(world.agent, "/think hard")

        assert thinking(events) == "Let me think about that for a moment."
        assert text(events) == "I thought about it: hard"

    async def test_failure__comes_after_what_was_said(self, world: World) -> None:
        problem, events = await failure(world.agent, "/fail")

        assert text(events) == "This will fail"
        assert type(problem) is AgentFailed
        assert problem.agent_called
        assert not any(isinstance(event, Done) for event in events)

    async def test_closing__ends_the_call_upstream(self, world: World) -> None:
        async with aclosing(world.agent.stream(prompt("/slow 36000"))) as batches:
            async for batch in batches:
                if batch:
                    break

        await wait_until_idle(world)

    async def test_cancelling__ends_the_call_upstream(self, world: World) -> None:
        first = asyncio.Event()

        async def run() -> None:
            async with aclosing(world.agent.stream(prompt("/slow 36000"))) as batches:
                async for batch in batches:
                    if batch:
                        first.set()

        task = asyncio.create_task(run())
        await first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await wait_until_idle(world)

    async def test_prompt__is_never_said_to_be_a_template(self, world: World) -> None:
        message = "$session_id and $metadata and $message"

        assert text(await collect(world.agent, message)) == f"You said: {message}"

    async def test_ping__returns_and_calls_no_agent(self, world: World) -> None:
        await world.agent.ping()

        assert world.container is None or world.container.calls == 0

    async def test_stop__of_an_unknown_session_is_no_error(self, world: World) -> None:
        await world.agent.stop("unknown-" + "x" * 40)

    async def test_hundred_runs__do_not_wait_for_each_other(self, world: World) -> None:
        if world.container is not None:
            world.container.barrier = asyncio.Barrier(100)

        answers = await asyncio.gather(*(collect(world.agent, f"number {n}") for n in range(100)))

        assert [text(events) for events in answers] == [f"You said: number {n}" for n in range(100)]
        assert world.container is None or world.container.calls == 100
