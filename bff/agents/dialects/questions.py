"""What an agent asks, in every framework's shape of it, as one kind of question.

`value` keeps what the agent gave, whole. docs/agents.md says what each kind's answer must look like
on its way back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from bff.agents.answers import MADE_UP, usual
from bff.agents.dialects.assembly import Assembly
from bff.agents.json_values import parse
from bff.events import JSON, Input, InputKind, ToolUse

_WORDS = (
    "description",
    "message",
    "question",
    "prompt",
    "prefix",
    "text",
    "query",
    "title",
    "hint",
)
"""Where a question has its words."""
_APPROVALS = frozenset(
    {
        "approval",
        "approve",
        "confirm",
        "confirmation",
        "tool_approval",
        "tool_call",
        "tool_call_approval",
        "tool_confirmation",
        "permission",
    }
)
_NAMES = ("name", "tool", "tool_name", "toolName", "action", "function")
_ARGS = (
    "args",
    "arguments",
    "input",
    "tool_input",
    "toolInput",
    "parameters",
    "tool_args",
    "params",
)


def ask(
    answer: Assembly,
    id: str | None,
    value: JSON,
    *,
    kind: InputKind | None = None,
    message: str | None = None,
    tool: ToolUse | None = None,
    schema: JSON = None,
    expires_at: str | None = None,
) -> None:
    """Put a question; what is not given is read from its `value`."""
    tool = _named(tool or tool_of(answer, value), id or value)
    answer.ask(
        Input(
            id=id or stable_id(value),
            kind=kind or kind_of(value, tool),
            message=message or words_of(value),
            tool=tool,
            schema=schema if schema is not None else _schema_of(value),
            value=value,
            expires_at=expires_at,
        )
    )


def _named(tool: ToolUse | None, asked: JSON) -> ToolUse | None:
    """The call with an id: where it has none, that of the question."""
    if tool is None or tool.id:
        return tool
    return ToolUse(asked if isinstance(asked, str) else stable_id(asked), tool.name, tool.args)


def arguments(args: JSON) -> JSON:
    """A call's arguments, of which some frameworks keep the JSON text."""
    return parse(args) if isinstance(args, str) else {} if args is None else args


def stable_id(value: JSON) -> str:
    """An id for a question that has none: the same whenever the same is asked."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return f"{MADE_UP}{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def kind_of(value: JSON, tool: ToolUse | None) -> InputKind:
    if tool is not None:
        return "approval"
    match usual(value):
        case {"action_requests": list()} | {"action_request": dict()} | {"allowed_decisions": _}:
            return "approval"
        case {"type": str(kind)} | {"kind": str(kind)} | {"reason": str(kind)} if (
            kind.lower() in _APPROVALS
        ):
            return "approval"
        case [{"action_request": dict()}, *_]:
            return "approval"
    return "input"


def tool_of(answer: Assembly, value: JSON) -> ToolUse | None:
    """The one call that a question is about; None where it is about none or several."""
    match usual(value):
        case {"action_requests": [dict(request)]} | {"action_request": dict(request)}:
            return _call(answer, request)
        case [{"action_request": dict(request)}]:
            return _call(answer, request)
        case {"action_requests": _}:
            return None
        case {"tool_call": dict(request)} | {"toolCall": dict(request)}:
            return _call(answer, request)
        case dict() if not value.keys().isdisjoint(_ARGS):
            return _call(answer, value)
    return None


def _call(answer: Assembly, request: Mapping[str, JSON]) -> ToolUse | None:
    name = next((request[key] for key in _NAMES if isinstance(request.get(key), str)), None)
    args = next((request[key] for key in _ARGS if key in request), None)
    if not isinstance(name, str) or args is None:
        return None
    args = arguments(args)
    for key in ("tool_call_id", "toolCallId", "call_id", "id"):
        if isinstance(request.get(key), str):
            return ToolUse(request[key], name, args)
    known = answer.tools.like(name, args)
    return ToolUse(known.id if known else "", name, args)


def words_of(value: JSON) -> str | None:
    """The words in which a question is asked."""
    match usual(value):
        case str(said):
            return said
        case {"action_requests": list(requests)}:
            parts = [words_of(request) for request in requests]
            return "\n\n".join(text for text in parts if text) or None
        case [dict(first)]:
            return words_of(first)
        case dict():
            for key in _WORDS:
                if isinstance(value.get(key), str) and value[key]:
                    return str(value[key])
    return None


def _schema_of(value: JSON) -> JSON:
    if not isinstance(value, dict):
        return None
    for key in ("response_schema", "responseSchema", "schema", "input_schema"):
        if isinstance(value.get(key), dict):
            return value[key]
    return None


# LangGraph


def ask_langgraph(answer: Assembly, items: JSON) -> None:
    """`__interrupt__`: each with a value and, but in old versions, an id."""
    for item in items if isinstance(items, list) else [items]:
        match item:
            case {"value": value, **rest}:
                id = rest.get("id") or rest.get("interrupt_id")
                if not isinstance(id, str):
                    where = rest.get("ns")
                    id = stable_id(where) if where else None
                ask(answer, id, value, schema=rest.get("response_schema"))
            case None:
                pass
            case _:
                ask(answer, None, item)


def are_langgraphs(value: JSON) -> bool:
    """Whether these are LangGraph's interrupts, or one, under a key that somebody chose."""
    listed = value if isinstance(value, list) else [value]
    return bool(listed) and all(isinstance(item, dict) and "value" in item for item in listed)


def asked_in(frame: dict[str, JSON]) -> str | None:
    """Where an object has a graph's interrupts under a name of somebody's own."""
    interrupted = frame.get("status") == "interrupted" or frame.get("interrupted") is True
    for key in ("interrupt", "interrupts"):
        asked = frame.get(key)
        if asked and (are_langgraphs(asked) or (interrupted and isinstance(asked, dict))):
            return key
    return None


# Strands


def is_strands(value: JSON) -> bool:
    """Whether these are Strands' interrupts: an id, a name and a reason each."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(i, dict)
            and isinstance(i.get("id"), str)
            and isinstance(i.get("name"), str)
            and i.keys() <= {"id", "name", "reason", "response", "type", "source"}
            and not i.keys().isdisjoint({"reason", "response"})
            for i in value
        )
    )


def ask_strands(answer: Assembly, items: list[JSON], call: ToolUse | None = None) -> None:
    """The interrupts of a tool or a hook; their ids name the call they are about."""
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("id"), str):
            continue
        id, reason = item["id"], item.get("reason")
        tool = call
        if tool is None:
            known = next((answer.tools.find(part) for part in id.split(":")[2:-1] if part), None)
            tool = ToolUse(known.id, known.name, known.args) if known else None
        about_call = tool is not None or "tool_call" in id
        answer.ask(
            Input(
                id=id,
                kind="approval" if about_call else kind_of(reason, None),
                message=words_of(reason) or None,
                tool=tool,
                schema=_schema_of(reason),
                value=item,
            )
        )


def ask_about(answer: Assembly, id: str, name: str, args: JSON) -> None:
    """A call that waits for somebody's word, and nothing else is known of the question."""
    if not answer.asks_about(id):
        call = {"id": id, "name": name, "args": args}
        answer.ask(Input(id, "approval", tool=ToolUse(id, name, args), value=call))


# AG-UI


_REASONS: Mapping[str, InputKind] = {
    "tool_call": "approval",
    "confirmation": "approval",
    "input_required": "input",
}


def ask_agui(answer: Assembly, items: JSON) -> None:
    """The interrupts of `RUN_FINISHED.outcome`."""
    for item in items if isinstance(items, list) else []:
        if not isinstance(item, dict):
            continue
        call_id = item.get("toolCallId", item.get("tool_call_id"))
        known = answer.tools.find(call_id) if isinstance(call_id, str) else None
        tool = ToolUse(known.id, known.name, known.args) if known else None
        kind = _REASONS.get(str(item.get("reason")))
        raw: JSON = None
        match item.get("metadata"):
            case {"langgraph": {"raw": raw}}:
                tool = tool or tool_of(answer, raw)
                kind = kind or kind_of(raw, tool)
        id = item.get("id")
        expires = item.get("expiresAt", item.get("expires_at"))
        words = item.get("message")
        answer.ask(
            Input(
                id=id if isinstance(id, str) and id else stable_id(item),
                kind=kind or ("approval" if call_id else "input"),
                message=words if isinstance(words, str) else words_of(raw),
                tool=_named(tool, item),
                schema=item.get("responseSchema", item.get("response_schema")),
                value=item,
                expires_at=expires if isinstance(expires, str) else None,
            )
        )
