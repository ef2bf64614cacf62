"""Python's print of an object, read back.

The SDK prints what JSON cannot hold, and agents print what they should have dumped: dicts, pydantic
models (`a=1 b='x'`), dataclasses, lists of them, bytes. Nothing is evaluated here: the grammar is
that of `repr`, everything is bounded, and what does not fit it whole is not a print.
"""

from __future__ import annotations

import re

from bff.events import JSON

_LONGEST = 256 * 1024
_DEEPEST = 60

_STRING = re.compile(r"'([^'\\]*(?:\\.[^'\\]*)*)'|\"([^\"\\]*(?:\\.[^\"\\]*)*)\"", re.DOTALL)
_NUMBER = re.compile(r"-?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?j?|-?inf\b|nan\b", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_FIELD = re.compile(r"([A-Za-z_]\w*)=")
_LETTERS = frozenset("ABCDEFGHJKLMOPQRSTUVWXYZabcdefghjklmopqrstuvwxyz_")
"""No number begins so, as `inf` and `nan` do."""
_AG2 = re.compile(r"(?:Client|Builtin)?Tool(?:Call|Result|Error)s?Event\(|ToolNotFoundEvent\(")
_HOLDS = re.compile(r"[a-z_]\w*=[A-Z]\w*\([a-z_]\w*=")
"""A field that holds an object: it may be the only one."""
_EMPTY = re.compile(r"=[A-Z]\w*\(\)")
_BARE = re.compile(r"[\w-]+(?=[,)])")
_ENUM = re.compile(r"<[\w.]+: (.*?)>", re.DOTALL)
_WORDS: dict[str, JSON] = {"None": None, "True": True, "False": False, "Ellipsis": None}
_OURS = frozenset({"agent", "event_loop_cycle_trace", "event_loop_cycle_span"})
"""Strands' inner state, which it puts last into each event and which goes on for pages."""

_MIGHT_BE = re.compile(
    r"\s*(?:\{'|[\[(](?:[\[({]|'|\"|[A-Z][\w.]*\(|<[\w.])|<[\w.]|[bB]['\"]"
    r"|OrderedDict\(\[|defaultdict\(<|(?:[a-z_]\w*\.)*[A-Z]\w*\(\s*\w+=|[a-z_]\w*=(?:['\"\[{(<A-Z-]|\d))"
)


def might_be(text: str) -> bool:
    """Whether a text begins as a print does; most do not, and that is cheap to see."""
    return _MIGHT_BE.match(text) is not None


class NotPrinted(Exception):
    """The text is no print."""


def read(text: str) -> JSON:
    """The value printed: objects become their fields, with the class's name as `type`.

    Raises `NotPrinted` for any other text.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        raise NotPrinted
    reader = _Reader(text)
    reader.bare = _AG2.match(text) is not None
    try:
        if _FIELD.match(text):
            return reader.fields()
        value = reader.value()
    except IndexError:
        raise NotPrinted from None
    if not reader.enough and reader.at != len(text):
        raise NotPrinted
    return value


class _Reader:
    """A recursive descent over one print."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.bare = False
        """Whether ids stand without quotes, as in AG2's prints of calls."""
        self.enough = False
        """Set where the rest of the text is of no interest."""

    def is_enough(self) -> bool:
        return self.enough

    def fields(self) -> JSON:
        """Pydantic's `str`: fields with a space between them, of which one is a string at least."""
        found: dict[str, JSON] = {}
        while self.at < len(self.text):
            name = _FIELD.match(self.text, self.at)
            if name is None:
                raise NotPrinted
            self.at = name.end()
            found[name[1]] = self.value()
            if self.at < len(self.text):
                if self.text[self.at] != " ":
                    raise NotPrinted
                self.at += 1
        if len(found) < 2 and not _HOLDS.match(self.text):
            raise NotPrinted
        numbers = all(isinstance(v, int | float | None) for v in found.values())
        if numbers and not _EMPTY.search(self.text):
            raise NotPrinted
        if not _MESSAGE.isdisjoint(found) and "content" in found and "type" not in found:
            found["type"] = _kind_of_message(found)
        return found

    def value(self) -> JSON:
        text, at = self.text, self.at
        character = text[at]
        if character in "'\"":
            return self._string()
        if character in "{[(":
            self.depth += 1
            if self.depth > _DEEPEST:
                raise NotPrinted
            found = (
                self._braced()
                if character == "{"
                else self._items("]" if character == "[" else ")")
            )
            self.depth -= 1
            return found
        if character == "<":
            return self._opaque()
        number = None if character in _LETTERS else _NUMBER.match(text, at)
        if number is not None:
            self.at = number.end()
            return _number(number[0])
        name = _NAME.match(text, at)
        if name is None:
            raise NotPrinted
        self.at = name.end()
        word, following = name[0], text[self.at : self.at + 1]
        if word in ("b", "B") and following and following in "'\"":
            return _decoded(self._string())
        if following == "(":
            self.depth += 1
            if self.depth > _DEEPEST:
                raise NotPrinted
            found = self._call(word.rpartition(".")[2])
            self.depth -= 1
            return found
        if word in _WORDS:
            return _WORDS[word]
        if "." in word:
            return word.rpartition(".")[2]
        raise NotPrinted

    def _string(self) -> str:
        text, start = self.text, self.at + 1
        if text.startswith('"""', self.at):  # google-genai writes lines so, without escapes
            end = text.find('"""', self.at + 3)
            if end < 0:
                raise NotPrinted
            self.at = end + 3
            return text[start + 2 : end]
        end = text.find(text[self.at], start)
        if end > 0 and text.find("\\", start, end) < 0:  # nearly all of them
            self.at = end + 1
            return text[start:end]
        found = _STRING.match(self.text, self.at)
        if found is None:
            raise NotPrinted
        self.at = found.end()
        body = found[1] if found[1] is not None else found[2]
        return _ESCAPE.sub(_unescaped, body) if "\\" in body else body

    def _space(self) -> str:
        text = self.text
        character = text[self.at]
        while character == " " or character.isspace():  # one blank, mostly, or none
            self.at += 1
            character = text[self.at]
        return character

    def _braced(self) -> JSON:
        """A dict, or a set."""
        found: dict[str, JSON] = {}
        members: list[JSON] = []
        self.at += 1
        while self._space() != "}":
            key = self.value()
            if self.enough:
                return found
            if self.text[self.at] == ":":
                self.at += 1
                if self._space() == "<" and str(key) in _OURS and self.text.endswith("}"):
                    self.enough = True
                    return found
                found[str(key)] = self.value()
                if self.is_enough():
                    return found
            else:
                members.append(key)
            self._comma("}")
        self.at += 1
        return members if members else found

    def _items(self, close: str) -> JSON:
        found: list[JSON] = []
        self.at += 1
        while self._space() != close:
            found.append(self.value())
            if self.enough:
                return found
            self._comma(close)
        self.at += 1
        return found

    def _call(self, name: str) -> JSON:
        fields: dict[str, JSON] = {}
        given: list[JSON] = []
        self.at += 1
        while self._space() != ")":
            field = _FIELD.match(self.text, self.at)
            if field is not None:
                self.at = field.end()
                bare = _BARE.match(self.text, self.at) if self.bare else None
                if bare is not None and bare[0] not in _WORDS and field[1].endswith("id"):
                    fields[field[1]] = bare[0]
                    self.at = bare.end()
                else:
                    fields[field[1]] = self.value()
            else:
                given.append(self.value())
            if self.enough:
                break
            self._comma(")")
        self.at += 1
        if fields:
            fields.setdefault("type", name)
            return fields
        if name == "OrderedDict" and given and isinstance(given[-1], list):
            pairs = [pair for pair in given[-1] if isinstance(pair, list) and len(pair) == 2]
            return {str(key): value for key, value in pairs}
        return given[-1] if given and name not in _TIMES else None

    def _comma(self, close: str) -> None:
        character = self._space()
        if character == ",":
            self.at += 1
        elif character != close:
            raise NotPrinted

    def _opaque(self) -> JSON:
        """An object's address, which is nothing to us, or a member of an enum: its value."""
        text, start = self.text, self.at
        deep = 0
        while True:
            character = text[self.at]
            if character == "<":
                deep += 1
            elif character == ">":
                deep -= 1
            elif character in "'\"":
                quoted = _STRING.match(text, self.at)
                if quoted is not None:
                    self.at = quoted.end()
                    continue
            self.at += 1
            if deep == 0:
                break
        whole = text[start : self.at]
        if not _OBJECT.match(whole):
            raise NotPrinted
        member = _ENUM.fullmatch(whole)
        if member is None:
            return None
        inner = _Reader(member[1])
        inner.depth = self.depth + 1
        if inner.depth > _DEEPEST:
            raise NotPrinted
        return inner.value()


def _kind_of_message(fields: dict[str, JSON]) -> str:
    """What kind of message LangChain printed, which its print does not say."""
    if "tool_call_id" in fields:
        return "tool"
    if "tool_call_chunks" in fields:
        return "AIMessageChunk"
    id = str(fields.get("id"))
    if id.startswith(("run-", "lc_run-")) and "tool_calls" not in fields:
        return "AIMessageChunk"
    mine = "tool_calls" in fields or "usage_metadata" in fields or fields.get("response_metadata")
    return "ai" if mine or not _UUID.fullmatch(id) else "human"


_MESSAGE = frozenset({"additional_kwargs", "response_metadata", "tool_call_id"})
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIMES = frozenset({"datetime", "date", "time", "timedelta", "timezone"})
_OBJECT = re.compile(
    r"<(?:[\w.]+: |[\w.<>]+ (?:object )?.*at 0x[0-9a-f]+"
    r"|(?:class|module|function|bound method|coroutine|Future|Task) )",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number <= 0x10FFFF else "\ufffd"
    return _ESCAPES.get(code, code)


def _decoded(text: str) -> str:
    """Bytes as repr writes them, each character one byte."""
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def _number(text: str) -> JSON:
    try:
        return int(text) if text.lstrip("-").isdecimal() and len(text) < 400 else float(text)
    except ValueError:
        return text
