"""A page of another origin, in a real browser: what clients send from there, and what they read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.clients.conftest import KEY, Start
from tests.fakes.browser import open_browser

pytestmark = pytest.mark.browser

STAINLESS = {
    f"x-stainless-{name}": "x"
    for name in ("arch", "lang", "os", "package-version", "retry-count", "runtime", "timeout")
}
OPENAI = {"messages": [{"role": "user", "content": "hello"}], "model": "agent"}
PARTS = [{"type": "text", "text": "hello"}]
CLIENTS: dict[str, tuple[str, dict[str, str], dict[str, Any], str]] = {
    "the OpenAI SDK": (
        "/v1/chat/completions",
        {**STAINLESS, "openai-beta": "a", "openai-organization": "b", "idempotency-key": "k-1"},
        {**OPENAI, "stream": True},
        "x-ratelimit-remaining-requests",
    ),
    "the AI SDK": (
        "/v1/ui/chat",
        {"user-agent": "ai-sdk", "x-agent": "agent"},
        {"id": "c", "messages": [{"id": "m", "role": "user", "parts": PARTS}]},
        "x-vercel-ai-ui-message-stream",
    ),
    "AG-UI": (
        "/v1/agui",
        {"accept": "text/event-stream", "x-agent": "agent"},
        {
            **{"threadId": "t", "runId": "r", "state": {}, "tools": [], "context": []},
            "messages": [{"id": "m", "role": "user", "content": "hello"}],
            "forwardedProps": {},
        },
        "x-run-id",
    ),
    "a client of our own": (
        "/v1/chat/stream",
        {"idempotency-key": "k-2", "last-event-id": "0", "x-request-id": "r-1", "traceparent": "0"},
        {"message": "hello", "options": {"temperature": 1}},
        "x-session-id",
    ),
}
ASK = """async ([url, key, clients]) => {
  const seen = {};
  for (const [name, [path, headers, body, header]] of Object.entries(clients)) {
    const reply = await fetch(url + path, {
      method: "POST",
      headers: {authorization: `Bearer ${key}`, "content-type": "application/json", ...headers},
      body: JSON.stringify(body),
    });
    const read = [header, "x-run-id", "x-request-id", "x-ratelimit-reset"];
    seen[name] = [reply.status, (await reply.text()).includes("Hel"),
                  ...read.map((header) => reply.headers.get(header) !== null)];
  }
  const refused = await fetch(url + "/v1/sessions", {headers: {authorization: "Bearer wrong"}});
  seen.refused = [refused.status, (await refused.json()).code];
  return seen;
}"""


@asynccontextmanager
async def blank_page() -> AsyncIterator[str]:
    """The address of a page that is nobody's."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>app</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_clients_on_a_page_of_another_origin__are_let_in_and_may_read(stage: Start) -> None:
    async with blank_page() as origin, open_browser() as browser:
        service = await stage(CORS_ORIGINS=origin)
        page = await (await browser.new_context()).new_page()
        await page.goto(origin)
        seen = await page.evaluate(ASK, [service.url, KEY, CLIENTS])

    assert seen.pop("refused") == [401, "unauthenticated"]
    assert seen == {name: [200, True, True, True, True, True] for name in CLIENTS}


async def test_a_page_that_is_not_named__is_not_let_in(stage: Start) -> None:
    async with blank_page() as origin, open_browser() as browser:
        service = await stage(CORS_ORIGINS="https://app.example.com")
        page = await (await browser.new_context()).new_page()
        await page.goto(origin)
        with pytest.raises(Exception, match="Failed to fetch"):
            await page.evaluate(ASK, [service.url, KEY, CLIENTS])

    assert [path for method, path, _ in service.replies if method != "OPTIONS"] == []
