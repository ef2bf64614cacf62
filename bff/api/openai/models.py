"""`GET /v1/models` and `/v1/models/{id}`: the agents, as OpenAI's clients list models."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field

from bff.api import SETTINGS
from bff.errors import NotFound
from bff.events import JSON, dumps
from bff.settings import AgentSetting

ModelName = Annotated[str, Field(min_length=1, max_length=256)]


async def list_models(request: web.Request) -> web.StreamResponse:
    """All agents, the default first."""
    data = [_model(request, agent) for agent in request.app[SETTINGS].agents]
    return web.json_response({"object": "list", "data": data}, dumps=dumps)


async def show_model(request: web.Request) -> web.StreamResponse:
    """One agent."""
    name = request.match_info["id"]
    for agent in request.app[SETTINGS].agents:
        if agent.name == name:
            return web.json_response(_model(request, agent), dumps=dumps)
    raise NotFound


def agent_of(request: web.Request, model: str | None) -> str | None:
    """The agent that a model's name means; None for the session's own, else the default.

    With one agent any name will do, since clients come with a name of their own. With several,
    raises `NotFound` for one that is none of them.
    """
    agents = request.app[SETTINGS].agents
    if len(agents) == 1 or model is None:
        return None
    names = [agent.name for agent in agents]
    if model not in names:
        message = f"must be one of {', '.join(names)}"
        raise NotFound.of("model", message)
    return model


def _model(request: web.Request, agent: AgentSetting) -> dict[str, JSON]:
    model: dict[str, JSON] = {
        "id": agent.name,
        "object": "model",
        "created": 0,
        "owned_by": request.app[SETTINGS].service_name,
    }
    return model if agent.description is None else {**model, "description": agent.description}
