"""Events named by hand: the name is the SSE event's, or the object's `type`.

LangGraphAgentCore names them so (`TOOL_CALL`, `LLM_RESPONSE`, …; its source is
https://github.com/JKevinXu/LangGraphAgentCore), as do this service and most agents that use no
framework's events. What they are about may stand one level down, under `data` or `payload`.
"""

from __future__ import annotations

import re

from bff.agents.dialects import named_tools, questions
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.attachments import read_sources
from bff.agents.dialects.event_names import Role, is_over, role_of
from bff.agents.dialects.failures import is_error
from bff.agents.dialects.fields import first_word
from bff.agents.dialects.langchain import thought
from bff.agents.dialects.untyped import (
    TEXT_KEYS,
    beside,
    plain_name,
    speaker,
    text_of,
    thought_of,
)
from bff.agents.dialects.usage import usage_in
from bff.events import JSON


def names_of(name: str | None, frame: dict[str, JSON]) -> list[str]:
    """What an event is called: its SSE name, and the fields that are for that."""
    found = [] if name is None else [name]
    for key in _NAMES:
        value = frame.get(key)
        if type(value) is str:
            found.append(value)
    return found


_NAMES = ("type", "event", "event_type", "eventType", "message_type", "messageType", "kind")


def role(name: str | None, frame: dict[str, JSON]) -> Role | None:
    """What a named event is for, or None if its name says nothing to us."""
    outer: Role | None = None
    for word in names_of(name, frame):
        found = role_of(word)
        if found == "text" and word is name and outer is None:
            outer = found  # a piece, as what is in it may say better
        elif found is not None:
            return found
    return named_tools.role_of(frame) or outer


def read(answer: Assembly, role: Role, frame: dict[str, JSON], name: str | None = None) -> bool:
    """One event named by hand; false if it is not of the shape its name promises."""
    match role:
        case "custom" | "start":
            _keep(answer, frame, name)
        case "theirs":
            pass
        case "error":
            if is_error({"error": True, **frame}) is None:
                answer.custom(frame, content=False)
            else:
                raise InBandError("an error event in its stream")
        case "thinking":
            _think(answer, frame)
        case "redact":
            text = _text(frame)
            if not text:
                return False
            answer.pause()
            answer.redact(text)
            answer.text.whole(text, "redact")
        case "tool" | "tool_start" | "tool_open" | "tool_piece" | "tool_close" | "tool_end":
            if named_tools.read(answer, role, frame) or _note(answer, frame, name):
                pass
            elif frame.get("error"):  # a tool's, and no failure of the run, whichever it was
                answer.custom(frame, name, content=False)
            else:
                return False
        case "asks":
            _ask(answer, frame)
        case "end" | "done":
            wrong = None if speaker(frame) else is_error(frame)
            if wrong is not None:
                raise InBandError(wrong)
            if role == "end":
                answer.text.last(_text(frame) or "", "end")
            else:
                _read_done(answer, frame, name)
        case "silent":
            if text_of(frame):
                return False
        case "text" | "final":
            return False
    answer.dialects.add("named events")
    return True


def _think(answer: Assembly, frame: dict[str, JSON]) -> None:
    """What an agent thinks; one that reasons in steps may tell what it does there, too."""
    told = thought_of(frame)
    if told is not None and isinstance(frame.get("id"), str):  # a step, told anew as it goes on
        answer.thinking.whole(told, "thinking", f"thought {frame['id']}")
    else:
        answer.thinking.plain(_text(frame) or told or thought(frame), "thinking")
    if first_word(frame, "tool", "tool_name", "toolName"):
        rest = {key: value for key, value in frame.items() if value != told}
        named_tools.read(answer, "tool_start", rest)


def _text(frame: dict[str, JSON]) -> str | None:
    """The text of an event, also under the two keys that only an event has it under."""
    found = text_of(frame)
    if found is None:
        found = text_of({"text": frame.get("value"), "content": frame.get("payload")})
    return found


def _keep(answer: Assembly, frame: dict[str, JSON], name: str | None) -> None:
    """News about the run; of a list of sources those that have an address are told as such."""
    names = names_of(name, frame)
    if any(_SOURCES.search(word) for word in names):
        for key in ("sources", "citations", "references", "data", "content"):
            if isinstance(frame.get(key), list) and read_sources(answer, frame[key]):
                return
    if any(_USAGE.search(word) for word in names):
        answer.usage.set_total(usage_in(frame, itself=True))
    answer.custom(frame, name, content=False)
    if any(map(is_over, names)):  # what a part came to, if nothing else is said
        answer.latest = _text({**frame, "message": None}) or answer.latest
    elif any(_PLAN.search(word) for word in names):
        answer.latest = _text(frame) or answer.latest


def _note(answer: Assembly, frame: dict[str, JSON], name: str | None) -> bool:
    """Words about a tool, of which nothing says which one."""
    text = _text(frame)
    if text:
        answer.custom(frame, name, content=False)
        answer.latest = text
    return bool(text)


_PLAN = re.compile("plan", re.IGNORECASE)
_USAGE = re.compile("usage|tokens|metrics|metadata", re.IGNORECASE)
_SOURCES = re.compile("source|citation|reference", re.IGNORECASE)


_ASKED = ("interrupts", "value", "data", "payload", "interrupt")


def _ask(answer: Assembly, frame: dict[str, JSON]) -> None:
    for key in _ASKED:
        listed = isinstance(frame.get(key), list) and (
            key == "interrupts" or questions.are_langgraphs(frame[key])
        )
        if listed:
            questions.ask_langgraph(answer, frame[key])
            return
    held = (frame.get(key) for key in ("interrupts", "value", "data", "payload"))
    asked = next((inner for inner in held if inner not in (None, "", [], {})), frame)
    id = first_word(frame, "interrupt_id", "interruptId", "request_id", "requestId", "id")
    questions.ask(answer, id, asked)


def _read_done(answer: Assembly, frame: dict[str, JSON], name: str | None) -> None:
    """A last frame may have the answer once more, or only; its `message` is about the stream."""
    answer.usage.set_total(usage_in(frame))
    rest = {name: value for name, value in frame.items() if name != "message"}
    if "type" in rest and isinstance(rest.get("response"), dict | list):
        answer.read(rest["response"])
        return
    text = text_of({key: frame.get(key) for key in _LAST_KEYS})
    if text is None and speaker(frame):  # one of several has ended, which is news
        _keep(answer, frame, name)
        return
    text = text or text_of(
        {key: value for key, value in rest.items() if plain_name(key) not in TEXT_KEYS}
    )
    if text and text.startswith("assistant: "):  # LlamaIndex's print of a message
        text = text.removeprefix("assistant: ").removesuffix("None")
    if text:
        answer.text.last(text, "end")
    elif isinstance(frame.get("message"), str):
        answer.latest = frame["message"]
    kept = beside(rest, "")
    if kept and text:
        answer.custom(kept, content=False)


_LAST_KEYS = ("content", "text", "output", "result", "response", "answer")
"""Where a last frame has the answer once more; its `message` is about the stream."""
