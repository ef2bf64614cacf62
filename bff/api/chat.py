"""`POST /v1/chat` and `/v1/chat/stream`: one message in, an answer out."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal
from uuid import uuid4

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bff.api import PRINCIPAL, REQUEST_ID, RUNS, SETTINGS, TELEMETRY
from bff.api.body import read_model
from bff.api.streaming import NativeEncoder, run_headers, stream_run
from bff.auth import agent_session_id
from bff.errors import AgentFailed, Invalid, Problem, RunCancelled, every_problem
from bff.events import Done, Failed, Transcript, dumps
from bff.runlog import Idempotency, OnDisconnect, Run
from bff.runs import Order
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
    order = order_from(request, await read_model(request, ChatRequest), streaming=False)
    async with await request.app[RUNS].start(order) as follower:
        transcript = await follower.fold()
    return web.json_response(
        answer(follower.run, transcript), headers=run_headers(follower.run), dumps=dumps
    )


async def stream_message(request: web.Request) -> web.StreamResponse:
    """The answer as it comes."""
    order = order_from(request, await read_model(request, ChatRequest), streaming=True)
    follower = await request.app[RUNS].start(order)
    return await stream_run(request, follower, NativeEncoder())


def order_from(request: web.Request, chat: ChatRequest, *, streaming: bool) -> Order:
    """The order that a decoded message makes, inside the caller's principal."""
    idempotency = _idempotency(request, chat)
    default: OnDisconnect = "continue" if streaming or idempotency else "cancel"
    return make_order(
        request,
        message=chat.message,
        session_id=chat.session_id or str(uuid4()),
        metadata=chat.metadata,
        on_disconnect=chat.on_disconnect or default,
        idempotency=idempotency,
        streaming=streaming,
    )


def make_order(
    request: web.Request,
    *,
    message: str,
    session_id: str,
    on_disconnect: OnDisconnect,
    streaming: bool,
    metadata: dict[str, str] | None = None,
    idempotency: Idempotency | None = None,
) -> Order:
    """An order in the caller's name; every format's way to a run."""
    settings, owner = request.app[SETTINGS], request[PRINCIPAL].id
    return Order(
        owner=owner,
        session_id=session_id,
        agent_session_id=agent_session_id(owner, session_id),
        message=message,
        request_id=request[REQUEST_ID],
        deadline_seconds=(
            settings.agent_streaming_timeout_seconds
            if streaming
            else settings.agent_blocking_timeout_seconds
        ),
        metadata=metadata or {},
        on_disconnect=on_disconnect,
        idempotency=idempotency,
        trace=request.app[TELEMETRY].trace_headers(request.headers),
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
    if transcript.usage is not None:
        body["usage"] = transcript.usage
    return body


def raise_failure(run: Run, transcript: Transcript) -> None:
    """Raise what kept the run from being complete, as a problem of the request."""
    headers = run_headers(run)
    match transcript.end:
        case Done("complete") if transcript.whole:
            return
        case Done("cancelled"):
            raise RunCancelled(agent_called=True, headers=headers)
        case Failed(problem):
            raise _PROBLEMS[problem["code"]](
                retry_after_seconds=problem.get("retry_after"),
                agent_called=problem.get("should_retry") is False,
                headers=headers,
            )
        case _:  # larger than a run's log keeps
            raise AgentFailed(agent_called=True, headers=headers)


_PROBLEMS: dict[str, type[Problem]] = {problem.code: problem for problem in every_problem()}


def _idempotency(request: web.Request, chat: ChatRequest) -> Idempotency | None:
    values = request.headers.getall("Idempotency-Key", [])
    if not values:
        return None
    if len(values) > 1 or not re.fullmatch(r"[!-~]{1,255}", values[0]):
        message = "must be one value of 1 to 255 visible ASCII characters"
        raise Invalid(errors=[{"field": "Idempotency-Key", "message": message}])
    body = dumps(chat.model_dump(exclude_none=True))
    return Idempotency(values[0], hashlib.sha256(body.encode()).hexdigest())
