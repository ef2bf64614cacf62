"""Agents of every kind, made of the real frameworks and served by the real SDK.

`payload["case"]` picks one. It runs in an environment of its own; see requirements.in.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "langgraph_agent"))

from ag_ui.core import RunAgentInput, UserMessage
from ag_ui_langgraph import LangGraphAgent
from agent import build_graph
from bedrock_agentcore import BedrockAgentCoreApp
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from strands import Agent, tool
from strands.models import Model

app = BedrockAgentCoreApp()
graph = build_graph()
endless_now = 0


def empty_graph() -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("agent", lambda state: {"messages": [AIMessage("")]})
    graph.add_edge(START, "agent")
    return graph.compile()


def failing_graph() -> Any:
    def fail(state: MessagesState) -> None:
        raise RuntimeError("the database password is hunter2")

    graph = StateGraph(MessagesState)
    graph.add_node("first", lambda state: {"messages": [AIMessage("Before it broke")]})
    graph.add_node("second", fail)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    return graph.compile()


class ScriptedStrandsModel(Model):
    """Thinks, calls the calculator, then says the result."""

    def update_config(self, **config: Any) -> None: ...

    def get_config(self) -> Any:
        return {}

    async def structured_output(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        yield {}

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        yield {"messageStart": {"role": "assistant"}}
        if "toolResult" in messages[-1]["content"][0]:
            blocks = [("text", ["The", " result", " of", " 15 * 23", " = 345", "."])]
        else:
            pieces = ['{"expression": ', '"15 * 23"}']
            blocks = [("think", ["I need", " a tool."]), ("text", ["Let me ", "see. "])]
            blocks.append(("tool", pieces))
        for kind, texts in blocks:
            use = {"toolUse": {"toolUseId": "tool_1", "name": "calculator"}}
            yield {"contentBlockStart": {"start": use if kind == "tool" else {}}}
            for text in texts:
                delta: dict[str, Any] = {"text": text}
                if kind == "think":
                    delta = {"reasoningContent": {"text": text}}
                if kind == "tool":
                    delta = {"toolUse": {"input": text}}
                yield {"contentBlockDelta": {"delta": delta}}
            yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use" if len(blocks) > 1 else "end_turn"}}
        usage = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
        yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 1}}}


@tool
def calculator(expression: str) -> str:
    """Calculate."""
    return "345"


def strands_agent() -> Agent:
    return Agent(model=ScriptedStrandsModel(), tools=[calculator], callback_handler=None)


async def strands(case: str, prompt: str) -> AsyncIterator[Any]:
    async for event in strands_agent().stream_async(prompt):
        match case:
            case "strands":
                yield event
            case "strands-default-str":  # as fullstack-solution-template-for-agentcore does it
                yield json.loads(json.dumps(dict(event), default=str))
            case "strands-converse" if "event" in event:
                yield event
            case "strands-data" if "data" in event:
                yield {"data": event["data"]}
            case "strands-strings" if "data" in event:
                yield event["data"]
            case "strands-both":  # what its samples yield once the agent itself is taken out
                kept = ("event", "data", "delta", "current_tool_use", "message", "reasoningText")
                plain = {name: event[name] for name in kept if name in event}
                if plain:
                    yield plain
                elif "result" in event:
                    yield {"result": {"stop_reason": event["result"].stop_reason}}


async def langgraph(case: str, prompt: str, thread: str) -> AsyncIterator[Any]:
    question = {"messages": [{"role": "user", "content": prompt}]}
    config = {"configurable": {"thread_id": thread}}
    if case == "events":
        async for event in graph.astream_events(question, config, version="v2"):
            yield event
        return
    if case == "sse-in-sse":
        async for frame in sse_in_sse(question, config):
            yield frame
        return
    said = ""
    async for message, _ in graph.astream(question, config, stream_mode="messages"):
        is_text = isinstance(message, AIMessageChunk) and message.content
        said += message.content if is_text else ""
        match case:
            case "dumps":
                yield message.model_dump()
            case "dicts" if is_text:
                yield {"content": message.content}
            case "strings" if is_text:
                yield message.content
            case "strings-then-result" if is_text:
                yield message.content
            case "prints":
                yield str(message)
            case "bytes" if is_text:
                yield message.content.encode()
            case "lc":
                yield message.to_json()
            case "app-error" if is_text:
                yield message.content
    if case == "strings-then-result":
        yield {"result": said}
    if case == "app-error":
        yield {"status": "error", "error": "the database password is hunter2"}


async def sse_in_sse(question: Any, config: Any) -> AsyncIterator[str]:
    """As LangGraphAgentCore does it."""

    def frame(name: str, **data: Any) -> str:
        return f"event: {name}\ndata: {json.dumps({'timestamp': 'now', **data})}\n\n"

    yield frame("AGENT_START", session_id="s")
    yield frame("THINKING", status="reasoning", message="Analyzing your request...")
    output = ""
    async for update in graph.astream(question, config, stream_mode="updates"):
        for message in (m for node in update.values() for m in node["messages"]):
            if isinstance(message, ToolMessage):
                yield frame("TOOL_RESULT", tool=message.name, result=message.content)
            elif message.tool_calls:
                for call in message.tool_calls:
                    yield frame("TOOL_CALL", tool=call["name"], args=call["args"])
            else:
                output = message.content
                yield frame("LLM_RESPONSE", content=output)
    yield frame("AGENT_END", output=output)


async def agui(prompt: str, thread: str) -> AsyncIterator[Any]:
    agent = LangGraphAgent(name="agent", graph=graph)
    run = RunAgentInput(
        thread_id=thread,
        run_id="run-1",
        messages=[UserMessage(id="q1", role="user", content=prompt)],
        state={},
        tools=[],
        context=[],
        forwarded_props={},
    )
    async for event in agent.run(run):
        yield event.model_dump(mode="json", by_alias=True, exclude_none=True)


async def endless() -> AsyncIterator[str]:
    global endless_now
    endless_now += 1
    try:
        while True:  # the SDK notices that nobody listens when it has something to say
            yield "Before"
            await asyncio.sleep(0.02)
    finally:
        endless_now -= 1


async def breaking() -> AsyncIterator[str]:
    yield "Before it broke"
    raise RuntimeError("the database password is hunter2")


@app.entrypoint
async def answer(payload: dict[str, Any], context: Any) -> Any:
    case, prompt, thread = payload["case"], payload["prompt"], payload["session_id"]
    question = {"messages": [{"role": "user", "content": prompt}]}
    config = {"configurable": {"thread_id": thread}}
    match case:
        case "modes":
            return graph.astream(question, config, stream_mode=payload["modes"])
        case "subgraphs":
            return graph.astream(question, config, stream_mode=payload["modes"], subgraphs=True)
        case "empty":
            return empty_graph().astream(question, stream_mode=payload["modes"])
        case "failing":
            return failing_graph().astream(question, stream_mode="updates")
        case "breaking":
            return breaking()
        case "endless":
            return endless()
        case "endless_now":
            return {"endless_now": endless_now}
        case "raising":
            raise RuntimeError("the database password is hunter2")
        case "agui":
            return agui(prompt, thread)
        case "json-result":
            return {"result": (await graph.ainvoke(question, config))["messages"][-1].content}
        case "json-state":
            return await graph.ainvoke(question, config)
        case "json-string":
            return (await graph.ainvoke(question, config))["messages"][-1].content
        case "json-strands":
            return {"result": (await strands_agent().invoke_async(prompt)).message}
        case "json-null":
            return None
        case _ if case.startswith("strands"):
            return strands(case, prompt)
        case _:
            return langgraph(case, prompt, thread)


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]))
