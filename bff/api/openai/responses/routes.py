"""`/v1/responses`: the wire format that OpenAI's current clients use by default.

https://platform.openai.com/docs/api-reference/responses. A response is a run. Its id is the run's,
so it is streamed again, cancelled and gone on from on any task; what outlives the run's events is
in the history. docs/protocols.md has a transcript.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from bff.api import RUNS, STATE
from bff.api.body import FirstError, read_and_decode
from bff.api.deletion import forget_turn
from bff.api.foreign_messages import Tolerant
from bff.api.named import named_by_header
from bff.api.openai.chat_completions import FIRST_COMMENT_SECONDS, rate_headers
from bff.api.openai.messages import client_tools, hosted_tools, metadata_of, without_meaning
from bff.api.openai.models import ModelName, agent_of
from bff.api.openai.responses.events import ResponseEncoder
from bff.api.openai.responses.input import (
    read_input,
    response_id,
    run_of_response,
)
from bff.api.openai.responses.kept import Kept, find_kept, input_items
from bff.api.openai.responses.response import Response, echo_of
from bff.api.query import limit_of, oldest_first
from bff.api.start_run import Asked, raise_failure, start_run
from bff.api.streaming import run_headers, stream_run
from bff.errors import Invalid, NotFound, SessionBusy
from bff.events import JSON, Record, dumps
from bff.identity.principals import foreign_id
from bff.messages import Conversation
from bff.runs.log import Run
from bff.runs.transcript import Transcript

ITEMS_PER_PAGE, MAX_ITEMS_PER_PAGE = 20, 100


class ResponseRequest(Tolerant):
    """What OpenAI's clients send. Parameters that are not named here are options for the agent."""

    model: ModelName | None = None
    input: Annotated[str | list[Any], Field(description="Text, or a list of items.")]
    instructions: str | list[Any] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    background: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, Any] | None = None
    tools: Annotated[list[dict[str, Any]], FirstError()] | None = None

    @property
    def options(self) -> dict[str, JSON]:
        """What the client wishes of the model."""
        given = self.model_extra or {}
        return {name: value for name, value in given.items() if value is not None}


async def create_response(request: web.Request) -> web.StreamResponse:
    """A response: whole, as it comes, or in the background; closing the connection cancels it
    unless it is in the background."""
    asked, wanted, refers_to = await read_and_decode(
        request, ResponseRequest, lambda asked: (asked, *_asked(request, asked))
    )
    if refers_to is not None and wanted.name is None:
        behind = await _behind(request, *refers_to)
        wanted = replace(wanted, behind=behind, asked_by=wanted.asked_by or behind[1])
    follower = await start_run(request, wanted)
    run, headers = follower.run, rate_headers(request[STATE].allowance)
    response = Response.of(run)
    if asked.stream:
        encoder = ResponseEncoder(run, response, headers=headers)
        del asked, wanted  # a stream may be open for an hour
        return await stream_run(
            request, follower, encoder, first_comment_seconds=FIRST_COMMENT_SECONDS
        )
    async with follower:
        records = () if asked.background else await follower.records()
    if not asked.background:
        _raise_failure(run, records)
    whole = _readable(request, response.fold(run, records))
    return _reply(whole, run_headers(run) | headers)


async def show_response(request: web.Request) -> web.StreamResponse:
    """A response as it is now; with `stream`, its events behind `starting_after`."""
    after, streaming = _starting_after(request), _streaming(request)
    kept = await _kept(request)
    if not streaming:
        return await _show(request, kept)
    if kept.run is None:  # its events are gone
        raise NotFound
    encoder = ResponseEncoder(kept.run, Response.of(kept.run), headers={}, after=after)
    follower = await request.app[RUNS].follow(kept.run)
    return await stream_run(request, follower, encoder, first_comment_seconds=FIRST_COMMENT_SECONDS)


async def cancel_response(request: web.Request) -> web.StreamResponse:
    """Stop a response and answer with what became of it; one that has ended stays as it is."""
    kept = await _kept(request)
    if kept.run is not None:
        kept = replace(kept, run=await request.app[RUNS].cancel(kept.run))
    return await _show(request, kept)


async def delete_response(request: web.Request) -> web.StreamResponse:
    """Forget a response and what was said in it; one that is open is cancelled first."""
    kept = await _kept(request)
    runs = request.app[RUNS]
    if kept.run is not None:
        run = await runs.cancel(kept.run)
        if run.status == "running":
            raise SessionBusy(retry_after_seconds=1)
        await runs.forget(run)
    await forget_turn(request, kept.session_id, kept.run_id)
    body = {"id": response_id(kept.run_id), "object": "response", "deleted": True}
    return web.json_response(body, dumps=dumps)


async def list_input_items(request: web.Request) -> web.StreamResponse:
    """What a response was asked, as items, the last first."""
    kept = await _kept(request)
    limit = limit_of(request.query.get("limit"), default=ITEMS_PER_PAGE, most=MAX_ITEMS_PER_PAGE)
    ascending, after = oldest_first(request.query.get("order")), request.query.get("after")
    items = await input_items(request, kept)
    if not ascending:
        items = items[::-1]
    if after is not None:
        ids = [item["id"] for item in items]
        if after not in ids:
            raise Invalid.of("after", "must be the id of an item of this list")
        items = items[ids.index(after) + 1 :]
    page = items[:limit]
    body = {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(items) > len(page),
    }
    return web.json_response(body, dumps=dumps)


def _asked(
    request: web.Request, asked: ResponseRequest
) -> tuple[Asked, tuple[str, str | None] | None]:
    """What is wanted, and the field that names a response to go on from, with that one's run.

    Raises `Invalid`, and `NotFound` for a reference to nothing of ours.
    """
    if asked.background and asked.store is False:
        raise Invalid.of("background", "takes store: true, since it is read later")
    metadata, session = metadata_of(
        asked.metadata, user=asked.user, safety_identifier=asked.safety_identifier
    )
    said = read_input(asked.input, instructions=asked.instructions)
    conversation = _conversation_name(asked)
    name = named_by_header(request) or session or conversation
    stored = asked.store is not False
    echo = {
        **asked.options,
        **asked.model_dump(include=set(_ECHOED)),
        "conversation": conversation and {"id": conversation},
        "answers": said.answered,
    }
    wanted = Asked(
        conversation=Conversation(
            before=said.before,
            new=said.new,
            answers=said.answers,
            tools=client_tools(asked.tools),
            options=asked.options,
            metadata=metadata,
            person=asked.safety_identifier or asked.user,
        ),
        name=foreign_id(name) if name else None,
        agent=agent_of(request, asked.model),
        asked_by=said.asked_by,
        answered_in="input",
        helps_itself=True,
        on_disconnect="continue" if asked.background else "cancel",
        streaming=bool(asked.stream or asked.background),
        ignored=[
            *said.ignored,
            *without_meaning(asked.input, "input"),
            *hosted_tools(asked.tools),
        ],
        echo=echo_of(echo),
        referable=stored,
    )
    if asked.previous_response_id is not None:
        return wanted, ("previous_response_id", run_of_response(asked.previous_response_id))
    return wanted, ("input", said.behind) if said.behind is not None else None


_ECHOED = (
    "model",
    "instructions",
    "background",
    "store",
    "previous_response_id",
    "user",
    "safety_identifier",
    "metadata",
    "tools",
)


def _conversation_name(asked: ResponseRequest) -> str | None:
    """The conversation that the client names; raises `Invalid`."""
    match asked.conversation:
        case None:
            return None
        case str(name) | {"id": str(name)} if name:
            if asked.previous_response_id is None:
                return name
            raise Invalid.of("previous_response_id", "cannot be used together with conversation")
        case _:
            raise Invalid.of("conversation", "must be an id, or an object with an id")


async def _behind(request: web.Request, field: str, run_id: str | None) -> tuple[str, str]:
    """The session and run that the client goes on from. Raises `NotFound`, `SessionBusy`."""
    kept = await find_kept(request, run_id) if run_id else None
    if kept is None:
        message = "names no response that is kept"
        raise NotFound.of(field, message)
    if kept.run is not None and kept.run.status == "running":
        raise SessionBusy(retry_after_seconds=1)
    return kept.session_id, kept.run_id


async def _kept(request: web.Request) -> Kept:
    """The response that the URL names; raises `NotFound`."""
    run_id = run_of_response(request.match_info["id"])
    kept = await find_kept(request, run_id) if run_id else None
    if kept is None:
        raise NotFound
    return kept


async def _show(request: web.Request, kept: Kept) -> web.Response:
    records = await kept.records(request)
    return _reply(Response.of(kept.as_run).fold(kept.as_run, records), run_headers(kept.as_run))


_AI_SDK_5 = re.compile(r"(?:^|\s)(?:ai/5|ai-sdk/openai/2|ai-sdk/provider-utils/3)\.")
"""Its provider refuses a whole answer for one item that it does not know; a stream it takes."""


def _readable(request: web.Request, response: dict[str, JSON]) -> dict[str, JSON]:
    """The response without what its client would refuse all of it for."""
    if not _AI_SDK_5.search(request.headers.get("User-Agent", "")):
        return response
    kept = [item for item in response["output"] if not item["type"].startswith("mcp_")]
    return {**response, "output": kept}


def _reply(response: dict[str, JSON], headers: dict[str, str]) -> web.Response:
    return web.json_response(response, headers=headers, dumps=dumps)


def _raise_failure(run: Run, records: Sequence[Record]) -> None:
    transcript = Transcript()
    for item in records:
        if item.terminal or item.name == "gap":
            transcript.add(item.event)
    raise_failure(run, transcript)


def _starting_after(request: web.Request) -> int:
    text = request.query.get("starting_after", "")
    if not text:
        return -1
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise Invalid.of("starting_after", "must be the sequence number of an event")
    return int(text)


def _streaming(request: web.Request) -> bool:
    text = request.query.get("stream", "false")
    if text not in ("true", "false"):
        raise Invalid.of("stream", "must be true or false")
    return text == "true"
