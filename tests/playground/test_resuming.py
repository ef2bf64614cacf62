from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from playwright.async_api import Route, expect

from bff.events import Done, Message, Thinking, ToolEnd, ToolStart
from tests.fakes.scripted import Step
from tests.playground.visiting import IN_BROWSER, Visit

pytestmark = IN_BROWSER


@pytest.mark.parametrize("how", ["button", "Escape"])
async def test_stop__ends_the_run_and_keeps_what_was_said(visit: Visit, how: str) -> None:
    playground = await visit({"Hi": [[Message("Half of")], asyncio.Event()]})
    answer = await playground.ask("Hi")
    await expect(answer).to_contain_text("Half of")

    if how == "button":
        await playground.page.get_by_role("button", name="Stop the answer").click()
    else:
        await playground.page.keyboard.press("Escape")

    await expect(answer).to_have_attribute("data-status", "cancelled")
    await expect(answer).to_contain_text("Stopped.")
    await expect(playground.box).to_be_focused()
    await expect(playground.page.get_by_role("button", name="Send")).to_be_visible()


async def test_stop__before_the_run_has_a_name_stops_it_all_the_same(visit: Visit) -> None:
    playground = await visit({"Hi": [[Message("Half of")], asyncio.Event()]})
    held: asyncio.Future[Route] = asyncio.get_running_loop().create_future()
    await playground.page.route("**/v1/chat/stream", lambda route: held.set_result(route))
    answer = await playground.ask("Hi")
    route = await held

    await playground.page.keyboard.press("Escape")
    await route.continue_()

    await expect(answer).to_have_attribute("data-status", "cancelled")


async def test_reload__in_mid_answer_goes_on_with_nothing_twice(visit: Visit) -> None:
    more = asyncio.Event()
    start: Sequence[Step] = [[Thinking("Hm.")], [ToolStart("1", "find", {})], [Message("One ")]]
    end: Sequence[Step] = [[ToolEnd("1", "find", "it")], [Message("two.")], [Done()]]
    playground = await visit({"Hi": [*start, more, *end]})
    await expect(await playground.ask("Hi")).to_contain_text("One")

    await playground.page.reload()

    answer = playground.page.locator("article.answer")
    await expect(answer.locator(".text")).to_have_text("One")
    more.set()
    await expect(answer).to_have_attribute("data-status", "complete")
    await expect(answer).to_have_count(1)
    await expect(answer.locator(".text")).to_have_text("One two.")
    await expect(answer.locator(".tool")).to_have_count(1)
    await expect(playground.page.locator("article.question")).to_have_count(1)
    assert playground.agent.messages == ["Hi"]


async def test_connection__that_breaks_is_made_again_where_it_ended(visit: Visit) -> None:
    more = asyncio.Event()
    playground = await visit({"Hi": [[Message("One ")], more, [Message("two.")], [Done()]]})
    answer = await playground.ask("Hi")
    await expect(answer.locator(".text")).to_have_text("One")

    async with playground.page.expect_request("**/v1/runs/*/events") as again:
        playground.served.cut()
        await expect(playground.page.get_by_role("status")).to_contain_text("connecting again")
    more.set()

    assert (await (await again.value).all_headers())["last-event-id"] == "2"
    await expect(answer).to_have_attribute("data-status", "complete")
    await expect(answer.locator(".text")).to_have_text("One two.")
    assert playground.agent.messages == ["Hi"]


async def test_message__whose_sending_broke_is_sent_again_as_the_same(visit: Visit) -> None:
    playground = await visit({"Hi": [[Message("Hello")], [Done()]]})
    keys: list[str | None] = []

    async def lose_the_first_answer(route: Route) -> None:
        keys.append(await route.request.header_value("idempotency-key"))
        if len(keys) > 1:
            await route.continue_()
            return
        await route.fetch()  # the service gets it, the page never hears of it
        await route.abort("connectionreset")

    await playground.page.route("**/v1/chat/stream", lose_the_first_answer)

    answer = await playground.ask("Hi")

    await expect(answer.locator(".text")).to_have_text("Hello")
    assert keys[0] is not None
    assert keys == [keys[0]] * 2
    assert playground.agent.messages == ["Hi"]


async def test_second_tab__follows_the_same_run(visit: Visit) -> None:
    more = asyncio.Event()
    playground = await visit({"Hi": [[Message("One ")], more, [Message("two.")], [Done()]]})
    await expect(await playground.ask("Hi")).to_contain_text("One")

    tab = await playground.page.context.new_page()
    await tab.goto(playground.page.url)
    await expect(tab.locator("article.answer .text")).to_have_text("One")
    more.set()

    for page in (playground.page, tab):
        await expect(page.locator("article.answer .text")).to_have_text("One two.")
    assert playground.agent.messages == ["Hi"]


async def test_message__that_could_not_be_sent_is_tried_again_under_its_key(visit: Visit) -> None:
    playground = await visit({"Hi": [[Message("Hello")], [Done()]]})
    keys: list[str | None] = []

    async def lose(route: Route) -> None:
        keys.append(await route.request.header_value("idempotency-key"))
        await route.abort("connectionreset")

    await playground.page.clock.install()
    await playground.page.route("**/v1/chat/stream", lose)
    answer = await playground.ask("Hi")
    again = answer.get_by_role("button", name="Try again")
    async with asyncio.timeout(30):
        while not await again.count():
            await playground.page.clock.fast_forward(5_000)
    await expect(answer).to_contain_text("The service cannot be reached")
    await playground.page.unroute("**/v1/chat/stream")
    async with playground.page.expect_request("**/v1/chat/stream") as sent:
        await again.click()

    await expect(playground.page.locator("article.answer .text")).to_have_text("Hello")
    await expect(playground.page.locator("article.question")).to_have_count(1)
    assert {*keys, await (await sent.value).header_value("idempotency-key")} == {keys[0]}


async def test_stream__of_any_shape_the_protocol_allows_is_understood(visit: Visit) -> None:
    playground = await visit()
    messages = [{"role": "assistant", "content": "Zero one two.", "run_id": "r"}]
    kept = {"session_id": "s", "title": "Hi", "messages": messages, "next_cursor": None}
    body = (
        ": hello\r\nretry: 50\r\n\r\n"
        'id: 1\r\nevent: start\r\ndata: {"run_id":"r","session_id":"s"}\r\n\r\n'
        'id: 5\nevent: gap\ndata: {"from":2,\ndata: "to":5}\n\n'
        'id:6\revent:message\rdata:{"content":"One "}\r\r'
        'id: 6\nevent: message\ndata: {"content":"One "}\n\n'
        'id: 7\nevent: of tomorrow\ndata: {"content":1}\n\n'
    )
    rest = (
        'id: 8\nevent: message\ndata: {"content":"two."}\n\n'
        'id: 9\nevent: done\ndata: {"status":"complete"}\n\n'
    )
    asked_after: list[str | None] = []
    more = asyncio.Event()

    async def first(route: Route) -> None:
        headers = {"Content-Type": "text/event-stream", "X-Run-Id": "r", "X-Session-Id": "s"}
        await route.fulfill(status=200, headers=headers, body=body)

    async def again(route: Route) -> None:
        asked_after.append(await route.request.header_value("last-event-id"))
        await more.wait()
        failing = 'id: 0\nevent: error\ndata: {"title":"Internal error","status":500}\n\n'
        await route.fulfill(
            status=200,
            headers={"Content-Type": "text/event-stream"},
            body=failing if len(asked_after) == 1 else rest,
        )

    await playground.page.route("**/v1/chat/stream", first)
    await playground.page.route("**/v1/runs/r/events", again)
    await playground.page.route("**/v1/sessions/s?*", lambda route: route.fulfill(json=kept))

    answer = await playground.ask("Hi")
    await expect(answer.locator(".note")).to_have_text(
        "A part of this answer is no longer kept here."
    )
    await expect(answer.locator(".text")).to_have_text("One")
    more.set()

    # what the gap took, the history has
    await expect(playground.page.locator("article.answer .text")).to_have_text("Zero one two.")
    assert asked_after == ["7", "7"]
