"""Which of a client's fields the agent's payload has no place for: nothing is dropped silently."""

from __future__ import annotations

from bff.agents.payload import places
from bff.errors import Invalid
from bff.messages import Conversation
from bff.settings import AgentSetting


def without_place(conversation: Conversation, setting: AgentSetting) -> list[str]:
    """The client's fields that this agent's payload has no place for.

    Raises `Invalid` for one that changes what the answer must be.
    """
    found = places(setting.payload)
    ignored: list[str] = []
    if "tools" not in found and conversation.tools:
        ignored.append("tools")
    elif setting.payload != "openai" and any(tool.strict for tool in conversation.tools):
        ignored.append("tools.strict")
    if "context" not in found and conversation.context:
        ignored.append("context")
    if "state" not in found and conversation.state not in (None, {}, []):
        ignored.append("state")
    if "metadata" not in found and conversation.metadata:
        ignored.append("metadata")
    if "files" not in found and conversation.files:
        ignored.append("files")
    if setting.payload != "agui":
        if conversation.as_sent:
            ignored += sorted(conversation.as_sent.keys() - {"tools"})
        if not isinstance(conversation.forwarded, dict | list | None) or (
            isinstance(conversation.forwarded, list) and conversation.forwarded
        ):
            ignored.append("forwardedProps")
    if "options" not in found and conversation.options:
        _refuse_what_changes_the_answer(conversation)
        ignored += sorted(conversation.options)
    return ignored


def _refuse_what_changes_the_answer(conversation: Conversation) -> None:
    for name, value in conversation.options.items():
        match name, value:
            case (("response_format" | "text"), {"type": "json_schema" | "json_object"}):
                pass
            case "text", {"format": {"type": "json_schema" | "json_object"}}:
                pass
            case "tool_choice", "required" | {"type": "function" | "custom" | "tool"}:
                pass
            case _:
                continue
        raise Invalid.of(name, "this agent's payload has no place for it (AGENT_PAYLOAD)")
