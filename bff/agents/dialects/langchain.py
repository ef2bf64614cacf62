"""LangChain messages as `model_dump()` makes them, alone or in a list.

Messages have ids, so a chunk, the message it belongs to and every later state that holds the
message are known to be the same text. Messages of OpenAI's and AG-UI's kind, which have a role in
place of a type, are read as well.
"""

from __future__ import annotations

from typing import TypeGuard

from bff.agents.dialects import genkit, strands
from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.attachments import read_block, read_sources
from bff.agents.dialects.fields import items, word
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.untyped import is_mine
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
    if "lc" not in frame and "data" not in frame:  # nearly all of them
        return frame
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
    answer.dialects.add("langchain")
    if kind in CHUNK or (kind == "ai" and "tool_call_chunks" in frame):  # JavaScript's own words
        if key is not None and key != answer.voice.message:
            answer.enter_message(key, announced="chunk_position" in frame)
        _read_chunk(answer, frame, key)
    elif kind in WHOLE or (kind in ASKED and frame.get("name") in answer.nodes):
        _read_whole(answer, frame, key or place, source)
    elif kind in RESULT:
        _read_result(answer, frame, key or place)


def _read_chunk(answer: Assembly, frame: dict[str, JSON], key: str | None) -> None:
    pieces = items(frame.get("tool_call_chunks"))
    _read_content(answer, frame, key, delta=True, tools=not pieces)
    for piece in pieces:
        if isinstance(piece, dict):
            read_piece(answer, piece, piece, key)
    if not pieces and frame.get("tool_calls"):
        read_calls(answer, frame, key)
    usage = frame.get("usage_metadata")
    if usage:
        answer.usage.add(usage, f"message {key}", more=True)
    ended = frame.get("response_metadata")
    if frame.get("chunk_position") == "last" or (ended and _LAST & _keys(ended)):
        answer.tools.settle()
        answer.pause()


def read_piece(
    answer: Assembly, piece: dict[str, JSON], function: dict[str, JSON], key: str | None
) -> None:
    place = f"{key} {piece.get('index')}"
    id, name = word(piece.get("id")), word(function.get("name"))
    args = function.get("args", function.get("arguments"))
    answer.tools.piece("chunks", place, id, name, word(args) or "", key)


def _read_whole(answer: Assembly, frame: dict[str, JSON], key: str | None, source: str) -> None:
    _read_content(answer, frame, key, delta=False, tools=not frame.get("tool_calls"), source=source)
    read_calls(answer, frame, key)
    usage = frame.get("usage_metadata")
    if usage:
        answer.usage.add(usage, f"message {key}")


def read_calls(answer: Assembly, frame: dict[str, JSON], key: str | None) -> None:
    for call in items(frame.get("tool_calls")):
        match call:
            case {"name": str(name), "args": args} if name:
                answer.tools.whole("chunks", word(call.get("id")), name, args, key)
            case {"function": {"name": str(name), "arguments": args}}:
                answer.tools.whole("chunks", word(call.get("id")), name, args, key)


def _read_result(answer: Assembly, frame: dict[str, JSON], key: str | None) -> None:
    content = frame.get("content")
    if isinstance(content, list):
        content = [part for part in content if not read_block(answer, part)]
    text = as_text(content) if content else ""
    id, name = word(frame.get("tool_call_id")), word(frame.get("name"))
    answer.tools.outcome(id, name, text, failed=frame.get("status") == "error", key=key)


def _read_content(
    answer: Assembly,
    frame: dict[str, JSON],
    key: str | None,
    *,
    delta: bool,
    tools: bool,
    source: str = "message",
) -> None:
    content = frame.get("content")
    extra = frame.get("additional_kwargs")
    if delta and isinstance(content, str) and not extra:  # nearly all chunks
        answer.text.delta(content, "chunks", key)
        return
    texts: list[str] = []
    thoughts: list[str] = []
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
            speech.whole(said, source, key, placed=key is not None and key != frame.get("id"))


def read_block_list(answer: Assembly, blocks: list[JSON], key: str | None) -> None:
    """The whole blocks of a message."""
    _read_content(answer, {"content": blocks}, key, delta=False, tools=True)


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
            for key in ("annotations", "citations"):
                if rest.get(key):
                    read_sources(answer, rest[key])
        case {"type": "thinking" | "reasoning" | "reasoning_content" | "thinking_delta"}:
            thoughts.append(thought(block))
        case {"type": "redacted_thinking" | "tool_call_chunk" | "invalid_tool_call"}:
            pass
        case {"type": "tool_result" | "server_tool_result" | "web_search_tool_result", **rest}:
            id = word(rest.get("tool_use_id")) or word(rest.get("tool_call_id"))
            failed = rest.get("is_error") is True or rest.get("status") == "error"
            found = as_text(rest.get("content", rest.get("output")))
            answer.tools.outcome(id, None, found, failed=failed)
        case {
            "type": "tool_use"
            | "server_tool_use"
            | "server_tool_call"
            | "mcp_tool_use"
            | "input_json_delta"
            | "tool_call"
            | "function_call"
        }:
            if tools:
                _read_tool_block(answer, block, key)
        case {"text": str(text)}:
            texts.append(text)
        case _ if not read_block(answer, block):
            answer.custom(block)


def _read_tool_block(answer: Assembly, block: dict[str, JSON], key: str | None) -> None:
    id, name = word(block.get("id", block.get("call_id"))), word(block.get("name"))
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
    for name in ("summary", "thinking"):  # a list of parts: OpenAI's, Mistral's
        parts = block.get(name)
        if isinstance(parts, list):
            return "".join(p["text"] for p in parts if isinstance(p, dict) and word(p.get("text")))
    return ""


def as_whole(message: dict[str, JSON]) -> dict[str, JSON]:
    """A chunk that is the sum of a message's chunks, as JavaScript's models end with, as that."""
    if message.get("type") in CHUNK or "tool_call_chunks" in message:
        rest = {name: value for name, value in message.items() if name != "tool_call_chunks"}
        return {**rest, "type": "ai"}
    return message


def read_messages(
    answer: Assembly, messages: list[JSON], source: str, *, chunks: bool = False
) -> None:
    """A list of messages; what stands before the last question is an earlier turn's.

    `chunks` tells that a chunk among them may be a piece of a message.
    """
    fresh = len(messages)
    while fresh and not _is_question(answer, messages, fresh - 1):
        fresh -= 1
    for at in range(fresh, len(messages)):
        if strands.is_message(messages[at]):
            strands.read_message(answer, messages[at], source)
            continue
        if isinstance(messages[at], dict) and is_returned(messages[at]):
            read_returned(answer, messages[at], source)
            continue
        if genkit.is_message(messages[at]):
            genkit.read_message(answer, messages[at])
            continue
        message = typed(messages[at])
        if is_message(message):
            if message["type"] in ASKED:  # a node of a graph that speaks as a user
                message = {**message, "type": "ai"}
            if not chunks:
                message = as_whole(message)
            read_message(answer, message, source, f"{source} {at}" if source == "state" else None)
        elif _kind(messages[at]) is None:
            answer.custom(messages[at])


def _is_question(answer: Assembly, messages: list[JSON], at: int) -> bool:
    """Whether a message is the user's. One with a name behind one without is a node's answer."""
    message = messages[at]
    if _kind(message) not in ASKED:
        return False
    name = message.get("name")
    if not isinstance(name, str) or not name:
        return True
    if name in answer.nodes:
        return False
    return not any(_kind(m) in ASKED and not m.get("name") for m in messages[:at])


def typed(message: JSON) -> JSON:
    """A message of OpenAI's or AG-UI's kind, which has a role, as one of LangChain's."""
    match message:
        case {"role": "tool", **rest}:
            id = rest.get("tool_call_id", rest.get("toolCallId"))
            return {"content": None, **rest, "type": "tool", "tool_call_id": id}
        case {"role": str(role), **rest} if is_mine(role):
            calls = rest.get("tool_calls", rest.get("toolCalls"))
            return {"content": None, **rest, "type": "ai", "tool_calls": calls}
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
    return "tool" if is_returned(message) else role


def is_returned(message: dict[str, JSON]) -> bool:
    """Whether a user's message is none: it gives the model what its tools found."""
    if strands.is_message(message):
        return strands.has_results(message)
    match message:
        case {"role": "user", "content": [{"type": "tool_result"}, *_]}:  # Anthropic's
            return True
    return False


def read_returned(answer: Assembly, message: dict[str, JSON], source: str) -> None:
    """What the tools found, in Converse's words or in Anthropic's."""
    if strands.is_message(message):
        strands.read_message(answer, message, source)
    else:
        answer.dialects.add("langchain")
        blocks = [b for b in items(message["content"]) if isinstance(b, dict)]
        read_block_list(answer, [b for b in blocks if b.get("type") == "tool_result"], None)


def _keys(value: JSON) -> frozenset[str]:
    return frozenset(k for k, v in value.items() if v) if isinstance(value, dict) else frozenset()


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A frame that is a message, in either of its envelopes or without."""
    message = unwrapped(frame)
    if not is_message(message):
        return False
    read_message(answer, message, "update")
    return True


BY_TYPE = dict.fromkeys([*_MINE, "constructor"], read)
