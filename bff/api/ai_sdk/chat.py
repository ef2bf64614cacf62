"""`/v1/ui/chat`: the AI SDK's UI message stream, for `useChat` of versions 5, 6 and 7.

https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol. The chat's id is the session; an edited message
or a regenerated answer branches off, and from then on the id means the newest branch. `stop()` only
closes the connection, which looks like a closed tab and leaves the run going: the cancel address
stops it. docs/protocols.md has a transcript.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from bff.api import PRINCIPAL, RUNS
from bff.api.ai_sdk.messages import client_tools, conversation_of, ui_messages
from bff.api.ai_sdk.parts import UIEncoder
from bff.api.body import read_and_decode
from bff.api.foreign_messages import MAX_FOREIGN_ID_CHARACTERS, Messages, Tolerant
from bff.api.named import agent_of_address, known_agent
from bff.api.runs import run_state
from bff.api.start_run import Asked, start_run
from bff.api.streaming import stream_run
from bff.api.thread import everything, newest_branch, open_run
from bff.errors import Invalid, NotFound, SessionBusy
from bff.events import JSON, dumps
from bff.history import StoredMessage
from bff.identity.principals import foreign_id
from bff.runs.log import Run

_NOT_OPTIONS = frozenset({"system", "tools", "metadata", "agent", "model", "state", "context"})


class UIChatRequest(Tolerant):
    """What `DefaultChatTransport` sends, and what a page adds with `body`.

    A page may prepare it to hold the new `message` alone; to regenerate, no message at all.

    Of what is added, `system`, `tools`, `metadata`, `state`, `context` and `agent` are what their
    names say; anything else is an option for the agent.
    """

    id: Annotated[str, Field(min_length=1, max_length=MAX_FOREIGN_ID_CHARACTERS)]
    messages: Messages | None = None
    message: Annotated[
        dict[str, Any] | None, Field(description="The new message alone, in place of `messages`.")
    ] = None
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    messageId: str | None = None

    @property
    def added(self) -> dict[str, JSON]:
        return self.model_extra or {}


async def send_ui_message(request: web.Request) -> web.StreamResponse:
    """The answer to the new message, or to what the page has answered."""
    asked, wanted = await read_and_decode(
        request,
        UIChatRequest,
        lambda asked: (asked, None if _again(asked) else _asked(request, asked)),
    )
    if wanted is None:
        wanted = _asked(request, await _with_messages(request, asked))
    del asked
    follower = await start_run(request, wanted)
    del wanted  # a stream may be open for an hour
    return await stream_run(request, follower, UIEncoder(follower.run))


def _again(asked: UIChatRequest) -> bool:
    """Whether an answer is to be given again whose question the page leaves to us."""
    return asked.trigger == "regenerate-message" and asked.messages is None


async def _with_messages(request: web.Request, asked: UIChatRequest) -> UIChatRequest:
    """The request with the chat up to the question that is asked again, as we have it.

    It is the question of the answer that `messageId` names, else the last one. Raises `NotFound`,
    and `SessionBusy` where that is being answered.
    """
    session_id = await newest_branch(request, asked.id)
    if await open_run(request, session_id) is not None:
        raise SessionBusy(retry_after_seconds=1)
    _, stored = await everything(request, session_id)
    shown = ui_messages(stored, ())
    ids = [message["id"] for message in shown]
    if asked.messageId is not None:
        if asked.messageId not in ids:
            message = "names no message of this chat"
            raise NotFound.of("messageId", message)
        shown = shown[: ids.index(asked.messageId) + 1]
    last = max((i for i, message in enumerate(shown) if message["role"] == "user"), default=-1)
    if last < 0:
        raise NotFound
    return asked.model_copy(update={"messages": [*shown[:last], asked.message or shown[last]]})


def _asked(request: web.Request, asked: UIChatRequest) -> Asked:
    messages = asked.messages
    if messages is None:
        if asked.message is None:
            raise Invalid.of("messages", "required, or message with the new message alone")
        messages = [asked.message]
    added = asked.added
    metadata, context = added.get("metadata"), added.get("context")
    said = conversation_of(
        messages,
        system=added.get("system"),
        tools=client_tools(added.get("tools")),
        options={name: value for name, value in added.items() if name not in _NOT_OPTIONS},
        metadata=metadata if isinstance(metadata, dict) else {},
        context=tuple(context) if isinstance(context, list) else (),
        state=added.get("state"),
    )
    agent = added.get("agent")
    return Asked(
        conversation=said.conversation,
        name=foreign_id(asked.id),
        agent=known_agent(request, agent if isinstance(agent, str) else None)
        or agent_of_address(request),
        rewrites=_rewrites(asked),
        continues=said.continues,
        answered_in="messages",
        results=said.results,
        ignored=said.ignored,
        on_disconnect="continue",
        streaming=True,
    )


def _rewrites(asked: UIChatRequest) -> bool:
    """Whether the page replaces what was said: it then names the message that is replaced."""
    if asked.messages is None:
        return False
    if asked.trigger == "regenerate-message":
        return True
    last = asked.messages[-1]
    edited = asked.messageId is not None and isinstance(last, dict) and last.get("role") == "user"
    return edited and asked.messageId == last.get("id")


async def show_ui_chat(request: web.Request) -> web.StreamResponse:
    """The chat's messages, from its beginning, for a page that was loaded anew."""
    session_id = await newest_branch(request, request.match_info["id"])
    run = await open_run(request, session_id)
    session, messages = await everything(request, session_id)
    if session is None and run is None:
        raise NotFound
    shown = ui_messages(messages, session.inputs if session else ())
    if run is not None and all(message.run_id != run.run_id for message in messages):
        shown = _until(shown, run)
    return web.json_response(shown, dumps=dumps)


def _until(shown: list[dict[str, Any]], run: Run) -> list[dict[str, Any]]:
    """The messages before the one that an open run is writing, whose stream tells all of it."""
    asked = run.request
    if asked.continues is None:
        user = StoredMessage("user", asked.message, run.run_id, run.created_at, parts=asked.parts)
        return [*shown, *ui_messages([user], ())]
    return [message for message in shown if message["id"] != asked.continues]


async def resume_ui_chat(request: web.Request) -> web.StreamResponse:
    """The chat's open run from its start; 204 when there is none."""
    run = await _open_run(request)
    if run is None:
        return web.Response(status=204)
    before = await _message_so_far(request, run) if run.request.continues else ()
    follower = await request.app[RUNS].follow(run)
    return await stream_run(request, follower, UIEncoder(follower.run, before=before))


async def _message_so_far(request: web.Request, run: Run) -> Sequence[Mapping[str, Any]]:
    """What is in the message that an open run goes on with: a replay tells all of it."""
    _, messages = await everything(request, run.session_id)
    for message in ui_messages(messages, ()):
        if message["id"] == run.request.continues:
            parts: list[Mapping[str, Any]] = message["parts"]
            return parts
    return ()


async def cancel_ui_chat(request: web.Request) -> web.StreamResponse:
    """Stop the chat's open run and say what became of it; 204 when there is none."""
    run = await _open_run(request)
    if run is None:
        return web.Response(status=204)
    return run_state(await request.app[RUNS].cancel(run))


async def _open_run(request: web.Request) -> Run | None:
    return await request.app[RUNS].find_open(
        request[PRINCIPAL].id, await newest_branch(request, request.match_info["id"])
    )
