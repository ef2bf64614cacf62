from __future__ import annotations

import pytest

from bff.api.openapi.operations import OPERATIONS
from tests.api.conftest import Start
from tests.fakes.browser import open_browser


@pytest.mark.browser
async def test_the_docs_page__shows_every_operation_and_asks_nobody_else(start: Start) -> None:
    service = await start()
    said: list[str] = []
    asked: list[str] = []

    async with open_browser() as browser:
        page = await browser.new_page(viewport={"width": 390, "height": 780})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        _ = await page.goto(f"{service.url}/docs")
        await page.wait_for_selector("#schema-ChatEvent")
        headings = await page.locator("article:has(table) h3:has(.method)").all_inner_texts()
        width = await page.evaluate("document.documentElement.scrollWidth")
        broken = await page.evaluate(
            "[...document.querySelectorAll('a[href^=\"#\"]')]"
            ".filter((a) => !document.getElementById(a.hash.slice(1))).map((a) => a.hash)"
        )

    shown = {tuple(heading.split()) for heading in headings}
    assert shown == {(method, path) for method, path in OPERATIONS}
    assert said == []
    assert all(url.startswith((service.url, "data:")) for url in asked)
    assert broken == []
    assert width == 390  # nothing sticks out on a phone
