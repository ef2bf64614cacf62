"""One LangGraph agent, told in every stream mode and in every way that samples yield it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from itertools import combinations
from typing import Any, Literal

from container import Zoo
from langchain.agents import create_agent
from langchain_core.load import dumps as lc_dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ToolMessage,
    message_to_dict,
)
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph_models import speaking
from script import (
    BROKEN,
    CALCULATE,
    QUESTION,
    RESULT,
    SECRET,
    SHORT,
    STEPS,
    USED,
    USED_STOCKS,
    USED_WEATHER,
    Turn,
    broken,
    calculating,
    calculator,
    failing,
    stocks,
    thinking,
    together,
    truth,
    unhurried,
    weather,
)

Ask = dict[str, Any]
MODES = ("messages", "updates", "values", "custom", "tasks", "checkpoints", "debug")


def asked(ask: Ask) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": QUESTION}]}


def config(ask: Ask) -> Any:
    return {"configurable": {"thread_id": ask["session_id"]}}


def agent(turns: list[Turn], words: str = "text", **more: Any) -> Any:
    tools = [tool(calculator), tool(weather), tool(stocks), tool(broken)]
    return create_agent(speaking(*turns, words=words), tools=tools, **more)


def streamed(make: Callable[[], Any], **how: Any) -> Callable[[Ask], Any]:
    """`yield event`: what `astream` gives, as it is."""

    def answer(ask: Ask) -> Any:
        return unhurried(make().astream(asked(ask), config(ask), **how))

    return answer


def told(make: Callable[[], Any], way: Callable[[Any, Any], Any]) -> Callable[[Ask], Any]:
    """One thing made of each `(chunk, metadata)` of the mode `messages`; None says nothing."""

    async def answer(ask: Ask) -> AsyncIterator[Any]:
        async for chunk, metadata in make().astream(
            asked(ask), config(ask), stream_mode="messages"
        ):
            something = way(chunk, metadata)
            if something is not None:
                yield something

    return answer


def events(make: Callable[[], Any], version: Literal["v1", "v2"]) -> Callable[[Ask], Any]:
    def answer(ask: Ask) -> Any:
        return unhurried(make().astream_events(asked(ask), config(ask), version=version))

    return answer


def returned(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> Any:
        return way(await make().ainvoke(asked(ask), config(ask)))

    return answer


def add_single(zoo: Zoo) -> None:
    add_modes(zoo)
    add_ways(zoo)
    add_words(zoo)
    add_results(zoo)
    add_failures(zoo)


def add_modes(zoo: Zoo) -> None:
    turns = calculating(STEPS)
    whole = truth(turns, USED)

    def plain() -> Any:
        return agent(turns)

    def brief() -> Any:
        return agent(small)

    def remembering(turns: list[Turn]) -> Callable[[], Any]:
        """An agent that has checkpoints to tell: nothing else does where they are all there is."""
        return lambda: agent(turns, checkpointer=InMemorySaver())

    for mode in MODES:
        if mode != "custom":
            made = remembering(turns) if mode == "checkpoints" else plain
            zoo.add(f"mode-{mode}", streamed(made, stream_mode=mode), whole)
    zoo.add("mode-default", streamed(plain), whole)
    small = [Turn(calls=[CALCULATE]), Turn(say=SHORT[:2])]
    short, every = truth(small, USED), list(MODES)
    zoo.add("modes-all", streamed(brief, stream_mode=every), short)
    zoo.add("modes-all-subgraphs", streamed(brief, stream_mode=every, subgraphs=True), short)
    for pair in combinations(MODES, 2):
        modes = list(pair)
        made = remembering(small) if pair == ("custom", "checkpoints") else brief
        zoo.add(
            f"modes-{pair[0]}-{pair[1]}",
            streamed(made, stream_mode=modes),
            short,
        )
    zoo.add("v2-messages", streamed(brief, stream_mode="messages", version="v2"), short)
    zoo.add("v2-updates", streamed(plain, stream_mode="updates", version="v2"), whole)
    zoo.add(
        "v2-updates-messages-values",
        streamed(brief, stream_mode=["updates", "messages", "values"], version="v2"),
        short,
    )
    zoo.add("events-v1", events(brief, "v1"), short)
    zoo.add("events-v2", events(brief, "v2"), short)


def add_ways(zoo: Zoo) -> None:
    turns = calculating(STEPS)
    whole, spoken = truth(turns, USED), truth(turns)

    def plain() -> Any:
        return agent(turns)

    def text(chunk: Any, _: Any) -> Any:
        return chunk.content or None if isinstance(chunk, AIMessageChunk) else None

    ways: dict[str, tuple[Callable[[Any, Any], Any], dict[str, Any]]] = {
        "yield-chunk": (lambda chunk, _: chunk, whole),
        "yield-dump": (lambda chunk, _: chunk.model_dump(), whole),  # AWS's full-stack template
        "yield-dump-json": (lambda chunk, _: chunk.model_dump_json(), whole),
        "yield-message-to-dict": (lambda chunk, _: message_to_dict(chunk), whole),
        "yield-to-json": (lambda chunk, _: chunk.to_json(), whole),
        "yield-lc-dumps": (lambda chunk, _: lc_dumps(chunk), whole),
        "yield-text": (text, spoken),
        "yield-content": (lambda c, m: {"content": c.content} if text(c, m) else None, spoken),
        "yield-typed-token": (
            lambda c, m: {"type": "token", "content": c.content} if text(c, m) else None,
            spoken,
        ),
        "yield-sse-text": (
            lambda c, m: f"data: {json.dumps({'text': c.content})}\n\n" if text(c, m) else None,
            spoken,
        ),
        "yield-json-line": (
            lambda c, m: json.dumps({"chunk": c.content}) + "\n" if text(c, m) else None,
            spoken,
        ),
        "yield-node-and-text": (
            lambda c, m: (
                {"node": m["langgraph_node"], "content": c.content} if text(c, m) else None
            ),
            spoken,
        ),
    }
    for name, (way, wanted) in ways.items():
        zoo.add(name, told(plain, way), wanted)

    @zoo.scenario("yield-text-then-result", **spoken)
    async def text_then_result(ask: Ask) -> AsyncIterator[Any]:
        said = ""
        async for chunk, metadata in plain().astream(asked(ask), stream_mode="messages"):
            if text(chunk, metadata):
                said += chunk.content
                yield {"type": "chunk", "data": chunk.content}
        yield {"type": "final", "result": said}

    @zoo.scenario(
        "yield-sse-in-sse", **truth(turns[1:], USED, thinking="Analyzing your request...")
    )
    async def sse_in_sse(ask: Ask) -> AsyncIterator[str]:
        """The event names of LangGraphAgentCore."""
        yield frame("AGENT_START", session_id="s")
        yield frame("THINKING", status="reasoning", message="Analyzing your request...")
        output = ""
        async for update in plain().astream(asked(ask), stream_mode="updates"):
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

    @zoo.scenario("yield-updates-text", **spoken)
    async def updates_text(ask: Ask) -> AsyncIterator[Any]:
        async for update in plain().astream(asked(ask), stream_mode="updates"):
            for node, change in update.items():
                for message in change["messages"]:
                    if isinstance(message, AIMessage):
                        yield {"node": node, "message": message.content}


def frame(name: str, **data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps({'timestamp': 'now', **data})}\n\n"


def add_words(zoo: Zoo) -> None:
    turns = thinking(SHORT)
    whole = truth(turns, USED)
    for words in ("blocks", "converse", "v1", "deepseek"):
        for mode in ("messages", "updates"):
            zoo.add(
                f"thinking-{words}-{mode}",
                streamed(lambda words=words: agent(turns, words), stream_mode=mode),
                whole,
            )
    zoo.add(
        "thinking-blocks-dump",
        told(lambda: agent(turns, "blocks"), lambda chunk, _: chunk.model_dump()),
        whole,
    )
    zoo.add(
        "thinking-blocks-text",
        told(
            lambda: agent(turns, "blocks"),
            lambda c, _: str(c.text) or None if isinstance(c, AIMessageChunk) else None,
        ),
        truth(turns) | {"thinking": ""},
    )
    pair = together()
    both = truth(pair, USED_WEATHER, USED_STOCKS)
    for words in ("text", "blocks"):
        zoo.add(
            f"two-tools-{words}",
            streamed(lambda words=words: agent(pair, words), stream_mode=["messages", "updates"]),
            both,
        )
    missed = {"tool": "broken", "args": BROKEN.args, "error": {"holds": "no such city"}}
    for mode in ("messages", "updates", "values"):
        zoo.add(
            f"failing-tool-{mode}",
            streamed(failing_agent, stream_mode=mode),
            truth(failing(), missed),
        )


def failing_agent() -> Any:
    from langchain.agents.middleware import wrap_tool_call

    @wrap_tool_call
    async def told(request: Any, handler: Any) -> Any:
        try:
            return await handler(request)
        except ValueError as error:
            call = request.tool_call
            return ToolMessage(
                f"Error: {error}", tool_call_id=call["id"], name=call["name"], status="error"
            )

    return agent(failing(), middleware=[told])


def add_results(zoo: Zoo) -> None:
    turns = calculating(STEPS)
    last = truth(turns[1:])

    def plain() -> Any:
        return agent(turns)

    zoo.add("return-state", returned(plain, lambda state: state), truth(turns, USED))
    zoo.add(
        "return-result",
        returned(plain, lambda state: {"result": state["messages"][-1].content}),
        last,
    )
    zoo.add("return-message", returned(plain, lambda state: state["messages"][-1]), last)
    zoo.add(
        "return-message-dump",
        returned(plain, lambda state: {"message": state["messages"][-1].model_dump()}),
        last,
    )
    zoo.add("return-text", returned(plain, lambda state: state["messages"][-1].content), last)
    zoo.add(
        "return-blocks",
        returned(
            lambda: agent(turns, "blocks"),
            lambda state: {"result": state["messages"][-1].content},
        ),
        last,
    )
    zoo.add(
        "return-messages",
        returned(plain, lambda state: {"messages": [m.model_dump() for m in state["messages"]]}),
        truth(turns, USED),
    )
    zoo.add(
        "return-lambda-proxy",
        returned(
            plain,
            lambda state: {
                "statusCode": 200,
                "headers": {"Content-Type": "application/json"},
                "body": json.dumps({"response": state["messages"][-1].content}),
            },
        ),
        last,
    )
    zoo.add(
        "return-named-field",
        returned(
            plain,
            lambda state: {"agent_reply": state["messages"][-1].content, "turns": 2, "ok": True},
        ),
        last,
    )


def saying(*messages: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("agent", lambda state: {"messages": list(messages)})
    graph.add_edge(START, "agent")
    return graph.compile()


def add_failures(zoo: Zoo) -> None:
    def broken_graph() -> Any:
        def fail(state: MessagesState) -> None:
            raise RuntimeError(SECRET)

        graph = StateGraph(MessagesState)
        graph.add_node("first", lambda state: {"messages": [AIMessage("Before it broke.")]})
        graph.add_node("second", fail)
        graph.add_edge(START, "first")
        graph.add_edge("first", "second")
        return graph.compile()

    ended = {"text": "Before it broke.", "ends": "failed"}
    zoo.add("raises-updates", streamed(broken_graph, stream_mode="updates"), ended)
    zoo.add("raises-messages", streamed(broken_graph, stream_mode="messages"), ended)

    @zoo.scenario("raises-told", **ended)  # AWS's full-stack template
    async def raises_told(ask: Ask) -> AsyncIterator[Any]:
        try:
            async for chunk, _ in broken_graph().astream(asked(ask), stream_mode="messages"):
                yield chunk.model_dump()
        except RuntimeError as error:
            yield {"status": "error", "error": str(error)}

    zoo.add(
        "empty-values",
        streamed(lambda: saying(AIMessage("")), stream_mode="values"),
        {"ends": "failed"},
    )
    zoo.add(
        "empty-return",
        returned(lambda: saying(AIMessage("")), lambda state: None),
        {"ends": "failed"},
    )

    turns = calculating(RESULT)
    zoo.add(
        "prints-chunks",
        told(lambda: agent(turns), lambda chunk, _: str(chunk) if chunk.content else None),
        truth(turns, tools=None),
    )
    zoo.add(
        "prints-repr",
        told(lambda: agent(turns), lambda chunk, _: repr(chunk) if chunk.content else None),
        truth(turns, tools=None),
    )
