"""The agent's questions as AG-UI asks them (https://docs.ag-ui.com/concepts/interrupts).

Clients since 0.0.54 are asked by `RUN_FINISHED.outcome`. Those before know what `ag_ui_langgraph`
sends, a CUSTOM event named `on_interrupt` whose value is the agent's own as JSON text. A call of
the client's own tool is no interrupt: it is a call without a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bff.agents.answers import is_agui, takes_edits
from bff.events import JSON, Input, dumps, input_fields

_REASON: JSON = {"type": "string"}
_APPROVAL: JSON = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "reason": _REASON},
    "required": ["approved"],
}
"""What the answer to an approval may look like where the agent does not say."""
_APPROVAL_WITH_EDITS: JSON = {
    **_APPROVAL,
    "properties": {**_APPROVAL["properties"], "editedArgs": {"type": "object"}},
}


def asked(questions: Iterable[Input]) -> list[Input]:
    """Those that are interrupts."""
    return [question for question in questions if question.kind != "tool"]


def interrupts(questions: Sequence[Input], calls: Mapping[str, str]) -> list[JSON]:
    """Questions as the outcome of a run; `calls` are the ids the client knows calls by."""
    return [_interrupt(question, calls) for question in questions]


def _interrupt(question: Input, calls: Mapping[str, str]) -> dict[str, JSON]:
    call = None if question.tool is None else calls.get(question.tool.id, question.tool.id)
    if is_agui(question):
        told = {name: value for name, value in question.value.items() if value is not None}
        if isinstance(own := told.get("toolCallId"), str):
            told["toolCallId"] = calls.get(own, own)
        return told
    found = {
        "id": question.id,
        "reason": _reason(question),
        "message": question.message,
        "toolCallId": call,
        "responseSchema": _schema(question),
        "expiresAt": question.expires_at,
        "metadata": None if question.value is None else {"value": question.value},
    }
    return {name: value for name, value in found.items() if value is not None}


def _reason(question: Input) -> str:
    if question.kind == "input":
        return "input_required"
    return "confirmation" if question.tool is None else "tool_call"


def _schema(question: Input) -> JSON:
    if isinstance(question.schema, dict):
        return question.schema
    if question.kind == "input":
        return None
    return _APPROVAL_WITH_EDITS if takes_edits(question) else _APPROVAL


def on_interrupt(question: Input) -> dict[str, JSON]:
    """A question for clients from before the outcome; `rawEvent` holds it whole, with its id."""
    value = question.value
    if is_agui(question):
        match value.get("metadata"):
            case {"langgraph": {"raw": raw}}:
                value = raw
    fields = input_fields(question)
    if value is None:
        value = fields
    return {
        "type": "CUSTOM",
        "name": "on_interrupt",
        "value": value if isinstance(value, str) else dumps(value),
        "rawEvent": fields,
    }
