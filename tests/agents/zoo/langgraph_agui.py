"""AG-UI's adapter for LangGraph: as dumps through the SDK (AWS's template) and as its own SSE."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from ag_ui.core import RunAgentInput, Tool, UserMessage
from ag_ui.encoder import EventEncoder
from ag_ui_langgraph import LangGraphAgent
from container import Zoo
from copilotkit import CopilotKitMiddleware
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_asking import SAID, approving, asking
from langgraph_models import speaking
from langgraph_single import Ask, failing_agent
from script import (
    BROKEN,
    DELETE,
    QUESTION,
    SHORT,
    STEPS,
    USED,
    USED_STOCKS,
    USED_WEATHER,
    Call,
    Turn,
    calculating,
    calculator,
    failing,
    stocks,
    thinking,
    together,
    truth,
    weather,
)
from starlette.responses import StreamingResponse

CONFIRM = Call("call_confirm", "confirm", {"question": "Really?"})


def agent(turns: list[Turn], words: str = "text") -> Any:
    tools = [tool(calculator), tool(weather), tool(stocks)]
    return create_agent(speaking(*turns, words=words), tools=tools, checkpointer=InMemorySaver())


def frontend() -> Any:
    """An agent that calls a tool of the page it is shown on."""
    return create_agent(
        speaking(Turn(say=("Let me", " ask", "."), calls=[CONFIRM]), Turn(say=SHORT)),
        tools=[tool(calculator)],
        middleware=[CopilotKitMiddleware()],
        checkpointer=InMemorySaver(),
    )


def run_of(ask: Ask, **more: Any) -> RunAgentInput:
    given: dict[str, Any] = {
        "thread_id": ask["session_id"],
        "run_id": "run-1",
        "messages": [UserMessage(id="q1", role="user", content=QUESTION)],
        "state": {},
        "tools": [],
        "context": [],
        "forwarded_props": {},
    }
    if "resume" in ask:
        given |= {"run_id": "run-2", "forwarded_props": {"command": {"resume": ask["resume"]}}}
    return RunAgentInput(**given | more)


def add_agui(zoo: Zoo) -> None:
    def dumped(make: Callable[[], Any], tools: list[Tool] = [], **how: Any) -> Any:  # noqa: B006
        async def answer(ask: Ask) -> AsyncIterator[Any]:
            adapter = LangGraphAgent(name="agent", graph=zoo.kept(ask, make), **how)
            async for event in adapter.run(run_of(ask, tools=tools)):
                yield event.model_dump(mode="json", by_alias=True, exclude_none=True)

        return answer

    def encoded(make: Callable[[], Any], **how: Any) -> Any:
        def answer(ask: Ask) -> StreamingResponse:
            adapter = LangGraphAgent(name="agent", graph=zoo.kept(ask, make), **how)
            encoder = EventEncoder()

            async def events() -> AsyncIterator[str]:
                async for event in adapter.run(run_of(ask)):
                    yield encoder.encode(event)

            return StreamingResponse(events(), media_type=encoder.get_content_type())

        return answer

    short = calculating(SHORT)
    quiet = {"emit_raw_events": False}
    snapshots = {"customs": ["STATE_SNAPSHOT"]}
    brief = [Turn(say=SHORT)]
    zoo.add("agui-default", dumped(lambda: agent(brief)), truth(brief, **snapshots))
    zoo.add(
        "agui-sse",
        encoded(lambda: agent(short), **quiet),
        truth(short, USED, **snapshots),
    )
    steps = calculating(STEPS)
    zoo.add("agui-steps", dumped(lambda: agent(steps), **quiet), truth(steps, USED))
    zoo.add(
        "agui-two-tools",
        dumped(lambda: agent(together()), **quiet),
        truth(together(), USED_WEATHER, USED_STOCKS),
    )
    missed = {"tool": "broken", "args": BROKEN.args}
    zoo.add("agui-failing-tool", dumped(failing_checkpointed, **quiet), truth(failing(), missed))
    for words in ("blocks", "v1"):
        zoo.add(
            f"agui-thinking-{words}",
            dumped(lambda words=words: agent(thinking(SHORT), words), **quiet),
            truth(thinking(SHORT), USED),
        )
    # nodes side by side are left out: the adapter says both under one message id, which nobody
    # can take apart again

    waiting = {
        "text": SAID,
        "inputs": [{"kind": "input", "holds": ["Delete a.txt?"]}],
        "ends": "input_required",
    }
    outcome = {**quiet, "emit_interrupt_outcome": True}
    zoo.add("agui-asks", dumped(asking, **quiet), waiting)
    zoo.add("agui-asks-outcome", dumped(asking, **outcome), waiting)
    zoo.add(
        "agui-asks-outcome-only",
        dumped(asking, **outcome, enable_legacy_on_interrupt_event=False),
        waiting,
    )
    zoo.add(
        "agui-asks-resumed",
        dumped(asking, **quiet),
        {"text": ["You said: yes."], "beside": True},  # its snapshot tells the thread again
        asks={"resume": "yes"},
        after="agui-asks",
    )
    approval = {
        "text": "Let me see.",
        "tools": None,
        "inputs": [{"kind": "approval", "tool": ["delete_file", DELETE.args]}],
        "ends": "input_required",
    }
    zoo.add("agui-approval", dumped(lambda: approving(DELETE), **quiet), approval)
    zoo.add("agui-approval-outcome", dumped(lambda: approving(DELETE), **outcome), approval)
    confirm = Tool(
        name="confirm",
        description="Ask the user.",
        parameters={"type": "object", "properties": {"question": {"type": "string"}}},
    )
    zoo.add(
        "agui-frontend-tool",
        dumped(frontend, tools=[confirm], **quiet),
        {
            "text": "Let me ask.",
            "tools": None,
            "inputs": [{"kind": "tool", "tool": ["confirm", CONFIRM.args]}],
            "ends": "input_required",
        },
    )


def failing_checkpointed() -> Any:
    graph = failing_agent()
    graph.checkpointer = InMemorySaver()
    return graph
