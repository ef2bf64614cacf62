"""AG2: the events of its stream, dumped in several ways and printed, and replies."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from ag2 import Agent
from ag2.config import LLMClient, ModelConfig
from ag2.events import (
    ModelMessage,
    ModelMessageChunk,
    ModelReasoning,
    ModelResponse,
    ToolCallEvent,
    ToolCallsEvent,
    Usage,
)
from container import Zoo
from pydantic import BaseModel
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


class Client(LLMClient):
    def __init__(self, turns: list[Turn]) -> None:
        self.player = Player(turns)

    async def __call__(self, messages: Any, context: Any, **more: Any) -> ModelResponse:
        turn = self.player.next()
        for kind, what in turn.tokens():
            if kind == "think":
                await context.send(ModelReasoning(what))
            elif kind == "say":
                await context.send(ModelMessageChunk(what))
        message = ModelMessage(turn.text) if turn.say else None
        if message is not None:
            await context.send(message)
        calls = [ToolCallEvent(c.tool, id=c.id, arguments=json.dumps(c.args)) for c in turn.calls]
        return ModelResponse(
            message,
            tool_calls=ToolCallsEvent(calls),
            usage=Usage(*turn.usage, sum(turn.usage)),
        )


class Config(ModelConfig):
    provider = model = "fake"

    def __init__(self, turns: list[Turn]) -> None:
        self.client = Client(turns)

    def copy(self) -> Config:
        return self

    def create(self) -> Client:
        return self.client

    def create_files_client(self) -> Any:
        raise NotImplementedError


def agent(turns: list[Turn], **more: Any) -> Any:
    tools = [calculator, weather, stocks, broken]
    return Agent("math", "You calculate.", config=Config(turns), tools=tools, **more)


def streamed(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        over = object()
        queue: asyncio.Queue[Any] = asyncio.Queue()
        async with make().run(QUESTION) as run:

            async def heard(event: Any) -> None:
                await queue.put(event)

            run.stream.subscribe(heard)
            result = asyncio.ensure_future(run.result())
            result.add_done_callback(lambda _: queue.put_nowait(over))
            while (event := await queue.get()) is not over:
                told = way(event)
                if told is not None:
                    yield told
            await result

    return answer


def returned(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> Any:
        found = way(await make().ask(QUESTION))
        return await found if inspect.isawaitable(found) else found

    return answer


def typed(event: Any) -> Any:
    return {"type": type(event).__name__, **event.to_dict()}


async def history(reply: Any) -> Any:
    return [typed(event) for event in await reply.history.get_events()]


class Person(BaseModel):
    """A person."""

    name: str
    age: int


zoo = Zoo("AG2", "ag2")
steps, short = thinking(STEPS), thinking(SHORT)
said = truth([Turn(say=["Let me see."]), Turn(say=STEPS)])
zoo.add("events-raw", streamed(lambda: agent(short), lambda event: event), truth(short, USED))
zoo.add("events-typed", streamed(lambda: agent(steps), typed), truth(steps, USED))
zoo.add(
    "events-named",
    streamed(lambda: agent(steps), lambda e: {"event": type(e).__name__, "data": e.to_dict()}),
    truth(steps, USED),
)
zoo.add(
    "chunks-text",
    streamed(
        lambda: agent(steps),
        lambda event: event.content if isinstance(event, ModelMessageChunk) else None,
    ),
    said,
)
zoo.add(
    "two-tools",
    streamed(lambda: agent(together()), typed),
    truth(together(), USED_WEATHER, USED_STOCKS),
)
zoo.add(
    "failing-tool",
    streamed(lambda: agent(failing()), typed),
    truth(failing(), {"tool": "broken", "args": BROKEN.args, "error": None}, never=["Traceback"]),
)
last = truth([Turn(say=STEPS)])
zoo.add("return-body", returned(lambda: agent(steps), lambda reply: reply.body), last)
zoo.add(
    "return-response",
    returned(lambda: agent(steps), lambda reply: reply.response.to_dict()),
    last,
)
zoo.add("return-response-raw", returned(lambda: agent(steps), lambda reply: reply.response), last)
zoo.add("return-history", returned(lambda: agent(steps), history), said | {"tools": [USED]})
zoo.add(
    "return-reply",
    returned(lambda: agent(short), lambda reply: reply),
    {"ends": "failed"},  # it prints no more than its address
)
person = [Turn(say=('{"name": "Jo Ann", "age": 3}',))]
zoo.add(
    "structured",
    returned(lambda: agent(person, response_schema=Person), lambda reply: reply.content()),
    {"holds": ["Jo Ann"]},
)


@zoo.scenario("raises", text="Before it broke.", ends="failed")
async def raises(ask: Ask) -> AsyncIterator[Any]:
    answer = streamed(lambda: agent([Turn(say=("Before", " it broke", "."))]), typed)
    async for event in answer(ask):
        yield event
    raise RuntimeError(SECRET)


if __name__ == "__main__":
    zoo.run()
