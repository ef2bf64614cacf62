"""Strands with several speakers: graphs with nodes side by side, swarms, agents as tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from container import Zoo
from script import (
    STOCKS,
    USED_STOCKS,
    USED_WEATHER,
    WEATHER,
    Call,
    Turn,
    stocks,
    weather,
)
from strands import Agent, tool
from strands.multiagent import GraphBuilder, Swarm
from strands_models import ScriptedModel, default_str, filtered, raw, returned, streamed

ROME = ("It is", " sunny", ":\n", "22 °C", ".")
AMAZON = ("AMZN", " is at", ":\n", "200", ".")
CLOSING = ("All", " done", ":\n\n", "- 345", "\n")


def member(name: str, *turns: Turn, tools: list[Any] | None = None) -> Agent:
    used = [tool(use) for use in tools or []]
    return Agent(name=name, model=ScriptedModel(*turns), tools=used, callback_handler=None)


def graph(most: int = 100) -> Any:
    """Two nodes side by side whose tokens and arguments arrive in turn, and one behind them."""
    pace = 0.08
    rome = member(
        "rome",
        Turn(calls=[WEATHER]),
        Turn(say=ROME[:most], pace=pace, late=0.4),
        tools=[weather],
    )
    amazon = member(
        "amazon",
        Turn(calls=[STOCKS], late=0.15),
        Turn(say=AMAZON[:most], pace=pace, late=0.24),
        tools=[stocks],
    )
    built = GraphBuilder()
    built.add_node(rome, "rome")
    built.add_node(amazon, "amazon")
    built.add_node(member("close", Turn(say=CLOSING)), "close")
    built.add_edge("rome", "close")
    built.add_edge("amazon", "close")
    built.set_entry_point("rome")
    built.set_entry_point("amazon")
    return built.build()


def interleaved() -> Any:
    """The same, but the arguments of both tools arrive in turn too."""

    class Slow(ScriptedModel):
        async def stream(self, *args: Any, **kwargs: Any) -> Any:
            import asyncio

            await asyncio.sleep(self.player.turns[0].late)
            async for event in super().stream(*args, **kwargs):
                await asyncio.sleep(0.08)
                yield event

    def node(name: str, late: float, call: Call, say: tuple[str, ...], use: Any) -> Agent:
        model = Slow(Turn(calls=[call], late=late), Turn(say=say))
        return Agent(name=name, model=model, tools=[tool(use)], callback_handler=None)

    built = GraphBuilder()
    built.add_node(node("rome", 0.0, WEATHER, ("Sunny", "."), weather), "rome")
    built.add_node(node("amazon", 0.04, STOCKS, ("200", "."), stocks), "amazon")
    built.set_entry_point("rome")
    built.set_entry_point("amazon")
    return built.build()


def failing_node() -> Any:
    """A node that fails, and a graph that goes on without it."""

    class Breaking(ScriptedModel):
        async def stream(self, *args: Any, **kwargs: Any) -> Any:
            yield {"messageStart": {"role": "assistant"}}
            raise RuntimeError("the model is away")

    built = GraphBuilder()
    built.add_node(member("rome", Turn(say=ROME)), "rome")
    built.add_node(Agent(name="away", model=Breaking(), callback_handler=None), "away")
    built.add_edge("rome", "away")
    built.set_entry_point("rome")
    return built.build()


def swarm() -> Any:
    hand = Call("call_hand", "handoff_to_agent", {"agent_name": "writer", "message": "Your turn."})
    researcher = member("researcher", Turn(say=("Ask", " the writer", "."), calls=[hand]))
    researcher.model.player.turns.append(Turn())
    writer = member("writer", Turn(say=CLOSING))
    return Swarm([researcher, writer], entry_point=researcher)


def with_assistant() -> Agent:
    """An agent as a tool of another, its words the tool's result."""
    expert = member("expert", Turn(say=ROME))
    call = Call("call_expert", "ask_expert", {"question": "Rome?"})

    @tool
    async def ask_expert(question: str) -> Any:
        """Ask the expert."""
        async for event in expert.stream_async(question):
            yield event
            if "result" in event:
                yield str(event["result"])

    return Agent(
        name="boss",
        model=ScriptedModel(Turn(calls=[call]), Turn(say=CLOSING)),
        tools=[ask_expert],
        callback_handler=None,
    )


def with_agent_as_tool() -> Agent:
    expert = member("expert", Turn(say=ROME))
    call = Call("call_expert", "expert", {"input": "Rome?"})
    return Agent(
        name="boss",
        model=ScriptedModel(Turn(calls=[call]), Turn(say=CLOSING)),
        tools=[expert.as_tool()],
        callback_handler=None,
    )


def plain(event: Any) -> Any:
    """A node's events without what JSON cannot hold."""
    if event.get("type") == "multiagent_node_stream":
        inner = filtered(event["event"])
        return {**event, "event": inner} if inner else None
    return event if event.get("type") != "multiagent_result" else None


def words(event: Any) -> Any:
    """Only who speaks and what."""
    inner = event.get("event", {})
    if "data" in inner:
        return {"agent": event["node_id"], "data": inner["data"]}
    return None


def add_teams(zoo: Zoo) -> None:
    parts = {
        "text": ["".join(ROME), "".join(AMAZON), "".join(CLOSING).strip()],
        "tools": [USED_WEATHER, USED_STOCKS],
    }
    ways: dict[str, Callable[[Any], Any]] = {"raw": raw, "default-str": default_str, "plain": plain}
    few = {**parts, "text": ["It is sunny", "AMZN is at", parts["text"][2]]}
    for name in ("raw", "default-str"):
        zoo.add(f"graph-{name}", streamed(lambda: graph(2), ways[name]), few)
    zoo.add("graph-plain", streamed(graph, plain), parts)
    zoo.add("graph-words", streamed(graph, words), {"text": parts["text"]})
    zoo.add(
        "graph-arguments-raw",
        streamed(interleaved),
        {"text": ["Sunny.", "200."], "tools": parts["tools"]},
    )
    zoo.add(
        "graph-arguments-plain",
        streamed(interleaved, plain),
        {"text": ["Sunny.", "200."], "tools": parts["tools"]},
    )
    told = {"text": parts["text"]}
    zoo.add("graph-return", returned(graph, lambda result: result), {**told, "beside": True})
    zoo.add("graph-return-to-dict", returned(graph, lambda result: result.to_dict()), told)
    zoo.add(
        "graph-return-last",
        returned(graph, lambda r: {"result": str(r.results["close"].result)}),
        {"text": ["".join(CLOSING).strip()]},
    )
    zoo.add(
        "graph-return-texts",
        returned(graph, lambda r: {name: str(node.result) for name, node in r.results.items()}),
        {"holds": ["It is sunny", "AMZN is at", "All done"]},
    )
    ended = {"text": "".join(ROME), "ends": "failed"}
    zoo.add("graph-fails", streamed(failing_node, plain), ended)

    handed = {
        "text": ["Ask the writer.", "".join(CLOSING).strip()],
        "tools": [],
        "more_tools": True,
    }
    for name in ("raw", "plain"):
        zoo.add(f"swarm-{name}", streamed(swarm, ways[name]), handed)
    zoo.add(
        "swarm-return-to-dict",
        returned(swarm, lambda result: result.to_dict()),
        {"text": ["".join(CLOSING).strip()], "tools": None},  # each agent's last message alone
    )

    asked = {
        "text": ["".join(CLOSING).strip()],
        "beside": True,
        "tools": [
            {
                "tool": "ask_expert",
                "args": {"question": "Rome?"},
                "result": {"holds": "".join(ROME)},
            }
        ],
    }
    for name, way in {"raw": raw, "default-str": default_str, "filtered": filtered}.items():
        zoo.add(f"agent-in-tool-{name}", streamed(with_assistant, way), asked)
    as_tool = {
        "text": ["".join(CLOSING).strip()],
        "beside": True,
        "tools": [
            {"tool": "expert", "args": {"input": "Rome?"}, "result": {"holds": "".join(ROME)}}
        ],
    }
    for name, way in {"raw": raw, "filtered": filtered}.items():
        zoo.add(f"agent-as-tool-{name}", streamed(with_agent_as_tool, way), as_tool)
