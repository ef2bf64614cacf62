"""What most blocking agents return: `{"result": result.message}`, one Converse message."""

from __future__ import annotations

from typing import TypeGuard

from bff.agents.dialects.strands import is_message
from bff.agents.lines import Frame
from bff.events import JSON


def is_returned(value: JSON) -> TypeGuard[dict[str, JSON]]:
    """Whether this is a message and no more, of which nobody else would read anything."""
    return type(value) is dict and len(value) == 2 and is_message(value)


def sole_text(frame: Frame) -> str | None:
    """The text of a frame that says one text and nothing else, so that nothing is left to judge."""
    name, value = frame
    if name is not None or type(value) is not dict or len(value) != 1:
        return None
    message = value.get("result")
    if not is_returned(message) or message["role"] != "assistant" or len(message["content"]) != 1:
        return None
    (block,) = message["content"]
    text = block.get("text")
    if len(block) != 1 or type(text) is not str or not text.strip():
        return None
    return text if not "\ud800" <= text[-1] <= "\udbff" else None  # half a character is not said
