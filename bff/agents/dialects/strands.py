"""Bedrock Converse events, and Strands, which wraps them and then says the same in its own words.

Strands' raw stream has each token twice, as `{"event": {"contentBlockDelta": …}}` and as
`{"data": …}`, then the message, then the result. Shapes:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html and
https://strandsagents.com/latest/documentation/docs/user-guide/concepts/streaming/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly, InBandError, Reader
from bff.agents.dialects.attachments import read_block, source_of
from bff.agents.dialects.fields import items
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.untyped import text_key
from bff.events import JSON, ToolUse

CONVERSE = frozenset(
    {
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "redactContent",
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


def is_mark(frame: dict[str, JSON]) -> bool:
    """Whether this is one of Strands' own events but a token, `message` and `result`.

    Others have such words beside a text, and mean something else by them.
    """
    if "data" in frame or MARKS.isdisjoint(frame.keys()):
        return False
    rest = {name: value for name, value in frame.items() if name not in MARKS}
    return "structured_output" in frame or text_key(rest) is None


def is_converse(frame: dict[str, JSON]) -> bool:
    """A Converse event is one key, and its value an object."""
    if len(frame) != 1:
        return False
    ((name, value),) = frame.items()
    return (name in CONVERSE or name in _EXCEPTIONS) and isinstance(value, dict)


def read_event(answer: Assembly, event: dict[str, JSON]) -> bool:
    """What Strands holds under `event`, if that is a Converse event."""
    try:  # nearly all of them; what tells it from another event takes longer than all else here
        text = event["contentBlockDelta"]["delta"]["text"]
    except (KeyError, TypeError):
        text = None
    if type(text) is str and len(event) == 1:
        if "converse" not in answer.dialects:
            answer.dialects.add("converse")
        answer.text.delta(text, "converse")
        return True
    if not is_converse(event):
        return False
    read_converse(answer, event)
    return True


def read_converse(answer: Assembly, frame: dict[str, JSON]) -> None:
    """One event of ConverseStream."""
    ((name, value),) = frame.items()
    answer.dialects.add("converse")
    match name, value:
        case ("contentBlockDelta", {"delta": {"text": str(text)}}):
            answer.text.delta(text, "converse")
        case ("contentBlockDelta", {"delta": dict(delta)}):
            _read_delta(answer, delta, _place(value))
        case ("contentBlockStart", {"start": {"toolUse": {"toolUseId": str(id), **tool}}, **rest}):
            tool_name = tool.get("name")
            known = tool_name if isinstance(tool_name, str) else None
            answer.tools.piece("converse", _place(rest), id, known, "")
        case ("contentBlockStop", _):
            answer.tools.complete(_place(value))
        case ("messageStart", _):
            answer.pause()
            answer.tools.go_on()
        case ("messageStop", _):
            answer.pause()
            if str(value.get("stopReason")) in _WAITS:
                answer.tools.wait()
        case ("metadata", {"usage": usage}):
            answer.usage.add(usage)
        case ("redactContent", {"redactAssistantContentMessage": str(text)}):
            answer.pause()
            answer.redact(text)
            answer.text.whole(text, "redact")
        case (_, _) if name in _EXCEPTIONS:
            raise InBandError(f"{name} in its stream")


_WAITS = frozenset({"tool_use", "interrupt"})
"""Why a model stops that has called a tool; nothing follows if somebody is asked about it."""


def _place(event: Mapping[Any, JSON]) -> str:
    """Which block of the message an event is about; Strands leaves the first one's number out."""
    return f"block {event.get('contentBlockIndex', 0)}"


def _read_delta(answer: Assembly, delta: dict[str, JSON], place: str) -> None:
    match delta:
        case {"toolUse": {"input": str(piece)}}:
            answer.tools.piece("converse", place, None, None, piece)
        case {"reasoningContent": {"text": str(text)}}:
            answer.thinking.delta(text, "converse")
        case {"reasoningContent": _}:
            pass  # a signature, or what the provider redacted
        case {"citation": citation}:
            _cite(answer, citation)
        case _ if read_block(answer, delta):
            pass
        case _:
            answer.custom(delta)


def _cite(answer: Assembly, citation: JSON) -> None:
    source = source_of(citation)
    if source is not None:
        answer.attach(source)
    else:
        answer.custom({"citation": citation}, content=False)


def is_token(frame: dict[str, JSON]) -> bool:
    """A token in Strands' own words. What stands beside it is none of a client's business."""
    if not isinstance(frame.get("data"), str) or frame.keys().isdisjoint(_STATE):
        return False
    agent = frame.get("agent")  # a name beside a text is another agent's own convention
    return not isinstance(agent, str) or agent.startswith("<") or "delta" in frame


def read_token(answer: Assembly, frame: dict[str, JSON]) -> None:
    answer.dialects.add("strands")
    answer.text.delta(frame["data"], "strands")


def read_strands(answer: Assembly, frame: dict[str, JSON]) -> None:
    """One of Strands' own events but `message` and `result`."""
    answer.dialects.add("strands")
    match frame:
        case {"force_stop": True}:
            raise InBandError("force_stop in its stream")
        case {"reasoningText": str(text)}:
            answer.thinking.delta(text, "strands")
        case {"current_tool_use": {"toolUseId": str(id), "name": str(name), **rest}}:
            _read_tool_use(answer, id, name, rest.get("input"), frame.get("delta"))
        case {"tool_cancel_event": {"tool_use": {"toolUseId": str(id)}, "message": str(text)}}:
            answer.tools.result(id, None, None, text)
        case {"tool_interrupt_event": {"interrupts": list(items), **rest}}:
            questions.ask_strands(answer, items, _called(answer, rest.get("tool_use")))
        case {"tool_stream_event": {"tool_use": dict(use), "data": dict(inner)}} if speaks(inner):
            answer.speak(str(use.get("toolUseId") or use.get("name")), inner)
        case {"citation": citation}:
            _cite(answer, citation)
        case {"structured_output": found, **rest}:
            answer.structured = found
            if text_key(rest) is not None:
                answer.read(rest)
        case _ if not frame.keys() & LIFECYCLE and "current_tool_use" not in frame:
            kept = {name: frame[name] for name in frame if name in MARKS or name == "type"}
            answer.custom(kept, content="tool_stream_event" not in kept)


def read_typed(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An event of Strands' own that has a `type` beside its key."""
    if frame.keys().isdisjoint(("current_tool_use", "tool_stream_event")):
        return False
    read_strands(answer, frame)
    return True


def speaks(event: dict[str, JSON]) -> bool:
    """Whether this is an event of another agent, which a tool or a node passes on."""
    return not event.keys().isdisjoint(_SPEAKS) and (
        isinstance(event.get("event"), dict)
        or is_token(event)
        or is_message(event.get("message"))
        or is_result(event.get("result"))
        or not MARKS.isdisjoint(event.keys())
        or str(event.get("type")).startswith("multiagent_")
    )


_SPEAKS = MARKS | {"event", "data", "message", "result", "type"}


def _called(answer: Assembly, use: JSON) -> ToolUse | None:
    match use:
        case {"toolUseId": str(id), "name": str(name), **rest}:
            call = answer.tools.find(id)
            return ToolUse(call.id if call else id, name, rest.get("input", {}))
    return None


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
    answer.dialects.add("strands")
    texts: list[str] = []
    thoughts: list[str] = []
    mine = message["role"] == "assistant"
    if mine:
        answer.tools.go_on()
    for block in message["content"]:
        match block:
            case {"text": str(text)}:
                texts.append(text)
            case {"reasoningContent": {"reasoningText": {"text": str(text)}}} | {
                "reasoning": {"text": str(text)}
            }:
                thoughts.append(text)
            case {"reasoningContent": _} | {"cachePoint": _}:
                pass
            case {"citationsContent": {"content": list(content), **rest}}:
                texts += [part["text"] for part in content if _has_text(part)]
                for citation in items(rest.get("citations")):
                    _cite(answer, citation)
            case {"guardContent": {"text": {"text": str(text)}}}:
                texts.append(text)
            case {"toolUse": {"toolUseId": str(id), "name": str(name), "input": args}}:
                _say(answer, texts, thoughts, source, mine)
                answer.tools.whole("message", id, name, args)
            case {"toolResult": {"toolUseId": str(id), **result}}:
                found = result.get("content")
                if isinstance(found, list):
                    found = [part for part in found if not read_block(answer, part)]
                text = as_text(found) if found else ""
                failed = result.get("status") == "error"
                answer.tools.result(id, None, None if failed else text, text if failed else None)
            case _ if mine and not read_block(answer, block):
                answer.custom(block)
    _say(answer, texts, thoughts, source, mine)
    if mine:
        answer.tools.wait()


def _has_text(part: JSON) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def _say(answer: Assembly, texts: list[str], thoughts: list[str], source: str, mine: bool) -> None:
    """Say what came before a tool call, so that the order stays; a user's words are not said."""
    if mine and thoughts:
        answer.thinking.whole("".join(thoughts), source)
    if mine and texts:
        answer.text.whole("".join(texts), source)
    texts.clear()
    thoughts.clear()


def read_result(answer: Assembly, result: dict[str, JSON], source: str = "result") -> bool:
    """Strands' AgentResult: the last message once more, and the tokens of the whole run."""
    if not is_result(result):
        return False
    answer.dialects.add("strands")
    message = result.get("message")
    if is_message(message):
        read_message(answer, message, source)
    if isinstance(result.get("interrupts"), list):
        questions.ask_strands(answer, result["interrupts"])
    if result.get("structured_output") is not None:
        answer.structured = result["structured_output"]
    elif is_message(message) and result["stop_reason"] == "tool_use":
        for block in message["content"]:
            match block:
                case {"toolUse": {"name": str(name), "input": args}} if _TYPE_NAME.fullmatch(name):
                    answer.structured = args  # the call by which a model gives a typed answer
    metrics = result.get("metrics")
    if isinstance(metrics, dict):
        answer.usage.set_total(metrics.get("accumulated_usage"))
    return True


def is_result(value: JSON) -> TypeGuard[dict[str, JSON]]:
    others = {"choices", "content", "subtype"}
    return isinstance(value, dict) and "stop_reason" in value and others.isdisjoint(value.keys())


def read_end(answer: Assembly) -> None:
    """What a stream or a message means that ends with a call: a question, or a typed answer.

    Strands names the tool by which a model gives a typed answer after the type, and the tools that
    do something after functions.
    """
    waiting = answer.tools.waiting()
    if not waiting or answer.asks:
        return
    for call in waiting:
        if _TYPE_NAME.fullmatch(call.name):
            answer.structured = call.args if answer.structured is None else answer.structured
        else:
            questions.ask_about(answer, call.id, call.name, call.args)


_TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")


def read_returned(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """The fields of an AgentResult as an agent's own object."""
    if not is_message(frame.get("message")) and not questions.is_strands(frame.get("interrupts")):
        return False
    return read_result(answer, frame)


def read_response(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """What Bedrock's Converse answers when it is not asked for a stream."""
    match frame:
        case {"output": {"message": message}, "stopReason": reason} if is_message(message):
            read_message(answer, message, "output")
            if str(reason) not in _WAITS:
                answer.tools.go_on()
            answer.usage.set_total(frame.get("usage"))
            return True
    return False


BY_KEY = {"stop_reason": read_returned, "stopReason": read_response}
BY_TYPE: dict[str, Reader] = {
    "agent_result": read_result,
    "AgentResult": read_result,
    "tool_use_stream": read_typed,
    "tool_stream": read_typed,
}
