"""Haystack: chunks of an agent's stream, messages, results of agents and pipelines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from container import Zoo
from haystack import Pipeline, component
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage, StreamingChunk, ToolCall
from haystack.dataclasses.chat_message import ReasoningContent
from haystack.dataclasses.streaming_chunk import ComponentInfo, ToolCallDelta
from haystack.tools import create_tool_from_function
from script import (
    BROKEN,
    QUESTION,
    SECRET,
    SHORT,
    STEPS,
    USED,
    USED_STOCKS,
    USED_WEATHER,
    Player,
    Turn,
    broken,
    calculator,
    failing,
    stocks,
    thinking,
    together,
    truth,
    weather,
)

Ask = dict[str, Any]
TOOLS = [create_tool_from_function(function) for function in (calculator, weather, stocks, broken)]


def chunks(turn: Turn, info: ComponentInfo) -> list[StreamingChunk]:
    found = []
    more: dict[str, Any] = {"component_info": info}
    for kind, what in turn.tokens():
        if kind == "think":
            found.append(StreamingChunk("", reasoning=ReasoningContent(what), index=0, **more))
        elif kind == "say":
            found.append(StreamingChunk(what, index=1, **more))
        else:
            at = 2 + list(turn.calls).index(what)
            pieces = [ToolCallDelta(at, what.tool, id=what.id)]
            pieces += [ToolCallDelta(at, arguments=piece) for piece in what.pieces]
            found += [StreamingChunk("", tool_calls=[p], index=at, **more) for p in pieces]
    ended: Any = "tool_calls" if turn.calls else "stop"
    return [*found, StreamingChunk("", finish_reason=ended, **more)]


@component
class Generator:
    def __init__(self, turns: Any = ()) -> None:
        self.player = Player(turns)

    @component.output_types(replies=list[ChatMessage])
    def run(
        self,
        messages: list[ChatMessage],
        tools: Any = None,
        streaming_callback: Any = None,
    ) -> dict[str, Any]:
        turn = self.player.next()
        if streaming_callback is not None:
            for chunk in chunks(turn, ComponentInfo.from_component(self)):
                streaming_callback(chunk)
        used, made = turn.usage
        reply = ChatMessage.from_assistant(
            turn.text or None,
            reasoning=turn.thought or None,
            tool_calls=[ToolCall(call.tool, call.args, id=call.id) for call in turn.calls],
            meta={"usage": {"prompt_tokens": used, "completion_tokens": made}},
        )
        return {"replies": [reply]}


def agent(turns: list[Turn]) -> Any:
    return Agent(
        chat_generator=Generator(turns), tools=TOOLS, raise_on_tool_invocation_failure=False
    )


def asked() -> list[ChatMessage]:
    return [ChatMessage.from_user(QUESTION)]


def streamed(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[Any]()

        def heard(chunk: Any) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, chunk)

        def run() -> None:
            make().run(messages=asked(), streaming_callback=heard)
            loop.call_soon_threadsafe(queue.put_nowait, None)

        running = asyncio.ensure_future(asyncio.to_thread(run))
        while (chunk := await queue.get()) is not None:
            yield way(chunk)
        await running

    return answer


def returned(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    def answer(ask: Ask) -> Any:
        return way(make().run(messages=asked()))

    return answer


def pipeline(ask: Ask) -> dict[str, Any]:
    pipe = Pipeline()
    pipe.add_component("llm", Generator(thinking(STEPS)[1:]))
    result: dict[str, Any] = pipe.run({"llm": {"messages": asked()}})
    return result


def pipeline_dumped(ask: Ask) -> Any:
    return {"llm": {"replies": [m.to_dict() for m in pipeline(ask)["llm"]["replies"]]}}


zoo = Zoo("Haystack", "haystack-ai")
steps, short = thinking(STEPS), thinking(SHORT)
said = truth([Turn(say=["Let me see."]), Turn(say=STEPS)])
last = truth(steps[1:])
zoo.add("chunks-text", streamed(lambda: agent(steps), lambda chunk: chunk.content), said)
zoo.add("chunks-raw", streamed(lambda: agent(short), lambda chunk: chunk), truth(short, USED))
zoo.add(
    "chunks-dict", streamed(lambda: agent(steps), lambda chunk: chunk.to_dict()), truth(steps, USED)
)
zoo.add(
    "two-tools",
    streamed(lambda: agent(together()), lambda chunk: chunk.to_dict()),
    truth(together(), USED_WEATHER, USED_STOCKS),
)
zoo.add(
    "failing-tool",
    streamed(lambda: agent(failing()), lambda chunk: chunk.to_dict()),
    truth(failing(), {"tool": "broken", "args": BROKEN.args, "error": None}),
)
zoo.add(
    "return-text",
    returned(lambda: agent(steps), lambda result: result["last_message"].text),
    truth([Turn(say=STEPS)]),
)
zoo.add(
    "return-message",
    returned(lambda: agent(steps), lambda result: result["last_message"].to_dict()),
    last,
)
zoo.add(
    "return-messages",
    returned(lambda: agent(steps), lambda r: [message.to_dict() for message in r["messages"]]),
    truth(steps, USED),
)
zoo.add("return-result", returned(lambda: agent(steps), lambda r: r), truth(steps, USED))
zoo.add(
    "return-openai",
    returned(lambda: agent(steps), lambda r: [m.to_openai_dict_format() for m in r["messages"]]),
    said | {"tools": [USED]},
)
zoo.add("pipeline-raw", pipeline, last)
zoo.add("pipeline-dict", pipeline_dumped, last)


@zoo.scenario("raises", text="Before it broke.", ends="failed")
async def raises(ask: Ask) -> AsyncIterator[Any]:
    answer = streamed(lambda: agent([Turn(say=("Before", " it broke", "."))]), lambda c: c)
    async for chunk in answer(ask):
        yield chunk
    raise RuntimeError(SECRET)


if __name__ == "__main__":
    zoo.run()
