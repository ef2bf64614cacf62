"""`/health` and `/ready`: is the process alive, and can it do its work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from bff.api import AGENTS, FILES, HISTORY, RUNS, SETTINGS, TELEMETRY
from bff.api.middleware import client
from bff.errors import NotFound, Problem
from bff.events import dumps

logger = logging.getLogger(__name__)

Check = Callable[[], Awaitable[None]]
Checks = dict[str, dict[str, Any]]

CHECK_SECONDS = 2.0
"""Longest a dependency may take to answer; also how long an answer is believed."""


async def health(request: web.Request) -> web.StreamResponse:
    """200 while the process answers at all: what a load balancer's health check asks."""
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.StreamResponse:
    """Each dependency with its state and latency; 503 while draining or without a needed one."""
    readiness = request.app[READINESS]
    if request.app[RUNS].draining:  # said at once, however long a dependency takes to answer
        status, checks = "draining", readiness.latest
    else:
        checks = await readiness.checks()
        wrong = {name for name, check in checks.items() if check["status"] != "ok"}
        agents = {name for name in checks if name.partition(" ")[0] == "agent"}
        status = (
            "unavailable"
            if "history" in wrong or agents <= wrong  # of several agents one may do
            else "degraded"
            if wrong
            else "ready"
        )
    return web.json_response(
        {"status": status, "checks": checks},
        status=503 if status in ("draining", "unavailable") else 200,
        headers={"Cache-Control": "no-store"},
        dumps=dumps,
    )


async def metrics(request: web.Request) -> web.StreamResponse:
    """Prometheus text for the clients of `METRICS_ALLOW`; to others there is nothing here."""
    allowed = client(request).is_in(request.app[SETTINGS].metrics_allow)
    exposition = request.app[TELEMETRY].exposition() if allowed else None
    if exposition is None:
        raise NotFound
    body, content_type = exposition
    return web.Response(
        body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"}
    )


class Readiness:
    """Asks the dependencies, at most once per `CHECK_SECONDS`, however many ask for it."""

    def __init__(self, pings: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
        self._pings = pings
        self._asked_at = float("-inf")
        self._answer: asyncio.Task[Checks] | None = None
        self.latest: Checks = {}

    async def checks(self) -> Checks:
        now = time.monotonic()
        if self._answer is None or now - self._asked_at > CHECK_SECONDS:
            self._asked_at = now
            self._answer = asyncio.create_task(self._ask())
        return await asyncio.shield(self._answer)

    async def _ask(self) -> Checks:
        answers = await asyncio.gather(*(self._one(*ping) for ping in self._pings.items()))
        self.latest = dict(zip(self._pings, answers, strict=True))
        return self.latest

    async def _one(self, name: str, ping: Callable[[], Awaitable[None]]) -> dict[str, Any]:
        began = time.monotonic()
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await ping()
        except Problem as problem:
            status = problem.code
        except TimeoutError:
            status = "timeout"
        except (Exception, asyncio.CancelledError) as error:  # an agent or a history of one's own
            if _cancelled():
                raise
            logger.warning("%s could not be checked: %s", name, type(error).__name__)
            status = "internal"
        else:
            status = "ok"
        return {"status": status, "latency_ms": round((time.monotonic() - began) * 1000, 1)}


def _cancelled() -> bool:
    """Whether the current task was cancelled; otherwise the ping raised `CancelledError` itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


READINESS = web.AppKey("readiness", Readiness)


def open_readiness(app: web.Application) -> Readiness:
    """The checks of an application whose parts are in place."""
    pings = {
        **_agents(app),
        "history": app[HISTORY].ping,
        "runs": app[RUNS].ping,
    }
    if files := app[FILES]:
        pings["files"] = files.ping
    return Readiness(pings)


def _agents(app: web.Application) -> dict[str, Check]:
    """The check of the agent, or of each by its name."""
    agents = app[AGENTS]
    if len(agents) == 1:
        [agent] = agents.values()
        return {"agent": agent.ping}
    return {f"agent {name}": agent.ping for name, agent in agents.items()}
