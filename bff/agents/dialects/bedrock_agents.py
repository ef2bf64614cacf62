"""Bedrock's own agents and flows, whose streams some agents pass on.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_InvokeAgent.html and
API_agent-runtime_InvokeFlow.html: a text comes in bytes, a flow's as a document.
"""

from __future__ import annotations

import base64

from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.attachments import read_sources
from bff.agents.dialects.fields import items
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON

KEYS = frozenset({"chunk", "trace", "returnControl", "flowOutputEvent", "flowCompletionEvent"})


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event of such a stream."""
    match frame:
        case {"chunk": {"bytes": str(data), **rest}}:
            answer.text.delta(decoded(data), "chunk")
            cited = rest.get("attribution")
            read_sources(answer, cited.get("citations") if isinstance(cited, dict) else None)
        case {"trace": {"trace": {"orchestrationTrace": {"rationale": {"text": str(thought)}}}}}:
            answer.thinking.whole(thought, "trace")
        case {"trace": {"trace": dict()}}:
            answer.custom(frame, "trace", content=False)
        case {"returnControl": {"invocationInputs": list(inputs)}}:
            for wanted in inputs:
                _read_call(answer, wanted)
            answer.tools.wait()
        case {"flowOutputEvent": {"content": {"document": document}}}:
            answer.text.whole(as_text(document), "flow")
        case {"flowCompletionEvent": dict()}:
            answer.pause()
        case _:
            return False
    answer.dialects.add("bedrock agents")
    return True


def are_events(values: list[JSON]) -> bool:
    """Whether a list is such a stream, collected."""
    return all(
        isinstance(item, dict)
        and len(item) == 1
        and not KEYS.isdisjoint(item.keys())
        and isinstance(next(iter(item.values())), dict)
        for item in values
    )


def _read_call(answer: Assembly, wanted: JSON) -> None:
    """A function that whoever called the agent has to run."""
    match wanted:
        case {"functionInvocationInput": {"function": str(name), **rest}} | {
            "apiInvocationInput": {"apiPath": str(name), **rest}
        }:
            given = items(rest.get("parameters"))
        case _:
            return
    args = {str(p["name"]): p.get("value") for p in given if isinstance(p, dict) and "name" in p}
    answer.tools.whole("returnControl", None, name, args)


def decoded(text: str) -> str:
    """Base64's text; what is none is the text itself."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return text
