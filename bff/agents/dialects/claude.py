"""Messages of the Claude Agent SDK, and the events of Anthropic's Messages API inside them.

https://docs.claude.com/en/api/agent-sdk/python. Dumped by AgentCore's SDK the messages have lost
their class, so their keys tell which they are. A subagent's messages name the call that started it.
"""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly, InBandError, Reader
from bff.agents.dialects.fields import word
from bff.agents.dialects.langchain import thought
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON


def read_message(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An assistant's or a user's message, in the SDK's form or as the CLI writes it."""
    inner = frame.get("message")
    message = inner if isinstance(inner, dict) else frame
    content = message.get("content")
    if not isinstance(content, list | str) or "parent_tool_use_id" not in frame:
        return False
    answer.dialects.add("claude")
    kind = frame.get("type") or message.get("role")
    mine = kind in ("assistant", "AssistantMessage") or (kind is None and "model" in message)
    if isinstance(frame.get("error"), str):
        raise InBandError("an assistant's message with an error")
    parent = frame["parent_tool_use_id"]
    if isinstance(parent, str) and parent:
        answer.speak(parent, content, lambda value: _read_content(answer, value, mine=mine))
    else:
        _read_content(answer, content, mine=mine)
    return True


def _read_content(answer: Assembly, content: JSON, *, mine: bool) -> None:
    for block in content if isinstance(content, list) else [{"text": content}]:
        match block:
            case {"tool_use_id": str(id), **rest}:
                text, failed = as_text(rest.get("content")), rest.get("is_error") is True
                answer.tools.outcome(id, None, text, failed=failed)
            case {"id": str(id), "name": str(name), "input": args} if mine:
                answer.tools.whole("claude", id, name, args)
            case {"thinking": str(text)} if mine:
                answer.thinking.whole(text, "message")
            case {"text": str(text)} if mine:
                answer.text.whole(text, "message")
    answer.pause()


def read_result(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A ResultMessage: the last text once more, the cost, and whether the run failed."""
    if "duration_ms" not in frame:
        return False
    answer.dialects.add("claude")
    if frame.get("is_error") is True and not word(frame.get("result")):
        raise InBandError(f"a result of the kind {frame.get('subtype')}"[:80])
    if frame.get("is_error") is True:
        raise InBandError("a result that is an error")
    if word(frame.get("result")):
        answer.text.whole(frame["result"], "result")
    if frame.get("structured_output") is not None:
        answer.structured = frame["structured_output"]
    answer.usage.set_total(frame.get("usage"))
    return True


def read_system(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A SystemMessage: what the CLI says about itself and its tasks."""
    if "subtype" not in frame or not isinstance(frame.get("data", {}), dict):
        return False
    answer.dialects.add("claude")
    if frame["subtype"] != "init":
        answer.custom(frame, content=False)
    return True


def read_subtype(answer: Assembly, frame: dict[str, JSON]) -> bool:
    return read_result(answer, frame) or ("data" in frame and read_system(answer, frame))


def read_event(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event of the Messages API's stream."""
    index = frame.get("index")
    delta = frame.get("delta") if frame.get("type") == "content_block_delta" else None
    if isinstance(delta, dict) and isinstance(delta.get("text"), str):  # nearly all of them
        answer.text.delta(delta["text"], "claude events")
        answer.dialects.add("anthropic")
        return True
    match frame:
        case {"type": "message_start"}:
            answer.pause()
            message = frame.get("message")
            if isinstance(message, dict):
                answer.usage.add(message.get("usage"), f"claude {message.get('id')}")
        case {"type": "content_block_start", "content_block": dict(block)}:
            match block:
                case {"type": "tool_use" | "server_tool_use" | "mcp_tool_use"}:
                    id, name = word(block.get("id")), word(block.get("name"))
                    answer.tools.piece("claude events", f"claude {index}", id, name, "")
                case {"type": "text", "text": str(text)}:
                    answer.text.delta(text, "claude events")
        case {"type": "content_block_delta", "delta": dict(delta)}:
            match delta:
                case {"thinking": _}:
                    answer.thinking.delta(thought(delta), "claude events")
                case {"partial_json": str(piece)}:
                    answer.tools.piece("claude events", f"claude {index}", None, None, piece)
        case {"type": "content_block_stop"}:
            answer.tools.complete(f"claude {index}")
        case {"type": "message_stop"}:
            answer.pause()
        case {"type": "message_delta"}:
            if isinstance(frame.get("usage"), dict):
                answer.usage.revise(frame["usage"])
        case {"type": "content_block_start" | "content_block_delta"}:
            pass
        case _:
            return False
    answer.dialects.add("anthropic")
    return True


def read_stream_event(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A StreamEvent of the SDK: a partial message."""
    match frame:
        case {"event": {"type": str()} as event, "parent_tool_use_id": parent}:
            if isinstance(parent, str) and parent:
                answer.speak(parent, event)
            else:
                answer.read(event)
            return True
    return False


BY_TYPE = {
    **dict.fromkeys(
        (
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ),
        read_event,
    ),
    **dict.fromkeys(("assistant", "user", "AssistantMessage", "UserMessage"), read_message),
    **dict.fromkeys(("result", "ResultMessage"), read_result),
    **dict.fromkeys(("system", "SystemMessage"), read_system),
}
BY_KEY: dict[str, Reader] = {
    "parent_tool_use_id": lambda answer, frame: (
        read_stream_event(answer, frame) or read_message(answer, frame)
    ),
    "subtype": read_subtype,
}
