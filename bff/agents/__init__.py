"""What the service asks of an agent, and the choice of one.

Each implementation is one file: AgentCore Runtime, any container that keeps the AgentCore contract,
and the embedded one that needs nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import field
from typing import Protocol

from bff.events import Event, Input
from bff.frozen import dataclass
from bff.messages import ChatMessage, Conversation
from bff.settings import DEFAULT_AGENT, EMBEDDED, AgentSetting, Settings, needing


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One call of the agent: what it is told, and who asks.

    `session_id` and `actor_id` are derived from the principal (33 to 100 characters of
    `[A-Za-z0-9_-]`), never what a client sent. `history` is what of the earlier messages the agent
    is to be given now, `first` says that its session begins; `questions` are its own that this call
    answers. `agent` is its name in `AGENTS`.

    `trace` holds `traceparent`, `tracestate` and `baggage` where the request had them, `headers`
    what `AGENT_HEADERS` passes on, `user_id` whom `AGENT_USER_ID` names, `bearer` the caller's own
    token where `AGENT_AUTH` wants it.
    """

    conversation: Conversation = field(repr=False)
    session_id: str
    actor_id: str
    run_id: str
    agent: str = DEFAULT_AGENT
    history: tuple[ChatMessage, ...] = field(default=(), repr=False)
    first: bool = False
    questions: tuple[Input, ...] = field(default=(), repr=False)
    trace: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    user_id: str | None = None
    bearer: str | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """About how many characters the agent is told, to know whether that is much."""
        return self.conversation.size + sum(message.size for message in self.history)


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
async def open_agents(settings: Settings) -> AsyncIterator[Mapping[str, Agent]]:
    """All agents of the settings by name; their connections are closed at the end."""
    variable = "AGENTS" if settings.named_agents else "AGENT_RUNTIME_ARN"
    async with AsyncExitStack() as stack:
        yield {
            setting.name: await stack.enter_async_context(
                open_agent(setting, signs=settings.agent_auth == "iam", named_by=variable)
            )
            for setting in settings.agents
        }


@asynccontextmanager
async def open_agent(
    setting: AgentSetting, *, signs: bool = True, named_by: str = "AGENT_RUNTIME_ARN"
) -> AsyncIterator[Agent]:
    """One agent; without `signs`, AgentCore is called with the caller's token and nothing else.

    `named_by` is the variable that says which runtime. Raises `SettingsError` that names it where
    what calls AWS is not installed.
    """
    match setting:
        case AgentSetting(arn=str(arn)):
            with needing(named_by, "aws"):
                from bff.agents.agentcore import open_agentcore

            async with open_agentcore(setting, arn, signs=signs) as runtime:
                yield runtime
        case AgentSetting(url=str(url)) if url != EMBEDDED:
            from bff.agents.container import open_container

            async with open_container(url, setting.payload) as container:
                yield container
        case _:
            from bff.agents.embedded import EmbeddedAgent

            yield EmbeddedAgent()
