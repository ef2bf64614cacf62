"""One run with everything a run can hold; docs/protocols.md shows how each format tells it."""

from __future__ import annotations

from collections.abc import Sequence

from bff.errors import AgentFailed
from bff.events import (
    Custom,
    Done,
    Event,
    Failed,
    Message,
    Record,
    Start,
    Thinking,
    ToolEnd,
    ToolStart,
    gap,
    record,
)
from bff.runs.log import Run
from tests.fakes.requests import run_request_of

RUN = Run(
    run_id="run_5f1c0de",
    request=run_request_of("What is 15 * 23?", session_id="demo"),
    created_at=1_800_000_000.0,
)

BODY: Sequence[Event] = (
    Thinking("A sum: "),
    Thinking("use the tool."),
    Message("Let me "),
    Message("see."),
    ToolStart("call-1", "calculator", {"expression": "15 * 23"}),
    ToolEnd("call-1", "calculator", "345"),
    Custom({"progress": 0.5}),
    Message("It is \u201c345\u201d.\n"),
)
USAGE = {"input_tokens": 5, "output_tokens": 8, "total_tokens": 13}
PROBLEM = AgentFailed(agent_called=True).document(request_id="request-1", instance="/v1/runs/x")
COMPLETE = Done(usage=USAGE)
CANCELLED = Done("cancelled")
FAILED = Failed(PROBLEM)


def records(*events: Event) -> list[Record]:
    """The events as a run's records, from `start` on."""
    numbered = enumerate([Start(RUN.run_id, RUN.session_id), *events], start=1)
    return [record(id, event) for id, event in numbered]


def with_gap(*events: Event) -> list[Record]:
    """The same for a follower who came too late for what is before these events."""
    return [gap(1, 9), *(record(id, event) for id, event in enumerate(events, start=10))]
