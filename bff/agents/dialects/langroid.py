"""Langroid's ChatDocument (https://langroid.github.io/langroid), as pydantic dumps it."""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.fields import word
from bff.agents.dialects.langchain import read_calls
from bff.events import JSON


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """What a model or an agent came to, with the calls that it asks for."""
    about = frame.get("metadata")
    if not isinstance(about, dict) or "content" not in frame:
        return False
    answer.dialects.add("langroid")
    if "sender" in about and str(about["sender"]).lower().endswith("user"):
        return True
    answer.thinking.plain(word(frame.get("reasoning")) or "", "langroid")
    answer.text.plain(word(frame["content"]) or "", "langroid")
    read_calls(answer, {"tool_calls": frame.get("oai_tool_calls")}, None)
    answer.usage.set_total(about.get("usage"))
    return True


BY_KEY = {"oai_tool_calls": read}
