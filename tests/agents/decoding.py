"""One answer decoded, and the pieces that agents' answers are made of."""

import json
from typing import Any

from ag_ui.core import (
    BaseEvent,
)

from bff.agents.dialects.decoder import Decoder
from bff.events import Done, Event, ToolEnd, ToolStart
from tests.fakes.container import sse

START = ToolStart("t1", "calculator", {"expression": "15 * 23"})
ENDED = ToolEnd("t1", "calculator", "345")
ARGS = '{"expression": "15 * 23"}'


def decode(data: bytes, content_type: str = "text/event-stream") -> tuple[list[Event], str | None]:
    decoder = Decoder(content_type)
    events = decoder.feed(data) + decoder.end()
    return events, decoder.failure


def said(*values: object) -> list[Event]:
    """The events of an answer that must not fail, without the Done that must end it."""
    events, failure = decode(sse(*values))
    assert failure is None
    assert isinstance(events[-1], Done)
    return events[:-1]


def usage(*values: object) -> object:
    events, _ = decode(sse(*values))
    assert isinstance(events[-1], Done)
    return events[-1].usage


def failed(*values: object) -> str:
    events, failure = decode(sse(*values))
    assert failure is not None
    assert not any(isinstance(event, Done) for event in events)
    return failure


def chunk(content: object = "", id: str | None = "run-1", **fields: object) -> dict[str, Any]:
    """A LangChain AIMessageChunk as `model_dump()` gives it."""
    return {
        "content": content,
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "AIMessageChunk",
        "name": None,
        "id": id,
        "tool_calls": [],
        "invalid_tool_calls": [],
        "usage_metadata": None,
        "tool_call_chunks": [],
        **fields,
    }


def ai(content: object = "", id: str | None = "run-1", **fields: object) -> dict[str, Any]:
    message = chunk(content, id, **{"type": "ai", **fields})
    del message["tool_call_chunks"]
    return message


def human(content: str) -> dict[str, Any]:
    return {"content": content, "type": "human", "id": f"human-{content}"}


def result(content: object = "345", **fields: object) -> dict[str, Any]:
    return {
        "content": content,
        "additional_kwargs": {},
        "type": "tool",
        "name": "calculator",
        "id": None,
        "tool_call_id": "t1",
        "artifact": None,
        "status": "success",
        **fields,
    }


CALL = {"name": "calculator", "args": {"expression": "15 * 23"}, "id": "t1", "type": "tool_call"}


def piece(
    args: str | None, id: str | None = None, name: str | None = None, index: object = 0
) -> Any:
    part = {"name": name, "args": args, "id": id, "index": index, "type": "tool_call_chunk"}
    return chunk(tool_call_chunks=[part])


def inner(name: str, **fields: object) -> str:
    return f"event: {name}\ndata: {json.dumps({'timestamp': 'now', **fields})}\n\n"


def token(words: str, *, index: int = 0) -> tuple[object, object]:
    """A token as Strands says it: in Bedrock's words, then in its own."""
    delta = {"delta": {"text": words}, "contentBlockIndex": index}
    return {"event": {"contentBlockDelta": delta}}, {"data": words, "delta": {"text": words}}


def bedrock(name: str, **fields: object) -> dict[str, object]:
    return {"event": {name: fields}}


TOOL_USE = {"toolUseId": "t1", "name": "calculator"}


def agui(*events: BaseEvent) -> list[object]:
    return [event.model_dump(mode="json", by_alias=True, exclude_none=True) for event in events]
