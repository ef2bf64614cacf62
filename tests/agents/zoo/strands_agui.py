"""AG-UI's adapter for Strands: as dumps through the SDK (AWS's template) and as its own SSE."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from ag_ui.core import AssistantMessage, RunAgentInput, Tool, ToolMessage, UserMessage
from ag_ui.core.types import FunctionCall, ToolCall
from ag_ui.encoder import EventEncoder
from ag_ui_strands import StrandsAgent, StrandsAgentConfig
from container import Zoo
from script import (
    BROKEN,
    DELETE,
    SHORT,
    STEPS,
    USED,
    USED_STOCKS,
    USED_WEATHER,
    Call,
    Turn,
    calculating,
    delete_file,
    failing,
    thinking,
    together,
    truth,
)
from starlette.responses import StreamingResponse
from strands import Agent, tool
from strands_asking import Approval
from strands_models import Ask, ScriptedModel
from strands_single import agent
from strands_teams import AMAZON, CLOSING, ROME, graph

CONFIRM = Call("call_confirm", "confirm", {"question": "Really?"})
TOOL = Tool(
    name="confirm",
    description="Ask the user.",
    parameters={"type": "object", "properties": {"question": {"type": "string"}}},
)


def run_of(ask: Ask, **more: Any) -> RunAgentInput:
    given: dict[str, Any] = {
        "thread_id": ask["session_id"],
        "run_id": "run-1",
        "messages": [UserMessage(id="q1", role="user", content="What is 15 * 23?")],
        "state": {},
        "tools": [],
        "context": [],
        "forwarded_props": {},
    }
    return RunAgentInput(**given | more)


def add_agui(zoo: Zoo) -> None:
    def dumped(make: Callable[[], Any], tools: list[Tool] | None = None, **how: Any) -> Any:
        async def answer(ask: Ask) -> AsyncIterator[Any]:
            config = StrandsAgentConfig(**how)
            adapter = zoo.kept(ask, lambda: StrandsAgent(make(), "agent", config=config))
            more: dict[str, Any] = {"tools": tools or []}
            if "resume" in ask:
                more |= ask["resume"] | {"run_id": "run-2"}
            async for event in adapter.run(run_of(ask, **more)):
                yield event.model_dump(mode="json", by_alias=True, exclude_none=True)

        return answer

    def encoded(make: Callable[[], Any]) -> Any:
        def answer(ask: Ask) -> StreamingResponse:
            encoder = EventEncoder()

            async def events() -> AsyncIterator[str]:
                async for event in StrandsAgent(make(), "agent").run(run_of(ask)):
                    yield encoder.encode(event)

            return StreamingResponse(events(), media_type=encoder.get_content_type())

        return answer

    steps, short = calculating(STEPS), thinking(SHORT)
    zoo.add("agui-dump", dumped(lambda: agent(*steps)), truth(steps, USED))
    zoo.add("agui-sse", encoded(lambda: agent(*steps)), truth(steps, USED))
    zoo.add("agui-thinking", dumped(lambda: agent(*short)), truth(short, USED))
    zoo.add(
        "agui-two-tools",
        dumped(lambda: agent(*together())),
        truth(
            together(),
            USED_WEATHER | {"result": {"holds": "sunny in Rome, Italy"}},
            USED_STOCKS | {"result": {"holds": "AMZN, NASDAQ: 200"}},
        ),
    )
    missed = {"tool": "broken", "args": BROKEN.args}
    zoo.add("agui-failing-tool", dumped(lambda: agent(*failing())), truth(failing(), missed))
    parts = ["".join(ROME), "".join(AMAZON), "".join(CLOSING).strip()]
    zoo.add(
        "agui-graph",
        dumped(lambda: graph),
        {"text": parts},
    )

    def confirming() -> Agent:
        model = ScriptedModel(
            Turn(say=("Let me", " ask", "."), calls=[CONFIRM]), Turn(say=("Good", "."))
        )
        return Agent(model=model, callback_handler=None)

    asked = {
        "text": "Let me ask.",
        "tools": None,
        "inputs": [{"kind": "tool", "tool": ["confirm", CONFIRM.args]}],
        "ends": "input_required",
    }
    zoo.add("agui-frontend-tool", dumped(confirming, tools=[TOOL]), asked)

    def approving() -> Agent:
        model = ScriptedModel(
            Turn(say=("Let me", " see", "."), calls=[DELETE]), Turn(say=("It is", " done", "."))
        )
        return Agent(
            model=model,
            tools=[tool(delete_file)],
            callback_handler=None,
        )

    waiting = {
        "text": "Let me see.",
        "tools": None,
        "inputs": [{"holds": ["it is old"]}],
        "ends": "input_required",
    }

    def interrupting(ask: Ask) -> Any:
        async def events() -> AsyncIterator[Any]:
            adapter = StrandsAgent(approving(), "agent", hooks=[Approval()])
            async for event in adapter.run(run_of(ask)):
                yield event.model_dump(mode="json", by_alias=True, exclude_none=True)

        return events()

    zoo.add("agui-asks", interrupting, waiting)
    call = ToolCall(
        id=CONFIRM.id,
        type="function",
        function=FunctionCall(name="confirm", arguments='{"question": "Really?"}'),
    )
    answered = [
        {"id": "q1", "role": "user", "content": "Delete it."},
        AssistantMessage(
            id="a1", role="assistant", content="Let me ask.", tool_calls=[call]
        ).model_dump(by_alias=True, exclude_none=True),
        ToolMessage(id="t1", role="tool", tool_call_id=CONFIRM.id, content="yes").model_dump(
            by_alias=True, exclude_none=True
        ),
    ]
    zoo.add(
        "agui-frontend-tool-resumed",
        dumped(confirming, tools=[TOOL]),
        {"text": ["Good."], "tools": None, "beside": True},
        asks={"resume": {"messages": answered}},
        after="agui-frontend-tool",
    )
