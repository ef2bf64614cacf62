"""The fronts: how each is started, as its users start it.

Ours runs with all that it is: outside `local`, with keys, limits, run log, a history on disk and
JSON logs, against an AgentCore ARN, so that every call is signed. Its editions with Valkey and
DynamoDB are measured beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from benchmarks.agentcore import ARN
from benchmarks.client import KEY, NATIVE, OPENAI, OURS, RAW
from benchmarks.processes import ROOT, Running, running
from benchmarks.scenarios import Front
from tests.runs.valkey.valkey import running_valkey

LITELLM = ROOT / ".envs/litellm/bin/litellm"
PYTHON = (sys.executable, "-m")
REGION = "us-west-2"
TABLE = "bench"

FRONTS = (
    *("raw", "probe", "fastapi", "litellm", "before", "before+valkey", "before+dynamodb"),
    *("ours", "ours+valkey", "ours+dynamodb"),
)
"""`before` is another checkout of ours, to see what a change has brought. What follows a `+` is a
server of its own that the front works with; its CPU isn't counted as the front's."""


class Targets:
    """Starts fronts behind one fake; `folder` takes their logs and files."""

    def __init__(self, stack: AsyncExitStack, folder: Path, *, before: Path | None = None) -> None:
        self._stack = stack
        self._folder = folder
        self._before = before
        self._environ: dict[str, str] = {}
        self._shared: dict[str, str] = {}
        self._fresh = 0

    async def open(self) -> Running:
        """The fake, which every front is told of."""
        command = [*PYTHON, "benchmarks.agentcore", "{port}"]
        agent = await self._stack.enter_async_context(
            running("agentcore", command, os.environ, folder=self._folder, health="/stats")
        )
        self._environ = {
            **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIDBENCH",
            "AWS_SECRET_ACCESS_KEY": "no-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": agent.url,
            "AGENT_RUNTIME_ARN": ARN,
            "PYTHONUNBUFFERED": "1",
        }
        return agent

    @asynccontextmanager
    async def front(
        self, name: str, *, cores: Collection[int] = (), **settings: str
    ) -> AsyncIterator[Front]:
        """One of `FRONTS`, started anew: on some cores only, and ours with more settings."""
        environ: Mapping[str, str] = self._environ
        health, checkout = "/health", ROOT
        match name:
            case "raw" | "probe":
                command = [*PYTHON, f"benchmarks.peers.{name}", "{port}"]
                dialect = RAW if name == "raw" else NATIVE
            case "fastapi":
                command, dialect = [*PYTHON, "benchmarks.peers.fastapi_boto3"], NATIVE
            case "litellm":
                command, dialect = [str(LITELLM), *self._litellm()], OPENAI
                environ, health = {**environ, **_LITELLM_ENVIRON}, "/health/liveliness"
            case _:
                command, dialect = [*PYTHON, "bff"], OURS
                base, _, server = name.partition("+")
                environ = {**environ, **self._ours(), **await self._edition(server), **settings}
                if base == "before" and self._before:
                    checkout = self._before
        async with running(
            name,
            command,
            environ,
            folder=self._folder,
            health=health,
            checkout=checkout,
            cores=cores,
        ) as process:
            yield Front(process, dialect)

    @asynccontextmanager
    async def counted(
        self, path: Path, what: str = "counted", **settings: str
    ) -> AsyncIterator[Front]:
        """Ours, counting calls, bytes (`traced`) or objects (`inventory`); it writes their number
        when it gets SIGUSR1."""
        environ = {**self._environ, **self._ours(), **settings, "COUNTS": str(path)}
        command = [*PYTHON, f"benchmarks.{what}"]
        async with running(what, command, environ, folder=self._folder) as process:
            yield Front(process, OURS)

    def _ours(self) -> dict[str, str]:
        self._fresh += 1
        return {
            "ENVIRONMENT": "bench",
            "HOST": "127.0.0.1",
            "API_KEYS": f"bench:{hashlib.sha256(KEY.encode()).hexdigest()}",
            "RATE_LIMIT_REQUESTS": "10000000",
            "MAX_STREAMS_PER_USER": "100000",
            "HISTORY": f"sqlite:///{self._folder}/history-{self._fresh}.db",
            "LOG_FORMAT": "json",
        }

    async def _edition(self, server: str) -> dict[str, str]:
        """What an edition is told of its server, which is started once."""
        match server:
            case "valkey":
                return {"REDIS_URL": self.valkey()}
            case "dynamodb":
                if server not in self._shared:
                    self._shared[server] = (await self._table()).url
                url = self._shared[server]
                return {"HISTORY": f"dynamodb://{TABLE}", "AWS_ENDPOINT_URL_DYNAMODB": url}
        return {}

    def valkey(self) -> str:
        """Its URL; it is started once."""
        if "valkey" not in self._shared:
            self._shared["valkey"] = self._stack.enter_context(running_valkey(self._folder)).url
        return self._shared["valkey"]

    async def _table(self) -> Running:
        command = [*PYTHON, "benchmarks.table", "{port}"]
        return await self._stack.enter_async_context(
            running("table", command, os.environ, folder=self._folder)
        )

    def _litellm(self) -> list[str]:
        """Arguments of its proxy, with its own provider in front of the fake."""
        parameters = {
            "model": f"bedrock/agentcore/{ARN}",
            "aws_bedrock_runtime_endpoint": self._environ["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"],
            "aws_region_name": REGION,
            "qualifier": "DEFAULT",
        }
        config = self._folder / "litellm.json"  # JSON is YAML
        config.write_text(
            json.dumps(
                {
                    "model_list": [{"model_name": "agent", "litellm_params": parameters}],
                    "general_settings": {"master_key": KEY},
                    "litellm_settings": {"telemetry": False, "num_retries": 0},
                }
            )
        )
        return ["--config", str(config), "--host", "127.0.0.1", "--port", "{port}"]


_LITELLM_ENVIRON = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_TELEMETRY": "False",
    "AIOHTTP_CONNECTOR_LIMIT": "5000",  # its default is 500 a host; nobody else has a limit
    "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "5000",
}
