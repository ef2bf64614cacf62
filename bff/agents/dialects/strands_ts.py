"""Events of Strands' TypeScript SDK: hooks that carry a model's events, messages and results.

https://strandsagents.com/docs/api/typescript/. A model's events are Bedrock's under other names, so
they are read as those; nodes of a graph or a swarm wrap the events of their agents.
"""

from __future__ import annotations

from bff.agents.dialects import questions, strands
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.fields import items, word
from bff.events import JSON


def read_model(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event of a model's stream."""
    place = {"contentBlockIndex": frame.get("contentBlockIndex", 0)}
    match frame:
        case {"type": "modelMessageStartEvent"}:
            event: dict[str, JSON] = {"messageStart": {}}
        case {"type": "modelContentBlockStartEvent", "start": dict(tool)}:
            event = {"contentBlockStart": {"start": {"toolUse": tool}, **place}}
        case {"type": "modelContentBlockDeltaEvent", "delta": dict(delta)}:
            event = {"contentBlockDelta": {"delta": _delta(delta), **place}}
        case {"type": "modelContentBlockStopEvent"}:
            event = {"contentBlockStop": place}
        case {"type": "modelMessageStopEvent"}:
            event = {"messageStop": {"stopReason": _WAITS.get(str(frame.get("stopReason")))}}
        case {"type": "modelMetadataEvent"}:
            event = {"metadata": {"usage": frame.get("usage")}}
        case {"type": "modelRedactionEvent", "outputRedaction": {"replaceContent": str(text)}}:
            event = {"redactContent": {"redactAssistantContentMessage": text}}
        case _:
            return True  # a text's start; a question that was taken out of the history
    strands.read_converse(answer, event)
    return True


_WAITS = {"toolUse": "tool_use", "interrupt": "interrupt"}


def _delta(delta: dict[str, JSON]) -> JSON:
    match delta:
        case {"type": "textDelta", "text": str(text)}:
            return {"text": text}
        case {"type": "toolUseInputDelta", "input": str(piece)}:
            return {"toolUse": {"input": piece}}
        case {"type": "reasoningContentDelta", **thought}:
            return {"reasoningContent": thought}
    return {}


def read_hook(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event of an agent."""
    answer.dialects.add("strands")
    match frame:
        case {"type": "modelStreamUpdateEvent", "event": dict(event)}:
            return read_model(answer, event)
        case {"type": "toolStreamUpdateEvent", "event": {"data": dict(data)}} if answer.known(data):
            answer.read(data)
        case {"contentBlock": dict(block)}:
            _read_blocks(answer, [block], "block")
        case {"message": dict(message)} if strands.is_message(message):
            strands.read_message(answer, message, str(frame["type"]))
        case {"toolUse": {"toolUseId": str(id), "name": str(name), "input": args}, **rest}:
            answer.tools.whole("message", id, name, args)
            _read_outcome(answer, rest.get("result"))
        case {"type": "toolResultEvent", "result": result}:
            _read_outcome(answer, result)
        case {"type": "interruptEvent", "interrupt": dict(asked)}:
            questions.ask_strands(answer, [asked])
        case {"type": "agentResultEvent" | "multiAgentResultEvent", "result": dict(result)}:
            answer.read(result)
        case {"type": "toolStreamUpdateEvent"}:
            answer.custom(frame, content=False)
    return True


def _read_outcome(answer: Assembly, result: JSON) -> None:
    if isinstance(result, dict):
        strands.read_message(answer, {"role": "user", "content": [result]}, "message")


def _read_blocks(answer: Assembly, blocks: list[JSON], source: str) -> None:
    message: JSON = {"role": "assistant", "content": blocks}
    if strands.is_message(message):
        strands.read_message(answer, message, source)


def _wrapped(message: JSON) -> JSON:
    """A message whose blocks are dumped as they are, as before the SDK had `toJSON`."""
    match message:
        case {"role": role, "content": [*blocks]}:
            return {"role": role, "content": [_wrapped_block(block) for block in blocks]}
    return message


def _wrapped_block(block: JSON) -> JSON:
    match block:
        case {"type": "textBlock", "text": text}:
            return {"text": text}
        case {"type": "reasoningBlock", **rest}:
            return {"reasoningContent": {"reasoningText": rest}}
        case {"type": "toolUseBlock" | "toolResultBlock" as kind, **rest}:
            return {kind.removesuffix("Block"): rest}
    return block


def read_result(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An AgentResult: its last message once more."""
    answer.dialects.add("strands")
    message = _wrapped(frame.get("lastMessage"))
    if strands.is_message(message):
        strands.read_message(answer, message, "result")
    if frame.get("structuredOutput") is not None:
        answer.structured = frame["structuredOutput"]
    return True


def read_node(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event of several agents, or what one of them or all came to."""
    answer.dialects.add("strands graph")
    node = word(frame.get("nodeId")) or "node"
    match frame:
        case {"type": "nodeStreamUpdateEvent", "inner": {"event": event}}:
            answer.speak(node, event)
        case {"type": "nodeResultEvent", "result": dict(result)} | {
            "type": "nodeResult",
            **result,
        }:
            answer.speak(node, result, lambda value: _read_node(answer, value))
        case {"type": "multiAgentResult"}:
            for result in items(frame.get("results")):
                if isinstance(result, dict):
                    answer.read(result)
            if str(frame.get("status")).upper() == "FAILED":
                raise InBandError("a graph that failed")
            if not answer.speakers.heard:
                _read_blocks(answer, items(frame.get("content")), "result")
        case {"type": "multiAgentHandoffEvent" | "nodeCancelEvent"}:
            answer.custom(frame, content=False)
    return True


def _read_node(answer: Assembly, result: JSON) -> None:
    _read_blocks(answer, items(result.get("content")), "node")
    if isinstance(result.get("interrupts"), list):
        questions.ask_strands(answer, result["interrupts"])
    answer.pause()


BY_TYPE = {
    **dict.fromkeys(
        (
            "modelMessageStartEvent",
            "modelContentBlockStartEvent",
            "modelContentBlockDeltaEvent",
            "modelContentBlockStopEvent",
            "modelMessageStopEvent",
            "modelMetadataEvent",
            "modelRedactionEvent",
        ),
        read_model,
    ),
    **dict.fromkeys(
        (
            "initializedEvent",
            "beforeInvocationEvent",
            "afterInvocationEvent",
            "messageAddedEvent",
            "beforeModelCallEvent",
            "afterModelCallEvent",
            "modelStreamUpdateEvent",
            "modelMessageEvent",
            "contentBlockEvent",
            "beforeToolsEvent",
            "afterToolsEvent",
            "beforeToolCallEvent",
            "afterToolCallEvent",
            "toolResultEvent",
            "toolStreamUpdateEvent",
            "interruptEvent",
            "agentResultEvent",
            "multiAgentResultEvent",
        ),
        read_hook,
    ),
    "agentResult": read_result,
    **dict.fromkeys(
        (
            "multiAgentInitializedEvent",
            "beforeMultiAgentInvocationEvent",
            "afterMultiAgentInvocationEvent",
            "beforeNodeCallEvent",
            "afterNodeCallEvent",
            "nodeStreamUpdateEvent",
            "nodeResultEvent",
            "nodeResult",
            "nodeCancelEvent",
            "multiAgentHandoffEvent",
            "multiAgentResult",
        ),
        read_node,
    ),
}
