"""`/v1/agui`: the Agent User Interaction Protocol, versions 0.0.37 to 1.0 (https://docs.ag-ui.com).

A run goes as its connection does, unless the address says otherwise (`?on_disconnect=continue`);
`/v1/agui/connect` comes back to a thread: its messages, and the run that is open in it.
docs/protocols.md has a transcript.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from bff.api import RUNS
from bff.api.agui.events import AgUiEncoder, event, interrupted, outcome, started
from bff.api.agui.run_input import RunAgentInput, Wanted, wanted
from bff.api.agui.snapshot import Thread
from bff.api.agui.versions import Version, version_of
from bff.api.body import read_and_decode
from bff.api.named import agent_of_address
from bff.api.start_run import Asked, start_run
from bff.api.streaming import stream_run
from bff.api.thread import everything, newest_branch, open_run
from bff.errors import Invalid
from bff.events import JSON, input_of
from bff.identity.principals import foreign_id
from bff.runs.request import OnDisconnect

SUGGEST = "copilotkitSuggest"
"""The tool that CopilotKit offers for its suggestions, and with nothing else."""


async def run_agent(request: web.Request) -> web.StreamResponse:
    """The answer to what is new in the thread, or to what the client has answered."""
    agent, on_disconnect = agent_of_address(request), _on_disconnect(request)
    asked, found = await read_and_decode(request, RunAgentInput, _with_wanted)
    version = _version(request, asked)
    if found.is_empty:
        return _events(asked, "", outcome("complete", (), {}, version), foreign_id(asked.threadId))
    follower = await start_run(
        request,
        Asked(
            conversation=found.conversation,
            name=foreign_id(asked.threadId),
            agent=agent,
            rewrites=found.rewrites,
            # answers that are messages are history where nothing waits for them
            answered_in=None if found.names_questions else "messages",
            results=found.results,
            unique_ids=True,
            # CopilotKit's page asks what its user may say next, in a thread made for that
            helps_itself=any(tool.name == SUGGEST for tool in found.conversation.tools),
            on_disconnect=on_disconnect,
            streaming=True,
            late=found.gives_up,
        ),
    )
    encoder = AgUiEncoder(
        follower.run,
        thread_id=asked.threadId,
        run_id=asked.runId,
        version=version,
        calls=found.calls,
        given=found.given,
    )
    del asked, found  # a stream may be open for an hour
    return await stream_run(request, follower, encoder)


async def connect_agent(request: web.Request) -> web.StreamResponse:
    """The thread's messages, and its open run from the start; a thread not known is empty."""
    asked = await read_and_decode(request, RunAgentInput, lambda asked: asked)
    version = _version(request, asked)
    session_id = await newest_branch(request, asked.threadId)
    run = await open_run(request, session_id)
    session, stored = await everything(request, session_id)
    thread = Thread(
        [message for message in stored if run is None or message.run_id != run.run_id], version
    )
    if run is not None:
        if run.request.continues is None:
            thread.add_user(run.run_id, run.request.message, run.request.parts)
        thread.go_on(run.request.questions, run.request.message)
        follower = await request.app[RUNS].follow(run)
        encoder = AgUiEncoder(
            run,
            thread_id=asked.threadId,
            run_id=asked.runId,
            version=version,
            calls=thread.calls,
            before=thread.messages,
        )
        return await stream_run(request, follower, encoder)
    questions = [input_of(fields) for fields in session.inputs] if session else []
    thread.ask(questions, (session and session.last_run_id) or session_id)
    shown = event("MESSAGES_SNAPSHOT", messages=thread.messages) + interrupted(questions, version)
    end = outcome("complete", questions, thread.calls, version)
    return _events(asked, shown, end, session_id)


def _events(
    asked: RunAgentInput, frames: str, end: Mapping[str, JSON], session_id: str
) -> web.Response:
    """A run that is none of the agent's."""
    names = _names(asked)
    return web.Response(
        text=started(names) + frames + event("RUN_FINISHED", **names, **end),
        content_type="text/event-stream",
        headers={
            "Cache-Control": "no-store",
            "X-Session-Id": session_id,
            **AgUiEncoder.headers,
        },
    )


def _with_wanted(asked: RunAgentInput) -> tuple[RunAgentInput, Wanted]:
    return asked, wanted(asked)


def _names(asked: RunAgentInput) -> dict[str, str]:
    return {"threadId": asked.threadId, "runId": asked.runId}


def _version(request: web.Request, asked: RunAgentInput) -> Version:
    return version_of(asked.protocolVersion, request.query.get("protocolVersion"), asked.shows)


def _on_disconnect(request: web.Request) -> OnDisconnect:
    match request.query.get("on_disconnect", "cancel"):
        case "continue":
            return "continue"
        case "cancel":
            return "cancel"
    raise Invalid.of("on_disconnect", "must be continue or cancel")
