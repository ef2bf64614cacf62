"""One Strands agent in every way that its documentation and AWS's samples yield it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from container import Zoo
from pydantic import BaseModel
from script import (
    BROKEN,
    SECRET,
    SHORT,
    STEPS,
    USED,
    USED_STOCKS,
    USED_WEATHER,
    Call,
    Turn,
    broken,
    calculating,
    calculator,
    failing,
    stocks,
    thinking,
    together,
    truth,
    weather,
)
from strands import Agent, tool
from strands.hooks import AfterToolCallEvent, BeforeToolCallEvent, HookProvider, HookRegistry
from strands_models import (
    Ask,
    ScriptedModel,
    converse,
    data,
    default_str,
    filtered,
    raw,
    returned,
    sse,
    streamed,
    text,
    typed,
)


def agent(*turns: Turn, **more: Any) -> Agent:
    tools = [tool(use) for use in (calculator, weather, stocks, broken)]
    return Agent(model=ScriptedModel(*turns), tools=tools, callback_handler=None, **more)


WAYS: dict[str, Callable[[Any], Any]] = {
    "raw": raw,
    "default-str": default_str,
    "filtered": filtered,
    "typed": typed,
    "converse": converse,
    "data": data,
    "text": text,
    "sse": sse,
}
TEXT_ONLY = ("data", "text", "sse")


def seen(way: str, whole: dict[str, Any]) -> dict[str, Any]:
    """What of the truth that way of yielding still holds."""
    if way in TEXT_ONLY:
        return {name: value for name, value in whole.items() if name not in ("tools", "thinking")}
    if way == "converse":  # Bedrock's events have no results
        tools = [{"tool": t["tool"], "args": t["args"]} for t in whole.get("tools", [])]
        return {**whole, "tools": tools}
    return whole


def add_single(zoo: Zoo) -> None:
    for way, told in WAYS.items():
        long = way not in ("raw", "default-str")
        turns = thinking(STEPS if long else SHORT)
        zoo.add(
            f"single-{way}",
            streamed(lambda turns=turns: agent(*turns), told),
            seen(way, truth(turns, USED)),
        )
    pair = together()
    missed = {"tool": "broken", "args": BROKEN.args, "error": {"holds": "no such city"}}
    for way in ("filtered", "converse", "raw"):
        zoo.add(
            f"two-tools-{way}",
            streamed(lambda: agent(*pair), WAYS[way]),
            seen(way, truth(pair, USED_WEATHER, USED_STOCKS)),
        )
        zoo.add(
            f"failing-tool-{way}",
            streamed(lambda: agent(*failing()), WAYS[way]),
            seen(way, truth(failing(), missed)),
        )
    add_results(zoo)
    add_more(zoo)


def add_results(zoo: Zoo) -> None:
    turns = calculating(STEPS)
    last = truth(turns[1:])

    def plain() -> Agent:
        return agent(*turns)

    ways: dict[str, Callable[[Any], Any]] = {
        "result": lambda result: result,
        "result-field": lambda result: {"result": result},
        "message": lambda result: result.message,
        "message-field": lambda result: {"result": result.message},
        "message-response": lambda result: {"message": result.message},
        "text": lambda result: str(result),
        "text-field": lambda result: {"result": str(result)},
        "first-text": lambda result: result.message["content"][0]["text"],
        "to-dict": lambda result: result.to_dict(),
        "message-and-usage": lambda result: {
            "response": result.message,
            "usage": result.metrics.accumulated_usage,
        },
        "success": lambda result: {
            "status": "success",
            "response": str(result),
            "metadata": {"stop_reason": result.stop_reason},
        },
    }
    for name, way in ways.items():
        printed = {"text": [last["text"]]}  # a result as text ends in a line end
        zoo.add(f"return-{name}", returned(plain, way), printed)

    @zoo.scenario("raises", text="Before it broke.", ends="failed")  # AWS's full-stack template
    async def raises(ask: Ask) -> AsyncIterator[Any]:
        try:
            async for event in agent(Turn(say=("Before", " it broke", "."))).stream_async("?"):
                if "data" in event:
                    yield {"data": event["data"]}
            raise RuntimeError(SECRET)
        except RuntimeError as error:
            yield {"status": "error", "error": str(error)}

    @zoo.scenario("raises-inside", ends="failed")
    def raises_inside(ask: Ask) -> Any:
        class Breaking(ScriptedModel):
            async def stream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
                yield {"messageStart": {"role": "assistant"}}
                raise RuntimeError(SECRET)

        return Agent(model=Breaking(), callback_handler=None).stream_async("?")


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class Log(HookProvider):
    """Tells tools as they run, into the same stream."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        registry.add_callback(BeforeToolCallEvent, self.before)
        registry.add_callback(AfterToolCallEvent, self.after)

    def before(self, event: BeforeToolCallEvent) -> None:
        use = event.tool_use
        self.told.append({"type": "tool_call", "tool": use["name"], "parameters": use["input"]})

    def after(self, event: AfterToolCallEvent) -> None:
        words = event.result["content"][0]["text"]
        name = event.tool_use["name"]
        self.told.append({"type": "tool_result", "tool": name, "text": words})


@tool
async def slow_search(query: str) -> AsyncIterator[Any]:
    """Search, and say how far it is."""
    yield "Searching page 1"
    yield {"progress": 50}
    yield "3 pages found"


def add_more(zoo: Zoo) -> None:
    call = Call("call_person", "Person", {"name": "Jo Ann", "age": 3})
    held = {"holds": ["Jo Ann"], "tools": None}

    def structured() -> Agent:
        return agent(Turn(calls=[call]), structured_output_model=Person)

    for way in ("raw", "filtered", "default-str"):
        zoo.add(f"structured-{way}", streamed(structured, WAYS[way]), held)
    zoo.add(
        "structured-return",
        returned(structured, lambda result: {"result": result.structured_output}),
        held,
    )
    zoo.add(
        "structured-return-dump",
        returned(structured, lambda result: result.structured_output.model_dump()),
        held,
    )
    zoo.add("structured-return-result", returned(structured, lambda result: result), held)
    zoo.add(
        "structured-return-message",
        returned(structured, lambda result: {"result": result.message}),
        held,
    )

    turns = calculating(SHORT)

    @zoo.scenario("hooks", **truth(turns, USED))
    async def hooks(ask: Ask) -> AsyncIterator[Any]:
        log = Log()
        async for event in agent(*turns, hooks=[log]).stream_async("?"):
            while log.told:
                yield log.told.pop(0)
            if "data" in event:
                yield {"type": "text_delta", "delta": event["data"]}
            if "result" in event:
                yield {"type": "result", "text": str(event["result"]), "tool_path": "in-process"}

    search = Call("call_search", "slow_search", {"query": "Rome"})
    looking = [Turn(calls=[search]), Turn(say=SHORT)]
    found = {"tool": "slow_search", "args": search.args, "result": "3 pages found"}

    def searching() -> Agent:
        return Agent(model=ScriptedModel(*looking), tools=[slow_search], callback_handler=None)

    for way in ("raw", "default-str"):
        zoo.add(
            f"tool-stream-{way}",
            streamed(searching, WAYS[way]),
            truth(looking, found, never=["Searching page"]),
        )

    def citing() -> Agent:
        model = ScriptedModel(Turn(say=("Rome is", " sunny", ".")), cites="https://example.com/r")
        return Agent(model=model, callback_handler=None)

    for way in ("raw", "filtered", "converse"):
        zoo.add(
            f"cited-{way}",
            streamed(citing, WAYS[way]),
            {"text": "Rome is sunny.", "sources": ["https://example.com/r"]},
        )

    def redacting() -> Agent:
        model = ScriptedModel(Turn(say=("Buy", " it")), redacts="[This was blocked.]")
        return Agent(model=model, callback_handler=None)

    for way in ("raw", "converse"):
        zoo.add(
            f"redacted-{way}",
            streamed(redacting, WAYS[way]),
            {"text": ["[This was blocked.]"], "beside": True, "customs": ["redact"]},
        )
