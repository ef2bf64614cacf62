"""Messages of Spring AI, as Jackson writes its ChatResponse.

https://docs.spring.io/spring-ai/reference/api/chatmodel.html. The envelope is nobody's in
particular; a message has a type in capitals, and calls with name and arguments side by side.
"""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.fields import items, word
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON


def is_message(frame: dict[str, JSON]) -> bool:
    """Whether an object's type is one of Spring's."""
    return frame.get("messageType") in ("ASSISTANT", "TOOL", "USER", "SYSTEM")


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One message, whole or a piece of one."""
    if not is_message(frame):
        return False
    answer.dialects.add("spring ai")
    for response in items(frame.get("responses")):
        if isinstance(response, dict):
            id, name = word(response.get("id")), word(response.get("name"))
            answer.tools.result(id, name, as_text(response.get("responseData")))
    if frame["messageType"] != "ASSISTANT":
        return True
    answer.text.plain(word(frame.get("text")) or word(frame.get("content")) or "", "spring ai")
    for call in items(frame.get("toolCalls")):
        if isinstance(call, dict) and word(call.get("name")):
            id = word(call.get("id"))
            answer.tools.whole("spring ai", id, call["name"], call.get("arguments"))
    return True


BY_KEY = {"messageType": read}
