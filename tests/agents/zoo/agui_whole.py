"""An AG-UI agent with a state that asks, as `ag_ui_langgraph` serves one on `PORT`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

import uvicorn
from ag_ui.core import RunAgentInput
from ag_ui.encoder import EventEncoder
from ag_ui_langgraph import LangGraphAgent
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from typing_extensions import TypedDict


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    count: int


def answer(state: State) -> dict[str, Any]:
    said = state["messages"][-1].text
    asked = sum(message.type == "human" for message in state["messages"])
    if said == "pay":
        said = f"paid: {interrupt({'question': 'May I pay?'})}"
    return {"messages": [AIMessage(f"{asked}: {said}")], "count": (state.get("count") or 0) + 1}


graph = StateGraph(State)
graph.add_node("answer", answer)
graph.add_edge(START, "answer")
graph.add_edge("answer", END)
agent = LangGraphAgent(name="agent", graph=graph.compile(checkpointer=InMemorySaver()))


async def invoke(request: Request) -> StreamingResponse:
    asked = RunAgentInput.model_validate(await request.json())
    encoder = EventEncoder()

    async def events() -> AsyncIterator[str]:
        async for event in agent.clone().run(asked):
            yield encoder.encode(event)

    return StreamingResponse(events(), media_type=encoder.get_content_type())


async def ping(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


routes = [Route("/invocations", invoke, methods=["POST"]), Route("/ping", ping)]
if __name__ == "__main__":
    uvicorn.run(Starlette(routes=routes), port=int(os.environ["PORT"]), log_level="warning")
