from __future__ import annotations

import asyncio

from playwright.async_api import expect

from bff.events import Done, Message
from tests.playground.visiting import IN_BROWSER, Visit

pytestmark = IN_BROWSER


async def test_conversations__are_listed_renamed_and_deleted(visit: Visit) -> None:
    playground = await visit()
    page = playground.page
    await expect(await playground.ask("First")).to_contain_text("You said: First")
    await page.locator("#new").click()
    await expect(page.locator("article")).to_have_count(0)
    await expect(await playground.ask("Second")).to_contain_text("You said: Second")
    await expect(playground.sessions).to_have_text(["Second", "First"])

    await page.get_by_role("link", name="First").hover()
    await page.get_by_role("button", name="Rename “First”").click()
    await page.get_by_role("textbox", name="New title").fill("Primeiro")
    await page.keyboard.press("Enter")
    await expect(playground.sessions).to_have_text(["Second", "Primeiro"])
    await page.get_by_role("link", name="Primeiro").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Primeiro")
    await expect(page.locator("article.answer")).to_contain_text("You said: First")

    await page.get_by_role("button", name="Delete “Primeiro”").click()
    await page.get_by_role("button", name="Keep it").click()
    await expect(playground.sessions).to_have_count(2)
    await page.get_by_role("button", name="Delete “Primeiro”").click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await expect(playground.sessions).to_have_text(["Second"])
    await expect(page.get_by_role("heading", level=1)).to_have_text("New conversation")

    await page.reload()
    await expect(playground.sessions).to_have_text(["Second"])


async def test_conversations__that_are_many_come_by_the_page(visit: Visit) -> None:
    playground = await visit()
    for number in range(32):
        await playground.call("POST", "v1/chat", message=f"Number {number}")

    await playground.page.reload()

    await expect(playground.sessions).to_have_count(30)
    await playground.page.get_by_role("button", name="Show older ones").click()
    await expect(playground.sessions).to_have_count(32)
    await expect(playground.page.get_by_role("link", name="Number 1", exact=True)).to_be_focused()
    await expect(playground.page.get_by_role("button", name="Show older ones")).to_be_hidden()


async def test_conversation__left_in_mid_answer_goes_on_and_can_be_come_back_to(
    visit: Visit,
) -> None:
    more = asyncio.Event()
    playground = await visit({"Hi": [[Message("One ")], more, [Message("two.")], [Done()]]})
    page = playground.page
    await expect(await playground.ask("Hi")).to_contain_text("One")

    await page.locator("#new").click()
    await expect(page.locator("article")).to_have_count(0)
    await expect(await playground.ask("Meanwhile")).to_contain_text("You said: Meanwhile")
    await page.get_by_role("link", name="Hi", exact=True).click()

    await expect(page.locator("article.answer .text")).to_have_text("One")
    more.set()
    await expect(page.locator("article.answer .text")).to_have_text("One two.")
    assert playground.agent.messages == ["Hi", "Meanwhile"]


async def test_address__of_no_conversation_is_said_in_words(visit: Visit) -> None:
    playground = await visit()

    await playground.page.goto(playground.served.url + "#nothing-here")

    await expect(playground.page.get_by_role("alert")).to_contain_text("Not found")
