"""Reads one stack's configuration and collects what is wrong with it.

Pulumi's own typed getters stop at the first bad value; an operator wants to hear of all of them at
once, each by the key to set. What a value may be is told in `config`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pulumi
from pulumi.runtime import config as engine

from bff.settings import Settings, SettingsError

# Enough for the service to start: what is checked is one variable put on top.
_STARTS = {
    "ENVIRONMENT": "stack",
    "AGENT_URL": "embedded:",
    "HISTORY": "sqlite:///x",
    "JWT_SECRET": "x" * 32,
}


class Refused(ValueError):
    """What a key takes; the reader adds the key and what it got."""


class Reader:
    """The project's keys, read one by one; `problems` grows, and reading goes on."""

    def __init__(self) -> None:
        self._config = pulumi.Config()
        self._asked: set[str] = set()
        self.problems: list[str] = []

    def __call__(self, key: str, parse: Callable[[str], Any], default: Any) -> Any:
        """The value of `key`, or `default` where it is unset, empty or refused."""
        self._asked.add(key)
        text = (self._config.get(key) or "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except Refused as refusal:
            self.refuse(key, f"got {_shown(text)}, takes {refusal}")
            return default

    def has(self, key: str) -> bool:
        return self._config.get(key) not in (None, "")

    def refuse(self, key: str, why: str) -> None:
        self.problems.append(f"{self._config.name}:{key}: {why}")

    def need(self, key: str, takes: str) -> None:
        """Refuse a key that must be set and is not."""
        if not self.has(key):
            self.refuse(key, f"missing, takes {takes}")

    def refuse_unknown(self) -> None:
        """A key nobody asked for is a typing error: its value would be ignored in silence."""
        prefix = f"{self._config.name}:"
        for full in sorted({*engine.CONFIG.get(), *(engine.get_config_env() or {})}):
            key = full.removeprefix(prefix)
            if full.startswith(prefix) and key not in self._asked:
                self.refuse(key, f"unknown; the keys are {', '.join(sorted(self._asked))}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:100] + "…")


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise Refused(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def number_of(*choices: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if text not in map(str, choices):
            raise Refused("one of " + ", ".join(map(str, choices)))
        return int(text)

    return parse


def flag(text: str) -> bool:
    match text.lower():
        case "true":
            return True
        case "false":
            return False
        case _:
            raise Refused("true or false")


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise Refused(" or ".join(choices))
        return text

    return parse


def matching(pattern: str, takes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise Refused(takes)
        return text

    return parse


def list_of(parse_one: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        try:
            items: Any = json.loads(text)
        except ValueError:
            items = None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise Refused("a list of strings")
        if len(set(items)) < len(items):
            raise Refused("each value once")
        return tuple(parse_one(item) for item in items)

    return parse


def as_the_service_takes(variable: str, template: str = "{}") -> Callable[[str], str]:
    """What the service would refuse at its start is refused here, in its own words."""

    def parse(text: str) -> str:
        environ = _STARTS | {variable: template.format(text)}
        if variable == "AGENT_RUNTIME_ARN":
            del environ["AGENT_URL"]
        try:
            Settings.load(environ)
        except SettingsError as error:
            raise Refused(str(error).rpartition(", takes ")[2]) from None
        return text

    return parse


def both_or_none(read: Reader, keys: Sequence[str], takes: Sequence[str]) -> bool:
    """True if all of `keys` are set; refuses those that are missing beside another."""
    if not any(read.has(key) for key in keys):
        return False
    for key, what in zip(keys, takes, strict=True):
        if not read.has(key):
            others = " and ".join(other for other in keys if read.has(other))
            read.refuse(key, f"missing beside {others}, takes {what}")
    return all(read.has(key) for key in keys)
