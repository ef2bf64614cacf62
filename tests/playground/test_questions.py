from __future__ import annotations

from playwright.async_api import Locator, expect

from bff.events import Done, Input, Message
from tests.playground.visiting import IN_BROWSER, Playground, Visit

pytestmark = IN_BROWSER


def card(playground: Playground) -> Locator:
    return playground.page.get_by_label("The agent asks")


async def press(playground: Playground, name: str) -> None:
    await card(playground).get_by_role("button", name=name).click()


def last(playground: Playground) -> Locator:
    return playground.page.locator("article.answer").last


async def test_an_approval__is_asked_with_a_card_and_given(visit: Visit) -> None:
    playground = await visit()
    answer = await playground.ask("/approve 7")
    await expect(answer).to_have_attribute("data-status", "input_required")
    await expect(card(playground)).to_contain_text("May I pay?")
    await expect(card(playground)).to_contain_text('"amount": 7')
    await expect(playground.page.get_by_label("Tool pay")).to_contain_text("waits for an answer")

    await press(playground, "Approve")

    await expect(last(playground)).to_contain_text("Paid 7 to Jo.")
    await expect(card(playground)).to_have_count(0)
    assert len(playground.agent.messages) == 2


async def test_a_question__survives_a_reload_and_marks_its_conversation(visit: Visit) -> None:
    playground = await visit()
    asks = playground.page.locator("#sessions li[data-asks]")
    await playground.ask("/approve 7")
    await expect(asks).to_have_count(1)

    await playground.page.reload()
    await expect(card(playground)).to_contain_text("May I pay?")
    await expect(asks).to_have_count(1)
    await press(playground, "Decline")

    await expect(last(playground)).to_contain_text("Not paid: it was declined.")
    await expect(asks).to_have_count(0)
    await playground.page.reload()
    await expect(playground.page.locator("article.question").last).to_have_text("YouDeclined")
    await expect(last(playground)).to_contain_text("Not paid")
    await expect(card(playground)).to_have_count(0)


async def test_arguments__can_be_edited_and_must_be_json(visit: Visit) -> None:
    playground = await visit()
    await playground.ask("/approve 7")
    await press(playground, "Edit arguments")
    editor = playground.page.get_by_label("Arguments, as JSON")

    await editor.fill('{"amount": ')
    await press(playground, "Approve")
    await expect(card(playground)).to_be_visible()
    assert len(playground.agent.messages) == 1
    await editor.fill('{"amount": 5, "to": "Ada"}')
    await press(playground, "Approve")

    await expect(last(playground)).to_contain_text("Paid 5 to Ada.")


async def test_a_form__comes_from_the_schema(visit: Visit) -> None:
    playground = await visit()
    await playground.ask("/form")
    page = playground.page

    await press(playground, "Answer")  # what is required is missing
    await expect(card(playground)).to_be_visible()
    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_label("Seats").fill("2")
    await page.get_by_label("At the window").check()
    await press(playground, "Answer")

    told = '{"name":"Ada","seats":2,"window":true}'
    await expect(last(playground)).to_contain_text(f"You answered: {told}")


async def test_several_questions__are_answered_together(visit: Visit) -> None:
    first, second = Input("a", "input", "Which city?"), Input("b", "approval", "Shall I book?")
    playground = await visit({"Go": [[Message("Wait.")], [first, second], [Done()]]})
    await playground.ask("Go")
    forms = card(playground).locator("form")

    await forms.nth(1).get_by_role("button", name="Approve").click()
    assert len(playground.agent.messages) == 1
    await forms.nth(0).get_by_role("textbox").fill("Rome")
    await forms.nth(0).get_by_role("button", name="Answer").click()

    await expect(last(playground)).to_contain_text("You answered: Rome")
    await expect(last(playground)).to_contain_text("You answered: true")


async def test_a_message__answers_the_only_question(visit: Visit) -> None:
    playground = await visit()
    await playground.ask("/ask Which city?")
    await expect(card(playground)).to_be_visible()

    await expect(await playground.ask("Rome")).to_contain_text("You answered: Rome")
    await expect(card(playground)).to_have_count(0)


async def test_an_answer_that_somebody_else_gave__is_shown(visit: Visit) -> None:
    playground = await visit()
    await playground.ask("/approve 7")
    await expect(card(playground)).to_be_visible()
    session = playground.page.url.partition("#")[2]
    await playground.call("POST", f"v1/sessions/{session}/inputs/cancel")
    await expect(playground.sessions).to_have_count(1)

    await press(playground, "Approve")

    await expect(last(playground)).to_contain_text("Not paid: it was declined.")
    await expect(card(playground)).to_have_count(0)


async def test_what_an_agent_asks__is_text_and_no_markup(visit: Visit) -> None:
    words = "<img src=x onerror=alert(1)>"
    schema = {"type": "object", "properties": {words: {"type": "string", "title": words}}}
    question = Input("a", "input", words, schema=schema)
    playground = await visit({"Go": [[question], [Done()]]})
    await playground.ask("Go")

    await expect(card(playground).locator("strong")).to_have_text(words)
    await expect(card(playground).locator("img")).to_have_count(0)
