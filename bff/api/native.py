"""`POST /v1/chat` and `/v1/chat/stream`: one message in, an answer out."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal
from uuid import uuid4

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bff.api import RUNS
from bff.api.body import read_model
from bff.api.start_run import raise_failure, run_request
from bff.api.streaming import NativeEncoder, run_headers, stream_run
from bff.errors import Invalid
from bff.events import dumps, input_fields
from bff.runs.log import Run
from bff.runs.request import Idempotency, OnDisconnect, RunRequest
from bff.runs.transcript import Transcript
from bff.settings import MAX_MESSAGE_CHARACTERS

SESSION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"


class ChatRequest(BaseModel):
    """One message into one session."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    message: Annotated[str, Field(min_length=1, max_length=MAX_MESSAGE_CHARACTERS)]
    session_id: Annotated[str, Field(pattern=SESSION_PATTERN)] | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    on_disconnect: Literal["continue", "cancel"] | None = None


async def send_message(request: web.Request) -> web.StreamResponse:
    """The whole answer, or the problem that kept it from being whole."""
    order = request_from(request, await read_model(request, ChatRequest), streaming=False)
    async with await request.app[RUNS].start(order) as follower:
        transcript = await follower.fold()
    return web.json_response(
        answer(follower.run, transcript), headers=run_headers(follower.run), dumps=dumps
    )


async def stream_message(request: web.Request) -> web.StreamResponse:
    """The answer as it comes."""
    order = request_from(request, await read_model(request, ChatRequest), streaming=True)
    follower = await request.app[RUNS].start(order)
    return await stream_run(request, follower, NativeEncoder())


def request_from(request: web.Request, chat: ChatRequest, *, streaming: bool) -> RunRequest:
    """The order that a decoded message makes, inside the caller's principal."""
    idempotency = _idempotency(request, chat)
    default: OnDisconnect = "continue" if streaming or idempotency else "cancel"
    return run_request(
        request,
        message=chat.message,
        session_id=chat.session_id or str(uuid4()),
        metadata=chat.metadata,
        on_disconnect=chat.on_disconnect or default,
        idempotency=idempotency,
        streaming=streaming,
    )


def answer(run: Run, transcript: Transcript) -> dict[str, object]:
    """A finished run as one JSON object; raises the problem of a run that ended otherwise."""
    raise_failure(run, transcript)
    body: dict[str, object] = {
        "message": transcript.text,
        "session_id": run.session_id,
        "run_id": run.run_id,
        "tool_calls": transcript.tool_calls,
    }
    if transcript.inputs:
        body["inputs"] = [input_fields(question) for question in transcript.inputs]
    if transcript.usage is not None:
        body["usage"] = transcript.usage
    return body


def _idempotency(request: web.Request, chat: ChatRequest) -> Idempotency | None:
    values = request.headers.getall("Idempotency-Key", [])
    if not values:
        return None
    if len(values) > 1 or not re.fullmatch(r"[!-~]{1,255}", values[0]):
        message = "must be one value of 1 to 255 visible ASCII characters"
        raise Invalid(errors=[{"field": "Idempotency-Key", "message": message}])
    body = dumps(chat.model_dump(exclude_none=True))
    return Idempotency(values[0], hashlib.sha256(body.encode()).hexdigest())
