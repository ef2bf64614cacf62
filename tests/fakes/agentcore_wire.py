"""AgentCore's front door: checks what AWS checks, then passes the call on to a container.

What it cannot play is what AWS does behind it; docs/agents.md lists that.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.fakes.container import serving

ARN = "arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/my_agent-abcdefghij"
ACCESS_KEY, SECRET_KEY, TOKEN = "AKIDEXAMPLE", "secret/key+example", "session-token"
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


class AgentCoreWire:
    """The data plane at an address. `wrong` collects what a real one would have refused."""

    def __init__(self, container_url: str) -> None:
        self.container_url = container_url
        self.url = ""
        self.wrong: list[str] = []
        self.invocations: list[dict[str, str]] = []
        """Headers of every InvokeAgentRuntime that came."""
        self.stopped: list[str] = []
        self.refusals: list[tuple[int, str, dict[str, str]]] = []
        """Status, error type and headers of the next answers, before any call gets through."""
        self._app = web.Application()
        self._app.router.add_route("*", "/{path:.*}", self._serve)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[AgentCoreWire]:
        async with serving(self._app) as self.url:
            yield self

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.headers.get("Authorization", "").startswith("Bearer "):
            self._check_bearer(request)
        else:
            self._check_signature(request, body)
        path, _, query = request.raw_path.partition("?")
        if query != "qualifier=DEFAULT":
            self.wrong.append(f"query {query!r}")
        operation = path.removeprefix(f"/runtimes/{quote(ARN, safe='')}/")
        session_id = request.headers.get(SESSION_HEADER, "")
        if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]{32,99}", session_id):
            self.wrong.append(f"session id {session_id!r}")
        if operation == "invocations":
            self.invocations.append(dict(request.headers))
        if self.refusals:
            status, kind, headers = self.refusals.pop(0)
            body = b'{"message":"private"}'
            headers = {"x-amzn-ErrorType": f"{kind}:http://internal", **headers}
            return web.Response(status=status, body=body, headers=headers)
        if operation == "stopruntimesession":
            self.stopped.append(session_id)
            return web.json_response({"runtimeSessionId": session_id})
        if operation != "invocations":
            self.wrong.append(f"path {path!r}")
            return web.Response(status=404)
        return await self._pass_on(request, body)

    async def _pass_on(self, request: web.Request, body: bytes) -> web.StreamResponse:
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.post(f"{self.container_url}/invocations", data=body) as answer,
        ):
            response = web.StreamResponse(
                status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]}
            )
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response

    def _check_bearer(self, request: web.Request) -> None:
        """A runtime with a JWT authorizer: a token in place of a signature, not beside one."""
        if signed := [name for name in request.headers if name.lower().startswith("x-amz-")]:
            self.wrong.append(f"signed and with a token: {signed}")

    def _check_signature(self, request: web.Request, body: bytes) -> None:
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/([\w-]+)/aws4_request, "
            r"SignedHeaders=([\w;-]+), Signature=([0-9a-f]{64})",
            request.headers.get("Authorization", ""),
        )
        if not found:
            self.wrong.append("no signature")
            return
        key, _, region, service, names, signature = found.groups()
        if (key, region, service) != (ACCESS_KEY, "us-west-2", "bedrock-agentcore"):
            self.wrong.append(f"scope {key} {region} {service}")
        if request.headers.get("X-Amz-Security-Token") != TOKEN:
            self.wrong.append("no security token")
        if not {"host", "x-amz-date", SESSION_HEADER.lower()} <= set(names.split(";")):
            self.wrong.append(f"signed only {names}")
        signed: dict[str, Any] = {name: request.headers[name] for name in names.split(";")}
        again = AWSRequest("POST", f"{self.url}{request.raw_path}", headers=signed, data=body)
        again.context["timestamp"] = request.headers["X-Amz-Date"]
        signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY, TOKEN), service, region)
        text = signer.string_to_sign(again, signer.canonical_request(again))
        if signer.signature(text, again) != signature:
            self.wrong.append("the signature does not match")
