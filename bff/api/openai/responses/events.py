"""A run as the event stream of OpenAI's Responses.

https://platform.openai.com/docs/api-reference/responses-streaming. Sequence numbers count from 0
without a gap, and are the same each time the run is told: a client goes on behind the last one it
has seen, on any task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bff.api.openai.responses.items import OutputItems
from bff.api.openai.responses.response import Response
from bff.events import JSON, Done, Failed, Gap, Record, dumps
from bff.runs.log import Run


class ResponseEncoder:
    """A run's events as `response.*` events, those behind sequence number `after`."""

    reconnects = False

    def __init__(
        self, run: Run, response: Response, *, headers: Mapping[str, str], after: int = -1
    ) -> None:
        self.headers: Mapping[str, str] = {"X-Accel-Buffering": "no", **headers}
        self._items = OutputItems(run, label=response.label, tell=self._tell)
        self._ended_at = run.ended_at
        self._response = response
        self._after = after
        self._sequence = 0
        self._frames: list[str] = []
        self._ended = False
        self._piece: tuple[str, str] | None = None

    def __call__(self, records: Sequence[Record]) -> bytes:
        for item in records:
            if not self._ended:
                self._add(item)
        frames = "".join(self._frames)
        self._frames.clear()
        return frames.encode()

    def _add(self, record: Record) -> None:
        match record.name:
            case "message" | "thinking":
                self._add_piece(record)
            case "start":
                started = self._response.fields("in_progress", [])
                self._tell("response.created", {"response": started})
                self._tell("response.in_progress", {"response": started})
            case "done" | "error" | "gap":
                self._ended = True
                self._end(record)
            case _:
                self._items.add(record.event)

    def _add_piece(self, record: Record) -> None:
        """A piece of text: most of a run's events, so nothing is made that is not needed."""
        if self._items.add_piece(record):
            type, more = (
                ("response.output_text.delta", ',"logprobs":[]')
                if record.name == "message"
                else ("response.reasoning_summary_text.delta", "")
            )
            place = dumps(self._items.open_place)[1:-1]
            head = f'event: {type}\ndata: {{"type":"{type}",{place},"delta":'
            self._piece = head, f'{more},"sequence_number":'
        assert self._piece is not None
        if self._sequence > self._after:
            before, behind = self._piece
            self._frames.append(f"{before}{record.content}{behind}{self._sequence}}}\n\n")
        self._sequence += 1

    def _tell(self, type: str, fields: Mapping[str, JSON]) -> None:
        if self._sequence > self._after:
            told = {"type": type, **fields, "sequence_number": self._sequence}
            self._frames.append(f"event: {type}\ndata: {dumps(told)}\n\n")
        self._sequence += 1

    def _end(self, record: Record) -> None:
        match record.event:
            case Done() | Failed() as end:
                ended = self._response.ended(self._items, end, at=self._ended_at)
                self._tell(_ENDS[ended["status"]], {"response": ended})
            case Gap() as gap:
                error: dict[str, Any] = {"code": "gap", "message": gap.message, "param": None}
                self._tell("error", error)
            case _:
                raise AssertionError(record)


_ENDS = {
    "completed": "response.completed",
    "cancelled": "response.incomplete",
    "failed": "response.failed",
}
"""The event that tells of a response's last status."""
