"""OpenAI's Assistants and Azure's agents, whose streams some agents pass on.

https://platform.openai.com/docs/api-reference/assistants-streaming: the SSE event says what it is.
"""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.attachments import read_sources
from bff.agents.dialects.fields import items, word
from bff.agents.dialects.tool_calls import as_text
from bff.agents.json_values import parse
from bff.events import JSON

_FAILED = frozenset({"thread.run.failed", "thread.run.expired"})


def read(answer: Assembly, name: str, frame: dict[str, JSON]) -> bool:
    """An event of a thread; its name begins with `thread.`."""
    answer.dialects.add("openai threads")
    id = word(frame.get("id"))
    match name, frame:
        case "thread.message.delta", {"delta": {"content": list(content)}}:
            answer.text.delta(_text_of(answer, content), "thread", id)
        case "thread.message.completed", {"content": list(content)}:
            if frame.get("role") != "user":
                answer.text.whole(_text_of(answer, content), "thread", id)
        case "thread.run.requires_action", {
            "required_action": {"submit_tool_outputs": {"tool_calls": calls}}
        }:
            _read_calls(answer, calls)
        case "thread.run.step.completed", {"step_details": {"tool_calls": calls}}:
            _read_calls(answer, calls)
        case _ if name in _FAILED:
            raise InBandError(f"{name} in its stream")
    if name == "thread.run.completed":
        answer.usage.add(frame.get("usage"))
    return True


def _text_of(answer: Assembly, content: list[JSON]) -> str:
    said = ""
    for part in content:
        match part:
            case {"text": {"value": str(text), **rest}}:
                said += text
                read_sources(answer, rest.get("annotations"))
            case {"refusal": str(text)}:
                said += text
    return said


def _read_calls(answer: Assembly, calls: JSON) -> None:
    for call in items(calls):
        match call:
            case {"function": {"name": str(tool), **function}}:
                id, args = word(call.get("id")), function.get("arguments")
                answer.tools.whole("thread", id, tool, parse(args) if type(args) is str else args)
                if function.get("output") is not None:
                    answer.tools.result(id, tool, as_text(function["output"]))
