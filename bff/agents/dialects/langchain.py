"""LangChain messages, and the ways LangGraph streams them.

A message comes as `model_dump()` makes it, alone, beside its metadata, or inside a state. Messages
have ids, so a chunk, the message it belongs to and every later state that holds the message are
known to be the same text. Shapes: https://docs.langchain.com/oss/python/langgraph/streaming.
"""

from __future__ import annotations

from typing import TypeGuard

from bff.agents.dialects.answer import Answer, InBandError
from bff.agents.dialects.tools import as_text
from bff.events import JSON

CHUNK = frozenset({"AIMessageChunk", "AIMessageChunkV1"})
WHOLE = frozenset({"ai", "AIMessage"})
RESULT = frozenset({"tool", "ToolMessage", "ToolMessageChunk", "function", "FunctionMessage"})
ASKED = frozenset({"human", "HumanMessage", "HumanMessageChunk", "user"})
OTHER = frozenset({"system", "SystemMessage", "SystemMessageChunk", "remove", "RemoveMessage"})
_MINE = CHUNK | WHOLE | RESULT | ASKED | OTHER
MODES = frozenset(
    {"messages", "messages-tuple", "updates", "values", "custom", "debug", "tasks", "checkpoints"}
)
_LAST = frozenset({"finish_reason", "stop_reason", "stopReason"})


def unwrapped(frame: dict[str, JSON]) -> dict[str, JSON]:
    """The message itself, out of the two envelopes LangChain has for one."""
    match frame:
        case {"lc": _, "type": "constructor", "id": [*_, str(name)], "kwargs": dict(fields)}:
            return {**fields, "type": fields.get("type", name)}
        case {"type": str(kind), "data": {"content": _} as fields} if kind in _MINE:
            return {"type": kind, **fields}
    return frame


def is_message(frame: JSON) -> TypeGuard[dict[str, JSON]]:
    if not isinstance(frame, dict) or "content" not in frame:
        return False
    kind = frame.get("type")
    return isinstance(kind, str) and kind in _MINE


def read_message(
    answer: Answer, frame: dict[str, JSON], source: str, place: str | None = None
) -> None:
    """One message; `place` names it where it has no id but a fixed place in a growing list."""
    kind = frame["type"]
    id = frame.get("id")
    key = id if isinstance(id, str) and id else None
    if kind in CHUNK:
        _read_chunk(answer, frame, key)
    elif kind in WHOLE:
        _read_whole(answer, frame, key or place, source)
    elif kind in RESULT:
        _read_result(answer, frame)


def _read_chunk(answer: Answer, frame: dict[str, JSON], key: str | None) -> None:
    pieces = _list(frame.get("tool_call_chunks"))
    _read_content(answer, frame, key, delta=True, tools=not pieces)
    for piece in pieces:
        if isinstance(piece, dict):
            _read_piece(answer, piece, piece, key)
    if not pieces:
        _read_calls(answer, frame)
    usage = frame.get("usage_metadata")
    if usage:
        answer.use(usage, key=f"message {key}", add=True)
    if frame.get("chunk_position") == "last" or _LAST & _keys(frame.get("response_metadata")):
        answer.tools.settle()


def _read_piece(
    answer: Answer, piece: dict[str, JSON], function: dict[str, JSON], key: str | None
) -> None:
    place = f"{key} {piece.get('index')}"
    id, name = _text(piece.get("id")), _text(function.get("name"))
    args = function.get("args", function.get("arguments"))
    answer.tools.piece("chunks", place, id, name, _text(args) or "")


def read_openai_delta(answer: Answer, delta: dict[str, JSON]) -> None:
    """What a chunk of a chat completion adds: text, reasoning, pieces of tool calls."""
    answer.thinking.delta(_text(delta.get("reasoning_content")) or "", "chunks")
    answer.text.delta(_text(delta.get("content")) or "", "chunks")
    for call in _list(delta.get("tool_calls")):
        match call:
            case {"function": dict(function)}:
                _read_piece(answer, call, function, None)


def _read_whole(answer: Answer, frame: dict[str, JSON], key: str | None, source: str) -> None:
    _read_content(answer, frame, key, delta=False, tools=not frame.get("tool_calls"), source=source)
    _read_calls(answer, frame)
    usage = frame.get("usage_metadata")
    if usage:
        answer.use(usage, key=f"message {key}")


def _read_calls(answer: Answer, frame: dict[str, JSON]) -> None:
    for call in _list(frame.get("tool_calls")):
        match call:
            case {"name": str(name), "args": args} if name:
                answer.tools.whole("chunks", _text(call.get("id")), name, args)
            case {"function": {"name": str(name), "arguments": args}}:
                answer.tools.whole("chunks", _text(call.get("id")), name, args)


def _read_result(answer: Answer, frame: dict[str, JSON]) -> None:
    text = as_text(frame.get("content"))
    failed = frame.get("status") == "error"
    answer.tools.result(
        _text(frame.get("tool_call_id")),
        _text(frame.get("name")),
        None if failed else text,
        text if failed else None,
    )


def _read_content(
    answer: Answer,
    frame: dict[str, JSON],
    key: str | None,
    *,
    delta: bool,
    tools: bool,
    source: str = "message",
) -> None:
    texts: list[str] = []
    thoughts: list[str] = []
    content = frame.get("content")
    extra = frame.get("additional_kwargs")
    if isinstance(extra, dict) and isinstance(extra.get("reasoning_content"), str):
        thoughts.append(extra["reasoning_content"])
    if isinstance(content, str):
        texts.append(content)
    else:
        for block in content if isinstance(content, list) else [content]:
            _read_block(answer, block, key, texts, thoughts, tools=tools)
    for speech, parts in ((answer.thinking, thoughts), (answer.text, texts)):
        said = "".join(parts)
        if not said:
            continue
        if delta:
            speech.delta(said, "chunks", key)
        else:
            speech.whole(said, source, key)


def _read_block(
    answer: Answer,
    block: JSON,
    key: str | None,
    texts: list[str],
    thoughts: list[str],
    *,
    tools: bool,
) -> None:
    match block:
        case None:
            pass
        case str():
            texts.append(block)
        case {"type": "text" | "text_delta" | "output_text" | "refusal", **rest}:
            texts.append(_text(rest.get("text")) or _text(rest.get("refusal")) or "")
        case {"type": "thinking" | "reasoning" | "reasoning_content" | "thinking_delta"}:
            thoughts.append(thought(block))
        case {"type": "redacted_thinking" | "tool_call_chunk" | "invalid_tool_call"}:
            pass
        case {"type": "tool_use" | "input_json_delta" | "tool_call" | "function_call"}:
            if tools:
                _read_tool_block(answer, block, key)
        case {"text": str(text)}:
            texts.append(text)
        case _:
            answer.custom(block)


def _read_tool_block(answer: Answer, block: dict[str, JSON], key: str | None) -> None:
    id, name = _text(block.get("id")), _text(block.get("name"))
    piece = block.get("partial_json")
    args = block.get("input", block.get("args", block.get("arguments")))
    if isinstance(args, dict) and args and name:
        answer.tools.whole("blocks", id, name, args)
        return
    if not isinstance(piece, str):
        piece = args if isinstance(args, str) else ""
    answer.tools.piece("blocks", f"{key} {block.get('index')}", id, name, piece)


def thought(block: dict[str, JSON]) -> str:
    """The text of a reasoning block, wherever its provider put it."""
    for name in ("thinking", "reasoning", "reasoning_content", "text"):
        match block.get(name):
            case str(text):
                return text
            case {"text": str(text)}:
                return text
    summary = block.get("summary")
    if isinstance(summary, list):
        return "".join(s["text"] for s in summary if isinstance(s, dict) and _text(s.get("text")))
    return ""


def read_messages(answer: Answer, messages: list[JSON], source: str) -> None:
    """A list of messages; what stands before the last question is an earlier turn's."""
    fresh = 0
    for at, message in enumerate(messages):
        if _kind(message) in ASKED:
            fresh = at + 1
    for at in range(fresh, len(messages)):
        match messages[at]:
            case {"role": "assistant", **rest}:
                message = {"content": None, **rest, "type": "ai"}
            case {"role": "tool", **rest}:
                message = {"content": None, **rest, "type": "tool"}
                message["tool_call_id"] = rest.get("tool_call_id", rest.get("toolCallId"))
            case {"role": str()}:
                continue
            case dict(frame):
                message = unwrapped(frame)
            case other:
                answer.custom(other)
                continue
        if "toolCalls" in message:  # AG-UI's spelling
            message = {**message, "tool_calls": message["toolCalls"]}
        if is_message(message):
            read_message(answer, message, source, f"{source} {at}" if source == "state" else None)
        else:
            answer.custom(messages[at])


def are_messages(value: JSON) -> TypeGuard[list[JSON]]:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and _kind(item) is not None for item in value)
    )


def _kind(message: JSON) -> str | None:
    if not isinstance(message, dict):
        return None
    kind = unwrapped(message).get("type")
    if isinstance(kind, str) and kind in _MINE:
        return kind
    role = message.get("role")
    return role if isinstance(role, str) and "content" in message | {"content": 0} else None


def read_mode(answer: Answer, mode: str, value: JSON) -> None:
    """One item of a LangGraph stream whose mode is known."""
    match mode, value:
        case ("messages" | "messages-tuple", [dict(message), *_]):
            message = unwrapped(message)
            if is_message(message):
                read_message(answer, message, "update")
            else:
                answer.custom(value)
        case ("updates", dict(nodes)):
            for node, update in nodes.items():
                read_update(answer, node, update)
        case ("values", dict(state)):
            read_state(answer, state)
        case ("debug" | "tasks" | "checkpoints", _):
            pass  # the graph's own bookkeeping; what it holds comes in the other modes
        case _:
            answer.custom(value)


def is_update(frame: dict[str, JSON]) -> bool:
    """Whether this is `updates` mode: each key a node, each value what the node changed."""
    return bool(frame) and all(
        (isinstance(update, dict) and are_messages(_listed(update.get("messages"))))
        or (update is None and len(frame) > 1)
        or node == "__interrupt__"
        for node, update in frame.items()
    )


def read_update(answer: Answer, node: str, update: JSON) -> None:
    match update:
        case None:
            pass
        case {"messages": messages, **rest} if are_messages(_listed(messages)):
            read_messages(answer, _listed(messages), "update")
            if rest:
                answer.custom({node: rest})
        case list() if are_messages(update):
            read_messages(answer, update, "update")
        case _:
            answer.custom({node: update})


def read_state(answer: Answer, state: dict[str, JSON]) -> None:
    """A whole state, which holds everything said before it too."""
    messages = _listed(state.get("messages"))
    if are_messages(messages):
        read_messages(answer, messages, "state")
        interrupts = state.get("__interrupt__")
        if interrupts:
            answer.custom({"__interrupt__": interrupts})
    elif state.get("messages") != []:
        answer.custom(state)


def read_astream_event(answer: Answer, event: str, frame: dict[str, JSON]) -> None:
    """One event of `astream_events`."""
    data = frame.get("data")
    fields = data if isinstance(data, dict) else {}
    output: JSON = fields.get("output")
    match event, fields:
        case ("on_chat_model_stream", {"chunk": dict(chunk)}):
            message = unwrapped(chunk)
            if is_message(message):
                read_message(answer, message, "update")
        case ("on_chat_model_end" | "on_tool_end", {"output": dict(message)}) if is_message(
            unwrapped(message)
        ):
            read_message(answer, unwrapped(message), "update")
        case ("on_tool_end", _):
            answer.tools.result(None, _text(frame.get("name")), as_text(output))
        case ("on_tool_start", _):
            name = _text(frame.get("name")) or ""
            answer.tools.settle()
            if not answer.tools.known(name):
                answer.tools.whole("events", _text(frame.get("run_id")), name, fields.get("input"))
        case ("on_custom_event", _):
            answer.custom(frame)
        case ("on_tool_error" | "on_chain_error", _):
            raise InBandError(f"{event} in its stream")


def _listed(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


def _text(value: JSON) -> str | None:
    return value if isinstance(value, str) and value else None


def _keys(value: JSON) -> frozenset[str]:
    return frozenset(k for k, v in value.items() if v) if isinstance(value, dict) else frozenset()
