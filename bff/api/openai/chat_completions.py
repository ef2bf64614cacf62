"""`POST /v1/chat/completions`: the wire format of OpenAI's clients.

https://platform.openai.com/docs/api-reference/chat. The agent keeps the conversation and has run
its tools already: only the last user message is read, and no `tool_calls` are sent, since a client
would run them again. Those clients take a stream that just ends for a good answer, so a run that
does not complete always ends in an error frame. docs/protocols.md has a transcript.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from bff.api import ALLOWANCE
from bff.api.body import read_model
from bff.api.foreign_messages import ConversationMessage, FirstError, Tolerant, last_user_message
from bff.api.openai.models import MODEL
from bff.api.start_run import Asked, raise_failure, start_run
from bff.api.streaming import run_headers, stream_run
from bff.errors import RunCancelled
from bff.events import Done, Failed, Gap, Record, dumps
from bff.identity.principals import foreign_id
from bff.limits import Allowance
from bff.messages import Conversation, user_message
from bff.runs.log import Run


class StreamOptions(Tolerant):
    include_usage: bool | None = None


class ChatCompletionRequest(Tolerant):
    """What OpenAI's clients send. Parameters that are not named here are taken and ignored."""

    model: Annotated[str, Field(min_length=1, max_length=256)] = MODEL
    messages: Annotated[list[ConversationMessage], Field(min_length=1), FirstError()]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None


async def create_completion(request: web.Request) -> web.StreamResponse:
    """One answer, whole or as it comes; a client that closes the connection cancels the run."""
    asked = await read_model(request, ChatCompletionRequest)
    follower = await start_run(request, _asked(asked))
    run, headers = follower.run, rate_headers(request[ALLOWANCE])
    if asked.stream:
        usage = asked.stream_options is not None and asked.stream_options.include_usage is True
        encoder = OpenAIEncoder(run, model=asked.model, include_usage=usage, headers=headers)
        return await stream_run(request, follower, encoder)
    async with follower:
        transcript = await follower.fold()
    raise_failure(run, transcript)
    return web.json_response(
        {
            "id": completion_id(run),
            "object": "chat.completion",
            "created": int(run.created_at),
            "model": asked.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": transcript.text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": tokens(transcript.usage),
        },
        headers=run_headers(run) | headers,
        dumps=dumps,
    )


def _asked(asked: ChatCompletionRequest) -> Asked:
    metadata = dict(asked.metadata or {})
    session = metadata.pop("session_id", "") or asked.user
    message = user_message(last_user_message(asked.messages))
    return Asked(
        conversation=Conversation(new=(message,), metadata=metadata),
        name=foreign_id(session) if session else None,
        on_disconnect="cancel",
        streaming=bool(asked.stream),
    )


def completion_id(run: Run) -> str:
    return f"chatcmpl-{run.run_id.removeprefix('run_')}"


def rate_headers(allowance: Allowance) -> dict[str, str]:
    """The rate limit under the names that OpenAI's clients know."""
    return {
        "x-ratelimit-limit-requests": str(allowance.limit),
        "x-ratelimit-remaining-requests": str(allowance.remaining),
        "x-ratelimit-reset-requests": f"{allowance.reset_seconds:.0f}s",
    }


def tokens(usage: Mapping[str, int] | None) -> dict[str, int]:
    """Usage as OpenAI counts it; zeros where the agent did not say."""
    usage = usage or {}
    asked, answered = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": usage.get("total_tokens", asked + answered),
    }


class OpenAIEncoder:
    """A run as `chat.completion.chunk`s; reasoning is the delta `reasoning_content`."""

    reconnects = False

    def __init__(
        self, run: Run, *, model: str, include_usage: bool, headers: Mapping[str, str]
    ) -> None:
        self.headers: Mapping[str, str] = {"X-Accel-Buffering": "no", **headers}
        self._include_usage = include_usage
        self._ended = False
        head = {
            "id": completion_id(run),
            "object": "chat.completion.chunk",
            "created": int(run.created_at),
            "model": model,
        }
        self._head = f"data: {dumps(head)[:-1]},"
        self._usage = ',"usage":null' if include_usage else ""

    def __call__(self, records: Sequence[Record]) -> bytes:
        return "".join([self._frames(record) for record in records if not self._ended]).encode()

    def _frames(self, record: Record) -> str:
        match record.name:
            case "start":
                return self._chunk('{"role":"assistant","content":""}')
            case "message":
                return self._chunk('{"content":' + record.content + "}")
            case "thinking":
                return self._chunk('{"reasoning_content":' + record.content + "}")
            case "done" | "error" | "gap":
                self._ended = True
                return self._end(record) + "data: [DONE]\n\n"
            case _:  # tools have been run, and this format has no place for what is custom
                return ""

    def _chunk(self, delta: str, finish: str = "null") -> str:
        choice = f'"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]'
        return f"{self._head}{choice}{self._usage}}}\n\n"

    def _end(self, record: Record) -> str:
        match record.event:
            case Done("complete" | "input_required", usage):
                end = self._chunk("{}", '"stop"')
                if self._include_usage:
                    end += f'{self._head}"choices":[],"usage":{dumps(tokens(usage))}}}\n\n'
                return end
            case Done():
                return _error(RunCancelled().document(request_id="", instance="")["error"])
            case Failed(problem):
                return _error(problem["error"])
            case Gap(first, last):
                message = f"Events {first} to {last} of this run are no longer kept."
                return _error(
                    {"message": message, "type": "server_error", "code": "gap", "param": None}
                )
            case _:
                raise AssertionError(record)


def _error(error: Mapping[str, Any]) -> str:
    return f"data: {dumps({'error': error})}\n\n"
