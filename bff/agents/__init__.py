"""What the service asks of an agent, and the choice of one.

Each implementation is one file: AgentCore Runtime, any container that keeps the AgentCore contract,
and the embedded one that needs nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from bff.events import Event
from bff.settings import EMBEDDED, Settings, needing


@dataclass(frozen=True, slots=True)
class Prompt:
    """One message for the agent.

    `session_id` and `actor_id` are derived from the principal (33 to 100 characters of
    `[A-Za-z0-9_-]`), never what a client sent. `trace` holds `traceparent`, `tracestate` and
    `baggage` where the request had them.
    """

    message: str = field(repr=False)
    session_id: str
    actor_id: str
    run_id: str
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    trace: Mapping[str, str] = field(default_factory=dict)


class Agent(Protocol):
    """An agent that answers one prompt with one stream of events."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        """Call the agent once and yield its events as they come, in batches of what is ready.

        A batch may be empty: that says the agent is alive though it had nothing to tell. The last
        event is `Done`; if the agent cannot go on, a `Problem` is raised instead
        (`AgentFailed`, `AgentUnavailable`, `AgentThrottled`, `AgentTimeout`). Never retried by
        anyone. Closing the generator closes the connection to the agent before it returns.
        """
        ...

    async def stop(self, session_id: str) -> None:
        """End the agent's side of the session, where it has one; an unknown one is no error."""
        ...

    async def ping(self) -> None:
        """Return if the agent can be reached, else raise a `Problem`. Never calls its model."""
        ...


@asynccontextmanager
async def open_agent(settings: Settings) -> AsyncIterator[Agent]:
    """The agent the settings name; its connections are closed at the end."""
    match settings:
        case Settings(agent_runtime_arn=str()):
            with needing("AGENT_RUNTIME_ARN", "aws"):
                from bff.agents.agentcore import open_agentcore

            async with open_agentcore(settings) as runtime:
                yield runtime
        case Settings(agent_url=str(url)) if url != EMBEDDED:
            from bff.agents.container import open_container

            async with open_container(url, settings.agent_payload) as container:
                yield container
        case _:
            from bff.agents.embedded import EmbeddedAgent

            yield EmbeddedAgent()
