"""LangGraph with several speakers: supervisor, swarm, subgraphs, nodes side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from container import Zoo
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph_models import speaking
from langgraph_single import Ask, asked, events, returned, streamed
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm
from script import (
    SHORT,
    STOCKS,
    USED,
    USED_STOCKS,
    USED_WEATHER,
    WEATHER,
    Call,
    Turn,
    calculating,
    calculator,
    stocks,
    weather,
)

CLOSING = ("All done", ":\n\n", "- 345\n")


def worker(name: str, turns: list[Turn], *tools: Any) -> Any:
    return create_agent(speaking(*turns), tools=[tool(t) for t in tools], name=name)


def supervised(**more: Any) -> Any:
    hand = Call("call_hand", "transfer_to_math", {})
    boss = speaking(Turn(calls=[hand]), Turn(say=CLOSING))
    math = worker("math", calculating(SHORT), calculator)
    return create_supervisor([math], model=boss, prompt="You lead.", **more).compile()


def swarmed() -> Any:
    hand = Call("call_hand", "transfer_to_bob", {})
    alice = create_agent(
        speaking(Turn(say=("Bob", " knows", "."), calls=[hand])),
        tools=[create_handoff_tool(agent_name="bob")],
        name="alice",
    )
    bob = worker("bob", calculating(SHORT), calculator)
    return create_swarm([alice, bob], default_active_agent="alice").compile()


def nested() -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("inner", worker("math", calculating(SHORT), calculator))

    async def close(state: MessagesState) -> Any:
        return {"messages": [await speaking(Turn(say=CLOSING)).ainvoke(state["messages"])]}

    graph.add_node("close", close)
    graph.add_edge(START, "inner")
    graph.add_edge("inner", "close")
    return graph.compile()


ROME = ("It is", " sunny", " in Rome", ":\n", "22 °C", ".")
AMAZON = ("AMZN", " is", " at", ":\n", "200", " now", ".")


def side_by_side(words: str = "text", *, most: int = 100) -> Any:
    """Two agents whose tokens and tools arrive in turn, and one that sums up."""
    pace = 0.08
    first = [Turn(calls=[WEATHER]), Turn(say=ROME[:most], pace=pace, late=0.4)]
    second = [Turn(calls=[STOCKS], late=0.15), Turn(say=AMAZON[:most], pace=pace, late=0.24)]

    def node(name: str, turns: list[Turn], use: Any) -> Any:
        member = create_agent(speaking(*turns, words=words), tools=[tool(use)], name=name)

        async def run(state: MessagesState) -> Any:
            done = await member.ainvoke({"messages": state["messages"][:1]})
            return {"messages": done["messages"][1:]}

        return run

    async def close(state: MessagesState) -> Any:
        model = speaking(Turn(say=CLOSING), words=words)
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("rome", node("rome", first, weather))
    graph.add_node("amazon", node("amazon", second, stocks))
    graph.add_node("close", close)
    graph.add_edge(START, "rome")
    graph.add_edge(START, "amazon")
    graph.add_edge(["rome", "amazon"], "close")
    return graph.compile()


def pair() -> Any:
    """Two models side by side, nothing else."""

    def node(say: tuple[str, ...], late: float) -> Any:
        async def run(state: MessagesState) -> Any:
            model = speaking(Turn(say=say, pace=0.08, late=late))
            return {"messages": [await model.ainvoke(state["messages"])]}

        return run

    graph = StateGraph(MessagesState)
    graph.add_node("rome", node(ROME, 0))
    graph.add_node("amazon", node(AMAZON, 0.04))
    graph.add_edge(START, "rome")
    graph.add_edge(START, "amazon")
    return graph.compile()


def add_teams(zoo: Zoo) -> None:
    said = ["Let me see.", "It is 345.", "".join(CLOSING).strip()]
    whole = {"text": said, "tools": [USED], "more_tools": True, "beside": True}
    last = {"text": said[1:], "tools": [], "more_tools": True, "beside": True}
    full = {"output_mode": "full_history"}
    zoo.add("supervisor-messages", streamed(supervised, stream_mode="messages"), whole)
    zoo.add(
        "supervisor-messages-subgraphs",
        streamed(supervised, stream_mode="messages", subgraphs=True),
        whole,
    )
    zoo.add("supervisor-updates", streamed(supervised, stream_mode="updates"), last)
    zoo.add(
        "supervisor-updates-full",
        streamed(lambda: supervised(**full), stream_mode="updates"),
        whole,
    )
    zoo.add(
        "supervisor-updates-subgraphs",
        streamed(supervised, stream_mode="updates", subgraphs=True),
        whole,
    )
    zoo.add("supervisor-values", streamed(supervised, stream_mode="values"), last)
    zoo.add(
        "supervisor-messages-values",
        streamed(supervised, stream_mode=["messages", "values"]),
        whole,
    )
    zoo.add("supervisor-return", returned(supervised, lambda state: state), last)

    swarm = {
        "text": ["Bob knows.", *said[:2]],
        "tools": [USED],
        "more_tools": True,
        "beside": True,
    }
    for mode in ("messages", "updates", "values"):
        told = swarm if mode != "messages" else swarm | {"text": said[:2]}  # alice's are not told
        zoo.add(f"swarm-{mode}", streamed(swarmed, stream_mode=mode), told)
        zoo.add(
            f"swarm-{mode}-subgraphs",
            streamed(swarmed, stream_mode=mode, subgraphs=True),
            swarm,
        )

    inner = {"text": said, "tools": [USED]}
    for mode in ("messages", "updates", "values"):
        zoo.add(f"subgraph-{mode}", streamed(nested, stream_mode=mode), inner)
        zoo.add(
            f"subgraph-{mode}-subgraphs", streamed(nested, stream_mode=mode, subgraphs=True), inner
        )
    zoo.add(
        "subgraph-messages-updates-subgraphs",
        streamed(nested, stream_mode=["messages", "updates"], subgraphs=True),
        inner,
    )
    zoo.add(
        "subgraph-v2",
        streamed(nested, stream_mode=["messages", "updates"], subgraphs=True, version="v2"),
        inner,
    )

    parts = {
        "text": ["".join(ROME), "".join(AMAZON), "".join(CLOSING).strip()],
        "tools": [USED_WEATHER, USED_STOCKS],
    }
    few = {**parts, "text": ["It is sunny", "AMZN is", "".join(CLOSING).strip()]}
    zoo.add("parallel-messages", streamed(side_by_side, stream_mode="messages"), parts)
    zoo.add(
        "parallel-messages-blocks",
        streamed(lambda: side_by_side("blocks"), stream_mode="messages"),
        parts,
    )
    zoo.add(
        "parallel-messages-subgraphs",
        streamed(lambda: side_by_side(most=2), stream_mode="messages", subgraphs=True),
        few,
    )
    zoo.add("parallel-updates", streamed(side_by_side, stream_mode="updates"), parts)
    zoo.add(
        "parallel-messages-updates",
        streamed(side_by_side, stream_mode=["messages", "updates"]),
        parts,
    )
    zoo.add("parallel-values", streamed(side_by_side, stream_mode="values"), parts)
    two = {"text": parts["text"][:2]}
    zoo.add("parallel-events", events(pair, "v2"), two)
    zoo.add("parallel-pair", streamed(pair, stream_mode="messages"), two)
    zoo.add("parallel-pair-updates", streamed(pair, stream_mode=["updates", "messages"]), two)

    @zoo.scenario("parallel-dumps", **parts)
    async def dumps(ask: Ask) -> AsyncIterator[Any]:
        async for chunk, _ in side_by_side().astream(asked(ask), stream_mode="messages"):
            yield chunk.model_dump()

    @zoo.scenario("parallel-named-text", text=parts["text"][:2])
    async def named(ask: Ask) -> AsyncIterator[Any]:
        async for chunk, metadata in pair().astream(asked(ask), stream_mode="messages"):
            if chunk.content and chunk.type == "AIMessageChunk":
                yield {"agent": metadata["langgraph_node"], "id": chunk.id, "text": chunk.content}
