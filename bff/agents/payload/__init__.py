"""What an agent is sent: `AGENT_PAYLOAD`, filled from one call's prompt.

Agents differ in what they read, so this is a setting: one of five known shapes, or a JSON object of
the operator's own with placeholders at any depth. What a client wrote is only ever put in its
place, never looked at for placeholders. docs/agents.md shows each shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from bff.agents import Prompt
from bff.agents.payload.shapes import SHAPES
from bff.agents.payload.values import VALUES, as_text
from bff.events import JSON, Input
from bff.json_text import dumps_bytes
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


def body_maker(setting: PayloadSetting) -> Callable[[Prompt], bytes]:
    """What makes the JSON that is posted to the agent; made once, for all its calls."""
    fill = payload_maker(setting)
    return lambda prompt: dumps_bytes(fill(prompt))


def payload_maker(setting: PayloadSetting) -> Callable[[Prompt], dict[str, JSON]]:
    """What makes the object that is posted to the agent."""
    if isinstance(setting, str):
        return SHAPES.get(setting, _fill_prompt)
    return Template(setting)


def places(setting: PayloadSetting) -> frozenset[str]:
    """Which of `FIELDS` this payload has a place for."""
    if isinstance(setting, str):
        return _PLACES[setting]
    return _places_of(frozenset(names(setting)))


def _places_of(used: frozenset[str]) -> frozenset[str]:
    found = {field for field in FIELDS if f"${field}" in used}
    return frozenset(found | ({"files"} if used & {"$content", "$messages"} else set()))


def takes_both(setting: PayloadSetting, questions: Sequence[Input]) -> bool:
    """Whether this payload has a place for a message beside answers to these questions."""
    match setting:
        case "strands":
            return False
        case "langgraph":
            return all(question.kind == "tool" for question in questions)
    return True


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


_Fill = Callable[[Prompt, frozenset[str]], JSON]
"""What makes a part of an object: from a prompt, and the names of all placeholders in it."""


class Template:
    """An object with placeholders, taken apart once; called, it replaces each of them once."""

    def __init__(self, template: Mapping[str, JSON]) -> None:
        self.names = frozenset(names(template))
        self._fill = _filling(template)

    def __call__(self, prompt: Prompt) -> dict[str, JSON]:
        filled: dict[str, JSON] = self._fill(prompt, self.names)
        return filled


def _filling(template: JSON) -> _Fill:
    """What fills this part of a template."""
    match template:
        case str() if template in VALUES:
            return VALUES[template]
        case str() if _NAME.search(template):
            return lambda prompt, names: _NAME.sub(
                lambda found: as_text(VALUES[found.group()](prompt, names)), template
            )
        case Mapping():
            return _filling_object(template)
        case list():
            fills = [_filling(item) for item in template]
            return lambda prompt, names: [fill(prompt, names) for fill in fills]
    return lambda prompt, names: template


def _filling_object(template: Mapping[str, JSON]) -> _Fill:
    fields = [
        (key, isinstance(item, str) and item in VALUES, _filling(item))
        for key, item in template.items()
    ]

    def fill(prompt: Prompt, names: frozenset[str]) -> JSON:
        filled = {}
        for key, alone, inner in fields:
            value = inner(prompt, names)
            if not alone or value not in _NOTHING:
                filled[key] = value
        return filled

    return fill


_NOTHING: tuple[JSON, ...] = (None, "", [], {})
"""A key with nothing to say is left out."""

_fill_prompt = Template(PROMPT)

_PLACES: Mapping[str, frozenset[str]] = {
    "prompt": _places_of(_fill_prompt.names),
    "strands": frozenset({"files"}),
    "langgraph": frozenset({"files", "context"}),
    "agui": FIELDS,
    "openai": frozenset({"tools", "options", "metadata", "files"}),
}
