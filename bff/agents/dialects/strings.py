"""Bare strings: text, unless they hold something that was meant to be a frame.

Some agents yield server-sent events or JSON as strings, and the SDK prints what it cannot dump.
What a token looks like proves nothing, so an answer's first string decides: once one was text, all
of them are, to the letter, whatever they look like.
"""

from __future__ import annotations

import re
import textwrap
from contextlib import suppress

from bff.agents.dialects import bedrock_agents, envelopes, langgraph, printed, strands, untyped
from bff.agents.dialects.assembly import Assembly, Known
from bff.agents.dialects.failures import is_only_error
from bff.agents.dialects.fields import words
from bff.agents.dialects.named_events import role
from bff.agents.frames import EventStream
from bff.agents.json_values import parse, values_in
from bff.agents.lines import Frame
from bff.events import JSON

ODD = frozenset("O{[(<:\"' \n\tbBdeirRM")
"""How a text begins that may be more than one, but for prints of fields, which have a `=`."""
_FIELDS = ("event:", "data:", "id:", "retry:", ":")
_KEEP_ALIVE = re.compile(
    r"(?:: ?(?:keep-?alive|heartbeat|ping)[^\r\n]*(?:\r?\n){2})+", re.IGNORECASE
)
_TWIN = re.compile(
    r"\{(?:'type': 'multiagent_node_stream', 'node_id': '[^']*', 'event': \{)?"
    r"'(?:data': |init_event_loop': |reasoningText': |type': 'tool_use_stream')"
)
"""How Strands' own event of a token or a piece of a call is printed."""
_NAMED = re.compile(r"event: ?[A-Za-z_.-]+\r?\ndata: ?[\[{\"]")
_COMMENT = re.compile(r"(?::[^\r\n]*(?:\r?\n)+)*")


def frames_of_text(answer: Assembly, text: str, *, envelope: bool = False) -> list[Frame] | None:
    """The frames that a text under some key holds; None where it is just text.

    A text may be JSON because that was asked for: it is a frame only if a dialect knows it, or if
    it is the body of an `envelope`.
    """
    twice = envelope and answer.streamed
    envelope = envelope or not answer.streamed
    if text[:1] in ("{", "[") and (twice or not answer.speakers.heard):
        values = json_in(text)
        if values is not None and all(_is_frame(answer, v, envelope=envelope) for v in values):
            if answer.streamed and answer.strings is None:
                answer.strings = "texts"
            return [Frame(None, value) for value in values]
    if text.startswith(("data: {", "event: ")) and answer.strings != "text":
        frames = _events(answer, text) or []
        return frames if frames and _are_known([f.value for f in frames], answer.known) else None
    if printed.might_be(text) and not text.lstrip().startswith(("b", "B")):
        return _printed(answer, text)
    return _run_result(text)


def _is_frame(answer: Assembly, value: JSON, *, envelope: bool) -> bool:
    """Whether JSON in a text is a frame; `envelope` tells that it is all that stood there."""
    if not isinstance(value, dict):
        return envelopes.is_tuple(value)
    one_text = len(value) == 1 and isinstance(next(iter(value.values())), str)
    may_be = envelope or not one_text or strands.speaks(value)
    known = may_be and (_is_known(value, answer.known) or (envelope and untyped.is_envelope(value)))
    return known or is_only_error(value)


def _is_known(value: dict[str, JSON], known: Known) -> bool:
    """Whether an object is a known frame, or an envelope of one."""
    return known(value) or envelopes.inner(value, known) is not None


def frames_in(answer: Assembly, text: str) -> list[Frame] | None:
    """The frames that a string holds; None where it is text."""
    first = text[:1]
    if first in ("d", "e", "i", "r", ":") and text.startswith(_FIELDS):
        found = _events(answer, text)
        if found is not None:
            return found
    elif answer.strings != "text" and first in ("{", "["):
        values = json_in(text)
        if values is not None and (answer.strings == "json" or _are_known(values, answer.known)):
            answer.strings = "json"
            return [Frame(None, value) for value in values]
    if printed.might_be(text):
        return _printed(answer, text)
    return _run_result(text)


def _run_result(text: str) -> list[Frame] | None:
    result = _RUN_RESULT.match(text) if text[:1] == "R" else None
    if result is not None:
        return [Frame(None, {"final_output": textwrap.dedent(result[1]).strip("\n")})]
    response = _MODEL_RESPONSE.fullmatch(text) if text[:1] == "M" else None
    if response is not None:
        message: JSON = {"content": response[1]} if response[1] != "None" else None
        calls: JSON = None
        if response[2]:
            with suppress(printed.NotPrinted):
                calls = printed.read(response[2])
        return [Frame(None, {"type": "ModelResponse", "message": message, "tool_calls": calls})]
    return None


_RUN_RESULT = re.compile(
    r"RunResult(?:Streaming)?:\n(?:- .*\n)*?- Final output \(.*\):\n((?:    .*\n|\n)*)"
)
"""How OpenAI's Agents SDK prints the result of a run."""
_MODEL_RESPONSE = re.compile(
    r"ModelResponse\(content=(.*?)"
    r"(?:, metadata=\{.*)?(?:, tool_calls=(ToolCallsEvent\(.*?\]\)))?(?:, usage=Usage\(.*)?"
    r"(?:, files=\d+)?\)",
    re.DOTALL,
)
"""How AG2 prints what a model said: its text without quotes."""


def json_in(text: str) -> list[JSON] | None:
    """The objects that a text is made of, one or several in a row."""
    if text.startswith("{'"):  # Python's print of a dict; finding out makes three exceptions
        return None
    value = parse(text.strip())
    if isinstance(value, dict | list):
        return [value]
    return values_in(text) if text[:1] == "{" else None


def _are_known(values: list[JSON], known: Known) -> bool:
    return all(
        (
            isinstance(value, dict)
            and (_is_known(value, known) or untyped.is_envelope(value) or is_only_error(value))
        )
        or envelopes.is_tuple(value)
        or (
            isinstance(value, list)
            and any(isinstance(item, dict) and known(item) for item in value)
        )
        for value in values
    )


def _events(answer: Assembly, text: str) -> list[Frame] | None:
    """The frames of server-sent events inside a string, or None if it holds none."""
    if answer.strings == "text" and not _NAMED.match(text):
        return None
    if not answer.inside and _KEEP_ALIVE.fullmatch(text):
        return []  # some send it to keep the stream alive; a bare colon is a token of an answer
    if not answer.inside and answer.strings == "sse" and _COMMENT.fullmatch(text):
        return []
    if not all(not line or line.startswith(_FIELDS) for line in re.split("\r?\n", text)):
        return None
    reader = EventStream()
    frames = reader.feed(text.encode("utf-8", "surrogatepass"))
    if answer.strings == "text" and any(role(frame.name, {}) in (None, "text") for frame in frames):
        return None
    if frames:
        answer.strings = "sse"
        return frames + reader.end()
    # without the blank line that ends an event it must be more than a word with a colon
    frames = reader.feed(b"\n\n")
    if any(f.name or isinstance(f.value, dict) or envelopes.is_tuple(f.value) for f in frames):
        answer.strings = "sse"
        return frames
    return None


def _printed(answer: Assembly, text: str) -> list[Frame] | None:
    """What a print of an object says; an empty list where that is nothing."""
    known, among_text = answer.known, answer.strings == "text"
    if "converse" in answer.dialects and _TWIN.match(text):
        return []  # Bedrock's event of the same came just before
    try:
        value = printed.read(text)
    except printed.NotPrinted:
        response = _run_result(text)
        if response is None and _JUNK.fullmatch(text):
            answer.junk += 1
            return []
        return response
    match value:
        case str() if text[:1] in "bB" and answer.strings != "text":
            answer.strings = "printed"
            return [Frame(None, value)]
        case dict() if _is_object(text, value, known, among_text=among_text):
            return [Frame(None, bedrock_agents.as_json(value, text))]
        case dict() if not answer.streamed and untyped.text_key(value) is not None:
            return [Frame(None, value)]  # the whole answer is one print
        case list() if value and all(
            isinstance(v, dict)
            and (_is_object(text, v, known, among_text=among_text) or _is_block(v))
            for v in value
        ):
            return [Frame(None, value)]
        case [dict(message), dict()] if known(message):
            return [Frame(None, value)]
        case list() if text[:1] == "(" and _is_stream_item(value, known):
            return [Frame(None, value)]
        case None if text[:1] == "<":
            answer.junk += 1
            return []
    if _JUNK.fullmatch(text) and (not among_text or text[:1] not in "{[(" or _AT.search(text)):
        answer.junk += 1
        return []
    return None


_AT = re.compile(" at 0x[0-9a-f]+>")


def _is_object(text: str, value: dict[str, JSON], known: Known, *, among_text: bool) -> bool:
    """Whether a print is certainly an object's, not a text that looks a little like one."""
    if text[:1] in "{[(":
        if not among_text and is_only_error(value):
            return True
        if among_text:  # where a model may say what looks like one
            return not _SURE_KEYS.isdisjoint(value.keys()) or any(
                isinstance(value.get(key), dict | list) for key in _EVENT_KEYS
            )
        return known(value) or not _EVENT_KEYS.isdisjoint(value.keys())
    fields = len(value) - ("type" in value)
    return fields > 1 or _is_known(value, known) or untyped.text_key(value) is not None


def _is_stream_item(items: list[JSON], known: Known) -> bool:
    """Whether a tuple is LangGraph's, not the arguments of some call that a model wrote."""
    match langgraph.stream_item(items):
        case str(), dict() | list():
            return True
        case None, dict(update):
            return known(update) or langgraph.is_update(update)
        case None, [dict(message), dict()]:
            return known(message)
    return False


def _is_block(value: dict[str, JSON]) -> bool:
    return isinstance(value.get("text"), str) or {"id", "name", "reason"} <= value.keys()


_SURE_KEYS = words(
    "init_event_loop start_event_loop event_loop_cycle_id current_tool_use force_stop "
    "reasoningText tool_stream_event"
)
_EVENT_KEYS = _SURE_KEYS | words(
    "data event delta start message messages result complete content callback model"
)
_JUNK_KEYS = _EVENT_KEYS | words("agent type reasoning stop")
_JUNK = re.compile(
    rf"\s*(?:\{{'(?:{'|'.join(sorted(_JUNK_KEYS))})': .*\}}"
    r"|[\[({<].* object at 0x[0-9a-f]+>.*"
    r"|[\[(]*(?:AIMessage|AIMessageChunk|HumanMessage|SystemMessage|ToolMessage|AgentResult"
    r"|[A-Z]\w+Event)\(\w+=.*\)[\])]*"
    r"|content=(?:'|\"|\[).* (?:additional_kwargs|response_metadata|id|name)=.*)\s*",
    re.DOTALL,
)
