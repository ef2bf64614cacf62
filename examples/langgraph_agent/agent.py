"""A LangGraph agent as AgentCore Runtime runs it, with a model that needs no account.

The graph, the tool node, the streaming and the server are the real ones; only the chat model is
scripted. Replace `ScriptedModel()` by `ChatBedrockConverse(...)` and it is a real agent.

    python agent.py            # POST /invocations and GET /ping on 127.0.0.1:8080, or PORT
"""

from __future__ import annotations

import ast
import json
import operator
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bedrock_agentcore import BedrockAgentCoreApp
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@tool
def calculator(expression: str) -> str:
    """Calculate sums, differences, products and quotients."""

    def value(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.BinOp(left, op, right) if type(op) in OPERATORS:
                return OPERATORS[type(op)](value(left), value(right))
        raise ValueError("only + - * / and numbers")

    return str(value(ast.parse(expression, mode="eval").body))


class ScriptedModel(BaseChatModel):
    """Calls the calculator for arithmetic, then says the result; repeats anything else."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self

    def _stream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        last = messages[-1]
        question = next(str(m.content) for m in reversed(messages) if m.type == "human")
        found = re.search(r"\d+(?:\s*[-+*/]\s*\d+)+", question)
        if found and not isinstance(last, ToolMessage):
            args_json = json.dumps({"expression": found.group()})
            id = f"call_{len(messages)}"
            yield _chunk(tool_call_chunks=[tool_call_chunk(name="calculator", id=id, index=0)])
            for piece in (args_json[:10], args_json[10:]):
                yield _chunk(tool_call_chunks=[tool_call_chunk(args=piece, index=0)])
            yield _chunk(usage_metadata=_usage(messages, 1))
            return
        text = f"You said: {question}"
        if found:
            text = f"The result of {found.group()} = {last.content}."
        words = re.findall(r"\s*\S+", text)
        for word in words:
            yield _chunk(content=word)
        yield _chunk(usage_metadata=_usage(messages, len(words)))

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        chunks = [generation.message for generation in self._stream(messages)]
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        message = AIMessage(content=whole.content, tool_calls=whole.tool_calls)
        return ChatResult(generations=[ChatGeneration(message=message)])


def _chunk(content: str = "", **fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=content, **fields))


def _usage(messages: list[BaseMessage], said: int) -> dict[str, int]:
    asked = sum(len(str(message.content).split()) for message in messages)
    return {"input_tokens": asked, "output_tokens": said, "total_tokens": asked + said}


def build_graph() -> Any:
    """Model, tools, model …; the conversation is kept per thread."""
    model = ScriptedModel().bind_tools([calculator])

    async def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("agent", think)
    graph.add_node("tools", ToolNode([calculator]))
    graph.add_edge(START, "agent")
    graph.add_conditional_edges("agent", tools_condition)
    graph.add_edge("tools", "agent")
    return graph.compile(checkpointer=InMemorySaver())


app = BedrockAgentCoreApp()
graph = build_graph()


@app.entrypoint
async def answer(payload: dict[str, Any], context: Any) -> Any:
    """Stream what the graph streams, or with `"stream": false` return the answer at once.

    What is returned decides: the SDK writes a generator's items as server-sent events and anything
    else as one JSON body.
    """
    question = {"messages": [{"role": "user", "content": payload["prompt"]}]}
    thread = payload.get("session_id") or context.session_id
    config = {"configurable": {"thread_id": thread}}
    if payload.get("stream") is False:
        state = await graph.ainvoke(question, config)
        return {"result": state["messages"][-1].content}
    return graph.astream(question, config, stream_mode=payload.get("stream_mode", "messages"))


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8080")))
