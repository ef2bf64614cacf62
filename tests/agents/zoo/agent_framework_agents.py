"""Microsoft's Agent Framework: updates, responses, contents, workflows, approvals."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from agent_framework import (
    Agent,
    BaseChatClient,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationLayer,
    Message,
    WorkflowBuilder,
    tool,
)
from container import Zoo
from pydantic import BaseModel
from script import (
    BROKEN,
    DELETE,
    PIXEL,
    QUESTION,
    SECRET,
    SHORT,
    STEPS,
    USED,
    USED_STOCKS,
    USED_WEATHER,
    Player,
    Turn,
    broken,
    calculating,
    calculator,
    delete_file,
    failing,
    stocks,
    thinking,
    together,
    truth,
    unhurried,
    weather,
)

Ask = dict[str, Any]


class Model(FunctionInvocationLayer, BaseChatClient):
    def __init__(self, turns: list[Turn]) -> None:
        super().__init__()
        self.player = Player(turns)

    def _inner_get_response(self, *, messages: Any, stream: bool, options: Any, **more: Any) -> Any:
        turn = self.player.next()
        return self._build_response_stream(self.pieces(turn)) if stream else self.whole(turn)

    async def pieces(self, turn: Turn) -> AsyncIterator[Any]:
        def update(content: Any) -> Any:
            number = self.player.played
            return ChatResponseUpdate(
                role="assistant",
                contents=[content],
                response_id=f"response-{number}",
                message_id=f"message-{number}",
            )

        for kind, what in turn.tokens():
            if kind == "think":
                yield update(Content.from_text_reasoning(text=what))
            elif kind == "say":
                yield update(Content.from_text(what))
            else:
                for at, piece in enumerate(what.pieces):
                    name = what.tool if at == 0 else ""
                    yield update(
                        Content.from_function_call(call_id=what.id, name=name, arguments=piece)
                    )
        yield update(Content.from_usage(usage(turn)))

    async def whole(self, turn: Turn) -> Any:
        contents = [Content.from_text_reasoning(text=turn.thought)] if turn.think else []
        contents += [Content.from_text(turn.text)] if turn.say else []
        contents += [
            Content.from_function_call(call_id=c.id, name=c.tool, arguments=json.dumps(c.args))
            for c in turn.calls
        ]
        return ChatResponse(
            messages=[Message(role="assistant", contents=contents)],
            response_id=f"response-{self.player.played}",
            usage_details=usage(turn),
        )


def usage(turn: Turn) -> Any:
    used, made = turn.usage
    return {
        "input_token_count": used,
        "output_token_count": made,
        "total_token_count": used + made,
    }


def agent(turns: list[Turn], **more: Any) -> Any:
    tools = [calculator, weather, stocks, broken]
    return Agent(client=Model(turns), name="math", tools=tools, **more)


def streamed(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        async for update in unhurried(make().run(QUESTION, stream=True)):
            told = way(update)
            if told is not None:
                yield told

    return answer


def returned(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> Any:
        return way(await make().run(QUESTION))

    return answer


def dumped(thing: Any) -> Any:
    return thing.to_dict()


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def approving() -> Any:
    turns = [Turn(say=("Let me", " see", "."), calls=[DELETE]), Turn(say=SHORT)]
    asked = tool(approval_mode="always_require")(delete_file)
    return Agent(client=Model(turns), name="files", tools=[asked])


def workflow() -> Any:
    writer = Agent(client=Model([Turn(say=("First", ":\n", "one"))]), name="writer")
    reviewer = Agent(client=Model(calculating(SHORT)), name="reviewer", tools=[calculator])
    return WorkflowBuilder(start_executor=writer).add_edge(writer, reviewer).build()


def by_event(event: Any) -> Any:
    told = {"type": event.type, "executor_id": event.executor_id}
    if hasattr(event.data, "to_dict"):
        return {**told, "data": event.data.to_dict()}
    return {**told, "data": event.data if isinstance(event.data, str) else None}


zoo = Zoo("Microsoft Agent Framework", "agent-framework-core")
steps, short = thinking(STEPS), thinking(SHORT)
said = truth([Turn(say=["Let me see."]), Turn(say=STEPS)])
zoo.add("updates-text", streamed(lambda: agent(steps), lambda update: update.text), said)
zoo.add(
    "updates-raw",
    streamed(lambda: agent(short), lambda update: update),
    truth([Turn(say=["Let me see."]), Turn(say=SHORT)]),
)
zoo.add("updates-dict", streamed(lambda: agent(steps), dumped), truth(steps, USED))
zoo.add("updates-json", streamed(lambda: agent(short), lambda u: u.to_json()), truth(short, USED))
zoo.add(
    "updates-contents",
    streamed(lambda: agent(steps), lambda u: [content.to_dict() for content in u.contents]),
    truth(steps, USED),
)
zoo.add(
    "two-tools",
    streamed(lambda: agent(together()), dumped),
    truth(together(), USED_WEATHER, USED_STOCKS),
)
zoo.add(
    "failing-tool",
    streamed(lambda: agent(failing()), dumped),
    truth(failing(), {"tool": "broken", "args": BROKEN.args, "error": None}),
)
zoo.add("return-text", returned(lambda: agent(steps), lambda r: r.text), said)
zoo.add("return-result", returned(lambda: agent(steps), lambda r: {"result": r.text}), said)
zoo.add("return-response", returned(lambda: agent(steps), lambda r: r), said)
zoo.add("return-dict", returned(lambda: agent(steps), dumped), truth(steps, USED))
zoo.add(
    "return-messages",
    returned(lambda: agent(steps), lambda r: [message.to_dict() for message in r.messages]),
    truth(steps, USED),
)
waiting = {
    "text": "Let me see.",
    "tools": None,
    "inputs": [{"tool": ["delete_file", DELETE.args]}],
    "ends": "input_required",
}
zoo.add("approval-updates", streamed(approving, dumped), waiting)
zoo.add("approval-return", returned(approving, dumped), waiting)
both = {"text": ["First:\none", "Let me see.", "It is 345."], "tools": [USED]}
zoo.add("workflow-events", streamed(workflow, by_event), both)
zoo.add(
    "workflow-data",
    streamed(workflow, lambda e: e.data.to_dict() if hasattr(e.data, "to_dict") else None),
    both,
)
zoo.add("workflow-agent", streamed(lambda: workflow().as_agent("team"), dumped), both)
zoo.add(
    "workflow-raw",
    streamed(workflow, lambda event: event),
    {"never": [QUESTION], "ends": "failed"},  # it prints no more than addresses
)
person = [Turn(say=('{"name": "Jo ', 'Ann", "age": 3}'))]
typed: Any = {"default_options": {"response_format": Person}}
zoo.add(
    "structured-return",
    returned(lambda: agent(person, **typed), lambda r: r.value),
    {"holds": ["Jo Ann"]},
)
zoo.add(
    "structured-updates", streamed(lambda: agent(person, **typed), dumped), {"holds": ["Jo Ann"]}
)


class Painter(Model):
    async def pieces(self, turn: Turn) -> AsyncIterator[Any]:
        picture = Content.from_data(data=base64.b64decode(PIXEL), media_type="image/png")
        yield ChatResponseUpdate(role="assistant", contents=[Content.from_text("Here"), picture])


zoo.add(
    "picture",
    streamed(lambda: Agent(client=Painter([Turn()]), name="painter"), dumped),
    {"text": "Here", "files": [{"mimeType": "image/png", "data": PIXEL}]},
)


@zoo.scenario("raises", text="Before it broke.", ends="failed")
async def raises(ask: Ask) -> AsyncIterator[Any]:
    async for update in agent([Turn(say=("Before", " it broke", "."))]).run("?", stream=True):
        yield update.text
    raise RuntimeError(SECRET)


if __name__ == "__main__":
    zoo.run()
