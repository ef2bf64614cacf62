"""Messages of a chat as the OpenAI API has them, yielded by themselves.

Agents that run their own loop over a model's client yield what stands in their history: the model's
message with its calls, and each tool's. A message without a call is read as any object with a text;
the `delta` of a chunk has pieces of calls, each with an index.
"""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.fields import word
from bff.agents.dialects.langchain import read_messages
from bff.agents.dialects.openai import read_delta
from bff.agents.dialects.untyped import is_mine
from bff.events import JSON


def is_message(frame: dict[str, JSON]) -> bool:
    """Whether this is a message, or a piece of one, that makes calls or is a tool's."""
    role = frame.get("role")
    if role == "tool":
        return isinstance(frame.get("tool_call_id"), str) and "content" in frame
    if not (role is None or (isinstance(role, str) and is_mine(role))):
        return False
    calls = frame.get("tool_calls")
    return isinstance(calls, list) and bool(calls) and all(map(_is_call, calls))


def is_held(frame: dict[str, JSON]) -> bool:
    """Whether an object holds the model's message, as responses of Cohere's and Ollama's do."""
    match frame.get("message"):
        case {"role": "assistant", "content": str() | list()}:
            return True
        case dict(message):
            return is_message(message)
    return False


def read(answer: Assembly, frame: dict[str, JSON]) -> None:
    """One such message."""
    calls = frame.get("tool_calls")
    if isinstance(calls, list) and all("index" in call for call in calls):
        answer.dialects.add("openai chat")
        read_delta(answer, frame)
        return
    for key in ("reasoning_content", "reasoning", "thinking", "tool_plan"):
        if word(frame.get(key)):
            answer.thinking.whole(frame[key], "message")
            break
    read_messages(answer, [{**frame, "role": frame.get("role") or "assistant"}], "update")


def _is_call(call: JSON) -> bool:
    return isinstance(call, dict) and isinstance(call.get("function"), dict)
