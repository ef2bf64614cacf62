"""Semantic Kernel's messages: a role and `items`, each with its `content_type`.

https://learn.microsoft.com/semantic-kernel/. A piece of a message has a `choice_index`.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.attachments import read_block
from bff.agents.dialects.fields import word
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A message or a piece of one, as it is dumped or with only its role and items."""
    parts = frame.get("items")
    if "role" not in frame or not isinstance(parts, list):
        return False
    if not all(isinstance(part, dict) and word(part.get("content_type")) for part in parts):
        return False
    answer.dialects.add("semantic kernel")
    if frame["role"] in ("user", "system", "developer"):
        return True
    name = word(frame.get("name"))
    if name is None:
        _read(answer, frame)
    else:
        answer.speak(name, frame, lambda value: _read(answer, value))
    return True


def _read(answer: Assembly, message: JSON) -> None:
    whole = "choice_index" not in message and bool(message.get("finish_reason"))
    for part in message["items"]:
        text = word(part.get("text"))
        id, tool = word(part.get("id")), word(part.get("name"))
        match part["content_type"]:
            case "text" | "streaming_text" if text and message["role"] != "tool":
                answer.text.whole(text, "message") if whole else answer.text.delta(text, "pieces")
            case "reasoning" | "streaming_reasoning" if text:
                speech = answer.thinking
                speech.whole(text, "message") if whole else speech.delta(text, "pieces")
            case "function_call":
                args = part.get("arguments")
                if isinstance(args, str) and not whole:
                    answer.tools.piece("kernel", f"call {part.get('index')}", id, tool, args)
                elif tool:
                    answer.tools.whole("kernel", id, tool, questions.arguments(args))
            case "function_result":
                id = word(part.get("call_id")) or id
                answer.tools.result(id, tool, as_text(part.get("result")))
            case "image" | "audio" | "binary" as kind:
                read_block(answer, {"type": kind, "url": part.get("data_uri") or part.get("uri")})
            case "text" | "streaming_text" | "reasoning" | "streaming_reasoning":
                pass
            case _:
                answer.custom(part, content=False)


BY_KEY = {"items": read}
