"""LangChain's streaming protocol: what `astream_events(version="v3")` and the Agent Server tell.

https://docs.langchain.com/oss/python/langgraph/event-streaming. Each event wraps an item of one of
LangGraph's modes; messages come as blocks that start, grow and finish, and only a message's start
has its id: what follows is known by its place, the run of the model.
"""

from __future__ import annotations

from bff.agents.dialects import langgraph, questions
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.fields import word
from bff.agents.dialects.langchain import read_block_list, read_message, read_piece, unwrapped
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON

_MINE = frozenset({"ai", "assistant"})
_MOST_PLACES = 1000


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event of the protocol; false if it is somebody else's `event`."""
    match frame:
        case {"method": str(method), "params": {"data": data, **params}}:
            answer.dialects.add("langgraph")
        case _:
            return False
    match method, data:
        case ("messages", [{"event": str()} as event, dict(metadata)]):
            _read_message(answer, str(metadata.get("run_id")), event)
        case ("messages", {"event": str()}):
            _read_message(answer, f"{params.get('namespace')} {params.get('node')}", data)
        case ("tools", dict()):
            _read_tool(answer, data)
        case ("lifecycle", dict()):
            if data.get("event") == "failed" and not params.get("namespace"):
                raise InBandError("a run that failed")
        case ("input" | "input.requested", {"interrupt_id": str(id)}):
            questions.ask(answer, id, data.get("payload"))
        case _ if method in langgraph.MODES:
            langgraph.read_mode(answer, method, data)
        case _:
            answer.custom(data, method, content=False)
    if params.get("interrupts"):
        questions.ask_langgraph(answer, params["interrupts"])
    return True


def _read_message(answer: Assembly, place: str, event: dict[str, JSON]) -> None:
    if event["event"] == "message-start":
        known = event.get("role", "ai") in _MINE and len(answer.streams) < _MOST_PLACES
        answer.streams[place] = word(event.get("id")) or place if known else ""
    key = answer.streams.get(place)
    if not key:
        return
    answer.enter_message(key, announced=True)
    match event:
        case {"event": "content-block-start", "content": {"type": "tool_call_chunk"} as piece}:
            read_piece(answer, {**piece, "index": event.get("index")}, piece, key)
        case {"event": "content-block-delta", "delta": dict(delta)}:
            _read_delta(answer, key, event.get("index"), delta)
        case {"event": "content-block-finish", "content": dict(block)}:
            if block.get("type") not in ("text", "reasoning"):  # those came as deltas
                read_block_list(answer, [block], key)
        case {"event": "message-finish"}:
            answer.usage.add(event.get("usage"), f"message {key}")
            answer.tools.settle()
            answer.pause()
            del answer.streams[place]


def _read_delta(answer: Assembly, key: str, index: JSON, delta: dict[str, JSON]) -> None:
    match delta:
        case {"type": "text-delta", "text": str(text)}:
            answer.text.delta(text, "chunks", key)
        case {"type": "reasoning-delta", "reasoning": str(text)}:
            answer.thinking.delta(text, "chunks", key)
        case {"type": "tool-call-delta", "args": str(args)}:
            read_piece(answer, {"args": args, "index": index}, {"args": args}, key)


def _read_tool(answer: Assembly, event: dict[str, JSON]) -> None:
    id = word(event.get("tool_call_id"))
    match event:
        case {"event": "tool-started", "tool_name": str(name)}:
            answer.tools.whole("events", id, name, event.get("input") or {})
        case {"event": "tool-finished", "output": dict(output)} if "content" in output:
            read_message(answer, {"type": "tool", "tool_call_id": id, **unwrapped(output)}, "tools")
        case {"event": "tool-finished"}:
            answer.tools.result(id, None, as_text(event.get("output")))
        case {"event": "tool-error"}:
            answer.tools.result(id, None, None, word(event.get("message")) or "the tool failed")
        case _:
            answer.custom(event, "tools", content=False)


BY_TYPE = {"event": read}
