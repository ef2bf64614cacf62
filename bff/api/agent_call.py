"""What the one call of an agent takes along from the request: the conversation as far as the agent
is told it, and what stands beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aiohttp import web

from bff.api import HISTORY, PRINCIPAL, SETTINGS, STATE, TELEMETRY
from bff.conversations.earlier import everything_said
from bff.conversations.place import Place
from bff.errors import Forbidden
from bff.identity.principals import Principal
from bff.messages import ChatMessage, Conversation
from bff.runs.request import Call
from bff.settings import Settings

MAX_PASSED_HEADER_BYTES = 4096
"""AgentCore passes on no longer value."""


async def call_of(
    request: web.Request, place: Place, conversation: Conversation, *, streaming: bool
) -> Call:
    """What the agent is called with; raises `Forbidden` for a caller without a token to pass on."""
    settings = request.app[SETTINGS]
    seconds = (
        settings.agent_streaming_timeout_seconds
        if streaming
        else settings.agent_blocking_timeout_seconds
    )
    return Call(
        conversation=conversation,
        memory=request[STATE].body,
        deadline_seconds=seconds,
        history=await _told(request, place, settings),
        first=place.first,
        trace=request.app[TELEMETRY].trace_headers(request.headers),
        headers=_passed_on(request, settings.agent_headers),
        user_id=_user_id(request[PRINCIPAL], settings),
        bearer=_bearer(request[PRINCIPAL], settings),
        continued=place.continued,
        beginning=place.beginning,
    )


async def _told(request: web.Request, place: Place, settings: Settings) -> tuple[ChatMessage, ...]:
    """What of the earlier messages the agent is given now: `AGENT_HISTORY`."""
    match settings.agent_history:
        case "off":
            return ()
        case "always":
            if said := place.conversation.said:
                return said
            if place.session is None or place.beginning is not None:
                return (*place.untold, *place.added)
            owner = request[PRINCIPAL].id
            told = await everything_said(request.app[HISTORY], owner, place.session_id)
            return (*told, *place.added)
        case "fork":
            return (*place.untold, *place.added)


def _passed_on(request: web.Request, names: Iterable[str]) -> dict[str, str]:
    """The client's headers that `AGENT_HEADERS` lets through, as far as AgentCore takes them."""
    found = {}
    for name in names:
        value = request.headers.get(name, "")
        if 0 < len(value) <= MAX_PASSED_HEADER_BYTES and value.isascii() and value.isprintable():
            found[name] = value
    return found


def _user_id(principal: Principal, settings: Settings) -> str | None:
    match settings.agent_user_id:
        case "on":
            return principal.id
        case "sub":
            sub = principal.sub
            return sub if sub and re.fullmatch(r"[!-~]{1,1024}", sub) else principal.id
        case _:
            return None


def _bearer(principal: Principal, settings: Settings) -> str | None:
    """The caller's own token, for runtimes that want it. Raises `Forbidden` for an API key."""
    if settings.agent_auth != "bearer":
        return None
    if principal.token is None:
        raise Forbidden
    return principal.token
