"""Genkit's messages and chunks (https://genkit.dev/docs/models): parts named by their keys.

Its servers stream a flow as `{"message": CHUNK}` and end with `{"result": …}`. A tool that
interrupts leaves its request in the last message, marked in the part's metadata.
"""

from __future__ import annotations

from typing import TypeGuard

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.attachments import read_block
from bff.agents.dialects.fields import first_word, items, word
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON, ToolUse


def is_message(value: JSON) -> TypeGuard[dict[str, JSON]]:
    """A message or a chunk of one: the model's or a tool's."""
    match value:
        case {"role": "model" | "tool", "content": list(parts)}:
            return bool(parts) and all(isinstance(p, dict) and "type" not in p for p in parts)
    return False


def are_parts(values: list[JSON]) -> bool:
    """Whether these are the parts of a message, of which one is not its text."""
    return all(isinstance(p, dict) and "type" not in p for p in values) and any(
        isinstance(part.get(key), str if key == "reasoning" else dict)
        for part in values
        for key in _PARTS
    )


_PARTS = ("reasoning", "toolRequest", "toolResponse", "tool_request", "tool_response")


def read_message(answer: Assembly, message: dict[str, JSON], *, whole: bool = False) -> None:
    """A message, or a chunk, which has its message's index or comes in a stream."""
    alone = not (answer.streamed or "index" in message)
    whole = whole or alone or message.get("aggregated") is True
    read_parts(answer, message["content"], "delta" if "index" in message else "plain", whole=whole)


def read_held(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """What a flow streams, or a whole response, with its message and its tokens."""
    message = frame.get("message")
    if not is_message(message):
        return False
    read_message(answer, message, whole="finishReason" in frame or "finish_reason" in frame)
    answer.usage.set_total(frame.get("usage"))
    return True


def read_parts(answer: Assembly, parts: JSON, way: str = "plain", *, whole: bool = False) -> None:
    """The parts of a message, whole or as they come."""
    answer.dialects.add("genkit")
    for part in items(parts):
        if not isinstance(part, dict):
            continue
        request = part.get("toolRequest", part.get("tool_request"))
        response = part.get("toolResponse", part.get("tool_response"))
        media = part.get("media")
        if isinstance(request, dict):
            _read_request(answer, part, request)
        elif isinstance(response, dict):
            name, id = word(response.get("name")), word(response.get("ref"))
            answer.tools.result(id, name, as_text(response.get("output")))
        elif isinstance(media, dict):
            kind = first_word(media, "contentType", "content_type")
            read_block(answer, {"type": "file", "url": media.get("url"), "mimeType": kind})
        else:
            for speech, key in ((answer.thinking, "reasoning"), (answer.text, "text")):
                text = part.get(key)
                if not isinstance(text, str) or not text:
                    continue
                if whole:
                    speech.whole(text, "genkit message")
                elif way == "delta":
                    speech.delta(text, "genkit")
                else:
                    speech.plain(text, "genkit")


def _read_request(answer: Assembly, part: dict[str, JSON], request: dict[str, JSON]) -> None:
    """A call of a tool, which may have stopped the model to be answered by somebody else."""
    name, id = word(request.get("name")) or "tool", word(request.get("ref"))
    args = request.get("input")
    answer.tools.whole("genkit", id, name, {} if args is None else args)
    about = part.get("metadata")
    asked = about.get("interrupt") if isinstance(about, dict) else None
    if asked:
        tool = ToolUse(id or "", name, {} if args is None else args)
        questions.ask(answer, id, asked if isinstance(asked, dict) else part, tool=tool)


def read_interrupts(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """The calls that wait for somebody, as a response lists them."""
    asked = items(frame.get("interrupts"))
    if not asked or not all(isinstance(p, dict) and "toolRequest" in p for p in asked):
        return False
    read_parts(answer, asked)
    return True


BY_KEY = {"interrupts": read_interrupts}
