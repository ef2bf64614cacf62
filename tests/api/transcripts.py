"""The golden transcripts of docs/protocols.md: one run, as each format tells it.

`python -m tests.api.transcripts` writes them into the page again after a format was changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from bff.api.agui.events import AgUiEncoder
from bff.api.ai_sdk.parts import UIEncoder
from bff.api.openai.chunks import ChunkEncoder
from bff.api.openai.responses.events import ResponseEncoder
from bff.api.openai.responses.response import Response
from bff.api.streaming import Encoder, NativeEncoder
from bff.events import Event, Message, Record
from tests.api.example_run import BODY, CANCELLED, COMPLETE, FAILED, RUN, records

PAGE = Path(__file__).parents[2] / "docs/protocols.md"
BEGIN, END = "<!-- transcripts: begin -->\n", "<!-- transcripts: end -->\n"

ENDED = replace(RUN, ended_at=RUN.created_at + 3)
"""As who asks for it again is told: until then it ends now."""

FORMATS: Mapping[str, Callable[[], Encoder]] = {
    "Native": NativeEncoder,
    "OpenAI": lambda: ChunkEncoder(RUN, model="agent", include_usage=True, headers={}),
    "Responses": lambda: ResponseEncoder(ENDED, Response.of(ENDED), headers={}),
    "AI SDK": lambda: UIEncoder(RUN),
    "AG-UI": lambda: AgUiEncoder(RUN, thread_id="demo", run_id="run-1"),
}


def transcripts() -> str:
    """What stands between the markers."""
    complete = records(*BODY, COMPLETE)
    parts = ["### Side by side\n\n", _table(complete)]
    for name, make in FORMATS.items():
        parts.append(f"\n### {name}, to the letter\n\n```text\n{make()(complete).decode()}```\n")
    for title, end in (("cancelled", CANCELLED), ("failed", FAILED)):
        parts.append(f"\n### How a {title} run ends\n")
        for name, make in FORMATS.items():
            parts.append(f"\n{name}:\n\n```text\n{_ending(make, end)}```\n")
    return "".join(parts)


def _ending(make: Callable[[], Encoder], end: Event) -> str:
    """What the last event alone adds, after a message was begun."""
    *before, last = records(Message("Hel"), end)
    encoder = make()
    _ = encoder(before)
    return encoder([last]).decode()


def _table(items: list[Record]) -> str:
    encoders = {name: make() for name, make in FORMATS.items()}
    rows = [f"| {' | '.join(encoders)} |", f"|{' --- |' * len(encoders)}"]
    for item in items:
        cells = [_cell(encoder([item]).decode()) for encoder in encoders.values()]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _cell(frames: str) -> str:
    names = []
    for frame in frames.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.split("\n") if line)
        if "id" in fields:
            names.append(f"{fields['id']} `{fields['event']}`")
        elif fields:
            names.append(f"`{_name(fields['data'])}`")
    return "<br>".join(names)


def _name(data: str) -> str:
    """The type of a frame; of OpenAI's, which has none, the part that is of interest."""
    if data == "[DONE]":
        return data
    frame = json.loads(data)
    if "type" in frame:
        return str(frame["type"])
    if not frame["choices"]:
        return "usage"
    choice = frame["choices"][0]
    return (
        f"finish_reason: {choice['finish_reason']}"
        if choice["finish_reason"]
        else "delta: " + (", ".join(choice["delta"]))
    )


def written(page: str) -> str:
    """The page with the transcripts as they are now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{transcripts()}\n{END}{after}"


if __name__ == "__main__":
    _ = PAGE.write_text(written(PAGE.read_text()))
