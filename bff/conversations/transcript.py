"""Where a transcript stands, as one digest, so that it is found again however long it is.

Clients of some protocols keep no session and send everything that was said each time. A transcript
is a chain of turns; each turn's point is the SHA-256 of the point before it, what the user said and
what the assistant answered. A session keeps the points of its turns: the one whose point equals
that of a client's transcript is the session it belongs to.

Texts are compared without white space, reasoning, documents before a question and what stands
between the messages of both (tools, instructions): clients are free with all of these.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from bff.events import dumps
from bff.messages import ChatMessage, question_in

_UNSURE = b"\0"
"""Stands for an answer that broke off: nobody knows how much of it a client has kept."""


class Spoken(NamedTuple):
    """One turn of a transcript: what the user said, and all that was answered."""

    user: str
    assistant: str


def root(agent: str, person: str | None, name: str | None = None) -> str:
    """The point before all turns; other agents and other people have other transcripts.

    So have sessions that their client names: what is said in one is found in no other.
    """
    if name is not None:
        return _digest(root(agent, person), b"name", name.encode())
    return (
        _digest("root", agent.encode(), person.encode("utf-8", "surrogatepass"))
        if person
        else _nobodys_root(agent)
    )


@lru_cache(maxsize=256)
def _nobodys_root(agent: str) -> str:
    return _digest("root", agent.encode(), b"")


def after(point: str, turn: Spoken) -> str:
    """The point behind one more turn."""
    return _digest(point, _asked(turn.user), _plain(turn.assistant))


def mark(session: str, message: ChatMessage) -> str | None:
    """What a turn is found by whose message has an id of its client's own; None without one."""
    if message.id is None:
        return None
    return _digest(
        "message",
        dumps([session, message.id]).encode(),
        _plain("\n".join([message.text, *(file.kind for file in message.files)])),
    )


def point_of_run(run_id: str) -> str:
    """What a turn is found by whose run a client names, whatever was said."""
    return _digest("run", run_id.encode(), b"")


def after_all(point: str, turns: Iterable[Spoken]) -> str:
    """The point behind several turns."""
    for turn in turns:
        point = after(point, turn)
    return point


def points(before: str, user: str, answers: Iterable[str]) -> tuple[str, ...]:
    """Where a turn leaves the transcript: first its own point, then others a client may have.

    `answers` is the answer in every wording a client may have been shown, the plain one first.
    """
    return tuple(dict.fromkeys([after(before, Spoken(user, answer)) for answer in answers]))


def points_broken_off(before: str, user: str, answer: str | None) -> tuple[str, ...]:
    """The same for an answer that broke off: some clients keep what they have of it.

    `answer` is what there was of it; None for one that failed, which leaves the transcript where
    it was.
    """
    unsure = _digest(before, _asked(user), _UNSURE)
    return (before if answer is None else after(before, Spoken(user, answer)), unsure)


def candidates(start: str, turns: Sequence[Spoken]) -> tuple[str, ...]:
    """The points at which a client's transcript may stand, the likeliest first."""
    if not turns:
        return ()
    *earlier, last = turns
    before = after_all(start, earlier)
    return (after(before, last), _digest(before, _asked(last.user), _UNSURE))


def spoken(messages: Iterable[ChatMessage]) -> list[Spoken]:
    """The turns of a conversation: neighbours of one role are one, tools and instructions none."""
    return list(_spoken(messages))


def _spoken(messages: Iterable[ChatMessage]) -> Iterator[Spoken]:
    user: list[str] = []
    assistant: list[str] = []
    for message in messages:
        match message.role:
            case "user":
                if assistant:
                    yield Spoken("\n".join(user), "\n".join(assistant))
                    user, assistant = [], []
                user.append(message.text or " ".join(f"[{file.kind}]" for file in message.files))
            case "assistant":
                assistant.append(message.text)
            case _:
                pass
    if user or assistant:
        yield Spoken("\n".join(user), "\n".join(assistant))


_REASONING = re.compile(r"<(think|thinking|reasoning)>|<details type=\"reasoning\"")


def without_reasoning(text: str) -> str:
    """The text without what stands between such tags, in one pass however many are never closed."""
    if "</" not in text:
        return text
    kept: list[str] = []
    unclosed: set[str] = set()
    at = 0
    for tag in _REASONING.finditer(text):
        end_tag = f"</{tag[1] or 'details'}>"
        if tag.start() < at or end_tag in unclosed:
            continue
        end = text.find(end_tag, tag.end())
        if end < 0:
            unclosed.add(end_tag)
            continue
        kept.append(text[at : tag.start()])
        at = end + len(end_tag)
    return "".join((*kept, text[at:]))


def _asked(text: str) -> bytes:
    """What counts of what the user said."""
    return _plain(question_in(text) if "</context>" in text else text)


def _plain(text: str) -> bytes:
    """What counts of a text."""
    if "<" in text:
        text = without_reasoning(text)
    if text.isascii():
        return text.encode().translate(None, _WHITE_SPACE)
    if text[len(text) // 2] <= "\xff":  # perhaps all are, and then there is nothing to compose
        try:
            latin = text.encode("latin-1").translate(None, _LATIN_WHITE_SPACE)
            return latin.decode("latin-1").encode()
        except UnicodeEncodeError:
            pass
    return "".join(_composed(text).split()).encode("utf-8", "replace")


def _composed(text: str) -> str:
    """The text with its marks on their letters (NFC).

    The time to put marks in order grows with the square of their number, so that where there are
    more than anybody writes on a letter, these stay as they are.
    """
    if _MANY not in text.encode("utf-8", "replace").translate(_MARKS):
        return unicodedata.normalize("NFC", text)
    pieces = _MANY_MARKS.split(text)
    pieces[::2] = (unicodedata.normalize("NFC", piece) for piece in pieces[::2])
    return "".join(pieces)


_WHITE_SPACE = b" \t\n\r\v\f\x1c\x1d\x1e\x1f"
_LATIN_WHITE_SPACE = _WHITE_SPACE + b"\x85\xa0"
_MARKS = bytes(byte >= 0x80 and not 0xE4 <= byte <= 0xE9 for byte in range(256))
"""1 for each byte of UTF-8 that a mark may have. The others are ASCII and Chinese characters."""
_MANY = b"\1" * 128
_MANY_MARKS = re.compile(r"((?<![^\w\x00-\x7f])[^\w\x00-\x7f]{64,})")


def _digest(point: str, first: bytes, second: bytes) -> str:
    """SHA-256 of three texts, each with its length before it."""
    data = b"%d:%b%d:%b%d:%b" % (
        len(point), point.encode(), len(first), first, len(second), second
    )  # fmt: skip
    return hashlib.sha256(data).hexdigest()
