"""The ways LangGraph streams a graph: messages, updates, values, events, and several at once.

https://docs.langchain.com/oss/python/langgraph/streaming
"""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.langchain import (
    are_messages,
    is_message,
    read_message,
    read_messages,
    unwrapped,
    word,
)
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON

MODES = frozenset(
    {"messages", "messages-tuple", "updates", "values", "custom", "debug", "tasks", "checkpoints"}
)


def read_mode(answer: Assembly, mode: str, value: JSON) -> None:
    """One item of a LangGraph stream whose mode is known."""
    match mode, value:
        case ("messages" | "messages-tuple", [dict(message), *_]):
            message = unwrapped(message)
            if is_message(message):
                read_message(answer, message, "update")
            else:
                answer.custom(value)
        case ("updates", dict(nodes)):
            for node, update in nodes.items():
                read_update(answer, node, update)
        case ("values", dict(state)):
            read_state(answer, state)
        case ("debug" | "tasks" | "checkpoints", _):
            pass  # the graph's own bookkeeping; what it holds comes in the other modes
        case _:
            answer.custom(value)


def is_update(frame: dict[str, JSON]) -> bool:
    """Whether this is `updates` mode: each key a node, each value what the node changed."""
    told = False
    for node, update in frame.items():
        if isinstance(update, dict):
            told = told or is_message(update) or are_messages(_listed(update.get("messages")))
        elif node == "__interrupt__" or (node != "messages" and are_messages(update)):
            told = True
        elif update is not None:
            return False
    return told


def read_update(answer: Assembly, node: str, update: JSON) -> None:
    match update:
        case None:
            pass
        case {"messages": messages, **rest} if are_messages(_listed(messages)):
            read_messages(answer, _listed(messages), "update")
            if any(rest.values()):
                answer.custom({node: rest})
        case dict() | list() if are_messages(_listed(update)):
            read_messages(answer, _listed(update), "update")
        case _:
            answer.custom({node: update})


def read_state(answer: Assembly, state: dict[str, JSON]) -> None:
    """A whole state, which holds everything said before it too."""
    messages = _listed(state.get("messages"))
    if are_messages(messages):
        read_messages(answer, messages, "state")
        interrupts = state.get("__interrupt__")
        if interrupts:
            answer.custom({"__interrupt__": interrupts})
        told = ("messages", "__interrupt__")
        answer.state = {name: value for name, value in state.items() if name not in told}
    elif state.get("messages") != []:
        answer.custom(state)


def read_astream_event(answer: Assembly, event: str, frame: dict[str, JSON]) -> None:
    """One event of `astream_events`."""
    data = frame.get("data")
    fields = data if isinstance(data, dict) else {}
    output: JSON = fields.get("output")
    match event, fields:
        case ("on_chat_model_stream", {"chunk": dict(chunk)}):
            message = unwrapped(chunk)
            if is_message(message):
                read_message(answer, message, "update")
        case ("on_chat_model_end" | "on_tool_end", {"output": dict(message)}) if is_message(
            unwrapped(message)
        ):
            read_message(answer, unwrapped(message), "update")
        case ("on_tool_end", _):
            answer.tools.result(None, word(frame.get("name")), as_text(output))
        case ("on_tool_start", _):
            name = word(frame.get("name")) or ""
            answer.tools.settle()
            if not answer.tools.known(name):
                answer.tools.whole("events", word(frame.get("run_id")), name, fields.get("input"))
        case ("on_chain_end", {"output": {"messages": list(messages)}}) if not frame.get(
            "parent_ids", True
        ):
            read_messages(answer, messages, "state")  # what no model said, nodes may have
        case ("on_custom_event", _):
            answer.custom(frame)
        case ("on_tool_error" | "on_chain_error", _):
            raise InBandError(f"{event} in its stream")


def _listed(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []
