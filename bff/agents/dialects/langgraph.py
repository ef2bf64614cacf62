"""The ways LangGraph streams a graph: messages, updates, values, events, and several at once.

https://docs.langchain.com/oss/python/langgraph/streaming
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.fields import word
from bff.agents.dialects.langchain import (
    ASKED,
    are_messages,
    as_whole,
    is_message,
    read_message,
    read_messages,
    unwrapped,
)
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.untyped import text_key
from bff.events import JSON, dumps

MODES = frozenset(
    {"messages", "messages-tuple", "updates", "values", "custom", "debug", "tasks", "checkpoints"}
)

IN_STATES = ("__interrupt__", "structured_response")
"""Keys that only a graph's state has, with messages or without."""


def stream_item(items: list[JSON]) -> tuple[str | None, JSON] | None:
    """The mode and the value of a tuple that a stream of several modes or of subgraphs is made of.

    With subgraphs in one mode it is not told which; None where this is no such tuple.
    """
    first = items[0] if items else None
    if type(first) is dict:  # a message, mostly, which comes with every token
        return None
    match items:
        case [str(mode), value] if mode in MODES:
            return mode, value
        case [list(namespace), str(mode), value] if mode in MODES and _is_namespace(namespace):
            return mode, value
        case [list(namespace), dict() | list() as value] if _is_namespace(namespace):
            return None, value
    return None


def _is_namespace(items: list[JSON]) -> bool:
    """Whether this names a subgraph, as `node:task` first; the outermost graph's is empty."""
    return not items or (isinstance(items[0], str) and ":" in items[0])


def read_mode(answer: Assembly, mode: str, value: JSON) -> None:
    """One item of a LangGraph stream whose mode is known."""
    answer.dialects.add("langgraph")
    if (mode == "messages" or mode == "messages-tuple") and isinstance(value, list):
        _read_streamed(answer, value)
        return
    match mode, value:
        case ("updates", dict(nodes)):
            for node, update in nodes.items():
                read_update(answer, node, update)
        case ("values", dict(state)):
            read_state(answer, state)
        case ("tasks", dict(task)):
            read_task(answer, task)
        case ("checkpoints", dict(checkpoint)):
            read_checkpoint(answer, checkpoint)
        case ("debug", dict(event)):
            read_debug(answer, event)
        case _:
            answer.custom(value)


def _read_streamed(answer: Assembly, item: list[JSON]) -> None:
    """A message, or a piece of one, and what is known of it."""
    if len(item) > 1 and isinstance(item[0], dict) and isinstance(item[1], dict):
        _note_node(answer, item[1])
    message = unwrapped(item[0]) if item and isinstance(item[0], dict) else None
    if is_message(message):
        read_message(answer, message, "update")
    else:
        answer.custom(item)


def read_partial(answer: Assembly, messages: list[JSON]) -> None:
    """Messages of LangGraph's server, each as far as it has come."""
    answer.dialects.add("langgraph")
    for message in messages:
        so_far = {**as_whole(unwrapped(message)), "type": "ai"}
        calls, so_far["tool_calls"] = so_far.get("tool_calls"), None
        read_message(answer, so_far, "update")
        for call in calls if isinstance(calls, list) else []:
            match call:
                case {"id": str(id), "name": str(name), "args": args} if name:
                    answer.tools.so_far("partial", id, name, dumps(args))


def _note_node(answer: Assembly, metadata: dict[str, JSON]) -> None:
    node = metadata.get("langgraph_node")
    if isinstance(node, str) and node not in answer.nodes and len(answer.nodes) < _MOST_NODES:
        answer.nodes.add(node)


_MOST_NODES = 1000


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


def read_update(answer: Assembly, node: str, update: JSON, source: str = "update") -> None:
    """What one node changed."""
    answer.dialects.add("langgraph")
    if node == "__interrupt__":
        questions.ask_langgraph(answer, update)
        return
    _note_node(answer, {"langgraph_node": node})
    told = source == "task"  # other modes may tell the same
    match update:
        case None:
            pass
        case dict() if not update.keys().isdisjoint(("messages", *IN_STATES)):
            rest = dict(update)
            questions.ask_langgraph(answer, rest.pop("__interrupt__", None))
            messages = rest.pop("messages", None)
            found = rest.pop("structured_response", None)
            if are_messages(_listed(messages)):
                _read_nodes(answer, node, _listed(messages), source)
            elif messages:
                rest["messages"] = messages
            if found is not None:
                answer.structured = found
            if any(rest.values()) and not told:
                answer.custom({node: rest}, content=False)
        case dict() | list() if are_messages(_listed(update)):
            _read_nodes(answer, node, _listed(update), source)
        case _ if not told:
            answer.custom({node: update})


def _read_nodes(answer: Assembly, node: str, messages: list[JSON], source: str) -> None:
    """Messages of a node. Whoever has a name there is no user, whatever the message says."""
    mine: list[JSON] = []
    for message in messages:
        if isinstance(message, dict) and message.get("type") in ASKED and message.get("name"):
            message = {**message, "type": "ai"}
        mine.append(message)
        if node.endswith(".after_model") and isinstance(message, dict):
            # a middleware that hands on what the model said, in a run before this one if need be
            text, id = message.get("content"), message.get("id")
            if message.get("tool_calls") and isinstance(text, str) and isinstance(id, str):
                answer.text.recall(text, id)
    read_messages(answer, mine, source)


def read_task(answer: Assembly, task: dict[str, JSON]) -> bool:
    """One node's work, when it begins and when it has ended."""
    name = task.get("name")
    if not isinstance(name, str) or ("triggers" not in task and "interrupts" not in task):
        return False
    answer.dialects.add("langgraph")
    if isinstance(task.get("result"), dict):
        read_update(answer, name, task["result"], "task")
    if task.get("interrupts"):
        questions.ask_langgraph(answer, task["interrupts"])
    return True


def read_checkpoint(answer: Assembly, checkpoint: dict[str, JSON]) -> bool:
    """A state as it was stored: told at the end if nothing else told what is in it."""
    values = checkpoint.get("values")
    if not isinstance(values, dict):
        return False
    answer.dialects.add("langgraph")
    answer.checkpoint = values
    return True


def read_debug(answer: Assembly, event: dict[str, JSON]) -> bool:
    """An event of the mode that tells tasks and checkpoints in one."""
    match event:
        case {"type": "task" | "task_result", "payload": dict(task)}:
            return read_task(answer, task)
        case {"type": "checkpoint", "payload": dict(checkpoint)}:
            return read_checkpoint(answer, checkpoint)
    return False


def read_end(answer: Assembly) -> None:
    """What only checkpoints told."""
    if answer.checkpoint and not answer.speakers.heard and not answer.asks:
        messages = _listed(answer.checkpoint.get("messages"))
        if are_messages(messages):
            read_messages(answer, messages, "checkpoint")


def read_state(answer: Assembly, state: dict[str, JSON]) -> None:
    """A whole state, which holds everything said before it too."""
    answer.dialects.add("langgraph")
    if state.get("__interrupt__"):
        questions.ask_langgraph(answer, state["__interrupt__"])
    told = ("messages", "__interrupt__", "structured_response")
    messages = _listed(state.get("messages"))
    if are_messages(messages):
        read_messages(answer, messages, "state")
    if state.get("structured_response") is not None:
        answer.structured = state["structured_response"]
    rest = {name: value for name, value in state.items() if name not in told}
    if "messages" not in state and text_key(rest) is not None:
        answer.read(rest)
        return
    if are_messages(messages) or "__interrupt__" in state or state.get("messages") == []:
        answer.state = rest
    elif "structured_response" not in state:
        answer.latest = state
        answer.custom(state, content=False)


def read_astream_event(answer: Assembly, event: str, frame: dict[str, JSON]) -> None:
    """One event of `astream_events`."""
    answer.dialects.add("langgraph")
    data = frame.get("data")
    fields = data if isinstance(data, dict) else {}
    if event == "on_chat_model_stream":
        chunk = fields.get("chunk")
        message = unwrapped(chunk) if isinstance(chunk, dict) else None
        if is_message(message):
            read_message(answer, message, "update")
        return
    output: JSON = fields.get("output")
    match event, fields:
        case ("on_chat_model_end" | "on_tool_end", {"output": dict(message)}) if is_message(
            unwrapped(message)
        ):
            read_message(answer, as_whole(unwrapped(message)), "update")
        case ("on_tool_end", _):
            answer.tools.result(None, word(frame.get("name")), as_text(output))
        case ("on_llm_stream", {"chunk": {"text": str(text)} | str(text)}):
            answer.text.delta(text, "chunks")
        case ("on_chain_stream", {"chunk": {"__interrupt__": items}}):
            questions.ask_langgraph(answer, items)
        case ("on_chain_end", {"output": {"__interrupt__": items}}):
            questions.ask_langgraph(answer, items)
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
            answer.custom(frame["data"], word(frame.get("name")))
        case ("on_tool_error", _):
            wrong = fields.get("error")
            words = wrong if isinstance(wrong, str) else "the tool failed"
            answer.tools.result(None, word(frame.get("name")), None, words)
        case ("on_chain_error", _) if not frame.get("parent_ids"):
            raise InBandError(f"{event} in its stream")


def _listed(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def read_v2(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An item of a stream of several modes, in the form that says which by `type`."""
    if "data" not in frame:
        return False
    read_mode(answer, frame["type"], frame["data"])
    if frame.get("interrupts"):
        questions.ask_langgraph(answer, frame["interrupts"])
    return True


BY_TYPE = {
    **dict.fromkeys(MODES, read_v2),
    **dict.fromkeys(("task", "task_result", "checkpoint"), read_debug),
}
BY_KEY = {"triggers": read_task, "interrupts": read_task, "parent_config": read_checkpoint}
