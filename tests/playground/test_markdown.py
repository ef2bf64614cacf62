from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from playwright.async_api import expect

from bff.events import Custom, Done, Message, Thinking, ToolEnd, ToolStart
from tests.fakes.scripted import Step
from tests.playground.visiting import IN_BROWSER, Visit

pytestmark = IN_BROWSER


async def test_markdown__becomes_elements_and_code_can_be_copied(visit: Visit) -> None:
    text = (
        "# Head\n\nSome **bold** and `code` and [a link](https://example.com/a).\n\n"
        "- one\n- two\n  1. inner\n\n```js\nlet a = '<b>';\n```\n\n"
        "| a | b |\n| - | - |\n| 1 | 2 |\n"
    )
    pieces: list[Step] = [[Message(piece)] for piece in re.findall(".{1,3}", text, re.DOTALL)]
    playground = await visit({"Hi": [*pieces, [Done()]]})

    answer = await playground.ask("Hi")

    await expect(answer.locator("h3")).to_have_text("Head")
    await expect(answer.locator("strong")).to_have_text("bold")
    await expect(answer.locator("p > code")).to_have_text("code")
    link = answer.get_by_role("link", name="a link")
    await expect(link).to_have_attribute("href", "https://example.com/a")
    await expect(link).to_have_attribute("rel", re.compile("noopener"))
    await expect(answer.locator("ul > li > ol > li")).to_have_text("inner")
    await expect(answer.locator("td")).to_have_text(["1", "2"])
    await answer.get_by_role("button", name="Copy the code").click()
    copied = await playground.page.evaluate("navigator.clipboard.readText()")
    assert copied == "let a = '<b>';"


async def test_markdown__looks_the_same_whatever_the_pieces_it_came_in(visit: Visit) -> None:
    playground = await visit()

    differing = await playground.page.evaluate(
        """async (texts) => {
          const { GrowingMarkdown } = await import("/playground/markdown.js");
          const grow = (text, size) => {
            const root = document.createElement("div");
            const markdown = new GrowingMarkdown(root);
            for (let at = 0; at < text.length; at += size) {
              markdown.append(text.slice(at, at + size));
              markdown.draw();
            }
            markdown.close();
            return root.outerHTML;
          };
          return texts.flatMap((text) => [1, 2, 3, 7, 50]
            .filter((size) => grow(text, size) !== grow(text, text.length))
            .map((size) => [text, size, grow(text, size), grow(text, text.length)]));
        }""",
        MARKDOWN,
    )

    assert differing == []


MARKDOWN = [
    "one\ntwo\n\nthree",
    "para\n---\nafter\n***\n\n* * *\n",
    "- a\n- b\n\n- c\n\nafter\n- d\n  more\nlazy\n\n  still d\n",
    "1. a\n   ```py\n   x = 1\n\n   y = 2\n   ```\n2. b\n\n10) other\n",
    "```\nopen and never closed\n\n**no bold**",
    "~~~~md\n```\ninner\n```\n~~~~\ntext",
    "> quoted\n> > deeper\n> - list\n\nafter\n> again",
    "| a | b |\n|---|---|\n| `|` \\| | x |\nafter\n\n|not a table|\n",
    "#no heading\n# heading\n####### seven\n",
    "**a *b* c** ***d*** __e__ f_g_h ~~i~~ **open *also open\n`code ``with` ``more ` code``",
    "https://example.com/a_(b). <https://example.com> [x](javascript:alert(1)) [y](/z)",
    "\\*not em\\* \\` \u2028 e\u0301 👩‍👩‍👧 שלום **עולם**\r\nnext\r\n\r\nlast",
]


async def test_markdown__of_ill_will_does_not_stop_the_page(visit: Visit) -> None:
    playground = await visit()

    async with asyncio.timeout(30):
        drawn = await playground.page.evaluate(
            """async (texts) => {
              const { renderMarkdown } = await import("/playground/markdown.js");
              return texts.map(([text, times]) => {
                const root = document.createElement("div");
                renderMarkdown(root, text.repeat(times));
                return root.textContent.length;
              });
            }""",
            [[text, 60_000 // len(text)] for text in ILL_WILL] + [["long ", 200_000]],
        )

    assert len(drawn) == len(ILL_WILL) + 1


ILL_WILL = [
    *(
        "[",
        "*a ",
        "**",
        "_a",
        "`",
        "` ``",
        "> ",
        "# " + " " * 50,
        "- ",
        "1. ",
        "|",
        "\\",
        "<",
        "x\n",
    ),
    *("[a](", "https://", "https://)))", "![](", "|-", " - ", "***a", "~~a", "    ", "a|b\n-|-\n"),
]


async def test_text__of_any_script_arrives_as_it_was_sent(visit: Visit) -> None:
    text = "a\u2028b 👩‍👩‍👧 مرحبا بالعالم \u202eevil\u202c 漢字 e\u0301 \U0001f468\u200d\U0001f4bb"
    playground = await visit({text: [[Message(text)], [Done()]]})

    answer = await playground.ask(text)

    assert await answer.locator(".text p").text_content() == text
    assert await playground.page.locator("article.question p").text_content() == text


async def test_hostile_text__is_shown_and_does_nothing(visit: Visit) -> None:
    evil = (
        '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
        "<svg onload=window.owned=1>"
    )
    links = (
        "[a](javascript:window.owned=1) [b](data:text/html,<script>1</script>) "
        "<javascript:window.owned=1> [c](//evil.example) ![d](https://evil.example/pixel.png) "
        '[e](https://evil.example/"onmouseover="window.owned=1)'
    )
    steps: Sequence[Step] = [
        [Thinking(evil)],
        [ToolStart("1", evil, {evil: evil, "__proto__": {"owned": 1}})],
        [ToolEnd("1", evil, evil)],
        [ToolStart("constructor", "__proto__", {}), ToolEnd("constructor", "x", error=evil)],
        [Custom({evil: [evil]})],
        [Message(f"{evil}\n\n{links}\n\n```{evil}\n{evil}\n```\n\n# {evil}\n\n- {evil}\n")],
        [Message(f"\n| {evil} | b |\n| - | - |\n| {evil} | c |\n")],
        [Done()],
    ]
    playground = await visit({evil: steps})
    page = playground.page

    answer = await playground.ask(evil)
    await expect(answer).to_have_attribute("data-status", "complete")
    session = page.url.partition("#")[2]
    await playground.call("PATCH", f"v1/sessions/{session}", title=evil)
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text(evil)
    await expect(playground.sessions).to_have_text([evil])
    await page.locator("#sessions .delete").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#delete-name")).to_have_text(evil)

    shown = await page.evaluate("""() => ({
      owned: window.owned, polluted: ({}).owned, title: document.title,
      strangers: document.querySelectorAll(
        "#conversation :is(img, script, iframe, object, style, svg:not(.icon), [onerror], [onload])"
      ).length,
      links: [...document.querySelectorAll("#conversation a")].map((link) => link.protocol),
    })""")
    assert shown == {
        "owned": None,
        "polluted": None,
        "title": f"{evil} · agentcore-bff",
        "strangers": 0,
        "links": ["https:"] * len(shown["links"]),
    }
