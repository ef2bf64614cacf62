"""`/v1/runs/{run_id}`: a run's state, its events from any point on, and its end on demand."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from aiohttp import web

from bff.api import PRINCIPAL, RUNS
from bff.api.streaming import NativeEncoder, run_headers, stream_run
from bff.errors import Invalid
from bff.events import dumps
from bff.runs.log import Run


async def show_run(request: web.Request) -> web.StreamResponse:
    """The run's state; of one that was cancelled because its session was deleted, too."""
    owner, run_id = request[PRINCIPAL].id, request.match_info["run_id"]
    return run_state(await request.app[RUNS].find(owner, run_id, deleted=True))


async def resume_run(request: web.Request) -> web.StreamResponse:
    """The events behind the last one the client saw; 204 when nothing is left to say."""
    run = await _find(request)
    after = _after(request, run)
    if run.status != "running" and after >= run.last_event_id:
        return web.Response(status=204, headers=run_headers(run))
    follower = await request.app[RUNS].follow(run)
    return await stream_run(request, follower, NativeEncoder(), after=after)


async def cancel_run(request: web.Request) -> web.StreamResponse:
    """Stop the run and answer with what became of it; a run that has ended stays as it is."""
    return run_state(await request.app[RUNS].cancel(await _find(request)))


async def _find(request: web.Request) -> Run:
    return await request.app[RUNS].find(request[PRINCIPAL].id, request.match_info["run_id"])


def run_state(run: Run) -> web.Response:
    """What is known of a run, as JSON."""
    body = {
        "run_id": run.run_id,
        "session_id": run.session_id,
        "agent": run.request.agent,
        "status": run.status,
        "last_event_id": run.last_event_id,
        "created_at": rfc3339(run.created_at),
        "ended_at": None if run.ended_at is None else rfc3339(run.ended_at),
    }
    return web.json_response(body, headers=run_headers(run), dumps=dumps)


def rfc3339(seconds: float) -> str:
    """A time in UTC to the millisecond, as every JSON of ours has it."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _after(request: web.Request, run: Run) -> int:
    """The last event seen: `Last-Event-ID` before `?after=`, since a reconnect keeps its URL."""
    field = "Last-Event-ID" if "Last-Event-ID" in request.headers else "after"
    text = request.headers.get("Last-Event-ID", request.query.get("after", "0"))
    try:
        if re.fullmatch(r"[0-9]{1,15}", text) is None:
            raise ValueError(text)
        return run.after(int(text))
    except ValueError:
        message = f"must be the id of an event of this run, 0 to {run.last_event_id}"
        raise Invalid.of(field, message) from None
