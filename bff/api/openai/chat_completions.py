"""`POST /v1/chat/completions`: the wire format of OpenAI's clients.

https://platform.openai.com/docs/api-reference/chat. These clients keep no session and send
everything each time: `bff/conversations/` finds the session by what was said. Tools the agent ran
are not shown, since a client would run them again; a call of the client's own is a `tool_calls`.
Those clients take a stream that just ends for a good answer, so a run that does not complete always
ends in an error frame. docs/protocols.md has a transcript.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web

from bff.api import STATE
from bff.api.body import FirstError, read_and_decode
from bff.api.foreign_messages import Messages, Tolerant
from bff.api.named import named_by_header
from bff.api.openai.chunks import ChunkEncoder, completion_id, message_of, tokens
from bff.api.openai.messages import (
    client_tools,
    conversation_of,
    hosted_tools,
    metadata_of,
    without_meaning,
)
from bff.api.openai.models import ModelName, agent_of
from bff.api.start_run import Asked, raise_failure, start_run
from bff.api.streaming import run_headers, stream_run
from bff.events import JSON, dumps
from bff.identity.principals import foreign_id
from bff.limits import Allowance

FIRST_COMMENT_SECONDS = 5.0
"""Of silence: some of these clients read a stream by lines and know no comments."""


class StreamOptions(Tolerant):
    include_usage: bool | None = None


class ChatCompletionRequest(Tolerant):
    """What OpenAI's clients send. Parameters that are not named here are options for the agent."""

    model: ModelName | None = None
    messages: Messages
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, Any] | None = None
    tools: Annotated[list[dict[str, Any]], FirstError()] | None = None

    @property
    def options(self) -> dict[str, JSON]:
        """What the client wishes of the model."""
        given = self.model_extra or {}
        return {name: value for name, value in given.items() if value is not None}


async def create_completion(request: web.Request) -> web.StreamResponse:
    """One answer, whole or as it comes; a client that closes the connection cancels the run."""
    asked, wanted = await read_and_decode(
        request, ChatCompletionRequest, lambda asked: (asked, _asked(request, asked))
    )
    follower = await start_run(request, wanted)
    run, headers = follower.run, rate_headers(request[STATE].allowance)
    model = asked.model or run.request.agent
    if asked.stream:
        usage = asked.stream_options is not None and asked.stream_options.include_usage is True
        encoder = ChunkEncoder(run, model=model, include_usage=usage, headers=headers)
        del asked, wanted  # a stream may be open for an hour
        return await stream_run(
            request, follower, encoder, first_comment_seconds=FIRST_COMMENT_SECONDS
        )
    async with follower:
        transcript = await follower.fold()
    raise_failure(run, transcript)
    message, finish_reason = message_of(transcript)
    return web.json_response(
        {
            "id": completion_id(run),
            "object": "chat.completion",
            "created": int(run.created_at),
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": finish_reason,
                }
            ],
            "usage": tokens(transcript.usage),
        },
        headers=run_headers(run) | headers,
        dumps=dumps,
    )


def _asked(request: web.Request, asked: ChatCompletionRequest) -> Asked:
    metadata, session = metadata_of(
        asked.metadata, user=asked.user, safety_identifier=asked.safety_identifier
    )
    name = named_by_header(request) or session
    conversation = conversation_of(
        asked.messages,
        tools=client_tools(asked.tools),
        options=asked.options,
        metadata=metadata,
        person=asked.safety_identifier or asked.user,
    )
    return Asked(
        conversation=conversation,
        name=foreign_id(name) if name else None,
        agent=agent_of(request, asked.model),
        answered_in="messages",
        helps_itself=True,
        on_disconnect="cancel",
        streaming=bool(asked.stream),
        ignored=[*without_meaning(asked.messages), *hosted_tools(asked.tools)],
    )


def rate_headers(allowance: Allowance | None) -> dict[str, str]:
    """The rate limit under the names that OpenAI's clients know."""
    if allowance is None:
        return {}
    return {
        "x-ratelimit-limit-requests": str(allowance.limit),
        "x-ratelimit-remaining-requests": str(allowance.remaining),
        "x-ratelimit-reset-requests": f"{allowance.reset_seconds:.0f}s",
    }
