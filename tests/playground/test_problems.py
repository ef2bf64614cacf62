from __future__ import annotations

import re

from playwright.async_api import expect

from tests.fakes.page import KEY
from tests.playground.visiting import IN_BROWSER, Visit

pytestmark = IN_BROWSER


async def test_failure__is_said_in_words_with_the_request_id(visit: Visit) -> None:
    playground = await visit()

    answer = await playground.ask("/fail")

    alert = answer.get_by_role("alert")
    await expect(answer.locator(".text")).to_have_text("This will fail")
    await expect(alert).to_contain_text("Agent failed")
    await expect(alert).to_contain_text("before its answer was complete")
    await expect(alert).to_contain_text(re.compile("502 · agent_failed · request [0-9a-f]{32}"))
    await alert.get_by_role("button", name="Ask again").click()
    await expect(playground.page.locator("article.question")).to_have_count(2)


async def test_rate_limit__counts_down_to_the_next_try(visit: Visit) -> None:
    playground = await visit(rate_limit_requests=3)  # the list, one message, the list again
    await expect(await playground.ask("Hi")).to_have_attribute("data-status", "complete")
    await playground.page.clock.install()
    answer = await playground.ask("Again")

    alert = answer.get_by_role("alert")
    await expect(alert).to_contain_text("Too many requests")
    again = alert.get_by_role("button", name="Try again")
    await expect(again).to_be_disabled()
    await expect(again).to_have_text(re.compile("Try again in [0-9]+ s"))
    await playground.page.clock.fast_forward(61_000)
    await expect(again).to_be_enabled()
    await expect(again).to_have_text("Try again")
    await expect(playground.page.get_by_role("alert")).to_have_count(1)
    assert playground.agent.messages == ["Hi"]


async def test_message__too_long_is_counted_and_not_sent(visit: Visit) -> None:
    playground = await visit()

    await playground.box.fill("👍" * 100_001)

    await expect(playground.page.locator("#hint")).to_have_text("100,001 of 100,000 characters")
    await expect(playground.page.get_by_role("button", name="Send")).to_be_disabled()
    await playground.box.fill("👍" * 100_000)
    await expect(playground.page.get_by_role("button", name="Send")).to_be_enabled()


async def test_credential__is_asked_for_once_and_stays_in_the_tab(visit: Visit) -> None:
    playground = await visit(key=None)
    page = playground.page
    panel = page.get_by_role("dialog", name="Who is asking?")
    await expect(panel).to_be_visible()

    await panel.get_by_label("Key or token").fill("not a key")
    await page.keyboard.press("Enter")
    await expect(panel.get_by_role("alert")).to_contain_text("spaces")
    await panel.get_by_label("Key or token").fill("not-the-key")
    await page.keyboard.press("Enter")
    await expect(panel.get_by_role("alert")).to_contain_text("does not accept")
    await panel.get_by_label("Key or token").fill(KEY)
    await page.keyboard.press("Enter")
    await expect(panel).to_be_hidden()

    await expect(await playground.ask("Hi")).to_contain_text("You said: Hi")
    await page.reload()
    await expect(page.locator("article.answer")).to_contain_text("You said: Hi")
    kept = await page.evaluate("[JSON.stringify(localStorage), JSON.stringify(sessionStorage)]")
    assert KEY not in kept[0]
    assert KEY in kept[1]
    assert KEY not in page.url
