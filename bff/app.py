"""The whole machine on one screen: its URLs, what every request passes, the parts behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from bff import task_protection
from bff.agents import Agent, open_agents
from bff.api import (
    AGENTS,
    AUTHENTICATOR,
    BODIES,
    FILES,
    HISTORY,
    LIMITER,
    RUNS,
    SETTINGS,
    TELEMETRY,
    files,
    native,
    playground,
    runs,
    session_actions,
    sessions,
)
from bff.api.agui import chat as agui
from bff.api.ai_sdk import chat
from bff.api.awaited_body import with_bodies_awaited
from bff.api.bodies import Bodies, memory_bytes, total_bytes
from bff.api.health import READINESS, health, metrics, open_readiness, ready
from bff.api.middleware import answer, finish_headers
from bff.api.openai import chat_completions, models
from bff.api.openai.responses import routes as responses
from bff.api.openapi import document
from bff.api.websocket import handshake
from bff.api.websocket.handshake import SOCKETS, close_sockets, open_sockets
from bff.files import open_files
from bff.history import History, open_history
from bff.identity import open_authenticator
from bff.identity.principals import agent_session_id
from bff.limits import Limiter
from bff.limits.memory import MemoryLimiter
from bff.runs import Runs
from bff.runs.log import RunLog
from bff.runs.memory import MemoryRunLog
from bff.settings import Settings, needing
from bff.telemetry import open_telemetry

if TYPE_CHECKING:
    from bff.runs.valkey.timing import Timing

get = partial(web.get, allow_head=False)
"""Routes under `/v1` take no HEAD: a stream has no length that could be given without its body."""

ROUTES = [
    web.post("/v1/chat", native.send_message),
    web.post("/v1/chat/stream", native.stream_message),
    get("/v1/runs/{run_id}", runs.show_run),
    get("/v1/runs/{run_id}/events", runs.resume_run),
    web.post("/v1/runs/{run_id}/cancel", runs.cancel_run),
    get("/v1/ws/chat", handshake.chat),
    get("/v1/sessions", sessions.list_sessions),
    get("/v1/sessions/{session_id}", sessions.show_session),
    web.patch("/v1/sessions/{session_id}", sessions.rename_session),
    web.delete("/v1/sessions/{session_id}", sessions.delete_session),
    web.post("/v1/sessions/{session_id}/fork", session_actions.fork_session),
    web.post("/v1/sessions/{session_id}/inputs/cancel", session_actions.cancel_inputs),
    web.post("/v1/chat/completions", chat_completions.create_completion),
    web.post("/v1/responses", responses.create_response),
    get("/v1/responses/{id}", responses.show_response),
    web.delete("/v1/responses/{id}", responses.delete_response),
    web.post("/v1/responses/{id}/cancel", responses.cancel_response),
    get("/v1/responses/{id}/input_items", responses.list_input_items),
    get("/v1/models", models.list_models),
    get("/v1/models/{id:.+}", models.show_model),
    web.post("/v1/files", files.create_file),
    get("/v1/files", files.list_files),
    web.post("/v1/files/uploads", files.create_upload),
    get("/v1/files/{file_id}", files.show_file),
    web.delete("/v1/files/{file_id}", files.delete_file),
    get("/v1/files/{file_id}/content", files.download_file),
    web.post("/uploads", files.receive_upload),
    web.post("/v1/ui/chat", chat.send_ui_message),
    get("/v1/ui/chat/{id}", chat.show_ui_chat),
    get("/v1/ui/chat/{id}/stream", chat.resume_ui_chat),
    web.post("/v1/ui/chat/{id}/cancel", chat.cancel_ui_chat),
    web.post("/v1/agui", agui.run_agent),
    web.post("/v1/agui/connect", agui.connect_agent),
    web.get("/health", health),
    web.get("/ready", ready),
    web.get("/metrics", metrics),
    web.get("/openapi.json", document.show_openapi),
    web.get("/docs", document.show_docs),
    web.get("/docs/{name:docs[.](?:css|js)}", document.show_docs_file),
]


def create_app(
    settings: Settings,
    *,
    agent: Agent | None = None,
    history: History | None = None,
    timing: Timing | None = None,
) -> web.Application:
    """The service; pass `agent`, for all names, or `history` to run it around parts of your own.

    `timing` is what instances that share a Valkey agree on; all of them need the same.
    """
    app = web.Application(
        # outermost first: a request has its id before anything can go wrong with it
        middlewares=[answer],
        client_max_size=settings.max_request_bytes,
    )
    app.add_routes(with_bodies_awaited(ROUTES))
    if settings.playground:
        app.add_routes(playground.ROUTES)
    app[SETTINGS] = settings
    app[BODIES] = Bodies(total_bytes(memory_bytes() // settings.workers))
    app.on_response_prepare.append(finish_headers)
    app.on_shutdown.append(close_sockets)

    async def resources(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            start = stack.enter_async_context
            telemetry = app[TELEMETRY] = await start(open_telemetry(settings))
            app[AUTHENTICATOR] = await start(open_authenticator(settings))
            app[HISTORY] = (
                await start(open_history(settings, derive=agent_session_id))
                if history is None
                else history
            )
            app[FILES] = await start(open_files(settings))
            agents = (
                await start(open_agents(settings))
                if agent is None
                else {setting.name: agent for setting in settings.agents}
            )
            app[AGENTS] = {name: telemetry.traced(found) for name, found in agents.items()}
            log, app[LIMITER] = await _open_log(settings, timing, stack)
            observer = task_protection.observer_for(settings, telemetry.watch)
            app[RUNS] = await stack.enter_async_context(
                Runs(
                    agents=app[AGENTS],
                    history=app[HISTORY],
                    files=app[FILES],
                    log=log,
                    observer=observer,
                    max_open_per_owner=settings.max_streams_per_user,
                    idle_timeout_seconds=settings.agent_idle_timeout_seconds,
                    stopped_on_cancel={
                        setting.name
                        for setting in settings.agents
                        if setting.cancel == "stop-session"
                    },
                )
            )
            drain_begun = app[RUNS].drain_begun
            await start(task_protection.protecting(observer, settings, drain_begun))
            app[SOCKETS] = await stack.enter_async_context(open_sockets(app[RUNS]))
            app[READINESS] = open_readiness(app)
            yield

    app.cleanup_ctx.append(resources)
    return app


async def _open_log(
    settings: Settings, timing: Timing | None, stack: AsyncExitStack
) -> tuple[RunLog, Limiter]:
    """Runs and limits: shared where there is a Valkey, this process's own otherwise."""
    limit, window_seconds = settings.rate_limit_requests, settings.rate_limit_window_seconds
    if settings.redis_url:
        with needing("REDIS_URL", "shared"):
            from bff.limits.valkey import ValkeyLimiter
            from bff.runs.valkey import open_valkey
            from bff.runs.valkey.timing import TIMING

        opening = open_valkey(settings, timing=timing or TIMING)
        shared = await stack.enter_async_context(opening)
        return shared.log, ValkeyLimiter(
            lane=shared.limits,
            limit=limit,
            window_seconds=window_seconds,
            instances=shared.instances,
        )
    log = MemoryRunLog(retention_seconds=settings.run_retention_seconds)
    return log, MemoryLimiter(limit, window_seconds)
