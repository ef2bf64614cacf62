"""What a test of the page holds in its hands: the page, the service behind it, and a watch."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Dialog, Locator, Page, Request, expect

from tests.fakes.page import KEY, AgentByMessage, Served
from tests.fakes.scripted import Step

expect.set_options(timeout=15_000)  # ms: several browsers and all other tests share two cores
IN_BROWSER = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),  # one browser, so one loop
]


@dataclass
class Playground:
    """A page, the service behind it, and whatever the page should not have done."""

    page: Page
    served: Served
    agent: AgentByMessage
    scripts: dict[str, Sequence[Step]]
    misdeeds: list[str] = field(default_factory=list)

    async def ask(self, text: str) -> Locator:
        """Send a message with the keyboard; gives its answer."""
        questions = await self.page.locator("article.question").count()
        await self.box.fill(text)
        await self.box.press("Enter")
        await expect(self.page.locator("article.question")).to_have_count(questions + 1)
        return self.page.locator("article.question + article.answer").last

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message")

    @property
    def sessions(self) -> Locator:
        return self.page.locator("#sessions a")

    async def call(self, method: str, path: str, **json: object) -> None:
        """A request of another client of the same user."""
        async with (
            aiohttp.ClientSession(headers={"X-API-Key": KEY}) as client,
            client.request(method, self.served.url + path, json=json) as reply,
        ):
            assert reply.ok, await reply.text()


Visit = Callable[..., Coroutine[Any, Any, Playground]]


def watch(playground: Playground) -> None:
    page, misdeeds = playground.page, playground.misdeeds

    def on_request(request: Request) -> None:
        own = (playground.served.url, "data:", f"blob:{playground.served.url}")
        if not request.url.startswith(own):
            misdeeds.append(f"request to {request.url}")
        if KEY in request.url:
            misdeeds.append("the key is in an address")

    async def on_dialog(dialog: Dialog) -> None:
        misdeeds.append(f"dialog {dialog.message}")
        await dialog.dismiss()

    # a refused request is logged by the browser itself; the tests of refusals look at the page
    own = "Failed to load resource"
    page.on(
        "console",
        lambda message: (
            misdeeds.append(message.text)
            if message.type in ("error", "warning") and not message.text.startswith(own)
            else None
        ),
    )
    page.on("pageerror", lambda error: misdeeds.append(str(error)))
    page.on("request", on_request)
    page.on("dialog", on_dialog)
