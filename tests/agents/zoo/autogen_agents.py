"""AutoGen's AgentChat: an assistant, teams, a proxy that asks; raw, dumped, returned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat, Swarm
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, ModelFamily, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from container import Zoo
from script import (
    BROKEN,
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
    broken,
    calculating,
    calculator,
    failing,
    stocks,
    together,
    truth,
    unhurried,
    weather,
)

Ask = dict[str, Any]


class Scripted(ReplayChatCompletionClient):
    """Its tokens are the script's, tool calls among them."""

    def __init__(self, turns: list[Turn]) -> None:
        info = {"vision": False, "function_calling": True, "json_output": False}
        info |= {"family": ModelFamily.UNKNOWN, "structured_output": False}
        super().__init__([""], model_info=info)  # type: ignore[arg-type]
        self.player = Player(turns)

    def made(self, turn: Turn) -> CreateResult:
        calls = [
            FunctionCall(id=c.id, name=c.tool, arguments="".join(c.pieces)) for c in turn.calls
        ]
        return CreateResult(
            finish_reason="function_calls" if calls else "stop",
            content=calls or turn.text,
            usage=RequestUsage(prompt_tokens=turn.usage[0], completion_tokens=turn.usage[1]),
            cached=False,
            thought=(turn.thought or (turn.text if calls else None)) or None,
        )

    async def create(self, *args: Any, **kwargs: Any) -> CreateResult:
        return self.made(self.player.next())

    async def create_stream(self, *args: Any, **kwargs: Any) -> Any:
        turn = self.player.next()
        for token in turn.say:
            yield token
        yield self.made(turn)


def agent(turns: list[Turn], name: str = "math", stream: bool = True, **more: Any) -> Any:
    return AssistantAgent(
        name,
        model_client=Scripted(turns),
        tools=[calculator, weather, stocks, broken],
        model_client_stream=stream,
        reflect_on_tool_use=True,
        **more,
    )


def team() -> Any:
    first = agent([Turn(say=("Rome is", " sunny", ":\n", "22 °C", "."))], "rome")
    second = agent([Turn(say=("AMZN", " is at", " 200", ".", " APPROVE"))], "amazon")
    ends = TextMentionTermination("APPROVE") | MaxMessageTermination(5)
    return RoundRobinGroupChat([first, second], termination_condition=ends)


def swarm() -> Any:
    hand = Call("call_hand", "transfer_to_bob", {})
    alice = AssistantAgent(
        "alice",
        model_client=Scripted([Turn(calls=[hand])]),
        handoffs=["bob"],
        model_client_stream=True,
    )
    bob = agent([Turn(say=("Bob", " is here", ".", " APPROVE"))], "bob")
    return Swarm([alice, bob], termination_condition=TextMentionTermination("APPROVE"))


def plain(event: Any) -> Any:
    if hasattr(event, "model_dump"):
        return event.model_dump(mode="json")
    return None


def text(event: Any) -> Any:
    return event.content if event.type == "ModelClientStreamingChunkEvent" else None


def typed(event: Any) -> Any:
    if not hasattr(event, "source") or event.source == "user":
        return None
    return {"type": event.type, "source": event.source, "content": event.to_text()}


WAYS: dict[str, Callable[[Any], Any]] = {
    "raw": lambda event: event,
    "dump": plain,
    "text": lambda event: text(event) if hasattr(event, "type") else None,
}


def streamed(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        async for event in unhurried(make().run_stream(task=QUESTION)):
            told = way(event)
            if told is not None:
                yield told

    return answer


def returned(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> Any:
        return way(await make().run(task=QUESTION))

    return answer


def seen(way: str, whole: dict[str, Any]) -> dict[str, Any]:
    """Its words before a tool call are told as its thought; bare tokens tell nothing else."""
    return {"text": whole["text"]} if way == "text" else whole


zoo = Zoo("AutoGen AgentChat", "autogen-agentchat", "autogen-core")
answer = [Turn(calls=calculating()[0].calls), Turn(say=STEPS)]
brief = [Turn(calls=calculating()[0].calls), Turn(say=SHORT)]
for way in ("dump", "text"):
    wanted = seen(way, truth(answer, USED))
    zoo.add(f"stream-{way}", streamed(lambda: agent(answer), WAYS[way]), wanted)
printed = {**truth(brief), "tools": None, "never": ["source=", QUESTION, "models_usage"]}
zoo.add("stream-raw", streamed(lambda: agent(brief), WAYS["raw"]), printed)
zoo.add("whole-raw", streamed(lambda: agent(brief, stream=False), WAYS["raw"]), printed)
zoo.add(
    "whole-dump",
    streamed(lambda: agent(answer, stream=False), plain),
    {**truth(answer, USED), "never": [QUESTION]},
)
spoken = {"text": ["Let me see.", "It is 345."], "thinking": None, "tools": [USED]}
zoo.add("said-before-a-tool", streamed(lambda: agent(calculating(SHORT)), plain), spoken)
mused = [Turn(think=("I need", " care", "."), calls=calculating()[0].calls), Turn(say=SHORT)]
zoo.add("thought", streamed(lambda: agent(mused), plain), truth(mused, USED))
zoo.add(
    "two-tools",
    streamed(lambda: agent(together()), plain),
    truth(together(), USED_WEATHER, USED_STOCKS),
)
missed = {"tool": "broken", "args": BROKEN.args, "error": {"holds": "no such city"}}
zoo.add("failing-tool", streamed(lambda: agent(failing()), plain), truth(failing(), missed))
both = {"text": ["Rome is sunny:\n22 °C.", "AMZN is at 200. APPROVE"]}
for way in ("dump", "raw", "text"):
    zoo.add(f"team-{way}", streamed(team, WAYS[way]), {**both, "never": [QUESTION]})
zoo.add("team-typed", streamed(team, lambda e: typed(e)), both)
bob = {"text": ["Bob is here. APPROVE"], "beside": True, "tools": [], "more_tools": True}
zoo.add("swarm-dump", streamed(swarm, plain), bob)
results: dict[str, Callable[[Any], Any]] = {
    "result": lambda r: {"result": r.messages[-1].content},  # AWS's template and sample
    "text": lambda r: r.messages[-1].content,
    "message": lambda r: r.messages[-1].model_dump(mode="json"),
}
for name, how in results.items():
    zoo.add(f"return-{name}", returned(lambda: agent(answer), how), truth(answer[1:]))
zoo.add(
    "return-task-result",
    returned(lambda: agent(answer), lambda r: r.model_dump(mode="json")),
    {**truth(answer, USED), "never": [QUESTION]},
)
unechoed = {**both, "never": [QUESTION]}
zoo.add("return-team", returned(team, lambda r: r.model_dump(mode="json")), unechoed)


@zoo.scenario("raises", ends="failed")
def raises(ask: Ask) -> Any:
    class Breaking(Scripted):
        async def create_stream(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(SECRET)
            yield

    made = AssistantAgent("m", model_client=Breaking([]), model_client_stream=True)
    return made.run_stream(task=QUESTION)


if __name__ == "__main__":
    zoo.run()
