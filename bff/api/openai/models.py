"""`GET /v1/models`: the agents, as OpenAI's clients list models."""

from __future__ import annotations

from aiohttp import web

from bff.api import SETTINGS

MODEL = "agent"
"""What `GET /v1/models` lists; any other name is taken and echoed, since there is one agent."""


async def list_models(request: web.Request) -> web.StreamResponse:
    """The one model there is: the agent."""
    owner = request.app[SETTINGS].service_name
    model = {"id": MODEL, "object": "model", "created": 0, "owned_by": owner}
    return web.json_response({"object": "list", "data": [model]})
