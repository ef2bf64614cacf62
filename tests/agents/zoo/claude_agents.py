"""Claude Agent SDK: its client over a transport that plays the CLI's own words.

The CLI cannot run here; the real client, parser and message classes do.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ResultMessage,
    StreamEvent,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    Transport,
    UserMessage,
)
from container import Zoo
from script import (
    BROKEN,
    CALCULATE,
    SHORT,
    STEPS,
    USED,
    Call,
    Turn,
    thinking,
    truth,
    unhurried,
)

Ask = dict[str, Any]
SESSION = "00000000-0000-4000-8000-0000000000aa"


class PlayedCli(Transport):
    """Answers the handshake and then says the turns as the CLI would, line by line."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.lines = lines
        self.asked: list[dict[str, Any]] = []

    async def connect(self) -> None: ...

    async def write(self, data: str) -> None:
        self.asked.append(json.loads(data))

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        import asyncio

        answered = 0
        while True:
            while answered < len(self.asked):
                asked = self.asked[answered]
                answered += 1
                if asked["type"] == "control_request":
                    told = {"subtype": "success", "request_id": asked["request_id"], "response": {}}
                    yield {"type": "control_response", "response": told}
                elif asked["type"] == "user":
                    for line in self.lines:
                        yield line
                    return
            await asyncio.sleep(0.002)

    async def close(self) -> None: ...

    def is_ready(self) -> bool:
        return True

    async def end_input(self) -> None: ...


def said(turn: Turn, number: int, parent: str | None) -> list[dict[str, Any]]:
    """A turn's stream events, then its blocks as messages of their own, as the CLI tells them."""
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = []
    if turn.think:
        deltas = [{"type": "thinking_delta", "thinking": t} for t in turn.think]
        whole = {"type": "thinking", "thinking": turn.thought, "signature": "sig"}
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas, whole))
    if turn.say:
        deltas = [{"type": "text_delta", "text": t} for t in turn.say]
        blocks.append(({"type": "text", "text": ""}, deltas, {"type": "text", "text": turn.text}))
    for call in turn.calls:
        use = {"type": "tool_use", "id": call.id, "name": call.tool}
        deltas = [{"type": "input_json_delta", "partial_json": p} for p in call.pieces]
        blocks.append(({**use, "input": {}}, deltas, {**use, "input": call.args}))
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "scripted"}
    common = {"session_id": SESSION, "parent_tool_use_id": parent}

    def event(**fields: Any) -> dict[str, Any]:
        return {"type": "stream_event", "uuid": SESSION, **common, "event": fields}

    lines = [event(type="message_start", message={**message, "content": []})]
    for index, (start, deltas, whole) in enumerate(blocks):
        lines.append(event(type="content_block_start", index=index, content_block=start))
        lines += [event(type="content_block_delta", index=index, delta=d) for d in deltas]
        lines.append({"type": "assistant", "message": {**message, "content": [whole]}, **common})
        lines.append(event(type="content_block_stop", index=index))
    reason = "tool_use" if turn.calls else "end_turn"
    usage = {"input_tokens": turn.usage[0], "output_tokens": turn.usage[1]}
    lines.append(event(type="message_delta", delta={"stop_reason": reason}, usage=usage))
    lines.append(event(type="message_stop"))
    return lines


def result_of(call: Call, result: str, *, error: bool = False, parent: str | None = None) -> Any:
    block = {"type": "tool_result", "tool_use_id": call.id, "content": result, "is_error": error}
    content = {"role": "user", "content": [block]}
    common = {"session_id": SESSION, "parent_tool_use_id": parent}
    return {"type": "user", "message": content, **common}


def session(*middle: Any, final: str, subtype: str = "success", partial: bool) -> list[Any]:
    start = {
        "type": "system",
        "subtype": "init",
        "session_id": SESSION,
        "tools": ["calculator"],
        "model": "scripted",
        "cwd": "/agent",
    }
    end = {
        "type": "result",
        "subtype": subtype,
        "duration_ms": 1,
        "duration_api_ms": 1,
        "is_error": subtype != "success",
        "num_turns": 2,
        "session_id": SESSION,
        "total_cost_usd": 0.01,
        "usage": {"input_tokens": 30, "output_tokens": 12},
        "result": final,
    }
    lines = [start, *(line for group in middle for line in group), end]
    return [line for line in lines if partial or line["type"] != "stream_event"]


def calculated(answer: Any, *, partial: bool) -> list[Any]:
    turns = thinking(answer)
    return session(
        said(turns[0], 1, None),
        [result_of(CALCULATE, "345")],
        said(turns[1], 2, None),
        final=turns[1].text,
        partial=partial,
    )


def failed(*, partial: bool) -> list[Any]:
    return session(
        said(Turn(calls=[BROKEN]), 1, None),
        [result_of(BROKEN, "no such city: Atlantis", error=True)],
        said(Turn(say=("I could", " not find", " it", ".")), 2, None),
        final="I could not find it.",
        partial=partial,
    )


TASK = Call("call_task", "Task", {"description": "look", "prompt": "Rome?", "subagent_type": "x"})


def delegated(*, partial: bool) -> list[Any]:
    """A subagent, whose words carry the id of the tool that it is."""
    return session(
        said(Turn(say=("Let me", " ask", "."), calls=[TASK]), 1, None),
        said(Turn(say=("Inner", " words", ".")), 2, TASK.id),
        [result_of(TASK, "Inner words.")],
        said(Turn(say=SHORT), 3, None),
        final="It is 345.",
        partial=partial,
    )


def as_dict(message: Any) -> Any:
    """Its dataclasses as dicts, with their class for a type, as many servers do."""
    return {"type": type(message).__name__, **asdict(message)}


def filtered(message: Any) -> Any:
    """AWS's full-stack template: Strands' words."""
    told = []
    if isinstance(message, AssistantMessage):
        for block in message.content:
            if isinstance(block, ToolUseBlock):
                use = {"name": block.name, "input": block.input, "toolUseId": f"tool-{block.id}"}
                told.append({"current_tool_use": use})
            elif isinstance(block, TextBlock):
                told.append({"data": block.text})
    if isinstance(message, ResultMessage):
        told.append({"claude_session_id": message.session_id})
    return told


def typed(message: Any) -> Any:
    """A vocabulary of one's own with every kind of block."""
    told: list[Any] = []
    if isinstance(message, AssistantMessage | UserMessage) and isinstance(message.content, list):
        for block in message.content:
            match block:
                case TextBlock(text=text):
                    told.append({"type": "text", "content": text})
                case ThinkingBlock(thinking=thought):
                    told.append({"type": "thinking", "content": thought})
                case ToolUseBlock(id=id, name=name, input=args):
                    told.append({"type": "tool_use", "id": id, "name": name, "input": args})
                case ToolResultBlock(tool_use_id=id, content=content):
                    told.append({"type": "tool_result", "tool_use_id": id, "content": content})
    if isinstance(message, ResultMessage):
        told.append({"type": "result", "result": message.result, "usage": message.usage})
    return told


def deltas(message: Any) -> Any:
    """The raw Anthropic events only."""
    return [message.event] if isinstance(message, StreamEvent) else []


def streamed(lines: Callable[[], list[Any]], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        options = ClaudeAgentOptions(include_partial_messages=True)
        async with ClaudeSDKClient(options, transport=PlayedCli(lines())) as client:
            await client.query("What is 15 * 23?")
            async for message in unhurried(client.receive_response()):
                told = way(message)
                for one in told if isinstance(told, list) else [told]:
                    yield one

    return answer


def returned(lines: Callable[[], list[Any]], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> Any:
        async with ClaudeSDKClient(ClaudeAgentOptions(), transport=PlayedCli(lines())) as client:
            await client.query("What is 15 * 23?")
            return way([message async for message in client.receive_response()])

    return answer


zoo = Zoo("Claude Agent SDK", "claude-agent-sdk")
whole, brief = truth(thinking(STEPS), USED), truth(thinking(SHORT), USED)
raw: Callable[[Any], Any] = lambda message: message  # noqa: E731
zoo.add("messages-raw", streamed(lambda: calculated(STEPS, partial=False), raw), whole)
zoo.add("messages-dict", streamed(lambda: calculated(STEPS, partial=False), as_dict), whole)
zoo.add("messages-typed", streamed(lambda: calculated(STEPS, partial=False), typed), whole)
zoo.add("partial-raw", streamed(lambda: calculated(SHORT, partial=True), raw), brief)
zoo.add("partial-dict", streamed(lambda: calculated(SHORT, partial=True), as_dict), brief)
zoo.add(
    "partial-events",
    streamed(lambda: calculated(STEPS, partial=True), deltas),
    {**whole, "tools": [{"tool": "calculator", "args": CALCULATE.args}]},
)
zoo.add(
    "template",
    streamed(lambda: calculated(STEPS, partial=False), filtered),
    {"text": whole["text"], "tools": [{"tool": "calculator", "args": CALCULATE.args}]},
)
missed = {"tool": "broken", "args": BROKEN.args, "error": {"holds": "no such city"}}
lost = {"text": "I could not find it.", "tools": [missed]}
for name, way in {"raw": raw, "dict": as_dict}.items():
    zoo.add(f"failing-tool-{name}", streamed(lambda: failed(partial=False), way), lost)
task = {"tool": "Task", "args": TASK.args, "result": "Inner words."}
inner = {"text": ["Let me ask.", "It is 345."], "beside": True, "tools": [task]}
for name, partial in {"messages": False, "partial": True}.items():
    zoo.add(
        f"subagent-{name}",
        streamed(lambda partial=partial: delegated(partial=partial), as_dict),
        inner,
    )
last = truth(thinking(STEPS)[1:]) | {"thinking": ""}
zoo.add(
    "return-result",
    returned(lambda: calculated(STEPS, partial=False), lambda got: {"result": got[-1].result}),
    last,
)
zoo.add(
    "return-result-message",
    returned(lambda: calculated(STEPS, partial=False), lambda got: got[-1]),
    last,
)
zoo.add(
    "return-messages",
    returned(
        lambda: calculated(STEPS, partial=False),
        lambda got: {"messages": [as_dict(message) for message in got]},
    ),
    whole,
)
zoo.add(
    "most-turns",
    streamed(
        lambda: session(
            said(Turn(say=SHORT), 1, None), final="", subtype="error_max_turns", partial=False
        ),
        as_dict,
    ),
    {"text": "It is 345.", "ends": "failed"},
)

if __name__ == "__main__":
    zoo.run()
