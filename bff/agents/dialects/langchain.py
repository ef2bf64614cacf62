"""LangChain messages as `model_dump()` makes them, alone or in a list.

Messages have ids, so a chunk, the message it belongs to and every later state that holds the
message are known to be the same text. Messages of OpenAI's and AG-UI's kind, which have a role in
place of a type, are read as well.
"""

from __future__ import annotations

from typing import TypeGuard

from bff.agents.dialects import strands
from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON

CHUNK = frozenset({"AIMessageChunk", "AIMessageChunkV1"})
WHOLE = frozenset({"ai", "AIMessage"})
RESULT = frozenset({"tool", "ToolMessage", "ToolMessageChunk", "function", "FunctionMessage"})
ASKED = frozenset({"human", "HumanMessage", "HumanMessageChunk", "user"})
OTHER = frozenset({"system", "SystemMessage", "SystemMessageChunk", "remove", "RemoveMessage"})
_MINE = CHUNK | WHOLE | RESULT | ASKED | OTHER
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
    answer: Assembly, frame: dict[str, JSON], source: str, place: str | None = None
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
        _read_result(answer, frame, key or place)


def _read_chunk(answer: Assembly, frame: dict[str, JSON], key: str | None) -> None:
    pieces = _list(frame.get("tool_call_chunks"))
    _read_content(answer, frame, key, delta=True, tools=not pieces)
    for piece in pieces:
        if isinstance(piece, dict):
            _read_piece(answer, piece, piece, key)
    if not pieces:
        _read_calls(answer, frame, key)
    usage = frame.get("usage_metadata")
    if usage:
        answer.use(usage, key=f"message {key}", add=True)
    if frame.get("chunk_position") == "last" or _LAST & _keys(frame.get("response_metadata")):
        answer.tools.settle()


def _read_piece(
    answer: Assembly, piece: dict[str, JSON], function: dict[str, JSON], key: str | None
) -> None:
    place = f"{key} {piece.get('index')}"
    id, name = word(piece.get("id")), word(function.get("name"))
    args = function.get("args", function.get("arguments"))
    answer.tools.piece("chunks", place, id, name, word(args) or "", key)


def read_openai_delta(answer: Assembly, delta: dict[str, JSON]) -> None:
    """What a chunk of a chat completion adds: text, reasoning, pieces of tool calls."""
    answer.thinking.delta(word(delta.get("reasoning_content")) or "", "chunks")
    answer.text.delta(word(delta.get("content")) or "", "chunks")
    for call in _list(delta.get("tool_calls")):
        match call:
            case {"function": dict(function)}:
                _read_piece(answer, call, function, None)


def _read_whole(answer: Assembly, frame: dict[str, JSON], key: str | None, source: str) -> None:
    _read_content(answer, frame, key, delta=False, tools=not frame.get("tool_calls"), source=source)
    _read_calls(answer, frame, key)
    usage = frame.get("usage_metadata")
    if usage:
        answer.use(usage, key=f"message {key}")


def _read_calls(answer: Assembly, frame: dict[str, JSON], key: str | None) -> None:
    for call in _list(frame.get("tool_calls")):
        match call:
            case {"name": str(name), "args": args} if name:
                answer.tools.whole("chunks", word(call.get("id")), name, args, key)
            case {"function": {"name": str(name), "arguments": args}}:
                answer.tools.whole("chunks", word(call.get("id")), name, args, key)


def _read_result(answer: Assembly, frame: dict[str, JSON], key: str | None) -> None:
    text = as_text(frame.get("content"))
    failed = frame.get("status") == "error"
    answer.tools.result(
        word(frame.get("tool_call_id")),
        word(frame.get("name")),
        None if failed else text,
        text if failed else None,
        key=key,
    )


def _read_content(
    answer: Assembly,
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
    answer: Assembly,
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
            texts.append(word(rest.get("text")) or word(rest.get("refusal")) or "")
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


def _read_tool_block(answer: Assembly, block: dict[str, JSON], key: str | None) -> None:
    id, name = word(block.get("id")), word(block.get("name"))
    piece = block.get("partial_json")
    args = block.get("input", block.get("args", block.get("arguments")))
    if isinstance(args, dict) and args and name:
        answer.tools.whole("blocks", id, name, args, key)
        return
    if not isinstance(piece, str):
        piece = args if isinstance(args, str) else ""
    answer.tools.piece("blocks", f"{key} {block.get('index')}", id, name, piece, key)


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
        return "".join(s["text"] for s in summary if isinstance(s, dict) and word(s.get("text")))
    return ""


def read_messages(answer: Assembly, messages: list[JSON], source: str) -> None:
    """A list of messages; what stands before the last question is an earlier turn's."""
    fresh = len(messages)
    while fresh and _kind(messages[fresh - 1]) not in ASKED:
        fresh -= 1
    for at in range(fresh, len(messages)):
        if strands.is_message(messages[at]):
            strands.read_message(answer, messages[at], source)
            continue
        message = _typed(messages[at])
        if is_message(message):
            read_message(answer, message, source, f"{source} {at}" if source == "state" else None)
        elif _kind(messages[at]) is None:
            answer.custom(messages[at])


def _typed(message: JSON) -> JSON:
    """A message of OpenAI's or AG-UI's kind, which has a role, as one of LangChain's."""
    match message:
        case {"role": "assistant" | "ai" | "model", **rest}:
            calls = rest.get("tool_calls", rest.get("toolCalls"))
            return {"content": None, **rest, "type": "ai", "tool_calls": calls}
        case {"role": "tool", **rest}:
            id = rest.get("tool_call_id", rest.get("toolCallId"))
            return {"content": None, **rest, "type": "tool", "tool_call_id": id}
        case dict():
            return unwrapped(message)
    return message


def are_messages(value: JSON) -> TypeGuard[list[JSON]]:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and _kind(item) is not None for item in value)
    )


def _kind(message: JSON) -> str | None:
    if not isinstance(message, dict):
        return None
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _MINE:
        kind = unwrapped(message).get("type")
    if isinstance(kind, str) and kind in _MINE:
        return kind
    role = message.get("role")
    if not isinstance(role, str):
        return None
    return "tool" if strands.is_message(message) and strands.has_results(message) else role


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


def word(value: JSON) -> str | None:
    """A field's text, or None where it has none."""
    return value if isinstance(value, str) and value else None


def _keys(value: JSON) -> frozenset[str]:
    return frozenset(k for k, v in value.items() if v) if isinstance(value, dict) else frozenset()
