"""The HTTP face of the service; the keys under which an application and a request keep parts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from bff.agents import Agent
from bff.api.bodies import Bodies, Body
from bff.files import Files
from bff.history import History
from bff.identity import Authenticator
from bff.identity.principals import Principal
from bff.limits import Allowance, Limiter
from bff.log_context import RunAtHand
from bff.runs import Runs
from bff.settings import Settings
from bff.telemetry import Telemetry

SETTINGS = web.AppKey("settings", Settings)
AGENTS = web.AppKey[Mapping[str, Agent]]("agents")
HISTORY = web.AppKey("history", History)
FILES = web.AppKey[Files | None]("files")
"""None where `FILES` is unset: no file is kept."""
BODIES = web.AppKey("bodies", Bodies)
AUTHENTICATOR = web.AppKey("authenticator", Authenticator)
LIMITER = web.AppKey("limiter", Limiter)
RUNS = web.AppKey("runs", Runs)
TELEMETRY = web.AppKey("telemetry", Telemetry)


@dataclass(slots=True)
class RequestState:
    """What becomes known of a request while it is answered, for its reply and its log line."""

    request_id: str
    body: Body | None = None
    run: RunAtHand | None = None
    """The run that the request began or found; not the run itself, which holds a whole
    conversation: a connection keeps its last request until the next one comes."""
    allowance: Allowance | None = None
    peeking: asyncio.Task[Allowance] | None = None
    """A free request's allowance, which decides nothing and is waited for by the reply."""
    ignored: Sequence[str] = ()
    """Fields of the client's that nobody has a use for, for `X-Ignored`."""


PRINCIPAL = web.RequestKey("principal", Principal)
STATE = web.RequestKey("state", RequestState)
