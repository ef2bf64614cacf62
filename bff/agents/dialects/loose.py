"""Objects of no known shape: their text, or a richer object, under whatever key."""

from __future__ import annotations

from bff.agents.dialects import (
    bedrock_agents,
    beeai,
    envelopes,
    langchain,
    nested,
    news,
    openai,
    strands,
    strings,
    untyped,
)
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.attachments import read_block, read_sources
from bff.agents.dialects.event_names import role_of
from bff.agents.dialects.failures import is_error
from bff.agents.dialects.gemini import is_returned, read_content, read_returned
from bff.agents.dialects.questions import ask_langgraph, ask_strands, asked_in, is_strands
from bff.agents.dialects.usage import usage_in
from bff.events import JSON

_SOURCES = ("sources", "citations", "references", "source_documents")


def read_loose(answer: Assembly, name: str | None, frame: dict[str, JSON]) -> None:
    """An object with its text, or a richer object, under one of the usual keys."""
    if _read_proxy(answer, frame) or _read_pascal(answer, name, frame):
        return
    if answer.streamed and news.is_progress(frame):
        answer.custom(frame, name, content=False)
        answer.latest = frame["message"]
        return
    if news.is_log(frame):
        answer.custom(frame, name, content=not answer.streamed)
        return
    if not bedrock_agents.KEYS.isdisjoint(frame.keys()) and bedrock_agents.read(answer, frame):
        return
    flat = untyped.is_flat(frame)
    if not flat and is_strands(frame.get("interrupts")):
        ask_strands(answer, frame["interrupts"])
    elif not flat and (asked := asked_in(frame)) is not None:
        ask_langgraph(answer, frame[asked])
        frame = {key: value for key, value in frame.items() if key != asked}
        if untyped.text_key(frame) is None:
            return
    if "state" in frame and beeai.is_event(frame):
        beeai.read(answer, frame)
        return
    if "parts" in frame and is_returned(frame):
        read_returned(answer, frame)
        return
    if not untyped.whose(frame) or (not flat and _read_deep(answer, name, frame)):
        return
    thought = untyped.thought_of(frame)
    if thought:
        answer.thinking.plain(thought, "thinking")
    might_be_file = not flat or "type" in frame  # else it is not worth a look
    if not any(frame.values()) or (might_be_file and read_block(answer, frame)):
        _keep(answer, name, frame, thought)
        return
    key = untyped.text_key(frame)
    if key is None:
        if not _read_nested(answer, name, frame):
            _keep(answer, name, frame, thought)
        return
    others = {} if answer.streamed else untyped.texts_beside(frame, key)
    if others and untyped.is_part(key):
        _keep(answer, name, frame, thought)  # a typed answer: no text of it is the text
        return
    text = untyped.text_of(frame[key]) or ""
    source = "final" if role_of(name or untyped.kind_of(frame)) == "final" else key
    speaker = untyped.speaker(frame)
    if speaker is None:
        message = untyped.message_id(frame)
        if message is None or not answer.is_message(message):
            alone = answer.strings == "texts" and _is_all(frame, key)
            say(answer, source, text, alone=alone)
        else:
            answer.enter_message(message, announced=False)
            answer.text.piece(text, source, message)
    elif answer.is_message(frame.get("id")):
        answer.enter_message(frame["id"], announced=False)
        answer.text.piece(text, source, frame["id"])
    else:
        answer.speak(speaker, text, lambda said: say(answer, source, said), announced=False)
    rest = {**others, **({} if flat else untyped.beside(frame, key))}
    if not flat:
        answer.usage.set_total(usage_in(frame))
    _tell_beside(answer, rest)


def _read_deep(answer: Assembly, name: str | None, frame: dict[str, JSON]) -> bool:
    """An object whose members say more than a text."""
    match frame:
        case {"token": {"text": str(text), "special": bool(special)}}:  # Hugging Face's servers
            answer.text.delta("" if special else text, "token")
            answer.text.whole(untyped.text_of(frame.get("generated_text")) or "", "generated")
            return True
        case {"state": {"$schemaVersion": _} as state}:  # a result of OpenAI's Agents SDK
            answer.read(state)
            return True
        case {"task": {"contextId": _} as task}:  # a response of A2A's
            answer.read(task)
            return True
        case {"items": list(blocks), "role": _} if untyped.text_of(blocks) is not None:
            rest = {key: value for key, value in frame.items() if key != "items"}
            answer.read({**rest, "content": untyped.text_of(blocks)}, name)  # Semantic Kernel's
            return True
        case {"content": list(), "role": _}:
            langchain.read_messages(answer, [frame], "update")
            return True
        case {"output": [_, *_]} if openai.read_response(answer, frame):
            return True
    return _read_parts(answer, frame) or _read_inner(answer, name, frame)


def _tell_beside(answer: Assembly, rest: dict[str, JSON]) -> None:
    """What an object says beside its text: sources, and whatever else."""
    for sources in _SOURCES:
        if sources in rest and read_sources(answer, rest[sources]):
            del rest[sources]
    if rest:
        answer.custom(rest, content=False)


def _read_pascal(answer: Assembly, name: str | None, frame: dict[str, JSON]) -> bool:
    """Keys as .NET writes them, where they say something when they are written as elsewhere."""
    first = next(iter(frame), "")
    if not first[:1].isupper() or not all(key[:1].isupper() for key in frame):
        return False
    usual = {key[:1].lower() + key[1:]: value for key, value in frame.items()}
    if untyped.text_key(usual) or is_error(usual) or answer.known(usual):
        answer.read(usual, name)
        return True
    return False


_PIECES = frozenset({"chunks", "tokens", "deltas", "pieces", "texts", "fragments"})
"""Names of a list of a text's pieces."""


def _read_nested(answer: Assembly, name: str | None, frame: dict[str, JSON]) -> bool:
    """A text in an envelope of somebody's own.

    In a stream that may be news, or what one of a graph's nodes came to: it is kept, and said at
    the end if nothing else is.
    """
    found = nested.find(frame)
    if found is None:
        if answer.streamed and len(frame) == 1:
            ((key, value),) = frame.items()
            if isinstance(value, str) and not untyped.is_label(key):
                answer.note(key, value)
        for key, value in frame.items():
            plain = untyped.plain_name(key)
            text = untyped.text_of(value) if plain.startswith("final") or plain in _PIECES else None
            if text is not None:
                answer.text.plain(text, key)
            else:
                continue
            _tell_beside(answer, untyped.beside(frame, key))
            return True
        return False
    if answer.streamed and not found.messages:
        answer.note(".".join(found.path), untyped.text_of(found.value) or "")
        return False
    answer.read(found.value, name)
    _tell_beside(answer, untyped.beside(nested.without(frame, found.path), ""))
    return True


def say(answer: Assembly, key: str, text: str, *, alone: bool = False) -> None:
    """Say the text under a key, which may be an object's only one, unless it is a frame itself."""
    if (text[:1] in strings.ODD or "=" in text) and not answer.deep:
        inner = strings.frames_of_text(answer, text, envelope=alone and answer.strings in _JSON)
        if inner is not None:
            for frame in inner:
                answer.read(frame.value, frame.name)
            return
    if text:
        answer.text.plain(text, "strands" if key == "data" else key)


_JSON = ("json", "texts")


def _read_proxy(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """What AWS Lambda answers to API Gateway: the answer is its body, often JSON in a string."""
    code = frame.get("statusCode")
    if code is None or "body" not in frame:
        return False
    answer.dialects.add("lambda proxy")
    if isinstance(code, str) and code.isdecimal() and len(code) == 3:
        code = int(code)
    if isinstance(code, int) and code >= 400:
        raise InBandError(f"a body with the status {code}")
    body: JSON = frame["body"]
    if isinstance(body, str):
        if frame.get("isBase64Encoded") is True:
            body = bedrock_agents.decoded(body)
        frames = strings.frames_of_text(answer, body, envelope=True)
        if frames is None:
            answer.text.plain(body, "body")
        else:
            for inner in frames:
                answer.read(inner.value)
    else:
        answer.read(body)
    return True


def _read_parts(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """Parts of a message: AI SDK's, A2A's, or Gemini's without their content."""
    parts = frame.get("parts")
    if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) for p in parts):
        return False
    if not any("type" in part or "kind" in part for part in parts):
        read_content(answer, {"parts": parts, **frame}, whole=False)
        return True
    for part in parts:
        kind = part.get("type", part.get("kind"))
        match kind, part:
            case "text", {"text": str(text)}:
                answer.text.delta(text, "parts")
            case "reasoning", {"text": str(text)}:
                answer.thinking.delta(text, "parts")
            case "step-start", _:
                answer.pause()
            case str(), {"toolCallId": str(id), **rest}:
                name = str(rest.get("toolName") or kind.removeprefix("tool-"))
                answer.tools.whole("parts", id, name, rest.get("input") or {})
                if rest.get("state") in ("output-available", "output-error"):
                    wrong = rest.get("errorText")
                    found = rest.get("output")
                    answer.read(
                        {
                            "type": "tool-output-error" if wrong else "tool-output-available",
                            "toolCallId": id,
                            "output": found,
                            "errorText": wrong,
                        }
                    )
            case _ if not read_block(answer, part):
                answer.read(part)
    return True


def _read_inner(answer: Assembly, name: str | None, frame: dict[str, JSON]) -> bool:
    """A richer object under a usual key: a message, a result, an envelope."""
    for key in _INNER:
        value: JSON = frame.get(key)
        if not value or isinstance(value, str | int | float):
            continue
        if strands.is_message(value):
            strands.read_message(answer, value, key)
        elif strands.is_result(value):
            strands.read_result(answer, value)
        elif isinstance(value, dict) and (
            langchain.is_message(langchain.unwrapped(value)) or _is_richer(value)
        ):
            if untyped.text_key({k: v for k, v in frame.items() if k != key}) in _SURE:
                continue
            answer.read(value, name)
        elif langchain.are_messages(value):
            langchain.read_messages(answer, value, "update", chunks=True)
        elif isinstance(value, list) and bedrock_agents.are_events(value):
            for item in value:
                answer.read(item)
        elif isinstance(value, list) and (
            (key == "messages" or _is_alone(frame, key))
            and envelopes.are_frames(value, answer.known)
        ):
            for item in value[_after_question(value) :]:
                answer.read(item)
        elif isinstance(value, list) and _are_answers(frame, key, value):
            for item in value:
                answer.read(item)
        else:
            continue
        answer.usage.set_total(usage_in(frame, itself="done" in frame))
        return True
    return False


_INNER = (
    "messages",
    "events",
    "message",
    "result",
    "output",
    "response",
    "content",
    "data",
    "body",
    "payload",
    "chunk",
    "answer",
    "artifacts",
    "outputs",
    "results",
    "predictions",
    "generations",
    "answers",
    "completion",
)
_SURE = frozenset({"content", "text", "output", "answer", "response", "output_text"})


def _is_all(frame: dict[str, JSON], key: str) -> bool:
    """Whether nothing but labels and numbers stands beside what is under that key."""
    return all(
        name == key or untyped.is_label(name) or not isinstance(value, str | dict | list)
        for name, value in frame.items()
    )


def _is_alone(frame: dict[str, JSON], key: str) -> bool:
    """Whether nothing beside what stands under that key is the text."""
    return untyped.text_key({n: value for n, value in frame.items() if n != key}) is None


def _are_answers(frame: dict[str, JSON], key: str, items: list[JSON]) -> bool:
    """Whether a list holds objects with a text each, and nothing beside it is the text."""
    return (
        key in _LISTS
        and _is_alone(frame, key)
        and all(
            isinstance(item, dict)
            and item.keys().isdisjoint(_FOUND)
            and (key != "messages" or untyped.is_envelope(item))
            and untyped.text_of(item) is not None
            for item in items
        )
    )


_LISTS = (
    "messages",
    "completion",
    "output",
    "outputs",
    "results",
    "artifacts",
    "predictions",
    "generations",
    "answers",
)
_FOUND = ("url", "uri", "score", "page_content", "source")
"""Keys of what a search found, which is no answer."""


def _after_question(items: list[JSON]) -> int:
    """Where the answer to the last question begins: what stands before is an earlier turn's."""
    at = len(items)
    while at and not _is_question(items[at - 1]):
        at -= 1
    return at


def _is_question(item: JSON) -> bool:
    return isinstance(item, dict) and item.get("role") == "user" and "content" in item


def _is_richer(value: dict[str, JSON]) -> bool:
    if len(value) == 1:
        (only,) = value.values()
        return _is_richer(only) if isinstance(only, dict) else untyped.text_of(value) is None
    return True


def _keep(answer: Assembly, name: str | None, frame: dict[str, JSON], thought: str | None) -> None:
    """An object without a text: its usage is noted, and if it says anything else, it is kept."""
    usage = usage_in(frame)
    answer.usage.set_total(usage)
    silent = usage or thought is not None
    rest = untyped.beside(frame, "") if silent else frame
    if any(value not in ("", None, [], {}) for value in rest.values()):
        answer.custom(
            rest, name, content=not all(isinstance(v, bool | None) for v in rest.values())
        )
