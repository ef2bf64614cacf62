from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser

from tests.fakes.browser import open_browser
from tests.fakes.page import KEY, AgentByMessage, local_settings, serve_page
from tests.fakes.scripted import Step
from tests.playground.visiting import Playground, Visit, watch


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, tmp_path: Path) -> AsyncIterator[Visit]:
    """Open the page of a fresh service: `await visit({"Hi": [[Message("Hello")], [Done()]]})`.

    Whatever the test is about: no error in the console, no request to another origin, no dialog.
    """
    visited: list[Playground] = []
    async with AsyncExitStack() as stack:

        async def go(
            scripts: dict[str, Sequence[Step]] | None = None,
            *,
            phone: bool = False,
            key: str | None = KEY,
            refused: int = 0,
            **settings: object,
        ) -> Playground:
            scripts = scripts or {}
            agent = AgentByMessage(scripts.get)
            served = await stack.enter_async_context(
                serve_page(local_settings(tmp_path, key=key, **settings), agent)
            )
            context = await browser.new_context(
                viewport={"width": 390, "height": 780} if phone else {"width": 1100, "height": 720},
                has_touch=phone,
                is_mobile=phone,
            )
            stack.push_async_callback(context.close)
            await context.grant_permissions(["clipboard-read", "clipboard-write"])
            playground = Playground(await context.new_page(), served, agent, scripts)
            watch(playground)
            visited.append(playground)
            await playground.page.goto(served.url)
            return playground

        yield go
    for playground in visited:
        assert playground.misdeeds == []
