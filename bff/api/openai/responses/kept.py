"""Responses that are kept: in the run's log while that lasts, and then in the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bff.api import HISTORY, PRINCIPAL, RUNS, STATE
from bff.conversations.transcript import point_of_run
from bff.errors import AgentFailed, Interrupted, NotFound
from bff.events import (
    JSON,
    Done,
    Event,
    Failed,
    File,
    Message,
    Record,
    Source,
    ToolEnd,
    ToolStart,
    input_of,
    record,
)
from bff.files.stored import content_path
from bff.history import Turn
from bff.runs.log import Run
from bff.runs.request import RunRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is known of a response: its run, or where that is no more, what the history has."""

    session_id: str
    run_id: str
    run: Run | None = None
    turn: Turn | None = None

    @property
    def as_run(self) -> Run:
        """Its run; what can be told of it by the history."""
        if self.run is not None:
            return self.run
        assert self.turn is not None
        return Run(
            run_id=self.run_id,
            request=RunRequest(
                owner="",
                session_id=self.session_id,
                agent_session_id="",
                agent=self.turn.agent,
                message=self.turn.message,
                request_id="",
            ),
            created_at=self.turn.asked_at,
            ended_at=self.turn.answered_at,
        )

    async def records(self, request: web.Request) -> Sequence[Record]:
        """What its agent has said so far."""
        if self.run is not None:
            return await request.app[RUNS].so_far(self.run)
        assert self.turn is not None
        events = _events(self.turn, request)
        return [record(id, event) for id, event in enumerate(events, start=2)]


async def find_kept(request: web.Request, run_id: str) -> Kept | None:
    """The caller's response of that run, if there is one and it was to be stored."""
    owner = request[PRINCIPAL].id
    try:
        run = await request.app[RUNS].find(owner, run_id)
    except NotFound:
        pass
    else:
        if (run.request.echo or {}).get("store") is False:
            return None
        return Kept(session_id=run.session_id, run_id=run_id, run=run)
    history = request.app[HISTORY]
    found = await history.find(owner, [point_of_run(run_id)])
    if found is None:
        return None
    session_id = found[0].session_id
    turns = await history.fork_turns(owner, session_id, found[1])
    if not turns:
        return None
    return Kept(session_id=session_id, run_id=run_id, turn=turns[-1])


def _events(turn: Turn, request: web.Request) -> Iterator[Event]:
    """The events that a turn was made of, as far as the history tells."""
    for call in turn.tool_calls:
        yield ToolStart(call["id"], call["tool"], call["args"])
        if "result" in call or "error" in call:
            yield ToolEnd(call["id"], call["tool"], call.get("result"), call.get("error"))
    if turn.answer:
        yield Message(turn.answer)
    for part in turn.answer_parts:
        yield _part(part)
    inputs = tuple(input_of(question) for question in turn.inputs)
    yield from inputs
    match turn.status:
        case "complete" | "cancelled" | "input_required" as status:
            yield Done(status, None, inputs)
        case status:
            problem = (Interrupted if status == "interrupted" else AgentFailed)(agent_called=True)
            yield Failed(
                problem.document(request_id=request[STATE].request_id, instance=request.path)
            )


def _part(part: Mapping[str, Any]) -> Event:
    if part["type"] == "source":
        return Source(part["url"], part.get("title"))
    source = part["source"]
    mime_type = source.get("mimeType", "application/octet-stream")
    match source:
        case {"type": "data", "value": value}:
            return File(mime_type, None, value, part.get("filename"))
        case {"type": "file", "value": file_id}:
            return File(mime_type, content_path(file_id), None, part.get("filename"))
        case {"value": value}:
            return File(mime_type, value, None, part.get("filename"))
    raise AssertionError(part)


# What was asked


async def input_items(request: web.Request, kept: Kept) -> list[dict[str, JSON]]:
    """What a response was asked, as items, the first first."""
    echo = (kept.run and kept.run.request.echo) or {}
    if answers := echo.get("answers"):
        name = f"in_{kept.run_id.removeprefix('run_')}"
        return [{**item, "id": f"{name}_{index}"} for index, item in enumerate(answers)]
    message, parts = await _said(request, kept)
    content = [_input_part(part) for part in parts] or [{"type": "input_text", "text": message}]
    return [
        {
            "id": f"in_{kept.run_id.removeprefix('run_')}_0",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": content,
        }
    ]


async def _said(request: web.Request, kept: Kept) -> tuple[str, Sequence[JSON]]:
    """The message and its parts: the run's while it is open, then the history's."""
    if kept.turn is not None:
        return kept.turn.message, kept.turn.parts
    assert kept.run is not None
    if kept.run.status == "running":
        return kept.run.request.message, kept.run.request.parts
    owner = request[PRINCIPAL].id
    turns = await request.app[HISTORY].fork_turns(owner, kept.session_id, kept.run_id)
    return (turns[-1].message, turns[-1].parts) if turns else ("", ())


def _input_part(part: Mapping[str, Any]) -> dict[str, JSON]:
    """A message's part as Responses have it."""
    match part:
        case {"type": "text", "text": text}:
            return {"type": "input_text", "text": text}
        case {"type": "image", "source": {"type": "file", "value": id}}:
            return {"type": "input_image", "detail": "auto", "file_id": id}
        case {"type": "image", "source": source}:
            return {"type": "input_image", "detail": "auto", "image_url": _url(source)}
    source = part["source"]
    name = {"filename": part["filename"]} if "filename" in part else {}
    match source["type"]:
        case "file":
            return {"type": "input_file", "file_id": source["value"], **name}
        case "url":
            return {"type": "input_file", "file_url": source["value"], **name}
        case _:
            return {"type": "input_file", "file_data": _url(source), **name}


def _url(source: Mapping[str, Any]) -> str:
    if source["type"] == "data":
        return f"data:{source.get('mimeType', '')};base64,{source['value']}"
    return str(source["value"])
