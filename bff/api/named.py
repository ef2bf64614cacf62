"""Which agent and which conversation a request names outside its body."""

from __future__ import annotations

from aiohttp import web

from bff.api import SETTINGS
from bff.errors import Invalid


def known_agent(request: web.Request, name: str | None) -> str | None:
    """The agent's name; raises `Invalid` for one that is not in `AGENTS`."""
    if name is not None:
        names = [agent.name for agent in request.app[SETTINGS].agents]
        if name not in names:
            raise Invalid.of("agent", f"must be one of {', '.join(names)}")
    return name


def agent_of_address(request: web.Request) -> str | None:
    """The agent that the header `X-Agent` or `?agent=` names, for protocols without a field."""
    return known_agent(request, request.headers.get("X-Agent") or request.query.get("agent"))


def named_by_header(request: web.Request) -> str | None:
    """The conversation's name in a header of `SESSION_HEADERS`, the first that is there."""
    for name in request.app[SETTINGS].session_headers:
        if value := request.headers.get(name, "").strip():
            return value
    return None
