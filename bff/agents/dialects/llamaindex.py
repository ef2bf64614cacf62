"""LlamaIndex's workflow events: they have no type, so their keys tell which they are.

https://docs.llamaindex.ai/en/stable/understanding/agent/streaming/. A token comes as its `delta`
and as the `response` so far.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.attachments import read_block
from bff.agents.dialects.fields import items
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.untyped import text_key
from bff.events import JSON


def read_agent_event(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An event of one of the workflow's agents."""
    name = frame.get("current_agent_name")
    if not isinstance(name, str) or _SAYS.isdisjoint(frame.keys()):
        return False
    answer.dialects.add("llamaindex")
    answer.speak(name or "agent", frame, lambda value: _read(answer, value, "output"))
    return True


_SAYS = frozenset({"response", "input", "delta", "thinking_delta"})


def read_result(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A StopEvent that lost its type."""
    result = frame.get("result")
    return isinstance(result, dict) and "current_agent_name" in result and read_stop(answer, frame)


def read_stop(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A StopEvent: the last output once more, or whatever the workflow returns."""
    result: JSON = frame.get("result")
    data = frame.get("_data")
    if result is None and isinstance(data, dict):
        result = data.get("result")
    match result:
        case {"current_agent_name": str(name)}:
            answer.dialects.add("llamaindex")
            answer.speak(name or "agent", result, lambda value: _read(answer, value, "stop"))
        case str(text):
            answer.text.whole(text, "stop")
        case None:
            return False
        case _:
            answer.read(result)
    return True


def _read(answer: Assembly, frame: JSON, source: str) -> None:
    thought = frame.get("thinking_delta")
    if isinstance(thought, str) and thought:
        answer.thinking.delta(thought, "delta")
    match frame:
        case {"delta": str(delta), "response": _}:
            answer.text.delta(delta, "delta")
        case {"response": dict(message)}:
            _read_message(answer, message, source)
            if frame.get("structured_response") is not None:
                answer.structured = frame["structured_response"]
            answer.pause()
        case {"input": list()}:
            pass  # what the model is given


def _read_message(answer: Assembly, message: dict[str, JSON], source: str) -> None:
    if message.get("role", "assistant") not in ("assistant", "chatbot", "model"):
        return
    texts: list[str] = []
    for block in items(message.get("blocks")):
        match block:
            case {"block_type": "text", "text": str(text)}:
                texts.append(text)
            case {"block_type": "thinking", "content": str(text)}:
                answer.thinking.whole(text, source)
            case {"block_type": "image" | "audio" | "video" | "document" as kind, **rest}:
                data = {k: rest.get(k) for k in ("image", "audio", "video", "data") if rest.get(k)}
                mime = next(
                    (v for k, v in rest.items() if str(k).endswith("_mimetype") and v), None
                )
                where = rest.get("url")
                fields = {"mime_type": mime, "url": where, "data": next(iter(data.values()), None)}
                read_block(answer, {"type": kind, **{k: v for k, v in fields.items() if v}})
    if not texts and isinstance(message.get("content"), str):
        texts.append(message["content"])
    if any(texts):
        answer.text.whole("".join(texts), source)


def read_tool(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A ToolCall or a ToolCallResult."""
    match frame:
        case {"tool_name": str(name), "tool_kwargs": args, **rest}:
            answer.dialects.add("llamaindex")
            id = rest.get("tool_id")
            id = id if isinstance(id, str) and id else None
            answer.tools.whole("llamaindex", id, name, args)
            if "tool_output" in rest:
                _read_output(answer, id, name, rest["tool_output"])
            return True
    return False


def _read_output(answer: Assembly, id: str | None, name: str, output: JSON) -> None:
    wrong = isinstance(output, dict) and output.get("is_error") is True
    found: JSON = output
    if isinstance(output, dict):
        found = output.get("content") or output.get("blocks") or output.get("raw_output")
    answer.tools.outcome(id, name, as_text(found), failed=wrong)


def read_question(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An InputRequiredEvent: its `prefix` is the question."""
    data = frame.get("_data")
    if isinstance(data, dict) and "prefix" in data:
        return read_question(answer, data)
    if not isinstance(frame.get("prefix"), str) or len(frame) > 3 or text_key(frame) is not None:
        return False
    answer.dialects.add("llamaindex")
    questions.ask(answer, None, frame, kind="input")
    return True


def read_chat_response(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """The answer of a chat or query engine, with the nodes it was made of."""
    match frame:
        case {"response": str(text), "source_nodes": list(nodes)}:
            answer.dialects.add("llamaindex")
            answer.text.whole(text, "response")
            if nodes:
                answer.custom({"source_nodes": nodes}, content=False)
            return True
    return False


def read_block_message(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A ChatMessage, alone or in a ChatResponse that may be a token of it."""
    blocks = frame.get("blocks")
    if not isinstance(blocks, list) or not all(
        isinstance(b, dict) and "block_type" in b for b in blocks
    ):
        return False
    answer.dialects.add("llamaindex")
    _read_message(answer, frame, "message")
    return True


def read_qualified(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An event as the server of workflows wraps it, with the name of its class."""
    match frame:
        case {"qualified_name": str(name), "value": dict(value)}:
            answer.read({**value, "type": name.rpartition(".")[2]})
            return True
    return False


BY_TYPE = {"StopEvent": read_stop, "InputRequiredEvent": read_question}
BY_KEY = {
    "qualified_name": read_qualified,
    "result": read_result,
    "current_agent_name": read_agent_event,
    "tool_kwargs": read_tool,
    "prefix": read_question,
    "source_nodes": read_chat_response,
    "blocks": read_block_message,
}
