"""Gemini's contents and the events of Google's Agent Development Kit (ADK), which carry them.

https://google.github.io/adk-docs/events/. An event of an agent is partial (a delta) or the whole of
what its partial ones said; keys are in camel or in snake case, and most of them are null.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.attachments import read_block, read_sources
from bff.agents.dialects.fields import items, words
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.untyped import text_key
from bff.events import JSON, ToolUse

_CONFIRM = "adk_request_confirmation"
_ADK = frozenset({"invocation_id", "invocationId", "actions", "error_code", "errorCode"})
_EVENT = frozenset({"author", "invocation_id", "invocationId", "partial", "turn_complete"})


def read_event(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An ADK event; false if its content is none of Gemini's."""
    content = _get(frame, "content")
    is_event = not _EVENT.isdisjoint(frame.keys())
    if not (is_event or _is_content(content)) or isinstance(content, str | list):
        return False
    if content is not None and not _is_content(content):
        return False
    if content is None and (frame.keys().isdisjoint(_ADK) or text_key(frame) is not None):
        return False
    answer.dialects.add("adk" if is_event else "gemini")
    if _get(frame, "author") == "user":
        return True
    author = _get(frame, "author")
    if isinstance(author, str) and author and is_event:
        branch = _get(frame, "branch")
        name = branch if isinstance(branch, str) and branch else author
        answer.speak(name, frame, lambda value: _read(answer, value))
    else:
        _read(answer, frame)
    return True


def _read(answer: Assembly, frame: JSON) -> None:
    wrong = _get(frame, "error_code", "errorCode")
    if wrong and not _get(frame, "content"):
        raise InBandError("an event with an error code")
    content = _get(frame, "content")
    heard = _get(frame, "output_transcription", "outputTranscription")
    if isinstance(heard, dict) and isinstance(heard.get("text"), str):
        heard = {"parts": [{"text": heard["text"]}]}
        read_content(answer, heard, whole=_get(frame, "partial") is not True)
    if isinstance(content, dict):
        partial = _get(frame, "partial")
        event = partial is not None or not _EVENT.isdisjoint(frame.keys())
        read_content(answer, content, whole=partial is not True, event=event)
        if partial is not True:
            answer.pause()
    answer.usage.add(
        _get(frame, "usage_metadata", "usageMetadata"), str(_get(frame, "id") or "") or None
    )
    _read_grounding(answer, _get(frame, "grounding_metadata", "groundingMetadata"))
    cited = _get(frame, "citation_metadata", "citationMetadata")
    if isinstance(cited, dict):
        read_sources(answer, cited.get("citations"))
    actions = _get(frame, "actions")
    if isinstance(actions, dict):
        wanted = _get(actions, "requested_tool_confirmations", "requestedToolConfirmations")
        for id, value in (wanted if isinstance(wanted, dict) else {}).items():
            call = answer.tools.find(id)
            if call is not None and answer.asks_about(call.id):
                continue  # asked by a call of its own, whose id the answer has to name
            tool = ToolUse(call.id, call.name, call.args) if call else None
            words = value.get("hint") if isinstance(value, dict) else None
            questions.ask(answer, id, value, kind="approval", tool=tool, message=words or None)


def _read_grounding(answer: Assembly, grounding: JSON) -> None:
    if isinstance(grounding, dict):
        read_sources(answer, _get(grounding, "grounding_chunks", "groundingChunks"))


def read_content(
    answer: Assembly, content: dict[str, JSON], *, whole: bool, event: bool = True
) -> None:
    """The parts of one content: the model's, or what its tools found."""
    mine = content.get("role", "model") not in ("user", "function")
    texts: list[str] = []
    thoughts: list[str] = []
    for part in items(content.get("parts")):
        if not isinstance(part, dict):
            continue
        call = _get(part, "function_call", "functionCall")
        result = _get(part, "function_response", "functionResponse")
        text = part.get("text")
        if isinstance(text, str) and mine:
            (thoughts if part.get("thought") is True else texts).append(text)
        elif isinstance(call, dict):
            _say(answer, texts, thoughts, whole=whole, event=event)
            _read_call(answer, call)
        elif isinstance(result, dict):
            _read_result(answer, result)
        elif mine:
            _read_other(answer, part)
    _say(answer, texts, thoughts, whole=whole, event=event)


def _read_other(answer: Assembly, part: dict[str, JSON]) -> None:
    """Code the model ran, and files."""
    code = _get(part, "executable_code", "executableCode")
    found = _get(part, "code_execution_result", "codeExecutionResult")
    if isinstance(code, dict):
        answer.tools.whole("gemini", None, "code_execution", {"code": code.get("code")})
    elif isinstance(found, dict):
        answer.tools.result(None, "code_execution", as_text(found.get("output")))
    else:
        given = {name: value for name, value in part.items() if value is not None}
        if given and not read_block(answer, given):
            answer.custom(given)


def _say(
    answer: Assembly, texts: list[str], thoughts: list[str], *, whole: bool, event: bool
) -> None:
    for speech, parts in ((answer.thinking, thoughts), (answer.text, texts)):
        said = "".join(parts)
        parts.clear()
        if not said:
            continue
        if not whole or not event:
            speech.delta(said, "gemini")
        else:
            speech.whole(said, "event")


def _read_call(answer: Assembly, call: dict[str, JSON]) -> None:
    name, id = _get(call, "name"), _get(call, "id")
    args = call.get("args")
    if not isinstance(name, str) or _get(call, "partial_args", "partialArgs"):
        return
    if name == _CONFIRM and isinstance(args, dict):
        asked = _get(args, "originalFunctionCall", "original_function_call")
        confirm = _get(args, "toolConfirmation", "tool_confirmation")
        tool = None
        if isinstance(asked, dict) and isinstance(asked.get("name"), str):
            tool = ToolUse(str(asked.get("id") or ""), asked["name"], asked.get("args") or {})
            answer.tools.whole("gemini", tool.id, tool.name, tool.args)
        hint = confirm.get("hint") if isinstance(confirm, dict) else None
        key = id if isinstance(id, str) else None
        questions.ask(answer, key, args, kind="approval", tool=tool, message=hint or None)
        return
    answer.tools.whole("gemini", id if isinstance(id, str) else None, name, args or {})


def _read_result(answer: Assembly, result: dict[str, JSON]) -> None:
    name, id = _get(result, "name"), _get(result, "id")
    if name == _CONFIRM or (isinstance(id, str) and answer.asks_about(id)):
        return  # what the tool found so far is that it has to wait
    found: JSON = result.get("response")
    wrong = found.get("error") if isinstance(found, dict) else None
    if isinstance(found, dict) and len(found) == 1:
        found = next(iter(found.values()))
    answer.tools.result(
        id if isinstance(id, str) else None,
        name if isinstance(name, str) else None,
        None if wrong else as_text(found),
        as_text(wrong) if wrong else None,
    )


def read_candidates(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """Gemini's own response, whole or in chunks."""
    match frame.get("candidates"):
        case [{"content": dict(content), **rest}, *_]:
            answer.dialects.add("gemini")
            read_content(answer, content, whole=False)
            _read_grounding(answer, _get(rest, "grounding_metadata", "groundingMetadata"))
            answer.usage.set_total(_get(frame, "usage_metadata", "usageMetadata"))
            return True
    return False


def read_prompt(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """Gemini's response to a prompt that it did not take, which has no candidates."""
    about = _get(frame, "prompt_feedback", "promptFeedback")
    reason = _get(about, "block_reason", "blockReason") if isinstance(about, dict) else None
    if not isinstance(reason, str) or frame.get("candidates"):
        return False
    raise InBandError("a prompt that Gemini blocked")


def is_returned(frame: dict[str, JSON]) -> bool:
    """Whether this is the content that gives the model what its tools found."""
    return _is_content(frame) and any(_get(part, *_RESPONSES) for part in frame["parts"])


def read_returned(answer: Assembly, frame: dict[str, JSON]) -> None:
    answer.dialects.add("gemini")
    read_content(answer, frame, whole=True)


def read_live(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A message of Gemini's Live API: https://ai.google.dev/api/live."""
    said = _get(frame, "server_content", "serverContent")
    calls = _get(frame, "tool_call", "toolCall")
    called = _get(calls, "function_calls", "functionCalls") if isinstance(calls, dict) else None
    begun = _get(frame, "setup_complete", "setupComplete")
    if not (isinstance(said, dict) or isinstance(called, list) or isinstance(begun, dict)):
        return False
    answer.dialects.add("gemini")
    if isinstance(said, dict):
        heard = _get(said, "output_transcription", "outputTranscription")
        for content in (_get(said, "model_turn", "modelTurn"), {"parts": [heard]}):
            if _is_content(content):
                read_content(answer, content, whole=False)
        _read_grounding(answer, _get(said, "grounding_metadata", "groundingMetadata"))
        if _get(said, "turn_complete", "turnComplete") or said.get("interrupted"):
            answer.pause()
    for call in items(called):
        if isinstance(call, dict):
            _read_call(answer, call)
    answer.usage.add(_get(frame, "usage_metadata", "usageMetadata"))
    return True


_LIVE = words("serverContent server_content setupComplete setup_complete toolCall tool_call")
_RESPONSES = ("function_response", "functionResponse")


def _is_content(value: JSON) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("parts"), list)
        and all(isinstance(p, dict) and "type" not in p and "kind" not in p for p in value["parts"])
    )


def _get(fields: JSON, name: str, other: str | None = None) -> JSON:
    value = fields.get(name)
    return fields.get(other) if value is None and other is not None else value


BY_KEY = {
    "candidates": read_candidates,
    **dict.fromkeys(("promptFeedback", "prompt_feedback"), read_prompt),
    **dict.fromkeys(_LIVE, read_live),
    "invocationId": read_event,
    "invocation_id": read_event,
    "author": read_event,
    "partial": read_event,
}
