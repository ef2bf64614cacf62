"""What an agent expects to hear when its question is answered, as far as the question tells.

A native client sends the payload itself. Clients of other protocols know only "approved" or
"declined", and whoever declines everything says nothing at all: what that is in the agent's words
stands here. docs/questions.md has the table.
"""

from __future__ import annotations

from bff.events import JSON, Input
from bff.messages import Answer


def payload_of(question: Input, answer: Answer) -> JSON:
    """What the agent is told: the answer's payload, or what yes and no mean to it."""
    if answer.approved is not None and _edits(question, answer):
        return _edited(question, answer.edited)
    if isinstance(answer.payload, str) and _takes_decisions(question):
        return _in_words(question, answer.payload)
    if answer.payload is not None and (
        answer.approved is None or answer.edited is not None or _asks_for_a_shape(question)
    ):
        return answer.payload
    if answer.approved is not None or answer.status == "cancelled":
        return decision(question, approved=bool(answer.approved), reason=answer.reason)
    return decision(question, approved=True) if question.kind == "approval" else None


def usual(value: JSON) -> JSON:
    """What LangChain's middleware asks, in Python's words: JavaScript's are in camel case."""
    match value:
        case {"actionRequests": list(actions), **rest}:
            configs = rest.get("reviewConfigs")
            listed = configs if isinstance(configs, list) else []
            return {
                "action_requests": actions,
                "review_configs": [
                    {"allowed_decisions": config.get("allowedDecisions")}
                    for config in listed
                    if isinstance(config, dict)
                ],
            }
    return value


def _takes_decisions(question: Input) -> bool:
    """Whether the question is LangChain's, whose middleware cannot read a word for an answer."""
    match usual(question.value):
        case {"action_requests": list()} | {"type": "tool_approval"}:
            return True
    return False


def _in_words(question: Input, text: str) -> JSON:
    """What a person has written where only a decision can be read: yes, no, or no and why."""
    word = text.strip().strip(".!").lower()
    plain = word in _YES or word in _NO
    return decision(question, approved=word in _YES, reason=None if plain else text)


_YES = frozenset({"y", "yes", "ok", "okay", "approve", "approved", "true"})
_NO = frozenset({"n", "no", "reject", "rejected", "decline", "declined", "deny", "false"})


def _asks_for_a_shape(question: Input) -> bool:
    """Whether the client has seen from the agent itself what its answer should look like."""
    return question.kind != "approval" or question.schema is not None or is_agui(question)


def is_agui(question: Input) -> bool:
    """Whether the question is an interrupt of an agent's that speaks AG-UI 1.0."""
    value = question.value
    return (
        isinstance(value, dict)
        and value.get("id") == question.id
        and isinstance(value.get("reason"), str)
        and value.keys() <= _AGUI_INTERRUPT
    )


_AGUI_INTERRUPT = frozenset(
    {
        "id",
        "reason",
        "message",
        "toolCallId",
        "responseSchema",
        "expiresAt",
        "metadata",
        "subagentRunId",
    }
)


def takes_edits(question: Input) -> bool:
    """Whether the call may be approved with other arguments, by LangChain's middleware."""
    match usual(question.value):
        case {"action_requests": [_], "review_configs": [{"allowed_decisions": list(allowed)}]}:
            return "edit" in allowed
    return False


def _edits(question: Input, answer: Answer) -> bool:
    return answer.approved is True and answer.edited is not None and takes_edits(question)


def _edited(question: Input, args: JSON) -> JSON:
    [action] = usual(question.value)["action_requests"]
    key = "edited_action" if "action_requests" in question.value else "editedAction"
    return {"decisions": [{"type": "edit", key: {"name": action.get("name"), "args": args}}]}


def is_refusal(question: Input, answer: Answer) -> bool:
    """Whether an answer declines, as far as it tells."""
    match payload_of(question, answer):
        case False | "n" | "no" | {"approved": False} | {"approve": False} | {"cancelled": True}:
            return True
        case {"type": "reject"}:
            return True
        case {"decisions": [*decisions]}:
            return all(isinstance(d, dict) and d.get("type") == "reject" for d in decisions)
    return answer.status == "cancelled"


def decision(question: Input, *, approved: bool, reason: str | None = None) -> JSON:
    """Approval or refusal in the agent's words.

    A plain boolean where nothing tells more: whoever only tests it for truth understands it, and a
    refusal is never taken for consent.
    """
    match usual(question.value):
        case {"action_requests": list(actions)}:  # LangChain's human-in-the-loop middleware
            return {"decisions": [_langchain(approved, reason)] * len(actions)}
        case {"type": "tool_approval"}:
            return _langchain(approved, reason)
        case {"id": str(), "name": str(), **rest} if rest.keys() <= {"reason", "response"}:
            # Strands; null would ask again
            return ("y" if approved else "n") if question.kind == "approval" else _CANCELLED
    match question.schema:
        case {"properties": {"approved": _} as properties}:
            told = {"approved": approved}
            return {**told, "reason": reason} if reason and "reason" in properties else told
        case {"properties": {"approve": _}}:
            return {"approve": approved}
    if question.kind == "approval":
        return approved
    return _CANCELLED if not approved else None


_CANCELLED = {"cancelled": True}


def _langchain(approved: bool, reason: str | None) -> JSON:
    if approved:
        return {"type": "approve"}
    return {"type": "reject", "message": reason} if reason else {"type": "reject"}


def is_made_up(question: Input) -> bool:
    """Whether the question's id is ours, since the agent gave none: it means nothing to it."""
    return question.id.startswith(MADE_UP)


MADE_UP = "input-"
"""Begins the ids of questions that have none of their own."""
