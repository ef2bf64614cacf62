"""Cohere's second chat API, whose events agents pass on as its SDK dumps them.

https://docs.cohere.com/docs/streaming. Each event has what is new at the place it has in a message.
Before it calls tools the model says what it plans to do, which is reasoning.
"""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly, InBandError, Reader
from bff.agents.dialects.attachments import source_of
from bff.agents.dialects.fields import word
from bff.agents.dialects.langchain import read_piece
from bff.events import JSON


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event; false if it is of another dialect that uses the same word."""
    delta = frame.get("delta")
    if not isinstance(delta, dict):
        if not frame.keys() <= _PLACE or "index" not in frame:
            return False
        if frame["type"] == "tool-call-end":
            answer.tools.complete(f"None {frame['index']}")
        answer.dialects.add("cohere")
        return True
    message = delta.get("message")
    if not isinstance(message, dict):
        return frame["type"] == "message-end" and _read_end(answer, delta)
    answer.dialects.add("cohere")
    match frame["type"], message:
        case "message-start", _:
            answer.pause()
        case "tool-plan-delta", {"tool_plan": str(text)}:
            answer.thinking.delta(text, "cohere")
        case _, {"content": {"thinking": str(text)}}:
            answer.thinking.delta(text, "cohere")
        case _, {"content": {"text": str(text)}}:
            answer.text.delta(text, "cohere")
        case _, {"tool_calls": {"function": dict(function), **call}}:
            piece = {"id": call.get("id"), "index": frame.get("index")}
            read_piece(answer, piece, function, None)
        case "citation-start", {"citations": {"sources": list(sources)}}:
            for source in sources:
                _read_source(answer, source)
    return True


def _read_end(answer: Assembly, delta: dict[str, JSON]) -> bool:
    """The end of a message: its tokens, and whether it failed."""
    if "finish_reason" not in delta:
        return False
    answer.dialects.add("cohere")
    answer.tools.settle()
    answer.usage.add(delta.get("usage"))
    answer.pause()
    if delta.get("error") or word(delta["finish_reason"]) in _FAILED:
        raise InBandError("a message that ended in an error")
    return True


def _read_source(answer: Assembly, source: JSON) -> None:
    """What a citation points at: a document, or what a tool found."""
    for key in ("document", "tool_output"):
        found = source_of(source.get(key)) if isinstance(source, dict) else None
        if found is not None:
            answer.attach(found)


_PLACE = frozenset({"type", "index"})
_FAILED = ("ERROR", "ERROR_TOXIC", "ERROR_LIMIT")
BY_TYPE: dict[str, Reader] = dict.fromkeys(
    (
        "message-start",
        "content-start",
        "content-delta",
        "content-end",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "tool-call-end",
        "citation-start",
        "citation-end",
        "message-end",
    ),
    read,
)
