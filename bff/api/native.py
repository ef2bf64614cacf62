"""`POST /v1/chat` and `/v1/chat/stream`: one message in, an answer out."""

from __future__ import annotations

import hashlib
import re

from aiohttp import web

from bff.api.body import read_model
from bff.api.chat_request import ChatRequest, conversation_of
from bff.api.named import known_agent
from bff.api.start_run import Asked, raise_failure, start_run
from bff.api.streaming import NativeEncoder, run_headers, stream_run
from bff.errors import Invalid
from bff.events import dumps, input_fields
from bff.runs.log import Run
from bff.runs.request import Idempotency, OnDisconnect
from bff.runs.transcript import Transcript


async def send_message(request: web.Request) -> web.StreamResponse:
    """The whole answer, or the problem that kept it from being whole."""
    chat = await read_model(request, ChatRequest)
    async with await start_run(request, asked_of(request, chat, streaming=False)) as follower:
        transcript = await follower.fold()
    return web.json_response(
        answer(follower.run, transcript), headers=run_headers(follower.run), dumps=dumps
    )


async def stream_message(request: web.Request) -> web.StreamResponse:
    """The answer as it comes."""
    asked = asked_of(request, await read_model(request, ChatRequest), streaming=True)
    follower = await start_run(request, asked)
    del asked  # a stream may be open for an hour
    return await stream_run(request, follower, NativeEncoder())


def asked_of(request: web.Request, chat: ChatRequest, *, streaming: bool) -> Asked:
    """What a decoded request asks for."""
    conversation = conversation_of(chat)
    if conversation.answers and chat.session_id is None:
        raise Invalid.of("session_id", "required with resume: the session whose agent asked")
    idempotency = _idempotency(request, chat)
    default: OnDisconnect = "continue" if streaming or idempotency else "cancel"
    return Asked(
        conversation=conversation,
        name=chat.session_id,
        agent=known_agent(request, chat.agent),
        on_disconnect=chat.on_disconnect or default,
        streaming=streaming,
        idempotency=idempotency,
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
        raise Invalid.of(
            "Idempotency-Key", "must be one value of 1 to 255 visible ASCII characters"
        )
    body = dumps(chat.model_dump(exclude_none=True))
    return Idempotency(values[0], hashlib.sha256(body.encode()).hexdigest())
