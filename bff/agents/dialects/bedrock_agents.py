"""Bedrock's own agents and flows, whose streams some agents pass on.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_InvokeAgent.html and
API_agent-runtime_InvokeFlow.html: a text comes in bytes, a flow's as a document.
"""

from __future__ import annotations

import base64
from contextlib import suppress

from bff.agents.dialects import printed
from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.attachments import read_sources
from bff.agents.dialects.fields import first_word, items, word, words
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON

KEYS = frozenset({"chunk", "trace", "returnControl", "flowOutputEvent", "flowCompletionEvent"})


def is_event(frame: dict[str, JSON]) -> bool:
    """Whether this is an event of such a stream, which its print need not look like."""
    match frame:
        case {"chunk": {"bytes": str()}} | {"trace": {"trace": dict()}}:
            return len(frame) == 1
        case {"returnControl": {"invocationInputs": list()}}:
            return len(frame) == 1
    return False


def as_json(event: dict[str, JSON], text: str) -> dict[str, JSON]:
    """An event that was printed as it had been as JSON, where bytes are base64."""
    match event:
        case {"chunk": {"bytes": str(said)} as chunk} if "'bytes': b" in text:
            return {"chunk": {**chunk, "bytes": base64.b64encode(said.encode()).decode()}}
    return event


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event of such a stream."""
    match frame:
        case {"chunk": {"bytes": str(data), **rest}}:
            answer.text.delta(decoded(data), "chunk")
            cited = rest.get("attribution")
            read_sources(answer, cited.get("citations") if isinstance(cited, dict) else None)
        case {"trace": {"trace": {"orchestrationTrace": {"rationale": {"text": str(thought)}}}}}:
            answer.thinking.whole(thought, "trace")
        case {"trace": {"trace": dict(trace)}}:
            answer.custom(frame, "trace", content=False)
            _read_trace(answer, trace.get("orchestrationTrace"))
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


def _read_trace(answer: Assembly, trace: JSON) -> None:
    """A step of the agent's: what its model used and thought, and what it did."""
    match trace:
        case {"modelInvocationOutput": dict(output)}:
            about = output.get("metadata")
            answer.usage.add(about.get("usage") if isinstance(about, dict) else None)
            match output.get("reasoningContent"):
                case {"reasoningText": {"text": str(thought)}}:
                    answer.thinking.whole(thought, "trace")
        case {"invocationInput": {"actionGroupInvocationInput": dict(wanted), **place}}:
            name = first_word(wanted, "function", "apiPath", "actionGroupName") or "action"
            given = items(wanted.get("parameters"))
            answer.tools.whole("trace", word(place.get("traceId")), name, _arguments(given))
        case {"invocationInput": dict(step)}:
            for key, name in _STEPS.items():
                if isinstance(step.get(key), dict):
                    answer.tools.whole("trace", word(step.get("traceId")), name, step[key])
        case {"observation": dict(step)}:
            for key, found in step.items():
                if key in _FOUND and isinstance(found, dict):
                    text = first_word(found, "text", "executionOutput")
                    told = as_text(found) if text is None else text
                    answer.tools.result(word(step.get("traceId")), None, told)


_STEPS = {
    "knowledgeBaseLookupInput": "knowledge_base",
    "codeInterpreterInvocationInput": "code_interpreter",
    "agentCollaboratorInvocationInput": "agent_collaborator",
}
_FOUND = words(
    "actionGroupInvocationOutput knowledgeBaseLookupOutput codeInterpreterInvocationOutput "
    "agentCollaboratorInvocationOutput"
)


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
    args = _arguments(given)
    if answer.tools.like(name, args) is None:  # else a trace has told it
        answer.tools.whole("returnControl", None, name, args)


def _arguments(given: list[JSON]) -> dict[str, JSON]:
    return {str(p["name"]): p.get("value") for p in given if isinstance(p, dict) and "name" in p}


def decoded(text: str) -> str:
    """Base64's text; what is none is the text itself, or Python's print of its bytes."""
    if text.startswith(("b'", 'b"')):
        with suppress(printed.NotPrinted):
            return str(printed.read(text))
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return text
