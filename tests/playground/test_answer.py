from __future__ import annotations

import asyncio
import re

from playwright.async_api import expect

from bff.events import Custom, Done, Message, Thinking, ToolEnd, ToolStart
from tests.playground.visiting import IN_BROWSER, Visit

pytestmark = IN_BROWSER


async def test_answer__appears_while_it_is_written(visit: Visit) -> None:
    more = asyncio.Event()
    playground = await visit({"Hi": [[Message("Hel")], more, [Message("lo")], [Done()]]})

    answer = await playground.ask("Hi")

    await expect(answer.locator(".text")).to_have_text("Hel")
    await expect(answer).to_have_attribute("data-status", "running")
    more.set()
    await expect(answer.locator(".text")).to_have_text("Hello")
    await expect(answer).to_have_attribute("data-status", "complete")


async def test_tool__is_a_card_with_arguments_and_result(visit: Visit) -> None:
    playground = await visit()
    await playground.page.get_by_role("button", name="What is 15 * 23?").click()

    card = playground.page.get_by_label("Tool calculator")

    await expect(card).to_contain_text('{"expression": "15 * 23"}')
    await expect(card).to_contain_text("345")
    await expect(card).to_have_attribute("data-state", "done")
    answer = playground.page.locator("article.answer .text")
    await expect(answer).to_have_text("The result of 15 * 23 = 345.")


async def test_tool__that_fails_or_never_ends_says_so(visit: Visit) -> None:
    big = {"list": ["a value that is rather long"] * 4, "deep": {"a": None}}
    playground = await visit(
        {
            "Hi": [
                [ToolStart("1", "broken", big)],
                [ToolEnd("1", "broken", error="no such row")],
                [ToolStart("2", "forgotten", {})],
                [Message("Well.")],
                [Done()],
            ]
        }
    )

    await playground.ask("Hi")

    broken = playground.page.get_by_label("Tool broken")
    await expect(broken).to_have_attribute("data-state", "failed")
    await expect(broken).to_contain_text("no such row")
    await expect(broken.locator("pre").first).to_have_text(
        re.compile(r'^\{\n  "list": \[\n    "a value .*\n  "deep": \{"a": null\}\n\}$', re.DOTALL)
    )
    forgotten = playground.page.get_by_label("Tool forgotten")
    await expect(forgotten).to_contain_text("no result")


async def test_reasoning_and_custom_events__are_folded(visit: Visit) -> None:
    playground = await visit(
        {
            "Hi": [
                [Thinking("Hm, ")],
                [Thinking("hm.")],
                [Custom({"step": 3})],
                [Message("Yes."), Done()],
            ]
        }
    )

    await playground.ask("Hi")

    page = playground.page
    await expect(page.get_by_text("Hm, hm.")).to_be_hidden()
    await page.get_by_text("Reasoning", exact=True).click()
    await expect(page.get_by_text("Hm, hm.")).to_be_visible()
    await expect(page.get_by_text('{"step":3}')).to_be_hidden()
    await page.get_by_text("Custom event", exact=True).click()
    await expect(page.get_by_text('"step": 3')).to_be_visible()
