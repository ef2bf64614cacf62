"""The pictures of docs/playground.md, taken anew: `python -m tests.screenshots`.

A real Chromium looks at a real service; only the agent is scripted, so that it holds still.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page, expect

from bff.errors import AgentFailed
from bff.events import Custom, Done, Input, Message, Thinking, ToolEnd, ToolStart, ToolUse
from tests.fakes.browser import open_browser
from tests.fakes.page import AgentByMessage, local_settings, serve_page
from tests.fakes.scripted import Step

FOLDER = Path("docs/images")

ORDER = """The order **left the warehouse** on Tuesday and is due tomorrow:

| parcel | where | due |
| --- | --- | --- |
| 1 of 2 | Portland, Oregon | tomorrow |
| 2 of 2 | on the truck | today |

To follow it from a program:

```python
async with client.stream("GET", f"/orders/{order_id}/events") as events:
    async for event in events:
        print(event.status)
```

1. Parcel 2 needs a *signature*.
2. Both can be [redirected](https://example.com/redirect) until this evening.
"""


def script(message: str) -> Sequence[Step] | None:
    """What the agent says, by the first word of the question; a tool of "Has" never ends."""
    call = ToolStart("1", "find_order", {"order_id": "A-1047", "include": ["parcels", "route"]})
    found = ToolEnd("1", "find_order", '{"status":"in transit","parcels":2,"late":false}')
    think = [Thinking("There is an order's number in it: look that up before saying anything.")]
    usage = {"input_tokens": 212, "output_tokens": 148, "total_tokens": 360}
    match message.split()[0]:
        case "Where":
            frame = [Custom({"node": "research", "step": 3})]
            return [think, [call], [found], frame, [Message(ORDER)], [Done(usage=usage)]]
        case "Book":
            book = ToolUse("2", "book_flight", {"from": "SEA", "to": "FCO", "day": "2026-12-01"})
            asks = Input("a", "approval", "May I book this flight for 640 $?", book, value={})
            say = "There is one flight with a single stop. I would take it before it is gone."
            seat = {"enum": ["at the window", "on the aisle"], "title": "Seat"}
            name = {"type": "string", "title": "Name as in the passport"}
            form = {"type": "object", "properties": {"name": name, "seat": seat}}
            form |= {"required": ["name", "seat"]}
            who = Input("b", "input", "Who flies?", schema=form)
            start = ToolStart(book.id, book.name, book.args)
            return [[Message(say), start], [asks, who], [Done()]]
        case "Has":
            return [think, [Message("Let me look that up.")], [call], asyncio.Event()]
        case "Redirect":
            return [[Message("I will redirect parcel 2 and then ")], AgentFailed(agent_called=True)]
        case _:
            return None


async def main() -> None:
    """Take them all."""
    agent = AgentByMessage(script)
    with tempfile.TemporaryDirectory() as folder:
        settings = local_settings(Path(folder))
        async with serve_page(settings, agent) as served, open_browser() as browser:
            await _conversations(browser, served.url)
            await _phone(browser, served.url)
        locked = local_settings(Path(folder), key=None)
        async with (
            serve_page(locked, agent) as served,
            open_browser() as browser,
            _page(browser, served.url) as page,
        ):
            await expect(page.get_by_role("dialog")).to_be_visible()
            await _take(page, "credential")


async def _conversations(browser: Browser, url: str) -> None:
    async with _page(browser, url) as page:
        await _take(page, "welcome")
        await _ask(page, "What is 15 * 23?")
        await _ask(page, "/think What makes a good answer?")
        await page.get_by_text("Reasoning", exact=True).click()
        await page.get_by_role("link", name="New conversation").first.click()
        await _ask(page, "Where is my order A-1047?")
        await page.set_viewport_size({"width": 1180, "height": 960})
        await _take(page, "answer")
        await page.get_by_role("link", name="New conversation").first.click()
        await _ask(page, "Book me a flight to Rome, please", end="input_required")
        await page.get_by_role("button", name="Edit arguments").click()
        await _take(page, "asks")
        await page.get_by_role("link", name="New conversation").first.click()
        await _ask(page, "Redirect parcel 2 to the office, please", end="failed")
        await _take(page, "error")
    async with _page(browser, url, theme="dark") as page:
        await _ask(page, "/think What makes a good answer?")
        await page.get_by_text("Reasoning", exact=True).click()
        await _ask(page, "Has order A-1047 left the warehouse?", end="running")
        await expect(page.get_by_label("Tool find_order")).to_be_visible()
        await _take(page, "streaming-dark")
        await page.get_by_role("button", name="Stop the answer").click()
        await expect(page.get_by_text("Stopped.", exact=True)).to_be_visible()


async def _phone(browser: Browser, url: str) -> None:
    async with _page(browser, url, phone=True) as page:
        await _ask(page, "What is 15 * 23?")
        await _take(page, "phone")
        await page.get_by_role("button", name="Show the list of conversations").click()
        await _take(page, "phone-conversations")


@asynccontextmanager
async def _page(
    browser: Browser, url: str, *, phone: bool = False, theme: Literal["light", "dark"] = "light"
) -> AsyncIterator[Page]:
    context = await browser.new_context(
        viewport={"width": 390, "height": 780} if phone else {"width": 1180, "height": 760},
        has_touch=phone,
        is_mobile=phone,
        color_scheme=theme,
    )
    page = await context.new_page()
    await page.goto(url)
    yield page
    await context.close()


async def _ask(page: Page, text: str, *, end: str = "complete") -> None:
    await page.get_by_role("textbox", name="Message").fill(text)
    await page.get_by_role("button", name="Send").click()
    question = page.locator("article.question", has_text=text)
    answer = page.locator("article.question + article.answer").last
    await expect(question).to_be_visible()
    await expect(answer).to_have_attribute("data-status", end)


async def _take(page: Page, name: str) -> None:
    await page.wait_for_timeout(400)  # what moves has come to rest
    path = FOLDER / f"playground-{name}.png"
    await page.screenshot(path=path)
    print(f"{path} {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    asyncio.run(main())
