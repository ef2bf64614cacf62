"""LangGraph agents that stop to ask: `interrupt()` in every mode, LangChain's approval of tools."""

from __future__ import annotations

from typing import Any

from container import Zoo
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from langgraph_models import speaking
from langgraph_single import Ask, asked, config
from script import CALCULATE, DELETE, Call, Turn, calculator, delete_file, unhurried

QUESTION = {"question": "Delete a.txt?", "path": "a.txt"}
SAID = "Let me check."


def asking(value: Any = QUESTION) -> Any:
    """Says something, asks, and says what it was told."""

    def ask(state: MessagesState) -> Any:
        return {"messages": [AIMessage(f"You said: {interrupt(value)}.", id="told")]}

    async def check(state: MessagesState) -> Any:
        model = speaking(Turn(say=("Let me", " check", ".")))
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("check", check)
    graph.add_node("ask", ask)
    graph.add_edge(START, "check")
    graph.add_edge("check", "ask")
    return graph.compile(checkpointer=InMemorySaver())


def asking_twice() -> Any:
    """Two nodes side by side that both ask."""

    def node(question: str) -> Any:
        return lambda state: {"messages": [AIMessage(f"{question} {interrupt(question)}.")]}

    graph = StateGraph(MessagesState)
    graph.add_node("color", node("Which color?"))
    graph.add_node("size", node("Which size?"))
    graph.add_edge(START, "color")
    graph.add_edge(START, "size")
    return graph.compile(checkpointer=InMemorySaver())


def asking_inside() -> Any:
    def ask(state: MessagesState) -> Any:
        return {"messages": [AIMessage(f"You said: {interrupt(QUESTION)}.", id="told")]}

    inner = StateGraph(MessagesState)
    inner.add_node("ask", ask)
    inner.add_edge(START, "ask")
    graph = StateGraph(MessagesState)
    graph.add_node("inner", inner.compile())
    graph.add_edge(START, "inner")
    return graph.compile(checkpointer=InMemorySaver())


def approving(*calls: Call) -> Any:
    """LangChain's middleware before a tool that deletes."""
    return create_agent(
        speaking(
            Turn(say=("Let me", " see", "."), calls=list(calls)),
            Turn(say=("It is", " done", ".")),
        ),
        tools=[tool(delete_file), tool(calculator)],
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"delete_file": True})],
        checkpointer=InMemorySaver(),
    )


def add_asking(zoo: Zoo) -> None:
    def streamed(make: Any, **how: Any) -> Any:
        def answer(ask: Ask) -> Any:
            graph = zoo.kept(ask, make)
            given = ask.get("resume")
            asks = asked(ask) if given is None else Command(resume=given)
            return unhurried(graph.astream(asks, config(ask), **how))

        return answer

    def returned(make: Any) -> Any:
        async def answer(ask: Ask) -> Any:
            given = ask.get("resume")
            asks = asked(ask) if given is None else Command(resume=given)
            return await zoo.kept(ask, make).ainvoke(asks, config(ask))

        return answer

    question = {"kind": "input", "holds": ["Delete a.txt?"]}
    waiting = {"text": SAID, "inputs": [question], "ends": "input_required"}
    modes: dict[str, Any] = {
        "updates": {"stream_mode": "updates"},
        "values": {"stream_mode": "values"},
        "messages-updates": {"stream_mode": ["messages", "updates"]},
        "updates-values": {"stream_mode": ["updates", "values"]},
        "tasks": {"stream_mode": "tasks"},
        "debug": {"stream_mode": "debug"},
        "all": {"stream_mode": ["messages", "updates", "values", "tasks", "checkpoints", "debug"]},
        "v2-updates": {"stream_mode": "updates", "version": "v2"},
        "v2-values": {"stream_mode": "values", "version": "v2"},
        "updates-subgraphs": {"stream_mode": "updates", "subgraphs": True},
    }
    for name, how in modes.items():
        zoo.add(f"asks-{name}", streamed(asking, **how), waiting)
    zoo.add("asks-return", returned(asking), waiting)

    def events(ask: Ask) -> Any:
        return zoo.kept(ask, asking).astream_events(asked(ask), config(ask), version="v2")

    zoo.add("asks-events", events, waiting)
    zoo.add(
        "asks-text",
        streamed(lambda: asking("Which color?"), stream_mode="updates"),
        {
            "text": SAID,
            "inputs": [{"kind": "input", "message": "Which color?"}],
            "ends": "input_required",
        },
    )
    zoo.add(
        "asks-twice",
        streamed(asking_twice, stream_mode="updates"),
        {
            "inputs": [
                {"kind": "input", "message": "Which color?"},
                {"kind": "input", "message": "Which size?"},
            ],
            "ends": "input_required",
        },
    )
    inside = {"inputs": [question], "ends": "input_required"}
    zoo.add("asks-inside", streamed(asking_inside, stream_mode="updates"), inside)
    zoo.add(
        "asks-inside-subgraphs",
        streamed(asking_inside, stream_mode="updates", subgraphs=True),
        inside,
    )
    answered = {"text": "You said: yes."}
    for name in ("updates", "messages-updates"):
        zoo.add(
            f"asks-{name}-resumed",
            streamed(asking, **modes[name]),
            answered,
            asks={"resume": "yes"},
            after=f"asks-{name}",
        )
    zoo.add(
        "asks-return-resumed",
        returned(asking),
        {"text": ["You said: yes."], "beside": True},
        asks={"resume": "yes"},
        after="asks-return",
    )

    one = {
        "text": "Let me see.",
        "tools": None,
        "inputs": [{"kind": "approval", "tool": ["delete_file", DELETE.args]}],
        "ends": "input_required",
    }
    decisions: dict[str, Any] = {
        "approve": {"type": "approve"},
        "edit": {
            "type": "edit",
            "edited_action": {"name": "delete_file", "args": {"path": "b.txt"}},
        },
        "reject": {"type": "reject", "message": "Keep it."},
    }
    for name, decision in decisions.items():
        mode = {"stream_mode": ["updates", "messages"]}
        zoo.add(f"approval-{name}", streamed(lambda: approving(DELETE), **mode), one)
        zoo.add(
            f"approval-{name}-resumed",
            streamed(lambda: approving(DELETE), **mode),
            {"text": "It is done.", "tools": None},
            asks={"resume": {"decisions": [decision]}},
            after=f"approval-{name}",
        )
    for name in ("updates", "values", "v2-updates"):
        zoo.add(f"approval-{name}", streamed(lambda: approving(DELETE), **modes[name]), one)
    zoo.add("approval-return", returned(lambda: approving(DELETE)), one)
    second = Call("call_delete_2", "delete_file", {"path": "b.txt"})
    zoo.add(
        "approval-two",
        streamed(lambda: approving(DELETE, second, CALCULATE), stream_mode="updates"),
        # one interrupt, which takes one answer with a decision for each call
        one | {"inputs": [{"kind": "approval", "holds": ["a.txt", "b.txt"]}]},
    )
