"""Reads one stack's configuration, group by group, and collects what is wrong with it.

A group is a frozen dataclass whose fields are declared with `key`: what the key may be and what it
is when unset stand there and nowhere else. Pulumi's own typed getters stop at the first bad value;
an operator wants to hear of all of them at once, each by the key to set.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pulumi
from pulumi.runtime import config as engine

from bff.setting_parsers import Refused, shown

_KEY = "key"

Group = TypeVar("Group")
Parse = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Key:
    """One key: how its text is read, and what it is when unset, outside prod and in it."""

    name: str
    parse: Parse
    dev: Any
    prod: Any


def key(parse: Parse, dev: Any = None, prod: Any = ..., *, name: str = "") -> Any:
    """A field that one key sets; `prod`'s default is `dev`'s unless given.

    The key is named as the field is, in camel case.
    """
    declared = Key(name, parse, dev, dev if prod is ... else prod)
    return dataclasses.field(metadata={_KEY: declared})


def keys_of(group: type[Any]) -> Iterator[tuple[str, Key]]:
    """A group's fields and the keys that set them."""
    for field in dataclasses.fields(group):
        declared: Key = field.metadata[_KEY]
        name = declared.name or re.sub(r"_([a-z])", lambda m: m[1].upper(), field.name)
        yield field.name, dataclasses.replace(declared, name=name)


class Reader:
    """The project's keys, read group by group; `problems` grows, and reading goes on."""

    def __init__(self, *, prod: bool) -> None:
        self._config = pulumi.Config()
        self._prod = prod
        self._asked: set[str] = set()
        self.encrypted: set[str] = set()
        """Keys that the operator's file has encrypted."""
        self.problems: list[str] = []

    def group(self, kind: type[Group]) -> Group:
        """One group, with defaults in place of what is unset, empty or refused."""
        return kind(**{field: self._value(declared) for field, declared in keys_of(kind)})

    def _value(self, declared: Key) -> Any:
        self._asked.add(declared.name)
        if engine.is_config_secret(self._config.full_key(declared.name)):
            self.encrypted.add(declared.name)
        default = declared.prod if self._prod else declared.dev
        text = (self._config.get(declared.name) or "").strip()
        if not text:
            return default
        try:
            return declared.parse(text)
        except Refused as refusal:
            got = self.shown(declared.name, shown(text))
            self.refuse(declared.name, f"got {got}, takes {refusal}")
            return default

    def shown(self, key: str, text: str) -> str:
        """`text` in a refusal, or nothing of it where the operator's file has it encrypted."""
        return "a secret" if key in self.encrypted else text

    def has(self, key: str) -> bool:
        return self._config.get(key) not in (None, "")

    def refuse(self, key: str, why: str) -> None:
        self.problems.append(f"{self._config.name}:{key}: {why}")

    def need(self, key: str, takes: str) -> None:
        """Refuse a key that must be set and is not."""
        if not self.has(key):
            self.refuse(key, f"missing, takes {takes}")

    def both_or_none(self, takes: Mapping[str, str]) -> bool:
        """True if all keys are set; refuses those that are missing beside another."""
        given = [key for key in takes if self.has(key)]
        if given:
            for key in takes.keys() - set(given):
                self.refuse(key, f"missing beside {' and '.join(given)}, takes {takes[key]}")
        return len(given) == len(takes)

    def refuse_unknown(self) -> None:
        """A key nobody asked for is a typing error: its value would be ignored in silence."""
        prefix = f"{self._config.name}:"
        for full in sorted({*engine.CONFIG.get(), *(engine.get_config_env() or {})}):
            key = full.removeprefix(prefix)
            if full.startswith(prefix) and key not in self._asked:
                self.refuse(key, f"unknown; the keys are {', '.join(sorted(self._asked))}")
