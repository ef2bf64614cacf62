"""LlamaIndex: function agents, agent workflows, its own AgentCore runtime, workflows that ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from container import Zoo
from llama_index.core.agent.workflow import AgentStream, AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools import ToolSelection
from llama_index.tools.aws_bedrock_agentcore import AgentCoreRuntime
from pydantic import PrivateAttr
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
    paced,
    stocks,
    thinking,
    together,
    truth,
    unhurried,
    weather,
)
from workflows import Context, Workflow, step
from workflows.events import (
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
)

Ask = dict[str, Any]


class Scripted(FunctionCallingLLM):
    """Streams tokens and then its tool calls, as LlamaIndex's integrations do."""

    turns: list[Turn]
    _player: Player = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._player = Player(self.turns)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            is_function_calling_model=True, is_chat_model=True, model_name="scripted"
        )

    def whole(self, turn: Turn) -> ChatResponse:
        blocks: list[Any] = [ThinkingBlock(content=turn.thought)] if turn.think else []
        blocks += [TextBlock(text=turn.text)] if turn.say else []
        blocks += [
            ToolCallBlock(tool_call_id=c.id, tool_name=c.tool, tool_kwargs=c.args)
            for c in turn.calls
        ]
        return ChatResponse(message=ChatMessage(role="assistant", blocks=blocks), delta="")

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        turn = self._player.next()

        async def responses() -> AsyncIterator[ChatResponse]:
            said = ""
            async for kind, token in paced(turn):
                if kind == "say":
                    said += token
                    message = ChatMessage(role="assistant", content=said)
                    yield ChatResponse(message=message, delta=token)
                elif kind == "think":
                    message = ChatMessage(role="assistant", content=said)
                    more = {"thinking_delta": token}
                    yield ChatResponse(message=message, delta="", additional_kwargs=more)
            yield self.whole(turn)

        return responses()

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self.whole(self._player.next())

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self.whole(self._player.next())

    def stream_chat(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def complete(self, *args: Any, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    acomplete = stream_complete = astream_complete = complete

    def _prepare_chat_with_tools(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {"messages": kwargs.get("chat_history") or []}

    def get_tool_calls_from_response(self, response: Any, **kwargs: Any) -> list[ToolSelection]:
        return [
            ToolSelection(
                tool_id=block.tool_call_id, tool_name=block.tool_name, tool_kwargs=block.tool_kwargs
            )
            for block in response.message.blocks
            if isinstance(block, ToolCallBlock)
        ]


def agent(turns: list[Turn], name: str = "math", **more: Any) -> Any:
    tools = [calculator, weather, stocks, broken]
    return FunctionAgent(
        name=name, description=name, tools=tools, llm=Scripted(turns=turns), **more
    )


def team() -> Any:
    hand = Call("call_hand", "handoff", {"to_agent": "bob", "reason": "He knows."})
    alice = agent([Turn(say=("Bob", " knows", "."), calls=[hand])], "alice", can_handoff_to=["bob"])
    bob = agent([Turn(say=SHORT)], "bob")
    return AgentWorkflow(agents=[alice, bob], root_agent="alice")


def event(told: Any) -> Any:
    return told


def dump(told: Any) -> Any:
    return {"type": type(told).__name__, **told.model_dump(mode="json")}


def text(told: Any) -> Any:
    """The documentation's way."""
    return told.delta or None if isinstance(told, AgentStream) else None


def streamed(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        handler = make().run(user_msg=QUESTION)
        async for told in unhurried(handler.stream_events()):
            said = way(told)
            if said is not None:
                yield said
        await handler

    return answer


def returned(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> Any:
        return way(await make().run(user_msg=QUESTION))

    return answer


def runtime(make: Callable[[], Any], stream: bool) -> Callable[[Ask], Any]:
    """LlamaIndex's own adapter for AgentCore; its entry point, called as its server does."""

    def answer(ask: Ask) -> Any:
        adapter = AgentCoreRuntime(make(), stream=stream)
        told = adapter.app.handlers["main"]({"prompt": QUESTION}, None)
        return unhurried(told) if stream else told

    return answer


class Progress(Event):
    """Told between the steps."""

    msg: str


class Steps(Workflow):
    """The documentation's streaming workflow: progress, then a result."""

    @step
    async def first(self, ctx: Context, ev: StartEvent) -> StopEvent:
        ctx.write_event_to_stream(Progress(msg="Step one is happening"))
        return StopEvent(result="".join(STEPS))


class Asks(Workflow):
    """The documentation's human in the loop."""

    @step
    async def first(self, ev: StartEvent) -> InputRequiredEvent:
        return InputRequiredEvent(prefix="Which color?")

    @step
    async def second(self, ev: HumanResponseEvent) -> StopEvent:
        return StopEvent(result=ev.response)


def workflow(kind: Any, way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        handler = kind(timeout=5).run()
        async for told in handler.stream_events():
            yield way(told)
            if isinstance(told, InputRequiredEvent):
                await handler.cancel_run()
                return

    return answer


zoo = Zoo(
    "LlamaIndex",
    "llama-index-core",
    "llama-index-workflows",
    "llama-index-tools-aws-bedrock-agentcore",
)
steps, short, calm = thinking(STEPS), thinking(SHORT), calculating(STEPS)
zoo.add("runtime-stream", runtime(lambda: agent(steps), True), truth(steps, USED))
zoo.add("runtime-whole", runtime(lambda: agent(steps), False), truth(steps[1:]) | {"thinking": ""})
zoo.add("events-dump", streamed(lambda: agent(short), dump), truth(short, USED))
zoo.add("events-raw", streamed(lambda: agent(short), event), truth(short, USED))
zoo.add("text", streamed(lambda: agent(calm), text), truth(calm))
pair = together()
zoo.add(
    "runtime-two-tools", runtime(lambda: agent(pair), True), truth(pair, USED_WEATHER, USED_STOCKS)
)
zoo.add(
    "two-tools-dump", streamed(lambda: agent(pair), dump), truth(pair, USED_WEATHER, USED_STOCKS)
)
missed = {"tool": "broken", "args": BROKEN.args}
zoo.add("failing-tool-dump", streamed(lambda: agent(failing()), dump), truth(failing(), missed))
zoo.add("runtime-failing-tool", runtime(lambda: agent(failing()), True), truth(failing(), missed))
handed = {"text": ["Bob knows.", "It is 345."], "tools": [], "more_tools": True}
zoo.add("team-dump", streamed(team, dump), handed)
zoo.add("team-text", streamed(team, text), {"text": handed["text"]})
results: dict[str, Callable[[Any], Any]] = {
    "text": str,
    "result": lambda output: {"result": str(output)},
    "response": lambda output: {"response": output.response.content},
    "dump": lambda output: output.model_dump(mode="json"),
    "output": event,
}
for name, way in results.items():
    wanted = {"text": [truth(calm)["text"][1]], "beside": True, "tools": None}
    zoo.add(f"return-{name}", returned(lambda: agent(calm), way), wanted)
zoo.add("workflow-dump", workflow(Steps, dump), {"text": "".join(STEPS), "never": ["Step one"]})
zoo.add("workflow-raw", workflow(Steps, event), {"text": "".join(STEPS), "never": ["Step one"]})
zoo.add(
    "workflow-asks",
    workflow(Asks, dump),
    {"inputs": [{"holds": ["Which color?"]}], "ends": "input_required"},
)


@zoo.scenario("runtime-raises", ends="failed")
def raises(ask: Ask) -> Any:
    class Breaking(Scripted):
        async def astream_chat(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(SECRET)

    made = FunctionAgent(name="m", description="m", tools=[calculator], llm=Breaking(turns=[]))
    return AgentCoreRuntime(made).app.handlers["main"]({"prompt": QUESTION}, None)


if __name__ == "__main__":
    zoo.run()
