"""Events and entries of Mistral's conversations and agents.

https://docs.mistral.ai/agents/agents. The SDK yields each event as `{"event", "data"}`; a response
that is not streamed is a list of entries of the same kinds.
"""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly, InBandError, Reader
from bff.agents.dialects.attachments import read_block, source_of
from bff.agents.dialects.fields import items, word
from bff.agents.dialects.langchain import thought
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON


def is_response(frame: dict[str, JSON]) -> bool:
    """Whether this is a whole response, which says so itself."""
    return frame.get("object") == "conversation.response" and isinstance(frame.get("outputs"), list)


def read_response(answer: Assembly, frame: dict[str, JSON]) -> None:
    for entry in items(frame["outputs"]):
        if isinstance(entry, dict):
            answer.read(entry)
    answer.usage.set_total(frame.get("usage"))


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event or entry."""
    id = word(frame.get("id"))
    name = word(frame.get("name")) or "tool"
    call = word(frame.get("tool_call_id")) or id
    answer.dialects.add("mistral")
    match frame["type"]:
        case "message.output.delta":
            _read_content(answer, frame.get("content"), id, whole=False)
        case "message.output":
            _read_content(answer, frame.get("content"), id, whole=True)
        case "function.call.delta" | "tool.execution.started" | "tool.execution.delta":
            args = word(frame.get("arguments")) or ""
            answer.tools.piece("mistral", f"mistral {call}", call, word(frame.get("name")), args)
        case "tool.execution.done":
            answer.tools.complete(f"mistral {call}")
            answer.tools.result(call, name, as_text(frame.get("info") or ""))
        case "function.call":
            answer.tools.whole("mistral", call, name, frame.get("arguments"))
        case "tool.execution":
            answer.tools.whole("mistral", call, name, frame.get("arguments"))
            answer.tools.result(call, name, as_text(frame.get("info") or ""))
        case "function.result":
            answer.tools.result(call, None, as_text(frame.get("result")))
        case "conversation.response.done":
            answer.tools.settle()
            answer.usage.set_total(frame.get("usage"))
        case "conversation.response.error":
            raise InBandError("an error event in its stream")
        case "agent.handoff" | "agent.handoff.started" | "agent.handoff.done":
            answer.pause()
            answer.custom(frame, content=False)
    return True


def _read_content(answer: Assembly, content: JSON, id: str | None, *, whole: bool) -> None:
    """A text, one of its chunks, or all of them."""
    texts: list[str] = []
    thoughts: list[str] = []
    for chunk in content if isinstance(content, list) else [content]:
        match chunk:
            case str() | {"type": "text", "text": str()}:
                texts.append(chunk if isinstance(chunk, str) else chunk["text"])
            case {"type": "thinking"}:
                thoughts.append(thought(chunk))
            case {"type": "tool_reference"}:
                source = source_of(chunk)
                if source is not None:
                    answer.attach(source)
            case dict() if not read_block(answer, chunk):
                answer.custom(chunk, content=False)
    for speech, parts, key in (
        (answer.thinking, thoughts, id and f"reasoning {id}"),
        (answer.text, texts, id),
    ):
        said = "".join(parts)
        if whole and said:
            speech.whole(said, "mistral", key)
        else:
            speech.delta(said, "mistral", key)


BY_TYPE: dict[str, Reader] = dict.fromkeys(
    (
        "conversation.response.started",
        "conversation.response.done",
        "conversation.response.error",
        "message.output",
        "message.output.delta",
        "tool.execution",
        "tool.execution.started",
        "tool.execution.delta",
        "tool.execution.done",
        "function.call",
        "function.call.delta",
        "function.result",
        "agent.handoff",
        "agent.handoff.started",
        "agent.handoff.done",
    ),
    read,
)
