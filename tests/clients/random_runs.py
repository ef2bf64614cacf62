"""Runs as agents may hold them, in any order of events, and how each format tells them.

A run that asks is followed by the run that its answers begin. Clients' own parsers read these in
tests/clients/test_streams.py; what they are to show stands beside each.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bff.api.agui.events import AgUiEncoder
from bff.api.ai_sdk.parts import UIEncoder
from bff.api.openai.chunks import ChunkEncoder, completion_id, message_of, tokens
from bff.api.openai.responses.events import ResponseEncoder
from bff.api.openai.responses.response import Response, echo_of
from bff.errors import AgentFailed
from bff.events import (
    Custom,
    Done,
    Event,
    Failed,
    File,
    Input,
    InputKind,
    Message,
    Source,
    Start,
    Thinking,
    ToolEnd,
    ToolStart,
    ToolUse,
    record,
)
from bff.runs.log import Run
from bff.runs.transcript import Transcript
from tests.fakes.requests import run_request_of

KINDS: Sequence[InputKind] = ("approval", "input", "tool")
ARGS: Sequence[Any] = ({}, {"city": "Rome"}, [1], "as text", None)
VERSIONS = {"": (), "0.0.45": (0, 0, 45), "0.0.59": (0, 0, 59), "1.0": (1, 0)}


def runs(seed: int) -> list[dict[str, Any]]:
    """One run, or more that answer each other's questions, as each format tells them."""
    chance = random.Random(seed)
    return [told(run, asked_by, events) for run, asked_by, events in _chain(chance)]


def _chain(chance: random.Random) -> Iterator[tuple[Run, str | None, list[Event]]]:
    """Each run, the one before it, and its events."""
    asked: Sequence[Input] = ()
    first: str | None = None
    before: str | None = None
    for number in range(3):
        request = run_request_of(
            "Hi",
            session_id="demo",
            questions=tuple(asked),
            continues=first,  # a message that asks goes on to the last answer
            declined=tuple(question.id for question in asked if chance.random() < 0.3),
            echo=echo_of({"model": "agent"}),
        )
        run = Run(
            run_id=f"run_{number}",
            request=request,
            created_at=1_800_000_000.0,
            ended_at=1_800_000_002.0,
        )
        events, asked = _events(chance, number, asked)
        yield run, before, [Start(run.run_id, run.session_id), *events]
        if not asked:
            break
        first, before = first or run.run_id, run.run_id


def _events(
    chance: random.Random, number: int, answered: Sequence[Input]
) -> tuple[list[Event], Sequence[Input]]:
    events: list[Event] = []
    calls: list[str] = []
    for question in answered:
        if question.tool and chance.random() < 0.6:
            events.append(_end_of(chance, question.tool.id, question.tool.name))
    for _ in range(chance.randrange(9)):
        match chance.randrange(9):
            case 0 | 1 | 2:
                events.append(Message(chance.choice(["a", "", "é\n", " x ", "\u2028", "\n\n"])))
            case 3:
                events.append(Thinking(chance.choice(["t", "", "\n"])))
            case 4:
                calls.append(f"call-{number}-{len(events)}")
                events.append(ToolStart(calls[-1], "calculator", chance.choice(ARGS)))
            case 5 if calls:
                events.append(_end_of(chance, calls.pop(), "calculator"))
            case 6:
                events.append(Source("https://example.com/a", chance.choice([None, "A"])))
            case 7:
                place = chance.choice([("https://example.com/f", None), (None, "aGk=")])
                mime_type = chance.choice(["image/png", "text/csv"])
                events.append(File(mime_type, *place, chance.choice([None, "f"])))
            case _:
                name = chance.choice([None, "data-x", "x", "STATE_SNAPSHOT", "a b"])
                events.append(Custom(chance.choice([None, 1, "x", {"a": 1}]), name))
    match chance.randrange(6):
        case 0:
            problem = AgentFailed(agent_called=True).document(request_id="r", instance="/v1/x")
            return [*events, Failed(problem)], ()
        case 1:
            return [*events, Done("cancelled")], ()
        case 2 | 3:
            asked = tuple(
                _question(chance, f"{number}-{i}", calls) for i in range(chance.randrange(1, 4))
            )
            return [*events, *asked, Done("input_required", inputs=asked)], asked
    usage = chance.choice([None, {"input_tokens": 1, "output_tokens": 2}, {"total_tokens": 3}])
    return [*events, Done(usage=usage)], ()


def _end_of(chance: random.Random, id: str, tool: str) -> ToolEnd:
    return ToolEnd(id, tool, *chance.choice([("ok", None), (None, "bad"), (None, None), ("", "")]))


def _question(chance: random.Random, name: str, calls: list[str]) -> Input:
    kind = chance.choice(KINDS)
    tool: ToolUse | None = None
    if kind == "tool":
        tool = ToolUse(f"own-{name}", "locate", chance.choice(ARGS))
    elif chance.random() < 0.6:
        id = calls.pop() if calls else f"asked-{name}"
        tool = ToolUse(id, "calculator", chance.choice(ARGS))
    value = chance.choice([None, {"x": 1}, "v"])
    return Input(f"ask-{name}", kind, chance.choice([None, "May I?"]), tool, value=value)


def told(run: Run, asked_by: str | None, events: Sequence[Event]) -> dict[str, Any]:
    """The run in each format, and what a client is to make of it."""
    own = replace(run, request=replace(run.request, continues=asked_by))
    records = [record(id, event) for id, event in enumerate(events, start=1)]
    transcript = Transcript(run.request.questions)
    for item in records:
        transcript.add(item.event)
    message, finish_reason = message_of(transcript)
    end = events[-1]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    response = Response.of(run)
    streams: dict[str, Any] = {
        "chat": ChunkEncoder(run, model="agent", include_usage=True, headers={}),
        "responses": ResponseEncoder(run, response, headers={}),
        "ui": UIEncoder(run),
        **{
            f"agui{name}": AgUiEncoder(own, thread_id="t", run_id=run.run_id, version=version)
            for name, version in VERSIONS.items()
        },
    }
    return {
        **{name: encoder(records).decode() for name, encoder in streams.items()},
        "completion": {
            "id": completion_id(run),
            "object": "chat.completion",
            "created": 1,
            "model": "agent",
            "choices": [choice],
            "usage": tokens(transcript.usage),
        },
        "response": response.fold(run, records),
        "end": end.status if isinstance(end, Done) else "failed",
        "text": transcript.text,
        "inputs": [question.kind for question in transcript.inputs],
    }
