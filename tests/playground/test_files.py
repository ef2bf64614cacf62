"""Files on the page: how they get into a message, and what is shown of them."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, Locator, expect

from bff.events import Done, File, Message
from tests.playground.visiting import IN_BROWSER, Playground, Visit

pytestmark = IN_BROWSER


def picture(colour: int = 200) -> bytes:
    """A PNG of four grey pixels, which a browser can show."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = bytes([0, colour, colour, 0, colour, colour])
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0))
    end = chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + end


PNG = picture()
HANDED_OVER = """([kind, name, type, data]) => {
  const file = new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type });
  const carried = new DataTransfer();
  carried.items.add(file);
  const field = document.getElementById("message");
  const options = { bubbles: true, cancelable: true };
  if (kind === "paste") {
    field.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: carried }));
  } else {
    for (const name of ["dragover", "drop"]) {
      field.dispatchEvent(new DragEvent(name, { ...options, dataTransfer: carried }));
    }
  }
}"""


async def attach(
    playground: Playground,
    how: str = "pick",
    data: bytes = PNG,
    name: str = "cat.png",
    mime_type: str = "image/png",
) -> Locator:
    """Give the page a file; returns what it shows of it."""
    page = playground.page
    await expect(page.get_by_role("button", name="Attach files")).to_be_visible()
    if how in ("paste", "drop"):
        encoded = base64.b64encode(data).decode()
        await page.evaluate(HANDED_OVER, [how, name, mime_type, encoded])
    else:
        button = "Take a photo" if how == "camera" else "Attach files"
        async with page.expect_file_chooser() as choosing:
            await page.get_by_role("button", name=button).click()
        chooser = await choosing.value
        assert chooser.is_multiple() == (how == "pick")
        await chooser.set_files([FilePayload(name=name, mimeType=mime_type, buffer=data)])
    return page.get_by_role("listitem").filter(has_text=name)


async def shown(picture: Locator) -> None:
    await expect(picture).to_have_js_property("naturalWidth", 2)


@pytest.mark.parametrize(
    ("how", "phone"),
    [("pick", False), ("paste", False), ("drop", False), ("pick", True), ("camera", True)],
)
async def test_a_picture__goes_with_the_message_and_is_there_after_a_reload(
    visit: Visit, how: str, phone: bool
) -> None:
    playground = await visit({"What is it?": [[Message("A cat.")], [Done()]]}, phone=phone)
    page = playground.page
    chip = await attach(playground, how)
    await expect(chip).to_contain_text(f"{len(PNG)} bytes")
    await shown(chip.locator("img"))

    await playground.ask("What is it?")

    await expect(page.locator("article.answer")).to_contain_text("A cat.")
    await expect(page.locator("#attachments")).to_be_hidden()
    [file] = playground.agent.files
    assert base64.b64decode(file.data or "") == PNG
    assert (file.kind, file.mime_type, file.filename) == ("image", "image/png", "cat.png")
    await shown(page.locator("article.question img"))
    await page.reload()
    await shown(page.locator("article.question img"))
    await expect(page.locator("article.question p")).to_have_text("What is it?")
    wide = "document.documentElement.scrollWidth > innerWidth"
    assert not await page.evaluate(wide)


async def test_a_file__is_a_message_without_a_word(visit: Visit) -> None:
    playground = await visit()
    await expect(playground.page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    chip = await attach(playground, data=b"%PDF-1.7\n1", name="q3.pdf", mime_type="application/pdf")
    await expect(chip).to_contain_text("10 bytes")

    await playground.page.get_by_role("button", name="Send", exact=True).click()

    await expect(playground.page.locator("article.question")).to_contain_text("q3.pdf")
    await expect(playground.page.locator("article.answer[data-status=complete]")).to_have_count(1)
    [file] = playground.agent.files
    assert (file.kind, file.filename) == ("document", "q3.pdf")


async def test_a_file_that_is_removed__is_in_no_message_and_no_store(
    visit: Visit, tmp_path: Path
) -> None:
    playground = await visit()
    chip = await attach(playground)
    await expect(chip).to_contain_text("bytes")

    async with playground.page.expect_response(lambda reply: "/v1/files/" in reply.url) as gone:
        await playground.page.get_by_role("button", name="Remove cat.png").click()

    assert (await gone.value).status == 200
    await expect(chip).to_have_count(0)
    await expect(playground.box).to_be_focused()
    await playground.ask("Hi")
    await expect(playground.page.locator("article.answer[data-status=complete]")).to_have_count(1)
    assert playground.agent.files == []
    assert not [path for path in (tmp_path / "files").rglob("*") if path.name.startswith("file-")]


async def test_a_file_on_its_way__shows_how_far_it_is_and_holds_the_message_back(
    visit: Visit,
) -> None:
    playground = await visit()
    await playground.page.route("**/v1/files", lambda route: None)  # never answered
    chip = await attach(playground)

    await expect(chip.get_by_role("progressbar", name="Sending cat.png")).to_be_visible()
    await playground.box.fill("What is it?")
    await playground.box.press("Enter")
    await expect(playground.page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    await playground.page.get_by_role("button", name="Remove cat.png").click()
    await expect(playground.page.get_by_role("button", name="Send", exact=True)).to_be_enabled()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bytes(1024**2 + 1), "It is larger than 1.0 MB."),
        (b"", "It is empty."),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "SVG"),
    ],
)
async def test_a_file_that_is_not_taken__says_why(visit: Visit, data: bytes, words: str) -> None:
    playground = await visit(max_file_bytes=1024**2)

    chip = await attach(playground, data=data)

    await expect(chip).to_contain_text(words)
    await playground.box.fill("Look")
    await expect(playground.page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    await playground.page.get_by_role("button", name="Remove cat.png").click()
    await expect(playground.page.get_by_role("button", name="Send", exact=True)).to_be_enabled()


async def test_where_no_files_are_kept__nothing_offers_it(visit: Visit) -> None:
    playground = await visit(files=None)

    await expect(playground.box).to_be_visible()
    await expect(playground.page.get_by_role("button", name="Attach files")).to_have_count(0)


@pytest.mark.parametrize("size", [0, 60_000])
@pytest.mark.parametrize("phone", [False, True])
async def test_a_picture_of_the_agents__is_shown_and_can_be_saved(
    visit: Visit, size: int, phone: bool
) -> None:
    data = PNG + bytes(size)  # in the event, or behind a link
    made = File("image/png", data=base64.b64encode(data).decode(), filename="chart.png")
    script = {"Draw": [[Message("Here."), made], [Done()]]}
    playground = await visit(script, phone=phone)
    page = playground.page

    await playground.ask("Draw")

    for _ in range(2):
        await shown(page.locator("article.answer img"))
        async with page.expect_download() as saving:
            await page.get_by_role("button", name="Save chart.png").click()
        saved = await saving.value
        assert saved.suggested_filename == "chart.png"
        assert (await saved.path()).read_bytes() == data
        await page.reload()


async def test_whatever_else_an_agent_makes__is_only_there_to_be_saved(visit: Visit) -> None:
    page_of_its_own = b"<script>parent.pwned = document.pwned = true</script>"
    encoded = base64.b64encode(page_of_its_own).decode()
    made = [
        File("text/html", data=encoded, filename="a.html"),
        File("image/svg+xml", data=encoded, filename="b.svg"),
        File("image/png", data=encoded, filename="c.png"),
        File("image/png", url="https://tracker.example.com/d.png", filename="d.png"),
        File("image/png", url="javascript:document.pwned=true", filename="e.png"),
        File("image/png", url="/v1/files/file-" + "0" * 32 + "/content", filename="f.png"),
    ]
    playground = await visit({"Draw": [[Message("Here."), *made], [Done()]]})
    page = playground.page

    answer = await playground.ask("Draw")

    await expect(answer.locator("figure")).to_have_count(6)
    await expect(answer).to_contain_text("It is no longer kept.")
    await expect(answer.locator("img")).to_have_count(0)
    links = answer.locator("a")
    await expect(links).to_have_count(1)
    await expect(links).to_have_attribute("rel", "noopener noreferrer")
    async with page.expect_download() as saving:
        await page.get_by_role("button", name="Save a.html").click()
    assert (await (await saving.value).path()).read_bytes() == page_of_its_own
    assert await page.evaluate("document.pwned") is None


async def test_a_key_that_is_refused__is_asked_for_before_the_file_goes(visit: Visit) -> None:
    playground = await visit(key=None)
    page = playground.page
    await page.get_by_role("button", name="Not now").click()

    chip = await attach(playground)

    await page.locator("#credential-field").fill("local-0123456789abcdef0123456789abcdef")
    await page.get_by_role("button", name="Go on").click()
    await expect(chip).to_contain_text("bytes")
