"""Letta's messages (https://docs.letta.com/api-reference), whole or token by token.

A message has its kind under `message_type`; where tokens are streamed its pieces have its id.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.fields import items, word, words
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.untyped import text_of
from bff.events import JSON, ToolUse


def is_message(frame: dict[str, JSON]) -> bool:
    """Whether an object's kind is one of Letta's."""
    kind = frame.get("message_type")
    return isinstance(kind, str) and kind in _KINDS


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One message; false if it is somebody else's event."""
    kind, id = frame.get("message_type"), word(frame.get("id"))
    match kind:
        case "reasoning_message" if isinstance(frame.get("reasoning"), str):
            answer.thinking.plain(frame["reasoning"], f"letta {id}")
        case "assistant_message" if "content" in frame:
            answer.text.piece(text_of(frame["content"]) or "", "letta", id or "letta")
        case "tool_call_message" | "approval_request_message" if "tool_call" in frame:
            _read_calls(answer, frame, id, asks=kind == "approval_request_message")
        case "tool_return_message" if "tool_return" in frame:
            call, name = word(frame.get("tool_call_id")), word(frame.get("name"))
            failed = frame.get("status") == "error"
            answer.tools.outcome(call, name, as_text(frame["tool_return"]), failed=failed)
        case "usage_statistics":
            answer.usage.set_total(frame)
        case "stop_reason":
            answer.tools.settle()
            if frame.get("stop_reason") in _FAILED:
                raise InBandError("a run that ended in an error")
        case "hidden_reasoning_message" | "user_message" | "system_message" | "ping":
            pass
        case _:
            return False
    answer.dialects.add("letta")
    return True


def _read_calls(
    answer: Assembly, frame: dict[str, JSON], message: str | None, *, asks: bool
) -> None:
    """The calls of a message, of which one may be told under two keys."""
    for call in [*items(frame.get("tool_calls")), frame["tool_call"]]:
        if not isinstance(call, dict):
            continue
        id, name = word(call.get("tool_call_id")), word(call.get("name"))
        text = word(call.get("arguments")) or ""
        if asks and name:
            tool = ToolUse(id or "", name, questions.arguments(text or "{}"))
            questions.ask(answer, message or id, frame, kind="approval", tool=tool)
        elif not asks:
            answer.tools.piece("letta", f"letta {id or message}", id, name, text)


_KINDS = words(
    "reasoning_message hidden_reasoning_message assistant_message tool_call_message "
    "tool_return_message approval_request_message user_message system_message usage_statistics "
    "stop_reason"
)
_FAILED = ("error", "llm_api_error", "invalid_llm_response", "invalid_tool_call")
BY_KEY = {"message_type": read}
