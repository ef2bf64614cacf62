"""LangGraph states that hold more than text: structured answers, pictures, citations, progress."""

from __future__ import annotations

from typing import Any

from container import Zoo
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph_models import speaking
from langgraph_single import returned, saying, streamed
from pydantic import BaseModel
from script import PIXEL, SHORT, STEPS, Call, Turn


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def structured() -> Any:
    call = Call("call_person", "Person", {"name": "Jo Ann", "age": 3})
    return create_agent(
        speaking(Turn(calls=[call])), tools=[], response_format=ToolStrategy(Person)
    )


def add_states(zoo: Zoo) -> None:
    held = {"holds": ["Jo Ann"], "tools": None}
    zoo.add("structured-updates", streamed(structured, stream_mode="updates"), held)
    zoo.add("structured-values", streamed(structured, stream_mode="values"), held)
    zoo.add("structured-return-state", returned(structured, lambda state: state), held)
    zoo.add(
        "structured-return-response",
        returned(structured, lambda state: state["structured_response"]),
        held,
    )
    zoo.add(
        "structured-return-result",
        returned(structured, lambda state: {"result": state["structured_response"]}),
        held,
    )
    picture = AIMessage(
        [
            {"type": "text", "text": "Here it is."},
            {"type": "image", "base64": PIXEL, "mime_type": "image/png"},
        ],
        id="picture",
    )
    made = {"text": "Here it is.", "files": [{"mimeType": "image/png", "data": PIXEL}]}
    cited = AIMessage(
        [
            {
                "type": "text",
                "text": "Rome is sunny.",
                "annotations": [
                    {"type": "citation", "url": "https://example.com/rome", "title": "Rome"}
                ],
            }
        ],
        id="cited",
    )
    sourced = {"text": "Rome is sunny.", "sources": ["https://example.com/rome"]}
    for mode in ("updates", "values"):
        zoo.add(f"picture-{mode}", streamed(lambda: saying(picture), stream_mode=mode), made)
        zoo.add(f"cited-{mode}", streamed(lambda: saying(cited), stream_mode=mode), sourced)
    zoo.add("picture-messages", streamed(lambda: saying(picture), stream_mode="messages"), made)
    zoo.add("picture-return", returned(lambda: saying(picture), lambda state: state), made)
    twice = [AIMessage("First, this.", id="a"), AIMessage("Second, that.", id="b")]
    both = {"text": ["First, this.", "Second, that."]}
    for mode in ("messages", "updates", "values"):
        zoo.add(f"two-messages-{mode}", streamed(lambda: saying(*twice), stream_mode=mode), both)
    named = HumanMessage("345 is the result.", name="researcher", id="named")
    zoo.add(
        "named-human-updates",
        streamed(lambda: saying(named), stream_mode="updates"),
        {"text": "345 is the result."},
    )
    zoo.add(
        "removed-updates",
        streamed(trimming, stream_mode=["updates", "values"]),
        {"text": "It is 345."},
    )
    zoo.add(
        "progress-custom-messages",
        streamed(progressing, stream_mode=["custom", "messages"]),
        {"text": "It is 345.", "never": ["Searching"]},
    )
    zoo.add(
        "tokens-custom",
        streamed(writing, stream_mode="custom"),
        {"text": "".join(STEPS)},
    )


def trimming() -> Any:
    """A node that drops what was said before, as summaries do."""

    def trim(state: MessagesState) -> Any:
        return {"messages": [RemoveMessage(id=state["messages"][0].id)]}

    graph = StateGraph(MessagesState)
    graph.add_node("agent", lambda state: {"messages": [AIMessage("It is 345.", id="kept")]})
    graph.add_node("trim", trim)
    graph.add_edge(START, "agent")
    graph.add_edge("agent", "trim")
    return graph.compile()


def progressing() -> Any:
    async def work(state: MessagesState) -> Any:
        get_stream_writer()({"progress": "Searching the archive", "percent": 50})
        return {"messages": [await speaking(Turn(say=SHORT)).ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("agent", work)
    graph.add_edge(START, "agent")
    return graph.compile()


def writing() -> Any:
    """LangGraph's way for a model that LangChain does not know."""

    def work(state: MessagesState) -> Any:
        for token in STEPS:
            get_stream_writer()({"custom_llm_chunk": token})
        return {"messages": []}

    graph = StateGraph(MessagesState)
    graph.add_node("agent", work)
    graph.add_edge(START, "agent")
    return graph.compile()
