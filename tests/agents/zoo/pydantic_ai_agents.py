"""Pydantic AI: run events, node by node text, AG-UI and Vercel adapters, results."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from container import Zoo
from pydantic import BaseModel
from pydantic_ai import Agent, DeferredToolRequests, Tool
from pydantic_ai.messages import (
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaThinkingPart,
    DeltaToolCall,
    FunctionModel,
)
from script import (
    DELETE,
    QUESTION,
    SECRET,
    SHORT,
    STEPS,
    USED,
    USED_STOCKS,
    USED_WEATHER,
    Call,
    Player,
    Turn,
    calculating,
    calculator,
    delete_file,
    stocks,
    thinking,
    together,
    truth,
    unhurried,
    weather,
)
from starlette.responses import StreamingResponse

Ask = dict[str, Any]


def model(turns: list[Turn]) -> FunctionModel:
    player = Player(turns)

    def whole(messages: Any, info: AgentInfo) -> ModelResponse:
        turn = player.next()
        parts: list[Any] = [ThinkingPart(turn.thought)] if turn.think else []
        parts += [TextPart(turn.text)] if turn.say else []
        parts += [ToolCallPart(c.tool, c.args, tool_call_id=c.id) for c in turn.calls]
        return ModelResponse(parts=parts)

    async def stream(messages: Any, info: AgentInfo) -> AsyncIterator[Any]:
        turn = player.next()
        for text in turn.think:
            yield {0: DeltaThinkingPart(content=text)}
        for text in turn.say:
            yield text
        for at, call in enumerate(turn.calls, start=5):
            yield {at: DeltaToolCall(name=call.tool, json_args="", tool_call_id=call.id)}
            for piece in call.pieces:
                yield {at: DeltaToolCall(json_args=piece)}

    return FunctionModel(whole, stream_function=stream)


def agent(turns: list[Turn], **more: Any) -> Any:
    return Agent(model(turns), name="math", tools=[calculator, weather, stocks], **more)


def dumped(event: Any) -> Any:
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(event)


def streamed(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        async with make().run_stream_events(QUESTION) as events:
            async for event in unhurried(events):
                told = way(event)
                if told is not None:
                    yield told

    return answer


def texts(make: Callable[[], Any], **how: Any) -> Callable[[Ask], Any]:
    """`run_stream` and `stream_text`, the documentation's first way."""

    async def answer(ask: Ask) -> AsyncIterator[Any]:
        async with make().run_stream(QUESTION) as result:
            async for text in result.stream_text(debounce_by=None, **how):
                yield text

    return answer


def returned(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> Any:
        return way(await make().run(QUESTION))

    return answer


def adapted(make: Callable[[], Any], kind: str) -> Callable[[Ask], Any]:
    """The adapters of pydantic_ai.ui, as SSE."""

    async def answer(ask: Ask) -> Any:
        if kind == "ag-ui":
            from ag_ui.core import RunAgentInput, UserMessage
            from pydantic_ai.ui.ag_ui import AGUIAdapter as Adapter

            given: Any = RunAgentInput(
                thread_id=ask["session_id"],
                run_id="run-1",
                messages=[UserMessage(id="q1", role="user", content=QUESTION)],
                state={},
                tools=[],
                context=[],
                forwarded_props={},
            )
        else:
            from pydantic_ai.ui.vercel_ai import VercelAIAdapter as Adapter
            from pydantic_ai.ui.vercel_ai.request_types import SubmitMessage, TextUIPart, UIMessage

            asked = UIMessage(id="q1", role="user", parts=[TextUIPart(text=QUESTION)])
            given = SubmitMessage(id="chat", messages=[asked])
        adapter = Adapter(agent=make(), run_input=given, accept="text/event-stream")
        events = adapter.encode_stream(adapter.run_stream())
        return StreamingResponse(events, media_type="text/event-stream")

    return answer


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def approving() -> Any:
    turns = [Turn(say=("Let me", " see", "."), calls=[DELETE])]
    tool = Tool(delete_file, requires_approval=True)
    return Agent(model(turns), tools=[tool], output_type=[str, DeferredToolRequests])


zoo = Zoo("Pydantic AI", "pydantic-ai-slim")
steps, short = thinking(STEPS), thinking(SHORT)
zoo.add("events-raw", streamed(lambda: agent(short), lambda event: event), truth(short, USED))
zoo.add("events-dump", streamed(lambda: agent(steps), dumped), truth(steps, USED))
zoo.add(
    "events-json",
    streamed(lambda: agent(short), lambda event: json.dumps(dumped(event))),
    truth(short, USED),
)
zoo.add(
    "events-two-tools",
    streamed(lambda: agent(together()), dumped),
    truth(together(), USED_WEATHER, USED_STOCKS),
)
answer = truth(calculating(STEPS)[1:])
plain = [Turn(calls=calculating()[0].calls), Turn(say=STEPS)]
zoo.add("text-deltas", texts(lambda: agent(plain), delta=True), answer)
zoo.add("text-so-far", texts(lambda: agent(plain)), answer)
for kind in ("ag-ui", "vercel"):
    zoo.add(f"{kind}-adapter", adapted(lambda: agent(steps), kind), truth(steps, USED))
zoo.add("return-output", returned(lambda: agent(plain), lambda r: r.output), answer)
zoo.add("return-result", returned(lambda: agent(plain), lambda r: {"result": r.output}), answer)
zoo.add("return-run-result", returned(lambda: agent(plain), lambda r: r), answer | {"tools": None})
zoo.add(
    "return-messages",
    returned(lambda: agent(plain), lambda r: json.loads(r.all_messages_json())),
    answer | {"tools": [USED]},
)
person = [Turn(calls=[Call("call_p", "final_result", {"name": "Jo Ann", "age": 3})])]
zoo.add(
    "structured-return",
    returned(lambda: agent(person, output_type=Person), lambda r: {"result": r.output}),
    {"holds": ["Jo Ann"]},
)
zoo.add(
    "structured-events",
    streamed(lambda: agent(person, output_type=Person), dumped),
    {"holds": ["Jo Ann"], "tools": None},
)
waiting = {
    "text": None,
    "tools": None,
    "inputs": [{"tool": ["delete_file", DELETE.args]}],
    "ends": "input_required",
}
zoo.add("approval-return", returned(approving, lambda r: {"result": r.output}), waiting)
zoo.add("approval-events", streamed(approving, dumped), waiting | {"text": "Let me see."})


@zoo.scenario("raises", text="Before it broke.", ends="failed")
async def raises(ask: Ask) -> AsyncIterator[Any]:
    async with agent([Turn(say=("Before", " it broke", "."))]).run_stream("?") as result:
        async for text in result.stream_text(delta=True, debounce_by=None):
            yield {"text": text}
    raise RuntimeError(SECRET)


if __name__ == "__main__":
    zoo.run()
