"""OpenAI's Agents SDK over Responses and chat completions, yielded raw, filtered, returned."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
)
from container import Zoo
from openai import AsyncOpenAI
from openai_server import base_url, model_of
from pydantic import BaseModel
from script import (
    BROKEN,
    DELETE,
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
    delete_file,
    failing,
    stocks,
    thinking,
    together,
    truth,
    unhurried,
    weather,
)

Ask = dict[str, Any]
QUESTION = "What is 15 * 23?"
TOOLS = [function_tool(use) for use in (calculator, weather, stocks, broken)]


def model(turns: Sequence[Turn], chat: bool = False) -> Any:
    kind = OpenAIChatCompletionsModel if chat else OpenAIResponsesModel
    client = AsyncOpenAI(base_url=base_url(), api_key="none")
    return kind(model=model_of(turns), openai_client=client)


def agent(turns: Sequence[Turn], chat: bool = False, name: str = "math", **more: Any) -> Any:
    return Agent(name=name, model=model(turns, chat), tools=list(TOOLS), **more)


def plain(event: Any) -> Any:
    """As JSON: raw deltas, and items by their raw item."""
    match event.type:
        case "raw_response_event":
            return {"type": event.type, "data": event.data.model_dump(exclude_none=True)}
        case "run_item_stream_event":
            raw = event.item.raw_item
            raw = raw if isinstance(raw, dict) else raw.model_dump(exclude_none=True)
            item = {"type": event.item.type, "raw_item": raw}
            if hasattr(event.item, "output"):
                item["output"] = str(event.item.output)
            return {"type": event.type, "name": event.name, "item": item}
        case "agent_updated_stream_event":
            return {"type": event.type, "new_agent": {"name": event.new_agent.name}}
    return None


def raw_of(item: Any) -> Any:
    return item.raw_item if isinstance(item.raw_item, dict) else item.raw_item.model_dump()


def data(event: Any) -> Any:
    """The model's own events, as many samples pass them on."""
    return event.data.model_dump() if event.type == "raw_response_event" else None


def text(event: Any) -> Any:
    """The documentation's way: only the deltas of text."""
    if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
        return event.data.delta
    return None


def items(event: Any) -> Any:
    """The documentation's other way: items as they are whole."""
    if event.type != "run_item_stream_event":
        return None
    match event.item.type:
        case "tool_call_item":
            raw = event.item.raw_item
            args = json.loads(raw.arguments)
            return {"type": "tool_call", "id": raw.call_id, "name": raw.name, "args": args}
        case "tool_call_output_item":
            call = event.item.raw_item["call_id"]
            return {"type": "tool_output", "id": call, "output": event.item.output}
        case "message_output_item":
            said = "".join(part.text for part in event.item.raw_item.content)
            return {"type": "message_output", "content": said}
    return None


def streamed(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        result = Runner.run_streamed(make(), QUESTION)
        async for event in unhurried(result.stream_events()):
            told = way(event)
            if told is not None:
                yield told

    return answer


def returned(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> Any:
        return way(await Runner.run(make(), QUESTION))

    return answer


WAYS: dict[str, Callable[[Any], Any]] = {
    "raw": lambda event: event,
    "plain": plain,
    "data": data,
    "text": text,
    "items": items,
}


def seen(way: str, whole: dict[str, Any]) -> dict[str, Any]:
    left = dict(whole)
    if way in ("text", "items"):
        left.pop("thinking", None)
    if way == "text":
        left.pop("tools", None)
    if way == "data" and "tools" in left:  # the model never hears of results in its own words
        left["tools"] = [{"tool": use["tool"], "args": use["args"]} for use in left["tools"]]
    return left


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def handing() -> Any:
    """A triage agent that hands over."""
    math = agent(calculating(SHORT), name="math")
    hand = Call("call_hand", "transfer_to_math", {})
    triage = model([Turn(say=("Math", " knows", "."), calls=[hand])])
    return Agent(name="triage", model=triage, handoffs=[math])


def asking_expert() -> Any:
    expert = agent([Turn(say=("It is", " sunny", "."))], name="expert")
    ask = Call("call_expert", "ask_expert", {"input": "Rome?"})
    tool = expert.as_tool("ask_expert", "Ask the expert.")
    return Agent(name="boss", model=model([Turn(calls=[ask]), Turn(say=SHORT)]), tools=[tool])


def approving() -> Any:
    tool = function_tool(delete_file, needs_approval=True)
    turns = [Turn(say=("Let me", " see", "."), calls=[DELETE]), Turn(say=("It is", " done", "."))]
    return Agent(name="files", model=model(turns), tools=[tool])


zoo = Zoo("OpenAI Agents SDK", "openai-agents", "openai")
steps = thinking(STEPS)
for way in ("plain", "data", "text", "items"):
    wanted = seen(way, truth(steps, USED))
    zoo.add(f"responses-{way}", streamed(lambda: agent(steps), WAYS[way]), wanted)

short = thinking(SHORT)
printed = {**truth(short), "thinking": None, "tools": None}
zoo.add("responses-raw", streamed(lambda: agent(short), WAYS["raw"]), printed)
chats = calculating(SHORT)
for way in ("plain", "data", "text"):
    zoo.add(
        f"chat-{way}",
        streamed(lambda: agent(chats, chat=True), WAYS[way]),
        seen(way, truth(chats, USED)),
    )
missed = {"tool": "broken", "args": BROKEN.args}
for way in ("plain", "items"):
    zoo.add(
        f"two-tools-{way}",
        streamed(lambda: agent(together()), WAYS[way]),
        truth(together(), USED_WEATHER, USED_STOCKS),
    )
    zoo.add(
        f"failing-tool-{way}",
        streamed(lambda: agent(failing()), WAYS[way]),
        truth(failing(), missed),
    )
handed = {"text": ["Math knows.", "Let me see.", "It is 345."], "tools": [USED], "more_tools": True}
for way in ("plain", "data", "items"):
    zoo.add(f"handoff-{way}", streamed(handing, WAYS[way]), seen(way, handed))
expert_used = {"tool": "ask_expert", "args": {"input": "Rome?"}, "result": "It is sunny."}
zoo.add(
    "agent-as-tool-plain",
    streamed(asking_expert, plain),
    {"text": "It is 345.", "tools": [expert_used]},
)
final = truth(calculating(STEPS)[1:])
results: dict[str, Callable[[Any], Any]] = {
    "result": lambda r: {"result": r.final_output},
    "text": lambda r: r.final_output,
    "final-output": lambda r: {"final_output": r.final_output, "last_agent": r.last_agent.name},
}
for name, how in results.items():
    zoo.add(f"return-{name}", returned(lambda: agent(calculating(STEPS)), how), final)
zoo.add(
    "return-input-list",
    returned(lambda: agent(calculating(STEPS)), lambda r: {"messages": r.to_input_list()}),
    truth(calculating(STEPS), USED),
)
zoo.add(
    "return-items",
    returned(
        lambda: agent(calculating(STEPS)),
        lambda r: [
            i.raw_item if isinstance(i.raw_item, dict) else i.raw_item.model_dump()
            for i in r.new_items
        ],
    ),
    truth(calculating(STEPS), USED),
)
person = [Turn(say=('{"name": ', '"Jo Ann"', ', "age": 3}'))]
zoo.add(
    "structured-return",
    returned(lambda: agent(person, output_type=Person), lambda r: {"result": r.final_output}),
    {"holds": ["Jo Ann"]},
)
zoo.add(
    "structured-text",
    streamed(lambda: agent(person, output_type=Person), text),
    {"holds": ["Jo Ann"]},
)
waiting = {
    "text": "Let me see.",
    "tools": None,
    "inputs": [{"tool": ["delete_file", DELETE.args]}],
    "ends": "input_required",
}
zoo.add("approval-plain", streamed(approving, plain), waiting)
zoo.add(
    "approval-return",
    returned(
        approving,
        lambda r: {
            "status": "interrupted",
            "interruptions": [
                {"type": i.type, "raw_item": i.raw_item.model_dump()} for i in r.interruptions
            ],
        },
    ),
    waiting | {"text": None},
)


@zoo.scenario("raises", ends="failed")
async def raises(ask: Ask) -> AsyncIterator[Any]:
    yield {"type": "agent_updated_stream_event", "new_agent": {"name": "math"}}
    raise RuntimeError(SECRET)


if __name__ == "__main__":
    zoo.run()
