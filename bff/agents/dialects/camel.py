"""Responses of CAMEL's chat agents (https://docs.camel-ai.org), whole or one for each chunk."""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.fields import items, word
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.usage import if_counted
from bff.events import JSON


def is_response(frame: dict[str, JSON]) -> bool:
    """Whether this is a ChatAgentResponse."""
    return "terminated" in frame and isinstance(frame.get("info"), dict) and "msgs" in frame


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A ChatAgentResponse: messages, and what the agent did and used for them."""
    if not is_response(frame):
        return False
    info = frame["info"]
    answer.dialects.add("camel")
    for record in items(info.get("tool_calls")):
        if isinstance(record, dict):
            _read_record(answer, record)
    for message in items(frame["msgs"]):
        if isinstance(message, dict):
            _read_message(answer, message, partial=info.get("partial") is True)
    answer.usage.set_total(if_counted(info.get("usage")))
    return True


def _read_message(answer: Assembly, message: dict[str, JSON], *, partial: bool) -> None:
    for speech, key in ((answer.thinking, "reasoning_content"), (answer.text, "content")):
        text = word(message.get(key))
        if text and partial:  # a piece, or all so far, as the agent was made
            speech.plain(text, "camel")
        elif text:
            speech.whole(text, "camel response")


def _read_record(answer: Assembly, record: dict[str, JSON]) -> None:
    """A call with its result, which is told again by every later chunk."""
    name, id = word(record.get("tool_name")) or "tool", word(record.get("tool_call_id"))
    answer.tools.whole("camel", id, name, record.get("args") or {})
    answer.tools.result(id, name, as_text(record.get("result")))


BY_KEY = {"msgs": read}
