"""Every protocol's way to a run: the request made in the caller's name, and what failed it."""

from __future__ import annotations

from aiohttp import web

from bff.api import PRINCIPAL, REQUEST_ID, SETTINGS, TELEMETRY
from bff.api.streaming import run_headers
from bff.errors import AgentFailed, RunCancelled, problem_of
from bff.events import Done, Failed
from bff.identity.principals import agent_session_id
from bff.messages import Conversation, user_message
from bff.runs.log import Run
from bff.runs.request import Call, Idempotency, OnDisconnect, RunRequest
from bff.runs.transcript import Transcript


def run_request(
    request: web.Request,
    *,
    message: str,
    session_id: str,
    on_disconnect: OnDisconnect,
    streaming: bool,
    metadata: dict[str, str] | None = None,
    idempotency: Idempotency | None = None,
) -> RunRequest:
    """An order in the caller's name; every format's way to a run."""
    settings, owner = request.app[SETTINGS], request[PRINCIPAL].id
    call = Call(
        conversation=Conversation(new=(user_message(message),), metadata=metadata or {}),
        deadline_seconds=(
            settings.agent_streaming_timeout_seconds
            if streaming
            else settings.agent_blocking_timeout_seconds
        ),
        trace=request.app[TELEMETRY].trace_headers(request.headers),
    )
    return RunRequest(
        owner=owner,
        session_id=session_id,
        agent_session_id=agent_session_id(owner, session_id),
        agent=settings.agents[0].name,
        message=message,
        request_id=request[REQUEST_ID],
        on_disconnect=on_disconnect,
        idempotency=idempotency,
        call=call,
    )


def raise_failure(run: Run, transcript: Transcript) -> None:
    """Raise what kept the run from being complete, as a problem of the request."""
    headers = run_headers(run)
    match transcript.end:
        case Done("complete" | "input_required") if transcript.whole:
            return
        case Done("cancelled"):
            raise RunCancelled(agent_called=True, headers=headers)
        case Failed(problem):
            # another version of the service may have run it, and know more codes than this one
            raise (problem_of(problem["code"]) or AgentFailed)(
                retry_after_seconds=problem.get("retry_after"),
                agent_called=problem.get("should_retry") is False,
                headers=headers,
            )
        case _:  # larger than a run's log keeps
            raise AgentFailed(agent_called=True, headers=headers)
