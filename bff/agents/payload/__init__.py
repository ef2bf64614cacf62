"""What an agent is sent: `AGENT_PAYLOAD`, filled from one call's prompt.

Agents differ in what they read, so this is a setting: one of five known shapes, or a JSON object of
the operator's own with placeholders at any depth. What a client wrote is only ever put in its
place, never looked at for placeholders. docs/agents.md shows each shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bff.agents import Prompt
from bff.agents.payload.shapes import SHAPES
from bff.agents.payload.values import VALUES, as_text
from bff.events import JSON, dumps
from bff.settings import PayloadSetting

PROMPT: Mapping[str, JSON] = {
    "prompt": "$message",
    "session_id": "$session_id",
    "actor_id": "$actor_id",
    "stream": True,
    "system": "$system",
    "files": "$files",
    "metadata": "$metadata",
    "tools": "$tools",
    "context": "$context",
    "state": "$state",
    "options": "$options",
    "resume": "$resume",
}
"""The shape `prompt`, which is a template."""

FIELDS = frozenset({"tools", "context", "state", "options", "metadata", "files"})
"""What a client may send besides words; not every agent's payload has a place for each."""
_PLACES: Mapping[str, frozenset[str]] = {
    "strands": frozenset({"files"}),
    "langgraph": frozenset({"files", "context"}),
    "agui": FIELDS,
    "openai": frozenset({"tools", "options", "metadata", "files"}),
}


def body(setting: PayloadSetting, prompt: Prompt) -> bytes:
    """The JSON that is posted to the agent."""
    return dumps(payload(setting, prompt)).encode()


def payload(setting: PayloadSetting, prompt: Prompt) -> dict[str, JSON]:
    """The object that is posted to the agent."""
    if isinstance(setting, str) and setting in SHAPES:
        return SHAPES[setting](prompt)
    template = PROMPT if isinstance(setting, str) else setting
    filled: dict[str, JSON] = _filled(template, _Values(prompt, frozenset(names(template))))
    return filled


def places(setting: PayloadSetting) -> frozenset[str]:
    """Which of `FIELDS` this payload has a place for."""
    if isinstance(setting, str) and setting in _PLACES:
        return _PLACES[setting]
    used = set(names(PROMPT if isinstance(setting, str) else setting))
    found = {field for field in FIELDS if f"${field}" in used}
    return frozenset(found | ({"files"} if used & {"$content", "$messages"} else set()))


def names(template: JSON) -> Iterator[str]:
    """Every placeholder in a template."""
    match template:
        case str():
            yield from _NAME.findall(template)
        case Mapping():
            for item in template.values():
                yield from names(item)
        case list():
            for item in template:
                yield from names(item)


_NAME = re.compile(rf"(?:{'|'.join(re.escape(name) for name in VALUES)})\b")


class _Values(dict[str, JSON]):
    """Each placeholder's value, made when it is asked for."""

    def __init__(self, prompt: Prompt, names: frozenset[str]) -> None:
        super().__init__()
        self._prompt = prompt
        self._names = names

    def __missing__(self, name: str) -> JSON:
        self[name] = value = VALUES[name](self._prompt, self._names)
        return value


def _filled(value: JSON, values: _Values) -> JSON:
    """The value with its placeholders replaced, once."""
    match value:
        case str() if value in VALUES:
            return values[value]
        case str():
            return _NAME.sub(lambda found: as_text(values[found.group()]), value)
        case Mapping():
            return {
                key: _filled(item, values)
                for key, item in value.items()
                if not (isinstance(item, str) and item in VALUES and values[item] in _NOTHING)
            }
        case list():
            return [_filled(item, values) for item in value]
    return value


_NOTHING: tuple[JSON, ...] = (None, "", [], {})
"""A key with nothing to say is left out."""
