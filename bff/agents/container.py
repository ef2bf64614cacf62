"""Any container that keeps the AgentCore contract, called directly: `AGENT_URL`.

The contract (https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-http-protocol-contract.html)
is `POST /invocations` and `GET /ping`. A connection serves one call: a kept one that the container
closes just then looks like an agent that died while answering, and we never try twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from bff.agents import Prompt, http
from bff.agents.payload import body_maker
from bff.events import Event
from bff.off_loop import off_loop
from bff.settings import PayloadSetting


class ContainerAgent:
    """An agent at an address."""

    def __init__(self, session: aiohttp.ClientSession, url: str, payload: PayloadSetting) -> None:
        self._session = session
        self._url = url
        self._invocations = URL(f"{url}/invocations", encoded=True)
        self._body = body_maker(payload)

    def __repr__(self) -> str:
        return f"<ContainerAgent {self._url}>"

    def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        async def prepare() -> http.Request:
            headers = {**http.headers(prompt), http.REQUEST_HEADER: prompt.run_id}
            if prompt.bearer:
                headers["Authorization"] = f"Bearer {prompt.bearer}"
            body = await off_loop(prompt.size, lambda: self._body(prompt))
            return http.Request(self._invocations, body, headers)

        return http.stream(self._session, prepare, self._advise)

    async def stop(self, session_id: str) -> None:
        """The contract has no way to end a session."""

    async def ping(self) -> None:
        await http.ping(self._session, f"{self._url}/ping")

    def _advise(self, status: int) -> str:
        where = self._url
        match status:
            case 404 | 405:
                return f"{where} has no POST /invocations; is it an AgentCore container?"
            case 401 | 402 | 403:
                return f"{where} refuses us; a container wants no credentials, a proxy may"
        return http.advise(status) or f"see the log of the container at {where}"


@asynccontextmanager
async def open_container(url: str, payload: PayloadSetting) -> AsyncIterator[ContainerAgent]:
    """The agent with a client of its own, made once."""
    async with http.open_session(keep_connections=False) as session:
        yield ContainerAgent(session, url, payload)
