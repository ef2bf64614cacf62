"""What agents say without a framework: where an object has its text, and what else it tells."""

from __future__ import annotations

import re

from bff.agents.dialects.fields import first_word, word, words
from bff.events import JSON, dumps

TEXT_KEYS = (
    "content",
    "text",
    "data",
    "output",
    "result",
    "response",
    "message",
    "answer",
    "output_text",
    "completion",
    "token",
    "chunk",
    "delta",
)
_MORE_TEXT_KEYS = words(
    "finalanswer finalresponse finaloutput finaltext finalmessage finalresult finalreport final "
    "airesponse aimessage botresponse botmessage botreply assistantresponse assistantmessage "
    "assistantreply agentresponse agentoutput agentmessage agentanswer llmresponse llmoutput "
    "modelresponse modeloutput reply generation generatedtext outputtext answertext "
    "responsetext textresponse fullresponse fulltext fullanswer chatresponse summary report raw "
    "body chatmessage responsemessage completiontext resulttext contentdelta textdelta deltatext"
)
"""Further names of a text, in small letters and without what separates their words."""
_LABELS = words(
    "status type $type label id sessionid session threadid thread runid requestid messageid userid "
    "role model modelid modelname timestamp time date createdat created updatedat object version "
    "event kind finishreason stopreason stop node agent agentname author source state phase "
    "stage level traceid conversationid actorid mimetype format language lang tool toolname "
    "next route provider success code error invocationid completionreason unit units "
    "currency key category tag symbol recipientid senderid channelid typename responseid "
    "contenttype"
)
"""Names of what labels an answer and is none."""
_BESIDE = frozenset(
    {
        "additional_kwargs",
        "response_metadata",
        "metadata",
        "usage",
        "usage_metadata",
        "usageMetadata",
        "token_usage",
        "tokenUsage",
        "metrics",
        "delta",
        "stop_reason",
        "stopReason",
        "headers",
        "multiValueHeaders",
    }
)
"""What stands beside a text and says nothing a client needs."""
_ASSISTANTS = frozenset({"assistant", "ai", "model", "agent", "bot", "chatbot"})
_USERS = frozenset({"user", "human"})
_OTHERS = _USERS | {"system", "developer", "tool", "function", "reasoning", "activity"}
"""Roles whose words are not the agent's; any other is the part that one of several plays."""
_SPEAKERS = frozenset(
    {
        "author",
        "sender",
        "agent",
        "agent_name",
        "agentName",
        "agent_id",
        "agentId",
        "agent_role",
        "agentRole",
        "node",
        "node_name",
        "nodeName",
        "node_id",
        "nodeId",
        "langgraph_node",
        "speaker",
        "source",
    }
)
"""Who speaks, where an object says so beside its text."""
_SPEAKS = _SPEAKERS | {"metadata", "role"}


def whose(frame: dict[str, JSON]) -> bool:
    """Whether an object's text is the agent's own, not the user's or somebody else's."""
    role = frame.get("role")
    if role is not None:
        return not isinstance(role, str) or is_mine(role)
    for key in frame:
        if key in _SENDERS:
            who = frame[key]
            if isinstance(who, str) and who.lower() in _USERS:
                return False
    return True


_SENDERS = frozenset({"sender", "author", "from", "speaker"})


def is_mine(role: str) -> bool:
    """Whether whoever has that role is the agent, or one of several that have one each."""
    return role.lower().removeprefix("role_") not in _OTHERS


def is_flat(frame: dict[str, JSON]) -> bool:
    """Whether an object holds nothing but words, numbers and flags."""
    for value in frame.values():
        kind = type(value)
        if kind is dict or kind is list:
            return False
    return True


def speaker(frame: dict[str, JSON]) -> str | None:
    """Who speaks, where an object says so beside its text."""
    if _SPEAKS.isdisjoint(frame.keys()):
        return None
    beside = frame.get("metadata")
    for place in (frame, beside) if isinstance(beside, dict) else (frame,):
        for key, who in place.items():
            if key in _SPEAKERS:
                if isinstance(who, dict):
                    who = who.get("name") or who.get("id")
                if isinstance(who, str) and who and (key != "source" or who.isidentifier()):
                    return who
    # chat completions name one of several so
    return word(frame.get("name")) if "role" in frame else None


def message_id(frame: dict[str, JSON]) -> str | None:
    """Which message an object's text is of, where it says so."""
    return first_word(frame, "message_id", "messageId")


def is_assistant(role: JSON) -> bool:
    return isinstance(role, str) and role.lower() in _ASSISTANTS


def is_label(key: str) -> bool:
    """Whether a key's value labels an answer and is none."""
    return plain_name(key) in _LABELS or key in _BESIDE or key in _THOUGHTS


def text_of(value: JSON) -> str | None:
    """The text an object, a block or a list of blocks carries, or None."""
    match value:
        case str():
            return value
        case bool() | None:
            return None
        case int() | float():
            return str(value)
        case list():
            texts = [_block_text(item) for item in value]
            found = [text for text in texts if text is not None]
            return "".join(found) if found and len(found) == len(value) else None
        case dict():
            if not whose(value):
                return None
            for key in TEXT_KEYS:
                inner = value.get(key)
                if key in _NO_NUMBERS and isinstance(inner, int | float):
                    continue
                found_text = text_of(inner)
                if found_text is not None:
                    return found_text
            key_found = _other_key(value)
            return None if key_found is None else str(value[key_found])
    return None


_NO_NUMBERS = frozenset({"data", "chunk", "delta"})


def _block_text(block: JSON) -> str | None:
    """The text of a content block; an object that has more than text is none."""
    match block:
        case str():
            return block
        case {"text": str(text), **rest} if rest.keys() <= _BLOCK_KEYS:
            return text
    return None


_BLOCK_KEYS = frozenset(
    {
        "type",
        "kind",
        "content_type",
        "index",
        "choice_index",
        "id",
        "annotations",
        "citations",
        "cache_control",
        "state",
        "metadata",
    }
)


def thought_of(frame: dict[str, JSON]) -> str | None:
    """The reasoning an object carries under a key of its own, beside its text or without one."""
    if _THOUGHTS.isdisjoint(frame.keys()):
        return None
    for key, value in frame.items():
        if key in _THOUGHTS and isinstance(value, str):
            return value
    return None


_THOUGHTS = frozenset(
    {
        "thinking",
        "reasoning",
        "reasoning_content",
        "thought",
        "reasoningContent",
        "thinking_delta",
    }
)


def text_key(frame: dict[str, JSON]) -> str | None:
    """The key under which an object carries its text."""
    for key in TEXT_KEYS:
        value = frame.get(key)
        if isinstance(value, str) and value and (key != "message" or not _has_more(frame)):
            return _grown(frame, key)
    for key in TEXT_KEYS:
        if key in frame and text_of({key: frame[key]}) is not None:
            return key
    return _other_key(frame)


def _has_more(frame: dict[str, JSON]) -> bool:
    """Whether an object has its text elsewhere than in its message, which then is a status."""
    return _other_key(frame) is not None or any(
        isinstance(value, dict | list)
        and key in TEXT_KEYS
        and key != "message"
        and text_of(value) is not None
        for key, value in frame.items()
    )


def kind_of(frame: dict[str, JSON]) -> str:
    """What an object is called, if that is a word."""
    for key in ("type", "event", "kind"):
        name = frame.get(key)
        if isinstance(name, str):
            return name
    return ""


def _grown(frame: dict[str, JSON], key: str) -> str:
    """The key of the new text, where an object has that and all of the text so far beside it."""
    for name in ("delta", "token", "chunk"):
        piece = frame.get(name)
        if name != key and isinstance(piece, str) and frame[key].endswith(piece):
            return name
    return key


def _other_key(frame: dict[str, JSON]) -> str | None:
    for key, value in frame.items():
        if isinstance(value, str) and value and plain_name(key) in _MORE_TEXT_KEYS:
            return key
    if not _USERS.isdisjoint(frame.keys()):  # a turn: what one asked and the other said
        for key, value in frame.items():
            if key in _ASSISTANTS and isinstance(value, str) and value:
                return key
    if len(frame) == 1:
        ((key, value),) = frame.items()
        if isinstance(value, str) and _TEXT_NAME.search(key) and not _OTHERS_TEXT.match(key):
            return key
    return None


_TEXT_NAME = re.compile(
    r"(?:_|-|^)(?:chunk|token|delta|text|answer|response|reply|content)$"
    r"|[a-z](?:Chunk|Token|Delta|Text|Answer|Response|Reply|Content)$"
)
_OTHERS_TEXT = re.compile(r"user|human|input|prompt|query|question|page|source|tool", re.IGNORECASE)


def is_theirs(key: str) -> bool:
    """Whether a key's text is what somebody else said: the user, a page, a tool."""
    return _OTHERS_TEXT.match(key) is not None


def plain_name(key: str) -> str:
    """A key in small letters, without what separates its words."""
    return key.replace("_", "").replace("-", "").replace(" ", "").lower()


def only_text(value: JSON) -> str | None:
    """The one text in a value of no known shape; None if there is none, or more than one."""
    if isinstance(value, str):
        return value if value.strip() else None
    found: set[str] = set()
    level: list[tuple[str, JSON]] = [("", value)]
    while level:
        inner: list[tuple[str, JSON]] = []
        for name, item in level:
            match item:
                case dict():
                    inner += [(str(key), member) for key, member in item.items()]
                case list():
                    inner += [(name, member) for member in item]
                case str() if item.strip() and plain_name(name) not in _LABELS:
                    found.add(item)
                    if len(found) > 1:
                        return None
        level = inner
    return found.pop() if found else None


def rows_of(values: list[JSON]) -> str:
    """The values as lines of JSON; of more than fits, only the last."""
    told, size = [], 0
    for value in values:
        told.append(dumps(value))
        size += len(told[-1])
        if size >= _LONGEST_JSON:  # and no look at the other thousands
            return dumps(values[-1])
    return "\n".join(told)


_LONGEST_JSON = 64 * 1024
"""Characters of JSON that stand for an answer without text; of more, only the last is shown."""


def beside(frame: dict[str, JSON], key: str) -> dict[str, JSON]:
    """What an object says beside its text: lists and objects, such as sources."""
    return {
        name: value
        for name, value in frame.items()
        if name != key and name not in _BESIDE and isinstance(value, dict | list) and value
    }


def texts_beside(frame: dict[str, JSON], key: str) -> dict[str, JSON]:
    """What an object says in words beside its text, but for labels and what somebody else said."""
    return {
        name: value
        for name, value in frame.items()
        if name != key
        and isinstance(value, str)
        and " " in value.strip()
        and value != frame[key]
        and not is_label(name)
        and not _OTHERS_TEXT.match(name)
    }


def is_part(key: str) -> bool:
    """Whether that key names a part of a longer answer, where there is more beside it."""
    return plain_name(key) in _PARTS


_PARTS = frozenset({"summary", "report", "body"})
_ENVELOPE = frozenset(
    {*(plain_name(key) for key in TEXT_KEYS), *_MORE_TEXT_KEYS, *_LABELS}
    | {"metadata", "usage", "sources", "citations", "toolcalls", "done", "index", "seq", "final"}
)


def is_envelope(value: dict[str, JSON]) -> bool:
    """Whether an object is nothing but a text and its labels, of which a typed answer has more."""
    return (
        bool(value)
        and all(plain_name(key) in _ENVELOPE for key in value)
        and text_key(value) is not None
    )
