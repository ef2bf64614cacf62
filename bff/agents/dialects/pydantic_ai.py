"""pydantic-ai's stream events and results, dumped or printed.

https://ai.pydantic.dev/agents/#streaming-events-and-final-output. `event_kind` names an event; a
print has its class's name in place of that.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.attachments import read_block
from bff.agents.dialects.fields import items
from bff.agents.dialects.tool_calls import as_text
from bff.agents.json_values import parse
from bff.events import JSON, InputKind, ToolUse

_CLASSES = {
    "PartStartEvent": "part_start",
    "PartDeltaEvent": "part_delta",
    "PartEndEvent": "part_end",
    "FinalResultEvent": "final_result",
    "FunctionToolCallEvent": "function_tool_call",
    "FunctionToolResultEvent": "function_tool_result",
    "OutputToolCallEvent": "output_tool_call",
    "OutputToolResultEvent": "output_tool_result",
    "DeferredToolRequestsEvent": "deferred_tool_requests",
    "AgentRunResultEvent": "agent_run_result",
    "AgentRunResult": "agent_run_result",
    "ModelResponse": "model_response",
    "ModelRequest": "model_request",
}
_PARTS = {
    "TextPart": "text",
    "ThinkingPart": "thinking",
    "ToolCallPart": "tool-call",
    "ToolReturnPart": "tool-return",
    "RetryPromptPart": "retry-prompt",
    "FilePart": "file",
}


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event, message or result."""
    kind = frame.get("event_kind") or _CLASSES.get(str(frame.get("type")))
    part = frame.get("part")
    part = part if isinstance(part, dict) else {}
    match kind:
        case "part_start":
            _read_part(answer, part, frame.get("index"), begun=True)
        case "part_delta":
            delta = frame.get("delta")
            if isinstance(delta, dict):
                _read_delta(answer, delta, frame.get("index"))
        case "part_end":
            _read_part(answer, part, frame.get("index"), begun=False)
            answer.pause()
        case "function_tool_call" | "output_tool_call":
            _call(answer, part)
        case "function_tool_result" | "output_tool_result":
            result = frame.get("result", part)
            if isinstance(result, dict):
                _result(answer, result)
        case "deferred_tool_requests":
            _ask(answer, frame.get("requests"))
        case "agent_run_result":
            result = frame.get("result")
            read_output(answer, result if isinstance(result, dict) else frame)
        case "model_response" | "model_request":
            return read_message(answer, frame)
        case "final_result":
            pass
        case _:
            return False
    answer.dialects.add("pydantic-ai")
    return True


def read_message(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A ModelResponse or a ModelRequest of a message history."""
    parts = frame.get("parts")
    if not isinstance(parts, list) or not any(
        isinstance(part, dict) and ("part_kind" in part or str(part.get("type")) in _PARTS)
        for part in parts
    ):
        return False
    answer.dialects.add("pydantic-ai")
    for part in parts:
        match part:
            case {"part_kind": "tool-return" | "retry-prompt"} | {"type": "ToolReturnPart"}:
                _result(answer, part)
            case dict() if frame.get("kind") == "response" or frame.get("type") == "ModelResponse":
                _read_part(answer, part, None, begun=False)
    answer.usage.add(frame.get("usage"))
    return True


def read_output(answer: Assembly, result: dict[str, JSON]) -> None:
    """What the run came to."""
    match result.get("output"):
        case str(text):
            answer.text.whole(text, "output")
        case {"approvals": list(), "calls": list()} as asked:
            _ask(answer, asked)
        case None:
            pass
        case found:
            answer.structured = found
    answer.usage.set_total(result.get("usage"))


def _ask(answer: Assembly, asked: JSON) -> None:
    """Calls that wait for a word, and calls that somebody else has to run."""
    if not isinstance(asked, dict):
        return
    for key, kind in (("approvals", "approval"), ("calls", "tool")):
        for part in items(asked.get(key)):
            match part:
                case {"tool_call_id": str(id), "tool_name": str(name), **rest}:
                    _call(answer, part)
                    use = ToolUse(id, name, questions.arguments(rest.get("args")))
                    wanted: InputKind = "tool" if kind == "tool" else "approval"
                    questions.ask(answer, id, part, kind=wanted, tool=use)


def _read_part(answer: Assembly, part: dict[str, JSON], index: JSON, *, begun: bool) -> None:
    kind = part.get("part_kind") or _PARTS.get(str(part.get("type")))
    text = part.get("content")
    match kind:
        case "text" | "thinking":
            speech = answer.text if kind == "text" else answer.thinking
            if isinstance(text, str) and text:
                if begun:
                    speech.pause()
                    speech.delta(text, "parts")
                else:
                    speech.whole(text, "part")
        case "tool-call" | "builtin-tool-call":
            if begun:
                args = part.get("args")
                id, name = part.get("tool_call_id"), part.get("tool_name")
                if isinstance(args, dict):
                    _call(answer, part)
                elif isinstance(id, str) and isinstance(name, str):
                    answer.tools.piece("parts", f"part {index}", id, name, args or "")
            else:
                _call(answer, part)
        case "builtin-tool-return":
            _result(answer, part)
        case "file" if isinstance(text, dict):
            read_block(answer, {**text, "type": "file"})


def _read_delta(answer: Assembly, delta: dict[str, JSON], index: JSON) -> None:
    kind = delta.get("part_delta_kind") or str(delta.get("type")).removesuffix("PartDelta").lower()
    match kind, delta:
        case ("text", {"content_delta": str(text)}):
            answer.text.delta(text, "parts")
        case ("thinking", {"content_delta": str(text)}):
            answer.thinking.delta(text, "parts")
        case ("tool_call" | "toolcall", _):
            args, id = delta.get("args_delta"), delta.get("tool_call_id")
            name = delta.get("tool_name_delta")
            answer.tools.piece(
                "parts",
                f"part {index}",
                id if isinstance(id, str) else None,
                name if isinstance(name, str) else None,
                args if isinstance(args, str) else "",
            )


def _call(answer: Assembly, part: dict[str, JSON]) -> None:
    id, name = part.get("tool_call_id"), part.get("tool_name")
    if isinstance(name, str):
        args = part.get("args")
        args = parse(args) if isinstance(args, str) else args
        answer.tools.whole("parts", id if isinstance(id, str) else None, name, args or {})


def _result(answer: Assembly, part: dict[str, JSON]) -> None:
    id, name = part.get("tool_call_id"), part.get("tool_name")
    text = as_text(part.get("content"))
    wrong = part.get("part_kind") == "retry-prompt" or part.get("outcome") in ("failed", "denied")
    answer.tools.result(
        id if isinstance(id, str) else None,
        name if isinstance(name, str) else None,
        None if wrong else text,
        text if wrong else None,
    )


BY_TYPE = dict.fromkeys(_CLASSES, read)


def read_deferred(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A DeferredToolRequests, as the run's output or returned alone."""
    asked = frame.get("output", frame)
    if not isinstance(asked, dict) or not {"approvals", "calls"} <= asked.keys():
        return False
    answer.dialects.add("pydantic-ai")
    _ask(answer, asked)
    return True


BY_KEY = {
    "event_kind": read,
    "parts": read_message,
    "approvals": read_deferred,
    "output": read_deferred,
}
