"""Haystack's chunks and messages, dumped by themselves (`to_dict`) or by the SDK (`_content`).

https://docs.haystack.deepset.ai/docs/chatmessage. A chunk is a piece of one block of a message: of
its text, its reasoning or a call, or a call's whole result.
"""

from __future__ import annotations

from typing import TypeGuard

from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.attachments import read_block
from bff.agents.dialects.fields import items, word, words
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON

_CHUNK = {"content", "meta", "tool_calls", "tool_call_result", "start", "finish_reason"}


def read_chunk(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A StreamingChunk; in a pipeline several components stream, each under its name."""
    if not frame.keys() >= _CHUNK:
        return False
    answer.dialects.add("haystack")
    info = frame.get("component_info")
    name = word(info.get("name")) if isinstance(info, dict) else None
    if name is None:
        _read_chunk(answer, frame)
    else:
        answer.speak(name, frame, lambda value: _read_chunk(answer, value))
    return True


def _read_chunk(answer: Assembly, chunk: JSON) -> None:
    match chunk.get("reasoning"):
        case {"reasoning_text": str(text)}:
            answer.thinking.delta(text, "chunks")
    if word(chunk["content"]):
        answer.text.delta(chunk["content"], "chunks")
    for call in items(chunk["tool_calls"]):
        if isinstance(call, dict):
            answer.tools.piece(
                "chunks",
                f"chunk {call.get('index')}",
                word(call.get("id")),
                word(call.get("tool_name")),
                word(call.get("arguments")) or "",
            )
    _read_result(answer, chunk["tool_call_result"])
    if chunk["finish_reason"]:
        answer.pause()


def _read_call(answer: Assembly, call: JSON) -> None:
    match call:
        case {"tool_name": str(name), **rest}:
            answer.tools.whole("message", word(rest.get("id")), name, rest.get("arguments"))


def _read_result(answer: Assembly, result: JSON) -> None:
    match result:
        case {"origin": {"tool_name": str(name), **call}, **rest}:
            _read_call(answer, result["origin"])
            text, failed = as_text(rest.get("result")), rest.get("error") is True
            answer.tools.outcome(word(call.get("id")), name, text, failed=failed)


def is_message(value: JSON) -> bool:
    """A ChatMessage, of whose parts each is named by its key or known by its fields."""
    if not isinstance(value, dict):
        return False
    dumped = value.keys() == _MESSAGE and isinstance(value["content"], list)
    return dumped or {"_role", "_content"} <= value.keys()


_MESSAGE = {"role", "meta", "name", "content"}


def are_messages(value: JSON) -> TypeGuard[list[JSON]]:
    return isinstance(value, list) and bool(value) and all(map(is_message, value))


def read_message(answer: Assembly, message: dict[str, JSON], source: str = "message") -> None:
    """A whole message; of the user's nothing is said."""
    answer.dialects.add("haystack")
    role = message.get("role", message.get("_role"))
    mine = role == "assistant"
    if not mine and role != "tool":
        return
    for part in items(message.get("content", message.get("_content"))):
        match part:
            case {"reasoning_text": str(text)} | {"reasoning": {"reasoning_text": str(text)}}:
                answer.thinking.whole(text, source)
            case {"text": str(text)} if mine:
                answer.text.whole(text, source)
            case {"tool_call": dict(call)}:
                _read_call(answer, call)
            case {"tool_call_result": dict(result)}:
                _read_result(answer, result)
            case {"origin": _}:
                _read_result(answer, part)
            case {"tool_name": _}:
                _read_call(answer, part)
            case {"base64_image": str(data), **rest} | {
                "image": {"base64_image": str(data), **rest}
            }:
                kind = word(rest.get("mime_type")) or "image/png"
                read_block(answer, {"type": "image", "base64": data, "mime_type": kind})
            case _ if mine:
                answer.custom(part)
    meta = message.get("meta", message.get("_meta"))
    if mine and isinstance(meta, dict):
        answer.usage.add(meta.get("usage"))


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A message, or what an agent, a generator or a pipeline returns: each part's under its name.

    False where it is another's object.
    """
    if read_printed(answer, frame) or _read_result_of(answer, frame):
        return True
    found = False
    for value in frame.values():
        if isinstance(value, dict):
            found = _read_result_of(answer, value) or found
    return found


def _read_result_of(answer: Assembly, outputs: dict[str, JSON]) -> bool:
    messages = outputs.get("messages", outputs.get("replies"))
    if not are_messages(messages):
        return False
    for message in messages:
        read_message(answer, message, "result")
    answer.usage.set_total(outputs.get("token_usage"))
    rest = {key: value for key, value in outputs.items() if key not in _TOLD}
    if any(rest.values()):
        answer.custom(rest, content=False)
    return True


_TOLD = words("messages replies last_message step_count token_usage tool_call_counts exit_reason")


def read_printed(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A message whose fields the SDK dumped by itself."""
    if not is_message(frame):
        return False
    read_message(answer, frame)
    return True


BY_KEY = {"component_info": read_chunk, "tool_call_result": read_chunk, "_content": read_printed}
