"""Google's ADK: one agent, agents side by side and in sequence, confirmations; events and dumps."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from container import Zoo
from google.adk.agents import LlmAgent, ParallelAgent, SequentialAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import InMemoryRunner
from google.adk.tools import FunctionTool
from google.adk.tools.agent_tool import AgentTool
from google.genai import types
from pydantic import PrivateAttr
from script import (
    DELETE,
    PIXEL,
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
    paced,
    stocks,
    thinking,
    together,
    truth,
    unhurried,
    weather,
)

Ask = dict[str, Any]


class ScriptedLlm(BaseLlm):
    """Partial responses for each token where it streams, then the whole."""

    turns: list[Turn]
    picture: bool = False
    _player: Player = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._player = Player(self.turns)

    async def generate_content_async(
        self, llm_request: Any, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        turn = self._player.next()
        async for kind, token in paced(turn):
            if stream and kind != "call":
                part = types.Part(text=token, thought=True if kind == "think" else None)
                yield LlmResponse(content=types.Content(role="model", parts=[part]), partial=True)
        parts = []
        if turn.think:
            parts.append(types.Part(text=turn.thought, thought=True))
        if turn.say:
            parts.append(types.Part(text=turn.text))
        for call in turn.calls:
            function = types.FunctionCall(id=call.id, name=call.tool, args=call.args)
            parts.append(types.Part(function_call=function))
        if self.picture:
            blob = types.Blob(data=base64.b64decode(PIXEL), mime_type="image/png")
            parts.append(types.Part(inline_data=blob))
        usage = types.GenerateContentResponseUsageMetadata(
            prompt_token_count=turn.usage[0],
            candidates_token_count=turn.usage[1],
            total_token_count=sum(turn.usage),
        )
        yield LlmResponse(
            content=types.Content(role="model", parts=parts), usage_metadata=usage, partial=False
        )


def agent(
    turns: list[Turn], name: str = "math", tools: list[Any] | None = None, **more: Any
) -> Any:
    used = [calculator, weather, stocks] if tools is None else tools
    return LlmAgent(name=name, model=ScriptedLlm(model="scripted", turns=turns, **more), tools=used)


async def events_of(ask: Ask, made: Any, streaming: bool) -> AsyncIterator[Any]:
    runner = InMemoryRunner(agent=made, app_name="zoo")
    session = await runner.session_service.create_session(
        app_name="zoo", user_id="user", session_id=ask["session_id"]
    )
    asked = types.Content(role="user", parts=[types.Part(text=QUESTION)])
    mode = StreamingMode.SSE if streaming else StreamingMode.NONE
    async for event in runner.run_async(
        user_id="user",
        session_id=session.id,
        new_message=asked,
        run_config=RunConfig(streaming_mode=mode),
    ):
        yield event


def text(event: Any) -> Any:
    if event.content and event.content.parts and event.partial:
        return "".join(p.text for p in event.content.parts if p.text and not p.thought) or None
    return None


WAYS: dict[str, Callable[[Any], Any]] = {
    "raw": lambda event: event,
    "dump": lambda event: event.model_dump(mode="json", by_alias=True, exclude_none=True),
    "dump-snake": lambda event: event.model_dump(mode="json", exclude_none=True),
    "json": lambda event: event.model_dump_json(exclude_none=True, by_alias=True),
    "text": text,
}


def streamed(make: Any, way: Callable[[Any], Any], streaming: bool = True) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        async for event in unhurried(events_of(ask, make(), streaming)):
            told = way(event)
            if told is not None:
                yield told

    return answer


def returned(make: Any, way: Callable[[list[Any]], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> Any:
        return way([event async for event in events_of(ask, make(), False)])

    return answer


def final(events: list[Any]) -> str:
    """AWS's sample."""
    return next(e.content.parts[0].text for e in reversed(events) if e.is_final_response())


def seen(way: str, whole: dict[str, Any]) -> dict[str, Any]:
    if way != "text":
        return whole
    return {name: part for name, part in whole.items() if name not in ("tools", "thinking")}


# ADK wraps what a function returns
USE = {**USED, "result": {"holds": "345"}}
BOTH = [{**USED_WEATHER, "result": {"holds": "sunny"}}, {**USED_STOCKS, "result": {"holds": "200"}}]
ROME, AMAZON = ("It is", " sunny", ":\n", "22 °C", "."), ("AMZN", " is at", ":\n", "200", ".")


def side_by_side() -> Any:
    first = [Turn(say=ROME, pace=0.06)]
    second = [Turn(say=AMAZON, pace=0.06, late=0.03)]
    return ParallelAgent(
        name="both", sub_agents=[agent(first, "rome", []), agent(second, "amazon", [])]
    )


def in_sequence() -> Any:
    return SequentialAgent(
        name="line",
        sub_agents=[
            agent(calculating(SHORT), "first"),
            agent([Turn(say=("All", " done", "."))], "second", []),
        ],
    )


def handing() -> Any:
    hand = Call("call_hand", "transfer_to_agent", {"agent_name": "expert"})
    expert = agent([Turn(say=ROME)], "expert", [])
    model = ScriptedLlm(model="scripted", turns=[Turn(say=("Ask", " him", "."), calls=[hand])])
    return LlmAgent(name="boss", model=model, sub_agents=[expert])


def with_agent_tool() -> Any:
    expert = agent([Turn(say=ROME)], "expert", [])
    ask = Call("call_expert", "expert", {"request": "Rome?"})
    return agent([Turn(calls=[ask]), Turn(say=SHORT)], "boss", [AgentTool(agent=expert)])


def confirming() -> Any:
    tool = FunctionTool(delete_file, require_confirmation=True)
    return agent([Turn(say=("Let me", " see", "."), calls=[DELETE]), Turn(say=())], "files", [tool])


def broken_tool(city: str) -> dict[str, str]:
    """A tool that says that it failed."""
    return {"status": "error", "error_message": "no such city"}


zoo = Zoo("Google ADK", "google-adk")
steps, short = thinking(STEPS), thinking(SHORT)
for way in ("dump", "json", "text"):
    zoo.add(
        f"stream-{way}", streamed(lambda: agent(steps), WAYS[way]), seen(way, truth(steps, USE))
    )
for way in ("raw", "dump-snake"):
    zoo.add(f"stream-{way}", streamed(lambda: agent(short), WAYS[way]), truth(short, USE))
for way in ("dump", "raw"):
    zoo.add(f"whole-{way}", streamed(lambda: agent(short), WAYS[way], False), truth(short, USE))
pair = together()
zoo.add("two-tools", streamed(lambda: agent(pair), WAYS["dump"]), truth(pair, *BOTH))
zoo.add(
    "parallel", streamed(side_by_side, WAYS["dump"]), {"text": ["".join(ROME), "".join(AMAZON)]}
)
zoo.add(
    "parallel-text",
    streamed(
        side_by_side,
        lambda e: {"author": e.author, "text": e.content.parts[0].text} if e.partial else None,
    ),
    {"text": ["".join(ROME), "".join(AMAZON)]},
)
line = {"text": ["Let me see.", "It is 345.", "All done."], "tools": [USE]}
zoo.add("sequence", streamed(in_sequence, WAYS["dump"]), line)
handed = {"text": ["Ask him.", "".join(ROME)], "tools": [], "more_tools": True}
zoo.add("transfer", streamed(handing, WAYS["dump"]), handed)
expert = {"tool": "expert", "args": {"request": "Rome?"}, "result": {"holds": "sunny"}}
zoo.add(
    "agent-tool",
    streamed(with_agent_tool, WAYS["dump"]),
    {"text": ["It is 345."], "beside": True, "tools": [expert]},
)
zoo.add(
    "confirmation",
    streamed(confirming, WAYS["dump"]),
    {
        "text": "Let me see.",
        "tools": None,
        "inputs": [{"tool": ["delete_file", DELETE.args]}],
        "ends": "input_required",
    },
)
lost = [Turn(calls=[Call("call_b", "broken_tool", {"city": "Atlantis"})]), Turn(say=SHORT)]
zoo.add(
    "failing-tool",
    streamed(lambda: agent(lost, tools=[broken_tool]), WAYS["dump"]),
    {"text": "It is 345.", "tools": [{"tool": "broken_tool", "args": {"city": "Atlantis"}}]},
)
zoo.add(
    "picture",
    streamed(lambda: agent([Turn(say=SHORT)], tools=[], picture=True), WAYS["dump"]),
    {"text": "It is 345.", "files": [{"mimeType": "image/png", "data": PIXEL}]},
)
last = truth(calculating(STEPS)[1:])
zoo.add("return-text", returned(lambda: agent(calculating(STEPS)), final), last)
zoo.add(
    "return-result",
    returned(lambda: agent(calculating(STEPS)), lambda events: {"result": final(events)}),
    last,
)
zoo.add(
    "return-events",
    returned(lambda: agent(calculating(STEPS)), lambda events: [WAYS["dump"](e) for e in events]),
    truth(calculating(STEPS), USE),
)


@zoo.scenario("raises", ends="failed")
def raises(ask: Ask) -> Any:
    class Breaking(ScriptedLlm):
        async def generate_content_async(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(SECRET)
            yield

    return events_of(ask, LlmAgent(name="m", model=Breaking(model="s", turns=[])), True)


if __name__ == "__main__":
    zoo.run()
