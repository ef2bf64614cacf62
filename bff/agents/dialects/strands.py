"""Bedrock Converse events, and Strands, which wraps them and then says the same in its own words.

Strands' raw stream has each token twice, as `{"event": {"contentBlockDelta": …}}` and as
`{"data": …}`, then the message, then the result. Shapes:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html and
https://strandsagents.com/latest/documentation/docs/user-guide/concepts/streaming/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON

CONVERSE = frozenset(
    {
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    }
)
_EXCEPTIONS = frozenset(
    {
        "internalServerException",
        "modelStreamErrorException",
        "validationException",
        "throttlingException",
        "serviceUnavailableException",
        "modelTimeoutException",
    }
)
LIFECYCLE = frozenset(
    {
        "init_event_loop",
        "start",
        "start_event_loop",
        "complete",
        "event_loop_throttled_delay",
        "reasoning_signature",
        "reasoningRedactedContent",
    }
)
_STATE = frozenset({"agent", "event_loop_cycle_id", "request_state", "delta"})
"""What Strands puts beside a token: the delta it was made of, and often its whole inner state."""
MARKS = LIFECYCLE | {
    "current_tool_use",
    "reasoningText",
    "force_stop",
    "tool_stream_event",
    "tool_cancel_event",
    "tool_interrupt_event",
    "citation",
    "structured_output",
}


def is_converse(frame: dict[str, JSON]) -> bool:
    """A Converse event is one key, and its value an object."""
    if len(frame) != 1:
        return False
    ((name, value),) = frame.items()
    return (name in CONVERSE or name in _EXCEPTIONS) and isinstance(value, dict)


def read_converse(answer: Assembly, frame: dict[str, JSON]) -> None:
    """One event of ConverseStream."""
    ((name, value),) = frame.items()
    match name, value:
        case ("contentBlockDelta", {"delta": dict(delta), **rest}):
            _read_delta(answer, delta, _place(rest))
        case ("contentBlockStart", {"start": {"toolUse": {"toolUseId": str(id), **tool}}, **rest}):
            tool_name = tool.get("name")
            known = tool_name if isinstance(tool_name, str) else None
            answer.tools.piece("converse", _place(rest), id, known, "")
        case ("contentBlockStop", _):
            answer.tools.complete(_place(value))
        case ("messageStart" | "messageStop", _):
            answer.pause()
        case ("metadata", {"usage": usage}):
            answer.message += 1
            answer.use(usage, key=f"call {answer.message}")
        case (_, _) if name in _EXCEPTIONS:
            raise InBandError(f"{name} in its stream")


def _place(event: Mapping[Any, JSON]) -> str:
    """Which block of the message an event is about; Strands leaves the first one's number out."""
    return f"block {event.get('contentBlockIndex', 0)}"


def _read_delta(answer: Assembly, delta: dict[str, JSON], place: str) -> None:
    match delta:
        case {"text": str(text)}:
            answer.text.mirrored(text, "converse", "strands", token=True)
        case {"toolUse": {"input": str(piece)}}:
            answer.tools.piece("converse", place, None, None, piece)
        case {"reasoningContent": {"text": str(text)}}:
            answer.thinking.mirrored(text, "converse", "strands", token=True)
        case {"reasoningContent": _}:
            pass  # a signature, or what the provider redacted
        case _:
            answer.custom(delta)


def is_token(frame: dict[str, JSON]) -> bool:
    """A token in Strands' own words. What stands beside it is none of a client's business."""
    return isinstance(frame.get("data"), str) and not frame.keys().isdisjoint(_STATE)


def read_token(answer: Assembly, frame: dict[str, JSON]) -> None:
    answer.text.mirrored(frame["data"], "strands", "converse", token=True)


def read_strands(answer: Assembly, frame: dict[str, JSON]) -> None:
    """One of Strands' own events but `message` and `result`."""
    match frame:
        case {"force_stop": True}:
            raise InBandError("force_stop in its stream")
        case {"reasoningText": str(text)}:
            answer.thinking.mirrored(text, "strands", "converse", token=True)
        case {"current_tool_use": {"toolUseId": str(id), "name": str(name), **rest}}:
            _read_tool_use(answer, id, name, rest.get("input"), frame.get("delta"))
        case {"tool_cancel_event": {"tool_use": {"toolUseId": str(id)}, "message": str(text)}}:
            answer.tools.result(id, None, None, text)
        case _ if not frame.keys() & LIFECYCLE and "current_tool_use" not in frame:
            answer.custom({name: frame[name] for name in frame if name in MARKS or name == "type"})


def _read_tool_use(answer: Assembly, id: str, name: str, so_far: JSON, delta: JSON) -> None:
    match so_far, delta:
        case dict(), _ if so_far:
            answer.tools.whole("strands", id, name, so_far)
        case str(), _ if so_far:
            answer.tools.so_far("strands", id, name, so_far)
        case _, {"toolUse": {"input": str(piece)}}:
            answer.tools.piece("strands", f"strands {id}", id, name, piece)
        case _:
            answer.tools.piece("strands", f"strands {id}", id, name, "")


def is_message(value: JSON) -> TypeGuard[dict[str, JSON]]:
    """A Converse message: a role and blocks that have no `type`."""
    match value:
        case {"role": "user" | "assistant", "content": list(blocks)}:
            return all(isinstance(block, dict) and "type" not in block for block in blocks)
    return False


def has_results(message: dict[str, JSON]) -> bool:
    """Whether a user's message is none: it gives the model what its tools found."""
    return any("toolResult" in block for block in message["content"])


def read_message(answer: Assembly, message: dict[str, JSON], source: str) -> None:
    """A whole message: what the model said and called, or the results it was given."""
    texts: list[str] = []
    thoughts: list[str] = []
    mine = message["role"] == "assistant"
    for block in message["content"]:
        match block:
            case {"text": str(text)}:
                texts.append(text)
            case {"reasoningContent": {"reasoningText": {"text": str(text)}}}:
                thoughts.append(text)
            case {"reasoningContent": _} | {"cachePoint": _}:
                pass
            case {"toolUse": {"toolUseId": str(id), "name": str(name), "input": args}}:
                _say(answer, texts, thoughts, source, mine)
                answer.tools.whole("message", id, name, args)
            case {"toolResult": {"toolUseId": str(id), **result}}:
                text = as_text(result.get("content"))
                failed = result.get("status") == "error"
                answer.tools.result(id, None, None if failed else text, text if failed else None)
            case _ if mine:
                answer.custom(block)
    _say(answer, texts, thoughts, source, mine)


def _say(answer: Assembly, texts: list[str], thoughts: list[str], source: str, mine: bool) -> None:
    """Say what came before a tool call, so that the order stays; a user's words are not said."""
    if mine and thoughts:
        answer.thinking.whole("".join(thoughts), source)
    if mine and texts:
        answer.text.whole("".join(texts), source)
    texts.clear()
    thoughts.clear()


def read_result(answer: Assembly, result: dict[str, JSON]) -> None:
    """Strands' AgentResult: the last message once more, and the tokens of the whole run."""
    message = result.get("message")
    if is_message(message):
        read_message(answer, message, "result")
    metrics = result.get("metrics")
    if isinstance(metrics, dict):
        answer.use_total(metrics.get("accumulated_usage"))


def is_result(value: JSON) -> TypeGuard[dict[str, JSON]]:
    return isinstance(value, dict) and "stop_reason" in value
