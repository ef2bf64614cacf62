from __future__ import annotations

import asyncio
import re

from playwright.async_api import expect

from bff.events import Done, Message, ToolEnd, ToolStart
from tests.fakes.scripted import Step
from tests.playground.visiting import IN_BROWSER, Visit

pytestmark = IN_BROWSER


async def test_keyboard__is_enough(visit: Visit) -> None:
    playground = await visit()
    page, press = playground.page, playground.page.keyboard.press
    await expect(playground.box).to_be_focused()

    await page.keyboard.type("What is")
    await press("Shift+Enter")
    await page.keyboard.type("15 * 23?")
    assert await playground.box.input_value() == "What is\n15 * 23?"
    await press("Enter")
    await expect(page.locator("article.answer .text")).to_contain_text("345")
    await expect(playground.sessions).to_have_count(1)

    await page.locator("#sessions a").focus()
    await press("Tab")
    await expect(page.get_by_role("button", name=re.compile("^Rename"))).to_be_focused()
    await press("Enter")
    await page.keyboard.type("Sums")
    await press("Enter")
    await expect(page.get_by_role("button", name="Rename “Sums”")).to_be_focused()
    await press("Tab")
    await press("Enter")
    await expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    await press("Escape")
    await expect(page.get_by_role("button", name="Delete “Sums”")).to_be_focused()
    await press("Enter")
    await expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    await press("Tab")
    await press("Enter")
    await expect(playground.sessions).to_have_count(0)
    await expect(playground.box).to_be_focused()


async def test_skip_link__is_first_and_leads_to_the_message(visit: Visit) -> None:
    playground = await visit()
    await expect(playground.box).to_be_focused()
    first = playground.page.locator(":is(a, button, input, textarea, [tabindex])").first

    await first.focus()
    await expect(first).to_have_text("Skip to the message field")
    await expect(first).to_be_in_viewport()
    await playground.page.keyboard.press("Enter")

    await expect(playground.box).to_be_focused()


async def test_page__names_everything_that_can_be_used(visit: Visit) -> None:
    playground = await visit()
    await expect(await playground.ask("What is 15 * 23?")).to_contain_text("345.")

    nameless = await playground.page.evaluate("""() =>
      [...document.querySelectorAll("button, a, input, textarea, [role=region]")]
        .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim()
          || node.labels?.length))
        .map((node) => node.outerHTML)""")

    assert nameless == []


async def test_screen_reader__hears_whole_paragraphs_and_the_tool(visit: Visit) -> None:
    more = asyncio.Event()
    playground = await visit(
        {
            "Hi": [
                *([Message(word)] for word in ("One ", "two.\n\n", "Three ", "four")),
                more,
                [ToolStart("1", "find", {}), ToolEnd("1", "find", "it"), Done()],
            ]
        }
    )
    await playground.ask("Hi")
    said = playground.page.locator("#announcer p")

    await expect(said).to_have_text(["One two."])
    more.set()
    await expect(said).to_have_text(["One two.", "Three four", "find: it"])


async def test_scrolling__follows_the_answer_unless_the_reader_looks_back(visit: Visit) -> None:
    more, last = asyncio.Event(), asyncio.Event()
    lines: Step = [Message("line\n\n" * 60)]
    playground = await visit({"Hi": [lines, more, lines, last, [Done()]]})
    await expect((await playground.ask("Hi")).locator("p")).to_have_count(61)
    scroller = playground.page.locator("#scroller")
    latest = playground.page.get_by_role("button", name="Latest")
    assert await scroller.evaluate(BELOW) < 2

    await scroller.hover()
    await playground.page.mouse.wheel(0, -2000)
    await expect(latest).to_be_visible()
    before = await scroller.evaluate("node => node.scrollTop")
    more.set()
    await expect(playground.page.locator("article.answer p")).to_have_count(121)
    assert await scroller.evaluate("node => node.scrollTop") == before

    await latest.click()
    assert await scroller.evaluate(BELOW) < 2
    await expect(latest).to_be_hidden()
    last.set()


BELOW = "node => node.scrollHeight - node.scrollTop - node.clientHeight"


async def test_phone__has_the_conversations_in_a_drawer(visit: Visit) -> None:
    playground = await visit(phone=True)
    page = playground.page
    answer = await playground.ask("What is 15 * 23? " + "x" * 300)
    await expect(answer).to_have_attribute("data-status", "complete")
    await expect(playground.sessions).to_be_hidden()
    assert await page.evaluate("document.documentElement.scrollWidth") == 390

    opener = page.get_by_role("button", name="Show the list of conversations")
    await opener.click()
    await expect(playground.sessions).to_be_in_viewport()
    await page.keyboard.press("Escape")
    await expect(playground.sessions).to_be_hidden()
    await expect(opener).to_be_focused()

    await opener.click()
    await page.locator("#new").click()
    await expect(page.locator("article")).to_have_count(0)
    await expect(playground.sessions).to_be_hidden()


async def test_theme__is_the_systems_until_one_is_chosen(visit: Visit) -> None:
    playground = await visit()
    page = playground.page
    colour = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(colour)
    await page.emulate_media(color_scheme="dark")
    dark = await page.evaluate(colour)
    assert dark != light

    await page.get_by_role("button", name="Use the light theme").click()
    await page.reload()

    assert await page.evaluate(colour) == light
