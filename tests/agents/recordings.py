"""What agents of real frameworks sent, as recorded in golden/, and what must come of it.

A framework is one list, `golden/NAME.json`, and the bytes of each answer as they came over HTTP,
`golden/NAME/SCENARIO.sse` (`.json`, `.txt`). The truth beside them is what the scripted model said
(`zoo/script.py` has its fields), never what our decoder made of it. `reports` is written by hand,
after public bug reports and documentation; `report` says which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bff.agents.dialects.decoder import Decoder
from bff.events import (
    Custom,
    Done,
    Event,
    File,
    Input,
    Message,
    Source,
    Thinking,
    ToolEnd,
    ToolStart,
)
from bff.messages import ClientTool
from bff.runs.client_tools import ClientTools

GOLDEN = Path(__file__).parent / "golden"
NEVER = (" object at 0x", "AgentResult(", "hunter2")
"""What no user may ever read: Python's print of an object, what an exception said."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One answer: where its bytes are, how they were sent, what must come of them."""

    environment: str
    name: str
    content_type: str
    headers: Mapping[str, str]
    path: Path
    truth: Mapping[str, Any]

    @property
    def id(self) -> str:
        return f"{self.environment}/{self.name}"

    @property
    def body(self) -> bytes:
        return self.path.read_bytes()


@cache
def lists() -> Mapping[str, Any]:
    """Every framework's list, by the name of its environment."""
    return {path.stem: json.loads(path.read_bytes()) for path in sorted(GOLDEN.glob("*.json"))}


def recordings() -> list[Recording]:
    return [
        Recording(
            environment,
            entry["name"],
            entry["content_type"],
            entry.get("headers", {}),
            GOLDEN / environment / entry["file"],
            entry,
        )
        for environment, listed in lists().items()
        for entry in listed["scenarios"]
    ]


def decoded(
    data: bytes, content_type: str, headers: Mapping[str, str], cuts: Sequence[int] = ()
) -> tuple[list[Event], str | None]:
    """The events of an answer whose bytes came cut there, and why it failed if it did."""
    decoder = Decoder(content_type)
    events: list[Event] = []
    start = 0
    for cut in [*sorted(cuts), len(data)]:
        events += decoder.feed(data[start:cut])
        start = cut
    return events + decoder.end(), decoder.failure


def differences(truth: Mapping[str, Any], events: Sequence[Event], *, failed: bool) -> list[str]:
    """Where the events are not the truth; empty where they are."""
    events = _with_client_tools(truth, events)
    said = "".join(event.content for event in events if isinstance(event, Message))
    thought = "".join(event.content for event in events if isinstance(event, Thinking))
    kept = said + "".join(f"{event.value}" for event in events if isinstance(event, Custom))
    wrong = [
        *_words(
            "text",
            truth.get("text", None if "holds" in truth else ""),
            said,
            judged=not {"holds", "beside"} & truth.keys(),
        ),
        *(f"nothing holds {held!r}" for held in truth.get("holds", ()) if held not in kept),
        *_words("thinking", truth.get("thinking", ""), thought),
        *(f"text holds {word!r}" for word in (*NEVER, *truth.get("never", ())) if word in said),
        *(f"thinking holds {word!r}" for word in NEVER if word in thought),
        *_tools(truth.get("tools", []), events, more=bool(truth.get("more_tools"))),
        *_inputs(truth.get("inputs", []), events),
        *_ends(truth, events, failed=failed),
    ]
    sources = sorted({event.url for event in events if isinstance(event, Source)})
    if sources != sorted(truth.get("sources", [])):
        wrong.append(f"sources {sources}")
    files = [_file(event) for event in events if isinstance(event, File)]
    if files != truth.get("files", []):
        wrong.append(f"files {files}")
    customs = {event.name for event in events if isinstance(event, Custom)}
    wrong += [f"no custom {name!r}" for name in truth.get("customs", ()) if name not in customs]
    return wrong


def _with_client_tools(truth: Mapping[str, Any], events: Sequence[Event]) -> Sequence[Event]:
    """The events as a run tells them, which knows the client's tools: a call of one is a question.

    Agents tell such a call as any other.
    """
    names = [q["tool"][0] for q in truth.get("inputs", ()) if q.get("kind") == "tool"]
    if not names:
        return events
    tools = ClientTools([ClientTool(name) for name in names], ())
    told = list(tools.pass_on(events))
    questions = tools.questions()
    if questions and isinstance(told[-1], Done):
        asked = (*told[-1].inputs, *questions)
        told[-1:] = [*questions, Done("input_required", told[-1].usage, asked)]
    return told


def _words(name: str, wanted: Any, said: str, *, judged: bool = True) -> list[str]:
    """A whole text to the letter, or parts of which each is said once and nothing beside them."""
    match wanted:
        case None:
            return []
        case str():
            return [] if said == wanted else [f"{name} {said!r}"]
    wrong = [
        f"{name} has {part!r} {said.count(part)} times" for part in wanted if said.count(part) != 1
    ]
    if wrong:
        wrong.append(f"{name} is {said!r}")
    rest = said
    for part in sorted(wanted, key=len, reverse=True):
        rest = rest.replace(part, "", 1)
    if judged and not wrong and rest.strip():
        wrong.append(f"{name} has {rest!r} beside its parts")
    return wrong


def _tools(
    wanted: list[dict[str, Any]] | None, events: Sequence[Event], *, more: bool
) -> list[str]:
    """Each call once, with its outcome; None where the answer does not say enough to judge."""
    starts = [event for event in events if isinstance(event, ToolStart)]
    ends = {event.id: event for event in events if isinstance(event, ToolEnd)}
    wrong = []
    if len({start.id for start in starts}) != len(starts):
        wrong.append("two tool calls have one id")
    if len(ends) != sum(isinstance(event, ToolEnd) for event in events):
        wrong.append("a tool call ends twice")
    if wanted is None:
        return wrong
    left = list(starts)
    for use in wanted:
        found = [s for s in left if s.tool == use["tool"] and s.args == use["args"]]
        if not found:
            wrong.append(f"no call {use['tool']}({use['args']})")
            continue
        left.remove(found[0])
        wrong += _outcome(use, ends.get(found[0].id))
    if not more:
        wrong += [f"call {start.tool}({start.args}) that nobody made" for start in left]
    ids = {start.id for start in starts}
    return wrong + [f"end of a call {id} that never began" for id in ends if id not in ids]


def _outcome(use: dict[str, Any], end: ToolEnd | None) -> list[str]:
    """`result` and `error` are to the letter, or what it must hold where the wrapping is free."""
    for name in ("result", "error"):
        wanted = use.get(name)
        if wanted is None:
            continue
        got = getattr(end, name) if end else None
        held = wanted["holds"] if isinstance(wanted, dict) else None
        if got is None or (held not in got if held is not None else got != wanted):
            return [f"{use['tool']}'s {name} is {got!r}"]
    return []


def _inputs(wanted: list[dict[str, Any]], events: Sequence[Event]) -> list[str]:
    asked = [event for event in events if isinstance(event, Input)]
    wrong = [] if len(asked) == len(wanted) else [f"{len(asked)} questions"]
    for question in wanted:
        if not any(_is_asked(question, event) for event in asked):
            wrong.append(f"no question {question} but {asked}")
    return wrong


def _is_asked(question: dict[str, Any], event: Input) -> bool:
    tool = question.get("tool")
    return (
        event.kind == question.get("kind", event.kind)
        and question.get("message", event.message) == event.message
        and all(held in f"{event.message} {event.value}" for held in question.get("holds", ()))
        and (
            tool is None
            or (event.tool is not None and (event.tool.name, event.tool.args) == tuple(tool))
        )
    )


def _file(event: File) -> dict[str, str]:
    parts = {"mimeType": event.mime_type, "url": event.url, "data": event.data}
    return {name: part for name, part in parts.items() if part is not None}


def _ends(truth: Mapping[str, Any], events: Sequence[Event], *, failed: bool) -> list[str]:
    wanted = truth.get("ends", "complete")
    done = next((event for event in events if isinstance(event, Done)), None)
    got = "failed" if failed else done.status if done else "nothing"
    if got != wanted:
        return [f"ends {got}"]
    wrong = []
    if truth.get("usage") and done and done.usage != truth["usage"]:
        wrong.append(f"usage {done.usage}")
    asked = [event for event in events if isinstance(event, Input)]
    if done and list(done.inputs) != asked:
        wrong.append("done does not name the questions")
    return wrong


# What is different each time

_NAMES = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b"
    rb"|(?<=aitxt-)[A-Za-z0-9]{24}\b|(?<=\"messageId\":\")[A-Za-z0-9]{16}\b"  # AI SDK's
)
_TIMES: tuple[tuple[re.Pattern[bytes], bytes], ...] = (
    (re.compile(rb"\b0x[0-9a-f]{9,16}\b"), b"0x7f0000000000"),
    (
        re.compile(rb"20\d\d-\d\d-\d\d([T ])\d\d:\d\d:\d\d(?:\.\d+)?"),
        rb"2026-01-01\g<1>00:00:00.000000",
    ),
    (
        re.compile(rb"datetime\.datetime\(20\d\d(?:, \d+){5,6}"),
        b"datetime.datetime(2026, 1, 1, 0, 0, 0, 0",
    ),
    (re.compile(rb"(?<![\d.])(?<!\d:)(?!1[78]\d{8})\d{1,8}\.\d{4,}(?:e-\d+)?"), b"0.5"),
    (re.compile(rb"\b\d(?:\.\d+)?e-0\d\b"), b"0.5"),
    (re.compile(rb"\b1[78]\d{8}(\.\d+)?\b"), b"1767225600"),
    (re.compile(rb"\b1[78]\d{11}\b"), b"1767225600000"),
    (re.compile(rb"\b1[78]\d{17}\b"), b"1767225600000000000"),
    (
        re.compile(
            rb"((?:\"|'|\b)(?:\w*latency\w*|\w*duration\w*|\w*_?time|\w*_seconds|timeToFirstByteMs"
            rb"|time_to_first_token)(?:\"|')?[:=] ?\[?)\d+(?:\.\d+)?(?:e-\d+)?"
        ),
        rb"\g<1>1",
    ),
)


def normalised(body: bytes) -> bytes:
    """The answer with made-up ids and times, the same at every recording."""
    seen: dict[bytes, int] = {}

    def named(found: re.Match[bytes]) -> bytes:
        name = found[0]
        number = b"%032x" % seen.setdefault(name, len(seen) + 1)
        if b"-" not in name:
            return number
        return b"-".join((number[:8], number[8:12], b"4000", b"8000", number[20:]))

    for pattern, constant in _TIMES:
        body = pattern.sub(constant, body)
    return _NAMES.sub(named, body)
