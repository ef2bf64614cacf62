"""AgentCore Runtime: InvokeAgentRuntime, signed by hand on our own connections.

aioboto3 finds the credentials, keeps them fresh, resolves the endpoint and stops sessions. The call
itself is one POST whose answer is passed on as it comes; making it through the generated client
costs several times the CPU and hides time-outs and pool (docs/decisions/invoke-signed-by-hand.md).
Wire: https://docs.aws.amazon.com/bedrock-agentcore/latest/APIReference/API_InvokeAgentRuntime.html
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from yarl import URL

from bff.agents import Prompt
from bff.agents import http as agent_http
from bff.agents.payload import body_maker
from bff.errors import AgentUnavailable
from bff.events import Event
from bff.off_loop import off_loop
from bff.settings import AgentSetting
from bff.signing import Signer

logger = logging.getLogger(__name__)

SERVICE = "bedrock-agentcore"
_CONFIG = AioConfig(
    connect_timeout=agent_http.CONNECT_SECONDS,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 3},  # StopRuntimeSession is idempotent
)


class AgentCoreAgent:
    """A runtime of AgentCore, by its ARN."""

    def __init__(
        self,
        setting: AgentSetting,
        arn: str,
        session: Any,
        client: Any,
        http: aiohttp.ClientSession,
        *,
        signs: bool,
    ) -> None:
        self._arn = arn
        self._signs = signs
        """Whether it is called with AWS credentials; otherwise with the token of each caller."""
        self._qualifier = setting.qualifier
        self._body = body_maker(setting.payload)
        self._session = session
        self._credentials: Any = None
        """Where they were found once, which keeps them fresh."""
        self._client = client
        self._http = http
        self._tls = ssl.create_default_context()
        self._endpoint: str = client.meta.endpoint_url.rstrip("/")
        path = f"/runtimes/{quote(self._arn, safe='')}/invocations"
        url = f"{self._endpoint}{path}?qualifier={quote(setting.qualifier, safe='')}"
        self._url = URL(url, encoded=True)
        self._signer = Signer(url, service=SERVICE, region=arn.split(":")[3])

    def __repr__(self) -> str:
        return f"<AgentCoreAgent {self._arn} at {self._endpoint}>"

    def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        headers = agent_http.headers(prompt)

        async def prepare() -> agent_http.Request:
            body = await off_loop(prompt.size, lambda: self._body(prompt))
            if prompt.bearer is not None:
                headers["Authorization"] = f"Bearer {prompt.bearer}"
                return agent_http.Request(self._url, body, headers)
            credentials = await self._frozen()
            signed = await off_loop(
                len(body), lambda: self._signer.sign(credentials, body, headers)
            )
            return agent_http.Request(self._url, body, signed)

        return agent_http.stream(self._http, prepare, self._advise)

    async def stop(self, session_id: str) -> None:
        if not self._signs:
            return  # it takes the caller's token, which is kept for no longer than the request
        try:
            await self._client.stop_runtime_session(
                agentRuntimeArn=self._arn,
                qualifier=self._qualifier,
                runtimeSessionId=session_id,
            )
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return
            logger.error("StopRuntimeSession answered %d: %s", status, self._advise(status))
            raise AgentUnavailable from error
        except (BotoCoreError, aiohttp.ClientError, OSError) as error:
            logger.error("StopRuntimeSession failed: %s", type(error).__name__)
            raise AgentUnavailable from error

    async def ping(self) -> None:
        """Credentials can be had and the endpoint takes a connection; no call is free of cost."""
        if self._signs:
            await self._frozen()
        where = urlsplit(self._endpoint)
        secure = where.scheme == "https"
        port = where.port or (443 if secure else 80)
        try:
            async with asyncio.timeout(agent_http.CONNECT_SECONDS):
                tls = self._tls if secure else None
                _, writer = await asyncio.open_connection(where.hostname, port, ssl=tls)
        except OSError as error:
            raise AgentUnavailable from error
        writer.transport.abort()

    async def _frozen(self) -> Any:
        """Credentials as they are now; refreshed by their provider when they are about to end."""
        try:
            if self._credentials is None:
                self._credentials = await self._session.get_credentials()
            if self._credentials is None:
                raise NoCredentialsError
            return await self._credentials.get_frozen_credentials()
        except (BotoCoreError, aiohttp.ClientError, OSError) as error:
            logger.error("no AWS credentials: %s; check the task role", type(error).__name__)
            raise AgentUnavailable from error

    def _advise(self, status: int) -> str:
        arn, qualifier = self._arn, self._qualifier
        match status:
            case 401 | 403:
                return (
                    f"allow bedrock-agentcore:InvokeAgentRuntime (and StopRuntimeSession) to this "
                    f"task's role on both {arn} and {arn}/runtime-endpoint/{qualifier}; a runtime "
                    f"with a JWT authorizer cannot be called with a role"
                )
            case 404:
                return (
                    f"no {arn} with an endpoint {qualifier}: "
                    f"AGENT_RUNTIME_ARN and AGENT_QUALIFIER, or AGENTS?"
                )
            case 402:
                return f"a service quota is used up, see Service Quotas, Bedrock AgentCore ({arn})"
            case 409:
                return f"the session stayed busy with another call ({arn})"
            case 424:
                return f"the agent's code failed, see its log group in CloudWatch ({arn})"
        return agent_http.advise(status) or f"a failure inside AgentCore while calling {arn}"


@asynccontextmanager
async def open_agentcore(
    setting: AgentSetting, arn: str, *, signs: bool = True
) -> AsyncIterator[AgentCoreAgent]:
    """The agent with clients of its own, made once: making one blocks the loop for 300 ms."""
    # the region the runtime lives in: its ARN says so, whatever AWS_REGION is
    session = aioboto3.Session(region_name=arn.split(":")[3])
    async with (
        session.client(SERVICE, config=_CONFIG) as client,
        agent_http.open_session(keep_connections=True) as http,
    ):
        yield AgentCoreAgent(setting, arn, session, client, http, signs=signs)
