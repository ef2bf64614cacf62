"""smolagents: tool-calling and code agents; their steps raw, as dicts, their final answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from container import Zoo
from script import (
    BROKEN,
    QUESTION,
    SECRET,
    STEPS,
    USED,
    Call,
    Player,
    Turn,
    broken,
    calculator,
    stocks,
    together,
    weather,
)
from smolagents import CodeAgent, Model, ToolCallingAgent, tool
from smolagents.memory import ActionStep, FinalAnswerStep
from smolagents.models import (
    ChatMessage,
    ChatMessageStreamDelta,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    ChatMessageToolCallStreamDelta,
    TokenUsage,
)

Ask = dict[str, Any]
ANSWER = "".join(STEPS)


def used_as(function: Any, about: str) -> Any:
    """smolagents wants each argument described."""
    function.__doc__ = f"{function.__doc__}\n\nArgs:\n    {about}: What to ask."
    return tool(function)


TOOLS = [
    used_as(calculator, "expression"),
    used_as(weather, "city"),
    used_as(stocks, "symbol"),
    used_as(broken, "city"),
]


class Scripted(Model):
    """Plays turns; whole, or in deltas where the agent streams."""

    def __init__(self, turns: list[Turn]) -> None:
        super().__init__(model_id="scripted")
        self.player = Player(turns)

    def generate(self, messages: Any, **kwargs: Any) -> ChatMessage:
        turn = self.player.next()
        calls = [
            ChatMessageToolCall(
                id=call.id,
                type="function",
                function=ChatMessageToolCallFunction(name=call.tool, arguments=call.args),
            )
            for call in turn.calls
        ]
        usage = TokenUsage(*turn.usage)
        return ChatMessage(
            role="assistant", content=turn.text, tool_calls=calls or None, token_usage=usage
        )

    def generate_stream(self, messages: Any, **kwargs: Any) -> Iterator[ChatMessageStreamDelta]:
        turn = self.player.next()
        for token in turn.say:
            yield ChatMessageStreamDelta(content=token)
        for index, call in enumerate(turn.calls):
            function = ChatMessageToolCallFunction(name=call.tool, arguments="".join(call.pieces))
            yield ChatMessageStreamDelta(
                tool_calls=[
                    ChatMessageToolCallStreamDelta(
                        index=index, id=call.id, type="function", function=function
                    )
                ]
            )
        yield ChatMessageStreamDelta(content="", token_usage=TokenUsage(*turn.usage))


def final(text: str = ANSWER) -> Call:
    return Call("call_final", "final_answer", {"answer": text})


def turns(*before: Turn) -> list[Turn]:
    return [*before, Turn(calls=[final()])]


CALC = Turn(calls=[Call("call_calc", "calculator", USED["args"])])


def agent(made: list[Turn], stream: bool = False) -> Any:
    return ToolCallingAgent(
        tools=list(TOOLS), model=Scripted(made), stream_outputs=stream, verbosity_level=0
    )


def coder() -> Any:
    code = "<code>\nx = calculator(expression='15 * 23')\nprint(x)\n</code>"
    done = "<code>\nfinal_answer('The result is 345.')\n</code>"
    made = [Turn(say=("I calculate", ".\n", code)), Turn(say=("I know", ".\n", done))]
    return CodeAgent(
        tools=list(TOOLS), model=Scripted(made), stream_outputs=False, verbosity_level=0
    )


def step(event: Any) -> Any:
    """Steps as dicts, as the documentation of monitoring does it."""
    if isinstance(event, ActionStep | FinalAnswerStep):
        told = event.dict() if hasattr(event, "dict") else {"output": event.output}
        told.pop("model_input_messages", None)
        return {"type": type(event).__name__, **told}
    return None


def typed(event: Any) -> Any:
    """What Gradio-like pages are told."""
    if isinstance(event, ActionStep):
        if event.is_final_answer:
            return None
        names = [call.name for call in event.tool_calls or []]
        return {"type": "step", "step": event.step_number, "tools": names}
    if isinstance(event, FinalAnswerStep):
        return {"type": "final_answer", "final_answer": event.output}
    return None


def streamed(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    def answer(ask: Ask) -> Iterator[Any]:
        for event in make().run(QUESTION, stream=True):
            told = way(event)
            if told is not None:
                yield told

    return answer


def returned(make: Callable[[], Any], way: Callable[[Any], Any], **how: Any) -> Any:
    def answer(ask: Ask) -> Any:
        return way(make().run(QUESTION, **how))

    return answer


zoo = Zoo("smolagents", "smolagents")
said = {"text": [ANSWER], "tools": None}
zoo.add("steps-raw", streamed(lambda: agent(turns(CALC)), lambda event: event), said)
zoo.add("steps-dict", streamed(lambda: agent(turns(CALC)), step), said)
zoo.add("steps-typed", streamed(lambda: agent(turns(CALC)), typed), {"text": ANSWER, "tools": None})
zoo.add("deltas-raw", streamed(lambda: agent(turns(CALC), True), lambda event: event), said)
zoo.add(
    "two-tools",
    streamed(lambda: agent(turns(together()[0])), step),
    said,
)
zoo.add(
    "failing-tool",
    streamed(lambda: agent(turns(Turn(calls=[BROKEN]))), step),
    {"text": [ANSWER], "tools": None, "never": ["no such city"]},
)
zoo.add("return-text", returned(lambda: agent(turns(CALC)), lambda r: r), {"text": ANSWER})
zoo.add(
    "return-result", returned(lambda: agent(turns(CALC)), lambda r: {"result": r}), {"text": ANSWER}
)
zoo.add(
    "return-run-result",
    returned(
        lambda: agent(turns(CALC)),
        lambda r: {"output": r.output, "state": r.state},
        return_full_result=True,
    ),
    {"text": ANSWER},
)
zoo.add("code-return", returned(coder, lambda r: r), {"text": "The result is 345."})
counted = {"text": ["The result is 345."], "beside": True, "tools": None}
zoo.add("code-steps", streamed(coder, step), counted)


@zoo.scenario("raises", ends="failed")
def raises(ask: Ask) -> Iterator[Any]:
    yield {"type": "step", "step": 1}
    raise RuntimeError(SECRET)


if __name__ == "__main__":
    zoo.run()
